package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"parley/node"
	"parley/protocol/ws"
)

// Server serves HTTP for a node. Make it with New, start it with Run.
type Server struct {
	cfg     Config
	node    Node
	log     *slog.Logger
	keys    map[string]bool
	metrics *metrics
	upgrade *ws.Upgrader
	polls   polls
	uploads slots
	guests  slots // uploads without credentials

	fronts []front

	ctx  context.Context // of sessions
	stop context.CancelFunc

	mu       sync.Mutex // guards the rest
	stopping bool
	wg       sync.WaitGroup // every request and session
}

// front is one listener and what answers on it.
type front struct {
	*http.Server
	listener net.Listener
}

// New makes a server. It touches neither the network nor, but for certificates,
// the disk.
func New(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, node: cfg.Node, log: cfg.Log, keys: map[string]bool{}}
	for _, k := range cfg.APIKeys {
		s.keys[k] = true
	}
	s.metrics = newMetrics(cfg.Registry)
	s.upgrade = ws.NewUpgrader(ws.Options{MaxMessage: cfg.Node.Limits().MaxMessage, Compress: cfg.Compress})
	s.polls.m = map[string]*poll{}
	s.uploads = slots{total: maxUploads, each: maxUploadsEach}
	s.guests = slots{total: maxGuests, each: maxGuestsEach}
	s.ctx, s.stop = context.WithCancel(context.Background())
	secure, challenge, err := s.secure()
	if err != nil {
		return nil, err
	}
	main := s.front(cfg.Listener, s.public())
	main.TLSConfig = secure
	s.fronts = append(s.fronts, main)
	if cfg.Redirect != nil {
		s.fronts = append(s.fronts, s.front(cfg.Redirect, challenge(s.observe(s.redirect()))))
	}
	if cfg.Admin != nil {
		if a, err := netip.ParseAddrPort(cfg.Admin.Addr().String()); err != nil || !a.Addr().IsLoopback() {
			return nil, fmt.Errorf("httpd: the operators' listener must be on loopback, not on %s", cfg.Admin.Addr())
		}
		s.fronts = append(s.fronts, s.front(cfg.Admin, s.operators()))
	}
	return s, nil
}

func (s *Server) front(l net.Listener, h http.Handler) front {
	return front{listener: l, Server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // mostly broken handshakes
	}}
}

// public is what everybody reaches.
func (s *Server) public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v0/channels", s.channels(false))
	mux.HandleFunc("/v0/channels/lp", s.longPoll)
	mux.HandleFunc("/v0/file/u", s.upload)
	mux.HandleFunc("/v0/file/u/{$}", s.upload)
	mux.HandleFunc("/v0/file/s/{file}", s.download)
	mux.HandleFunc("/v0/file/s/{node}/{file}", s.download)
	mux.HandleFunc("/v0/urlpreview", s.notOffered)
	mux.HandleFunc("/v0/", s.unknown)
	mux.HandleFunc("/healthz", s.health)
	mux.HandleFunc("GET /.well-known/parley", s.wellKnown)
	mux.Handle("/", s.static())
	return s.observe(mux)
}

// Run serves until ctx ends or a listener fails, and returns when every request and
// session has ended: clients are told that the node goes away, requests get Grace.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(s.fronts))
	for _, f := range s.fronts {
		wg.Go(func() { failed <- f.serve() })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.shutdown()
	wg.Wait()
	return err
}

func (f front) serve() error {
	var err error
	if f.TLSConfig != nil {
		err = f.ServeTLS(f.listener, "", "")
	} else {
		err = f.Serve(f.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("httpd: %w", err)
}

func (s *Server) shutdown() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.stop() // sessions say good-bye; polls return
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Grace)
	defer cancel()
	for _, f := range s.fronts {
		if err := f.Shutdown(ctx); err != nil {
			_ = f.Close() // the listener is closed already
		}
	}
	s.wg.Wait()
}

// enter counts a request until it calls wg.Done; false once the server stops.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.wg.Add(1)
	return true
}

// serve runs a session in a goroutine of its own, so that nothing of the request
// stays on its stack: kept below 1,248 bytes while it waits, the runtime shrinks it
// to 4 KiB. The caller is a request that has entered and was admitted; done is called
// at the end.
func (s *Server) serve(c node.Conn, o node.Origin, done func()) {
	s.wg.Go(func() {
		defer s.node.Dismiss(o.Addr)
		defer done()
		s.ended(o, s.node.Serve(s.ctx, c, o))
	})
}

// ended is apart from serve for the sake of its stack.
//
//go:noinline
func (s *Server) ended(o node.Origin, err error) {
	if err != nil {
		s.log.Debug("session ended", "proto", o.Proto, "addr", o.Addr, "err", err)
	}
}
