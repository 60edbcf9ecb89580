package httpd

import (
	"net/http"
	"time"

	"parley/protocol"
)

// AdminGroup is a group of the node.
type AdminGroup struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	Channel  bool      `json:"channel,omitempty"`
	Owner    string    `json:"owner,omitempty"`
	Members  int       `json:"members"`
	Messages int       `json:"messages"`
	Touched  time.Time `json:"touched,omitzero"` // last message
}

// AdminOwner names the owner of a group: a login of this node, or an id.
type AdminOwner struct {
	Owner string `json:"owner"`
}

func (a *Admin) groups(*http.Request) (any, error) {
	groups, err := a.node.Groups()
	if err != nil {
		return nil, err
	}
	all := make([]AdminGroup, len(groups))
	for i, g := range groups {
		all[i] = AdminGroup{ID: string(g.ID), Name: g.Name, Channel: g.Channel, Owner: string(g.Owner), Members: g.Members,
			Messages: g.Messages, Touched: g.Touched}
	}
	return all, nil
}

func (a *Admin) setOwner(r *http.Request) (any, error) {
	in, err := decode[AdminOwner](r)
	if err != nil {
		return nil, err
	}
	owner := protocol.UserID(in.Owner)
	if u, err := a.node.User(in.Owner); err == nil {
		owner = u.ID
	}
	return nil, a.node.AppointOwner(r.Context(), protocol.TopicID(r.PathValue("group")), owner)
}
