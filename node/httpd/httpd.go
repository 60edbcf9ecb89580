// Package httpd is how clients and operators reach a node over HTTP:
//
//	/v0/channels      WebSocket               /v0/channels/lp  long polling
//	/v0/file/u        upload                  /v0/file/s/…     download
//	/                 a web client            /healthz         is the node well?
//	/.well-known/parley   the node's key, for other nodes
//
// and on a listener of its own, for operators on loopback: /metrics,
// /debug/pprof/, /admin/, and /v0/channels where root users may log in.
package httpd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

// Node is what a [Server] needs of a [node.Node].
type Node interface {
	Sessions
	Files
	Name() protocol.Node
	Limits() node.Limits
}

// Sessions lets clients in.
type Sessions interface {
	// Admit counts a connection before it is accepted; Dismiss undoes it.
	Admit(netip.Addr) error
	Dismiss(netip.Addr)
	// Serve returns when the client has left or ctx has ended.
	Serve(context.Context, node.Conn, node.Origin) error
}

// Files takes and gives files.
type Files interface {
	Authenticate(ctx context.Context, scheme string, secret []byte, o node.Origin) (node.Identity, error)
	SaveFile(context.Context, node.Upload) (*store.File, error)
	OpenFile(ctx context.Context, who node.Identity, id string) (*store.File, io.ReadSeekCloser, error)
	// OpenRemoteFile gives a file of another node; it may still be on its way.
	OpenRemoteFile(ctx context.Context, who node.Identity, home protocol.Node, id string) (*store.File, io.ReadSeekCloser, error)
}

// Config is what a Server is made of. Node and Listener are required. The Server
// closes the listeners.
type Config struct {
	Node     Node
	Listener net.Listener // for clients
	Admin    net.Listener // for operators, on loopback; nil: none
	Redirect net.Listener // plain HTTP that leads to HTTPS and answers ACME; nil: none

	TLS  TLS
	ACME ACME

	APIKeys []string // empty: the key of the public clients
	// TrustedProxies may say with X-Forwarded-For whom they speak for.
	TrustedProxies []netip.Prefix
	Web            fs.FS        // served at /; nil: nothing is
	AdminHandler   http.Handler // at /admin/ of the operators' listener; nil: none
	// WellKnown is what other nodes find at /.well-known/parley; nil: nothing.
	WellKnown func() []byte
	// Health tells why the node cannot do its work; nil: it always can.
	Health   func(context.Context) error
	Registry *prometheus.Registry // nil: one of its own
	Log      *slog.Logger         // nil: discarded
	// Compress lets clients have WebSocket packets compressed, at the price of CPU.
	Compress bool
	// Grace is how long requests may take to end when the server stops; 3 s.
	Grace time.Duration
}

// Limits of requests, beside node.Limits.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = time.Minute // for all that has no other limit
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10
	defaultGrace   = 3 * time.Second
	maxProfile     = 10 * time.Minute
	retryAfter     = 30 * time.Second // told to those who are refused for now
)

func (c *Config) setDefaults() error {
	if c.Node == nil || c.Listener == nil {
		return errors.New("httpd: Node and Listener are required")
	}
	if len(c.APIKeys) == 0 {
		c.APIKeys = []string{protocol.DefaultAPIKey}
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	return nil
}
