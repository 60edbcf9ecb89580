// Package wellknown proves and finds nodes by the web site of their name
// (spec/discovery.md#well-known): whoever can serve https://<name>/.well-known/parley says
// there which keys the node has, and where it is.
package wellknown

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// Path of the document on a web site.
const Path = "/.well-known/parley"

// Bounds of a document.
const (
	maxDocument = 16 << 10 // bytes
	maxAddrs    = 8
)

// Document is what is published. Members that are not known are passed over.
type Document struct {
	Node protocol.Node `json:"node"`
	Keys []string      `json:"keys"` // pins: the present key, and the next
	// Addrs are host:port, the host an address or a name; empty: as the DNS has it.
	Addrs []string `json:"addrs,omitempty"`
	// Statements are those of the node's keys, in base64url.
	Statements []string `json:"statements,omitempty"`
}

// Encode makes the text to serve.
func Encode(name protocol.Node, keys []ed25519.PublicKey, addrs []string, statements []*s2s.Statement) ([]byte, error) {
	d := Document{Node: name, Addrs: addrs}
	for _, k := range keys {
		d.Keys = append(d.Keys, federation.Pin(k))
	}
	for _, s := range statements[max(0, len(statements)-federation.MaxStatements):] {
		raw, err := s.Encode()
		if err != nil {
			return nil, err
		}
		d.Statements = append(d.Statements, base64.RawURLEncoding.EncodeToString(raw))
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(text) >= maxDocument {
		return nil, fmt.Errorf("wellknown: the document has %d bytes, at most %d", len(text), maxDocument)
	}
	return append(text, '\n'), nil
}

// page is a document that was understood.
type page struct {
	federation.Published
	addrs []string
}

// parse reads the document of a name. Its error wraps federation.ErrMalformed.
func parse(name protocol.Node, text []byte) (*page, error) {
	var d Document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", federation.ErrMalformed, err)
	}
	if d.Node != name {
		return nil, fmt.Errorf("%w: the document is about another node, %.100q", federation.ErrMalformed, d.Node)
	}
	p := &page{Published: federation.Published{Authentic: true}, addrs: d.Addrs}
	if n := len(d.Keys); n < 1 || n > federation.MaxPublishedKeys {
		return nil, fmt.Errorf("%w: %d keys; 1 or %d", federation.ErrMalformed, n, federation.MaxPublishedKeys)
	}
	if len(d.Addrs) > maxAddrs || len(d.Statements) > federation.MaxStatements {
		return nil, fmt.Errorf("%w: too many addresses or statements", federation.ErrMalformed)
	}
	for _, pin := range d.Keys {
		key, err := federation.ParsePin(pin)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", federation.ErrMalformed, err)
		}
		p.Keys = append(p.Keys, key)
	}
	for _, a := range d.Addrs {
		if err := federation.CheckHostPort(a); err != nil {
			return nil, fmt.Errorf("%w: %w", federation.ErrMalformed, err)
		}
	}
	for _, text := range d.Statements {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", federation.ErrMalformed, err)
		}
		s, err := s2s.ParseStatement(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", federation.ErrMalformed, err)
		}
		p.Statements = append(p.Statements, s)
	}
	return p, nil
}

// Published implements federation.Register.
func (c *Client) Published(ctx context.Context, name protocol.Node, want ed25519.PublicKey) (federation.Published, error) {
	start := time.Now()
	p, err := c.page(ctx, name, want)
	if err != nil {
		federation.Tell(ctx, start, "well-known", "", err)
		return federation.Published{}, err
	}
	pins := make([]string, len(p.Keys))
	for i, k := range p.Keys {
		pins[i] = federation.Pin(k)
	}
	federation.Tell(ctx, start, "well-known", strings.Join(pins, ", "), nil)
	return p.Published, nil
}

// Find implements federation.Finder: where the web site says that the node is.
func (c *Client) Find(ctx context.Context, name protocol.Node) (federation.Endpoint, error) {
	e := federation.Endpoint{Name: name}
	start := time.Now()
	p, err := c.page(ctx, name, nil)
	if err == nil {
		e.Keys = p.Keys
		e.Addrs, err = c.resolve(ctx, p.addrs)
	}
	text := ""
	for _, a := range e.Addrs {
		text += " " + a.String()
	}
	federation.Tell(ctx, start, "well-known address", strings.TrimSpace(text), err)
	return e, err
}

// resolve makes addresses of host:port; those that may not be gone to are left out.
func (c *Client) resolve(ctx context.Context, hosts []string) ([]netip.AddrPort, error) {
	err := fmt.Errorf("%w: the web site names no address", federation.ErrNothing)
	var all []netip.AddrPort
	for _, hp := range hosts {
		host, port, splitErr := net.SplitHostPort(hp)
		n, numErr := strconv.ParseUint(port, 10, 16)
		if splitErr != nil || numErr != nil {
			continue // it was checked when read
		}
		addrs := []netip.Addr{}
		if a, parseErr := netip.ParseAddr(host); parseErr == nil {
			addrs = append(addrs, a)
		} else if addrs, err = c.cfg.Hosts.Addrs(ctx, host); err != nil {
			continue
		}
		for _, a := range addrs {
			all = append(all, netip.AddrPortFrom(a, uint16(n)))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("wellknown: %w", err)
	}
	all, err = c.cfg.Fence.Filter(all)
	return all[:min(len(all), maxAddrs)], err
}
