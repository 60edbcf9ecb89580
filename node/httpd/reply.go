package httpd

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"parley/node"
	"parley/protocol"
)

// Texts of answers that are not those of a fault.
const (
	textKey     = "valid API key required"
	textSession = "invalid or expired session"
)

// reply answers with a {ctrl} whose code is also the HTTP status.
func reply(w http.ResponseWriter, c protocol.Ctrl) {
	c.TS = protocol.At(time.Now())
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(c.Code)
	_, _ = w.Write((&protocol.Response{Ctrl: &c}).Encode()) // the client is gone
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, f protocol.Fault) {
	refuseID(w, f, "")
}

// refuseID answers with an error to the request of that id.
func refuseID(w http.ResponseWriter, f protocol.Fault, id string) {
	if f == protocol.TooMany || f == protocol.Busy {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	reply(w, protocol.Ctrl{ID: id, Code: f.Code(), Text: f.Text()})
}

// fault is what a client is told of err; what is the node's own trouble is logged.
func (s *Server) fault(err error) protocol.Fault {
	f := protocol.FaultOf(err)
	if f == protocol.Internal || f == protocol.Full {
		s.log.Error("request failed", "err", err)
	}
	return f
}

// bodyFault is what is wrong with a body that could not be read.
func bodyFault(err error) protocol.Fault {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return protocol.TooLarge
	}
	return protocol.Malformed // or the client is gone, and nobody reads the answer
}

func (s *Server) notOffered(w http.ResponseWriter, _ *http.Request) { refuse(w, protocol.NotOffered) }

func (s *Server) unknown(w http.ResponseWriter, _ *http.Request) { refuse(w, protocol.NotFound) }

// wellKnown tells other nodes which key this one has (spec/discovery.md#well-known).
func (s *Server) wellKnown(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.WellKnown == nil {
		refuse(w, protocol.NotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(s.cfg.WellKnown()) // whoever asked has gone
}

// health answers 200, or 503 if the node cannot do its work. Why is in the log only.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	status, body := http.StatusOK, `{"status":"ok"}`
	if s.cfg.Health != nil {
		if err := s.cfg.Health(r.Context()); err != nil {
			s.log.Warn("not healthy", "err", err)
			status, body = http.StatusServiceUnavailable, `{"status":"unavailable"}`
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body + "\n"))
}

// cors allows pages of other origins to use the API: it knows no credentials that a
// browser adds by itself, since cookies are not sent along to "*". It reports
// whether the request was only the question whether it is allowed.
func cors(w http.ResponseWriter, r *http.Request, methods string) (answered bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "X-Tinode-APIKey, X-Tinode-Auth, Authorization, Content-Type, Range, If-None-Match")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// origin of a request, for node.Serve and node.Authenticate.
func (s *Server) origin(r *http.Request, proto string, admin bool) node.Origin {
	return node.Origin{Addr: s.clientAddr(r), Admin: admin, Proto: proto}
}
