package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"parley/protocol"
	"parley/store"
)

// The methods of this file are the operators'. They work while the node runs, and
// on one that was made with New and is not running.

// UserInfo is an account as operators see it.
type UserInfo struct {
	ID       protocol.UserID
	Login    string // of scheme basic; empty if there is none
	Name     string // "fn" of public
	Level    store.Level
	State    store.State
	Created  time.Time
	Seen     time.Time // when last online; zero: never
	Sessions int       // at the moment
}

// Users are all accounts but deleted ones, in the order of their ids.
func (n *Node) Users() ([]UserInfo, error) {
	var all []UserInfo
	err := n.store.View(func(tx store.Tx) error {
		all = all[:0]
		for u, err := range tx.AllUsers() {
			if err != nil {
				return err
			}
			if u.State == store.StateDeleted || n.remote(u.ID) {
				continue
			}
			info, err := n.userInfo(tx, u)
			if err != nil {
				return err
			}
			all = append(all, info)
		}
		return nil
	})
	return all, err
}

// User finds an account by login or id; protocol.NotFound if there is none.
func (n *Node) User(who string) (UserInfo, error) {
	var info UserInfo
	err := n.store.View(func(tx store.Tx) error {
		id, err := n.userID(tx, who)
		if err != nil {
			return err
		}
		u, err := tx.User(id)
		if err != nil {
			return err
		}
		if u.State == store.StateDeleted {
			return store.ErrNotFound
		}
		info, err = n.userInfo(tx, u)
		return err
	})
	return info, notFound(err)
}

// userID finds the id of a login, or takes who for an id.
func (n *Node) userID(tx store.Logins, who string) (protocol.UserID, error) {
	if name, err := loginName(who); err == nil {
		login, err := tx.Login(schemeBasic, name)
		if err == nil {
			return login.User, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	id, err := protocol.ParseUserID(who, n.name)
	if err != nil {
		return "", store.ErrNotFound
	}
	return id, nil
}

// notFound makes the store's error the one for clients.
func notFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return protocol.NotFound
	}
	return err
}

func (n *Node) userInfo(tx store.Tx, u *store.User) (UserInfo, error) {
	info := UserInfo{ID: u.ID, Level: u.Level, State: u.State, Created: u.Created, Name: fullName(u.Public)}
	switch login, err := tx.LoginOf(schemeBasic, u.ID); {
	case err == nil:
		info.Login = login.Name
	case !errors.Is(err, store.ErrNotFound):
		return info, err
	}
	switch seen, err := tx.Seen(u.ID); {
	case err == nil:
		info.Seen = seen.When
	case !errors.Is(err, store.ErrNotFound):
		return info, err
	}
	if h := n.hub(u.ID); h != nil {
		h.mu.Lock()
		info.Sessions = len(h.sessions)
		h.mu.Unlock()
	}
	return info, nil
}

// fullName is "fn" of a card, empty if there is none.
func fullName(public []byte) string {
	var card struct {
		FN string `json:"fn"`
	}
	if json.Unmarshal(public, &card) != nil {
		return ""
	}
	return card.FN
}

// AddUser makes an account; it does not matter whether registration is open. An
// address that is required must still be confirmed: by the user when signing in, or
// with Confirm. public is JSON or nil.
// Errors: protocol.Exists, protocol.Policy.
func (n *Node) AddUser(ctx context.Context, login, password string, level store.Level, public []byte) (protocol.UserID, error) {
	if !n.enter() {
		return "", protocol.Busy
	}
	defer n.wg.Done()
	return n.accounts.create(ctx, login, password, level, public)
}

