package httpd

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr is where a request comes from: the peer, or if that is a trusted
// proxy, the last address in X-Forwarded-For that is not one. What stands before
// it may be invented by the client. It is the zero Addr on a Unix socket.
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(s.cfg.TrustedProxies) == 0 {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for s.trusted(addr) && len(hops) > 0 {
		last := strings.TrimSpace(hops[len(hops)-1])
		hops = hops[:len(hops)-1]
		next, err := parseHop(last)
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}

// parseHop reads an address with or without a port.
func parseHop(s string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), nil
	}
	return netip.ParseAddr(strings.Trim(s, "[]"))
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
