package httpd

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/store"
)

// The part of the operators' interface that is about other nodes:
//
//	GET    /admin/peers                                → []AdminPeer
//	GET    /admin/peers/{peer}                         → AdminPeer
//	PUT    /admin/peers/{peer}/pin      AdminPin       → AdminPeer
//	DELETE /admin/peers/{peer}/pin?keys=1              → AdminPeer
//	PUT    /admin/peers/{peer}/access   AdminAccess    → AdminPeer
//	POST   /admin/peers/{peer}/ping                    → []AdminStep; only a node that runs

// pingTimeout is how long it may take to reach a peer.
const pingTimeout = 30 * time.Second

// Peers is what is known of other nodes: a *federation.Notary.
type Peers interface {
	Pin(name protocol.Node, key ed25519.PublicKey, addrs []string) error
	Unpin(name protocol.Node, forget bool) error
	SetAccess(name protocol.Node, a store.PeerAccess) error
	Peer(name protocol.Node) (p *store.Peer, known bool, err error)
	Peers() ([]*store.Peer, error)
}

// Pinger reaches for a node and tells each step; nil for a node that does not run.
type Pinger func(ctx context.Context, name protocol.Node) error

// AdminPeer is another node.
type AdminPeer struct {
	Name     string         `json:"name"`
	Access   string         `json:"access"` // "auto", "allow", "deny"
	Pin      string         `json:"pin,omitempty"`
	Addrs    []string       `json:"addrs,omitempty"` // that the operator has given
	Proof    string         `json:"proof,omitempty"` // the strongest that was seen
	Proven   time.Time      `json:"proven,omitzero"`
	Keys     []AdminPeerKey `json:"keys,omitempty"`
	First    time.Time      `json:"first,omitzero"`
	Seen     time.Time      `json:"seen,omitzero"`
	Dialed   time.Time      `json:"dialed,omitzero"`    // when it last dialled this node of its own accord
	Failures int            `json:"failures,omitempty"` // in a row of reaching it
	Next     time.Time      `json:"next,omitzero"`      // when it is tried again
	Link     *AdminLink     `json:"link,omitempty"`     // nil: no use for one since the node began to run, or it does not run
}

// AdminPeerKey is a key of a node.
type AdminPeerKey struct {
	Key     string    `json:"key"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"` // zero: in use
	Revoked bool      `json:"revoked,omitempty"`
}

// AdminPin binds a node to a key.
type AdminPin struct {
	Key   string   `json:"key"`
	Addrs []string `json:"addrs,omitempty"`
}

// AdminAccess is the operator's word: "auto", "allow" or "deny".
type AdminAccess struct {
	Access string `json:"access"`
}

// AdminStep is one thing that was done to reach a node.
type AdminStep struct {
	What string        `json:"what"`
	Text string        `json:"text,omitempty"`
	Err  string        `json:"error,omitempty"`
	Took time.Duration `json:"took"` // ns
}

var accessWords = map[string]store.PeerAccess{
	"auto": store.AccessDefault, "allow": store.AccessAllow, "deny": store.AccessDeny,
}

// WithPeers adds what is about other nodes. It is called before Handler.
func (a *Admin) WithPeers(p Peers, ping Pinger) *Admin {
	a.peers, a.ping = p, ping
	return a
}

// peerRoutes are those of other nodes.
func (a *Admin) peerRoutes() map[string]func(*http.Request) (any, error) {
	if a.peers == nil {
		return nil
	}
	return map[string]func(*http.Request) (any, error){
		"GET /admin/peers":               a.listPeers,
		"GET /admin/peers/{peer}":        a.showPeer,
		"PUT /admin/peers/{peer}/pin":    a.pinPeer,
		"DELETE /admin/peers/{peer}/pin": a.unpinPeer,
		"PUT /admin/peers/{peer}/access": a.setAccess,
		"POST /admin/peers/{peer}/ping":  a.pingPeer,
	}
}

func peerName(r *http.Request) (protocol.Node, error) {
	n, err := protocol.ParseNode(r.PathValue("peer"))
	if err != nil {
		return "", protocol.Errorf(protocol.Malformed, "%w", err)
	}
	return n, nil
}

func unknownPeer(name protocol.Node) error {
	return protocol.Errorf(protocol.NotFound, "nothing is known of %s", name)
}

// foreign refuses this node's own name, of which its operator says nothing.
func (a *Admin) foreign(name protocol.Node) error {
	if name == a.node.Name() {
		return protocol.Errorf(protocol.Malformed, "%s is this node's own name", name)
	}
	return nil
}

