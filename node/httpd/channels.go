package httpd

import (
	"net/http"

	"parley/node"
	"parley/protocol"
	"parley/protocol/ws"
)

// channels accepts WebSockets. A client without a place is refused here: once
// connected, clients do not take no for an answer.
func (s *Server) channels(admin bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.needKey(w, r) {
			return
		}
		if !ws.Requested(r) {
			refuse(w, protocol.Malformed)
			return
		}
		o := s.origin(r, "ws", admin)
		if s.node.Admit(o.Addr) != nil {
			refuse(w, protocol.TooMany)
			return
		}
		c, err := s.upgrade.Upgrade(w, r) // answers errors
		if err != nil {
			s.node.Dismiss(o.Addr)
			return
		}
		if rec, ok := w.(*recorder); ok {
			rec.status = http.StatusSwitchingProtocols
		}
		s.serve(socket{c}, o, c.Abort)
	})
}

// socket is a WebSocket as sessions want it.
type socket struct{ *ws.Conn }

// Close implements [node.Conn].
func (s socket) Close(reason node.CloseReason) {
	code, text := ws.Normal, ""
	switch reason {
	case node.CloseSlow:
		s.Abort() // it would not read a close frame either
		return
	case node.CloseShutdown:
		code, text = ws.GoingAway, "the node is stopping"
	case node.CloseFlood:
		code, text = ws.Policy, protocol.TooMany.Text()
	case node.CloseTooLarge:
		code, text = ws.TooLarge, protocol.TooLarge.Text()
	}
	_ = s.CloseWith(code, text) // it is closed in any case
}