// Confirm gives a user an address that the operator has made sure of. Errors:
// protocol.Malformed, and protocol.Exists if it is somebody else's.
func (n *Node) Confirm(u protocol.UserID, method, value string) error {
	if !n.enter() {
		return protocol.Busy
	}
	defer n.wg.Done()
	to, err := n.accounts.address(method, value, "")
	if err != nil {
		return err
	}
	now := n.wall()
	return notFound(n.store.Update(func(tx store.Tx) error {
		c, err := tx.Credential(u, to.method, to.value)
		if errors.Is(err, store.ErrNotFound) {
			c, err = &store.Credential{User: u, Method: to.method, Value: to.value, Created: now}, nil
		}
		if err != nil {
			return err
		}
		c.Updated, c.Deleted = now, false
		return finish(tx, c)
	}))
}

// SetPassword also makes all tokens void and closes the user's sessions.
func (n *Node) SetPassword(ctx context.Context, u protocol.UserID, password string) error {
	if !n.enter() {
		return protocol.Busy
	}
	defer n.wg.Done()
	if err := n.accounts.setPassword(ctx, u, password); err != nil {
		return notFound(err)
	}
	n.evictUser(u, "password set by an operator")
	return nil
}

// SetState suspends an account or resumes it. A suspended user cannot sign in, is
// not found, and has no sessions.
func (n *Node) SetState(u protocol.UserID, state store.State) error {
	if state != store.StateOK && state != store.StateSuspended {
		return protocol.Errorf(protocol.Malformed, "state %d cannot be set", state)
	}
	if !n.enter() {
		return protocol.Busy
	}
	defer n.wg.Done()
	if err := n.accounts.setState(u, state); err != nil {
		return notFound(err)
	}
	if state == store.StateSuspended {
		n.evictUser(u, "suspended by an operator")
	}
	return nil
}

// DeleteUser deletes an account with everything that it owns; hard also deletes
// its conversations.
func (n *Node) DeleteUser(ctx context.Context, u protocol.UserID, hard bool) error {
	if !n.enter() {
		return protocol.Busy
	}
	defer n.wg.Done()
	if err := n.removeUser(ctx, u, hard); err != nil {
		return err
	}
	n.evictUser(u, "deleted by an operator")
	return nil
}

// Report is what somebody told the operators through sys. Action and Target are
// set if it has the form that clients give to reports of abuse; Content is what
// was sent, as JSON. Times is how often its author has reported that, Last when.
type Report struct {
	Seq     int
	From    protocol.UserID
	When    time.Time
	Times   int
	Last    time.Time
	Action  string
	Target  string
	Content []byte
}

// Reports are all that were made, newest first.
func (n *Node) Reports() ([]Report, error) {
	var all []Report
	err := n.store.View(func(tx store.Tx) error {
		all = all[:0]
		head, err := tx.Head(protocol.Sys)
		if err != nil {
			return err
		}
		for m, err := range tx.History(protocol.Sys, 1, head.Seq+1) {
			if err != nil {
				return err
			}
			r := reportOf(m)
			if err := n.readTally(tx, &r); err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) { // nobody ever made one
		err = nil
	}
	return all, err
}

// reportOf reads the JSON attachment {"action":…, "target":…} of a Drafty text
// (API.md, "sys Topic").
func reportOf(m *store.Message) Report {
	r := Report{Seq: m.Seq, From: m.From, When: m.TS, Content: m.Content}
	var text struct {
		Ent []struct {
			Data struct {
				MIME string          `json:"mime"`
				Val  json.RawMessage `json:"val"`
			} `json:"data"`
		} `json:"ent"`
	}
	if json.Unmarshal(m.Content, &text) != nil {
		return r
	}
	for _, e := range text.Ent {
		var val struct{ Action, Target string }
		if e.Data.MIME == "application/json" && json.Unmarshal(e.Data.Val, &val) == nil {
			r.Action, r.Target = val.Action, val.Target
		}
	}
	return r
}

// Backup writes a consistent copy of the store; files are not in it.
func (n *Node) Backup(w io.Writer) error {
	if !n.enter() {
		return protocol.Busy
	}
	defer n.wg.Done()
	if err := n.store.Backup(w); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}
