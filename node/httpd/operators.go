package httpd

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"parley/protocol"
)

// operators answers what operators ask on loopback.
func (s *Server) operators() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{Registry: s.cfg.Registry}))
	mux.HandleFunc("/debug/pprof/", s.profile(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", s.profile(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", s.profile(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", s.profile(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", s.profile(pprof.Trace))
	mux.Handle("/v0/channels", s.channels(true))
	mux.HandleFunc("/healthz", s.health)
	if s.cfg.AdminHandler != nil {
		mux.Handle("/admin/", s.cfg.AdminHandler)
	}
	return s.observe(localOnly(mux))
}

// profile lets a handler take as long as it is asked to.
func (s *Server) profile(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		timeout(w, maxProfile)
		h(w, r)
	}
}

// localOnly refuses what a browser on this machine is made to ask by somebody
// else's page: by a name that was bound to our address, or across origins.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) {
			refuse(w, protocol.Denied)
			return
		}
		if o := r.Header.Get("Origin"); o != "" {
			if u, err := url.Parse(o); err != nil || u.Host != r.Host {
				refuse(w, protocol.Denied)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isLocal reports whether a Host header names this machine.
func isLocal(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}