func peerJSON(p *store.Peer) AdminPeer {
	out := AdminPeer{
		Name: string(p.Name), Access: "auto", Addrs: p.Addrs, Proven: p.Proven, First: p.First, Seen: p.Seen, Dialed: p.Dialed,
		Failures: p.Failures, Next: p.Next,
	}
	for word, a := range accessWords {
		if a == p.Access {
			out.Access = word
		}
	}
	if p.Pin != nil {
		out.Pin = federation.Pin(p.Pin)
	}
	switch {
	case federation.KeyOf(p.Name) != nil:
		out.Proof = federation.ByKeyName.String()
	case p.Pin != nil:
		out.Proof = federation.ByPin.String()
	case p.Proof != 0:
		out.Proof = federation.Proof(p.Proof).String()
	}
	for _, k := range p.Keys {
		out.Keys = append(out.Keys, AdminPeerKey{Key: federation.Pin(k.Key), Since: k.Since, Until: k.Until, Revoked: k.Revoked})
	}
	return out
}

func (a *Admin) listPeers(*http.Request) (any, error) {
	all, err := a.peers.Peers()
	if err != nil {
		return nil, err
	}
	out := make([]AdminPeer, len(all))
	for i, p := range all {
		out[i] = peerJSON(p)
	}
	return out, a.linked(out)
}

func (a *Admin) showPeer(r *http.Request) (any, error) {
	name, err := peerName(r)
	if err != nil {
		return nil, err
	}
	p, known, err := a.peers.Peer(name)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, unknownPeer(name)
	}
	out := []AdminPeer{peerJSON(p)}
	err = a.linked(out)
	return out[0], err
}

func (a *Admin) pinPeer(r *http.Request) (any, error) {
	name, err := peerName(r)
	if err != nil {
		return nil, err
	}
	in, err := decode[AdminPin](r)
	if err != nil {
		return nil, err
	}
	key, err := federation.ParsePin(in.Key)
	if err == nil {
		err = a.peers.Pin(name, key, in.Addrs)
	}
	if err != nil {
		return nil, protocol.Errorf(protocol.Malformed, "%w", err)
	}
	return a.showPeer(r)
}

func (a *Admin) unpinPeer(r *http.Request) (any, error) {
	name, err := peerName(r)
	if err == nil {
		err = a.peers.Unpin(name, r.URL.Query().Get("keys") != "")
	}
	if errors.Is(err, protocol.NotFound) {
		err = unknownPeer(name)
	}
	if err != nil {
		return nil, err
	}
	return a.showPeer(r)
}

func (a *Admin) setAccess(r *http.Request) (any, error) {
	name, err := peerName(r)
	if err != nil {
		return nil, err
	}
	in, err := decode[AdminAccess](r)
	if err != nil {
		return nil, err
	}
	word, ok := accessWords[in.Access]
	if !ok {
		return nil, protocol.Errorf(protocol.Malformed, `%q is not "auto", "allow" or "deny"`, in.Access)
	}
	if err := a.foreign(name); err != nil {
		return nil, err
	}
	if word == store.AccessDefault { // nothing to take back from a name that was mistyped
		if _, known, err := a.peers.Peer(name); err != nil || !known {
			return nil, cmp.Or(err, unknownPeer(name))
		}
	}
	if err := a.peers.SetAccess(name, word); err != nil {
		return nil, err
	}
	return a.showPeer(r)
}

func (a *Admin) pingPeer(r *http.Request) (any, error) {
	name, err := peerName(r)
	if err != nil {
		return nil, err
	}
	if err := a.foreign(name); err != nil {
		return nil, err
	}
	if a.ping == nil {
		return nil, protocol.Errorf(protocol.NotOffered, "the node has no links now; start it with: parley serve")
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	var mu sync.Mutex
	steps := []AdminStep{}
	tell := func(s federation.Step) {
		one := AdminStep{What: s.What, Text: s.Text, Took: s.Took}
		if s.Err != nil {
			one.Err = s.Err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, one)
	}
	err = a.ping(federation.WithTrace(ctx, tell), name) // it has told what went wrong
	mu.Lock()
	defer mu.Unlock()
	if err != nil && (len(steps) == 0 || steps[len(steps)-1].Err == "") {
		steps = append(steps, AdminStep{What: "result", Err: err.Error()})
	}
	return append([]AdminStep(nil), steps...), nil
}
