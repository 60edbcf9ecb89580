package httpd

import (
	"errors"
	"math"
	"net/http"
	"time"

	"parley/protocol"
	"parley/reputation"
)

// The operators' interface to what the node thinks of others:
//
//	GET    /admin/reputation                              → []AdminStanding
//	GET    /admin/reputation/{peer}                       → AdminExplained
//	PUT    /admin/reputation/{peer}       AdminWord       → AdminExplained
//	DELETE /admin/reputation/{peer}                       → AdminExplained
//	DELETE /admin/complaints/{user}                       → {}
//	GET    /admin/reputation-list                         → AdminList
//	GET    /admin/reputation-state                        → reputation.State
//	PUT    /admin/reputation-state        reputation.State → []AdminStanding

// AdminStanding is what is known of one node, in short.
type AdminStanding struct {
	Peer   string    `json:"peer"`
	First  time.Time `json:"first,omitzero"`
	Good   float64   `json:"good"`   // own evidence
	Bad    float64   `json:"bad"`    // own evidence
	Lent   float64   `json:"lent"`   // the good word of others
	Blame  float64   `json:"blame"`  // their bad word
	Closed bool      `json:"closed"` // its quality is too low
	Word   string    `json:"word"`   // the operator's: "auto", "allow", "deny"
	Anchor bool      `json:"anchor,omitempty"`
}

// AdminWord is what an operator says of a node.
type AdminWord struct {
	Word   string `json:"word,omitempty"` // "auto", "allow", "deny"
	Anchor *bool  `json:"anchor,omitempty"`
}

// AdminExplained is what is known of a node on one screen.
type AdminExplained struct {
	Peer string `json:"peer"`
	Text string `json:"text"`
}

var words = map[string]reputation.Pin{"auto": reputation.Auto, "allow": reputation.Allow, "deny": reputation.Deny}

// WordOf is how an operator says it.
func WordOf(p reputation.Pin) string {
	for w, pin := range words {
		if pin == p {
			return w
		}
	}
	return ""
}

func (a *Admin) standings(*http.Request) (any, error) {
	all := []AdminStanding{}
	for _, p := range a.node.Standings() {
		all = append(all, standingJSON(p))
	}
	return all, nil
}

func standingJSON(p reputation.Peer) AdminStanding {
	round := func(v float64) float64 { return math.Round(v*100) / 100 }
	s := AdminStanding{Peer: string(p.Name), Good: round(p.P), Bad: round(p.N), Lent: round(p.Loan), Blame: round(p.Blame),
		Closed: p.Closed, Word: WordOf(p.Pin), Anchor: p.Anchor}
	if p.First != 0 {
		s.First = time.Unix(0, int64(p.First)).UTC()
	}
	return s
}

// peerOf is the node that the path names.
func peerOf(r *http.Request) (protocol.Node, error) {
	n, err := protocol.ParseNode(r.PathValue("peer"))
	if err != nil {
		return "", protocol.Errorf(protocol.Malformed, "%w", err)
	}
	return n, nil
}

// explained does something with the node that the path names, and explains it.
func (a *Admin) explained(r *http.Request, do func(protocol.Node) error) (any, error) {
	peer, err := peerOf(r)
	if err == nil {
		err = do(peer)
	}
	if err != nil {
		return nil, err
	}
	return AdminExplained{Peer: string(peer), Text: a.node.ExplainStanding(peer)}, nil
}

func (a *Admin) explain(r *http.Request) (any, error) {
	return a.explained(r, func(protocol.Node) error { return nil })
}

func (a *Admin) forget(r *http.Request) (any, error) { return a.explained(r, a.node.ForgetStanding) }

func (a *Admin) setStanding(r *http.Request) (any, error) {
	in, err := decode[AdminWord](r)
	if err != nil {
		return nil, err
	}
	pin, ok := words[in.Word]
	if in.Word != "" && !ok {
		return nil, protocol.Errorf(protocol.Malformed, "word is auto, allow or deny")
	}
	return a.explained(r, func(peer protocol.Node) error {
		if err := a.foreign(peer); err != nil {
			return err
		}
		if in.Word != "" {
			if err := a.node.SetStanding(peer, pin); err != nil {
				return err
			}
		}
		if in.Anchor != nil {
			return a.node.TrustStanding(peer, *in.Anchor)
		}
		return nil
	})
}

func (a *Admin) exportStanding(*http.Request) (any, error) { return a.node.ExportStanding(), nil }

func (a *Admin) importStanding(r *http.Request) (any, error) {
	in, err := decode[reputation.State](r)
	if err == nil && in.Wall.IsZero() {
		err = errors.New("it has no time")
	}
	if err != nil { // nothing may be dropped for a file that is another
		return nil, protocol.Errorf(protocol.Malformed, "not what an export makes: %w; nothing was changed", err)
	}
	if err := a.node.ImportStanding(in); err != nil {
		return nil, err
	}
	return a.standings(r)
}

// pardon drops other nodes' complaints about a user of ours.
func (a *Admin) pardon(r *http.Request) (any, error) {
	if u, err := a.node.User(r.PathValue("user")); err == nil { // a login
		return struct{}{}, a.node.Pardon(u.ID)
	}
	u, err := protocol.ParseUserID(r.PathValue("user"), a.node.Name())
	if err != nil {
		return nil, protocol.Errorf(protocol.NotFound, "there is no user %s", r.PathValue("user"))
	}
	return struct{}{}, a.node.Pardon(u)
}

// AdminList is a signed list of what the operator has said of other nodes.
type AdminList struct {
	Text string `json:"text"`
}

func (a *Admin) signedList(*http.Request) (any, error) {
	text, err := a.node.SignedList()
	if err != nil {
		return nil, protocol.Errorf(protocol.NotOffered, "%w", err)
	}
	return AdminList{string(text)}, nil
}
