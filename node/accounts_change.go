package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// A proof finds, within the transaction that makes the change, whose account a
// request may change; nil if the proof is not good, which is to be committed.
type proof func(store.Tx) (*store.User, error)

// secret is a new login and password, hashed; an empty name keeps the login.
type secret struct {
	name string
	hash []byte
}

// change answers {acc} for an account that exists: a new login or password, a new
// state, or responses to codes.
func (a *accounts) change(ctx context.Context, c caller, in *protocol.Acc) (reply, error) {
	if in.Scheme == "" && in.Status == "" && in.Cred == nil {
		return reply{}, protocol.Malformed
	}
	who, keys, err := a.proof(c, in)
	if err != nil {
		return reply{}, err
	}
	if in.Status != "" {
		return a.setStatus(c, in)
	}
	if in.Scheme == "" {
		return reply{code: 200, changed: c.User}, a.respond(c, in.Cred)
	}
	end, ok := a.failures.begin(time.Now(), keys...)
	if !ok {
		return reply{}, protocol.TooMany
	}
	counts := c.User != "" // a session's changes are rationed, of others only wrong proofs
	defer func() { end(counts) }()
	s, err := a.newSecret(ctx, in)
	if err != nil {
		return reply{}, err
	}
	u, err := a.changeSecret(who, s)
	if err != nil {
		return reply{}, err
	}
	if u == nil {
		counts = true
		return reply{}, &protocol.Error{Fault: protocol.BadLogin, What: "auth"}
	}
	r := reply{code: 200, evict: u.ID}
	if s.name != "" {
		r.changed = u.ID
	}
	if u.ID == c.User { // all earlier tokens are void
		r.params = map[string]any{}
		a.addToken(r.params, u, ForLogin, a.clock.Now())
	}
	return r, nil
}

// changeSecret gives the account that who finds a new secret; nil if the proof was
// not good.
func (a *accounts) changeSecret(who proof, s secret) (u *store.User, err error) {
	err = a.store.Update(func(tx store.Tx) (err error) {
		if u, err = who(tx); err != nil || u == nil {
			return err
		}
		if err := replaceSecret(tx, u, s, a.clock.Now()); err != nil {
			return err
		}
		return tx.PutUser(u)
	})
	return u, err
}

// proof decides by what right an account is changed: that of the session, of a
// token, or of a code. keys are where attempts are counted.
func (a *accounts) proof(c caller, in *protocol.Acc) (who proof, keys []string, err error) {
	target := c.User
	if in.User != "" {
		if target, err = protocol.ParseUserID(in.User, a.home); err != nil {
			return nil, nil, protocol.Malformed
		}
	}
	var token []byte
	switch {
	case c.User != "" && target != c.User && c.Level != store.LevelRoot:
		return nil, nil, protocol.Denied
	case c.User != "":
		return func(tx store.Tx) (*store.User, error) { return userOf(tx, target) }, []string{"change " + string(c.User)}, nil
	case len(in.Token) > 0:
		token = in.Token
	case in.TmpScheme == schemeToken:
		token = in.TmpSecret
	case in.TmpScheme == schemeCode:
		code, to, err := a.codeSecret(in.TmpSecret)
		who = func(tx store.Tx) (*store.User, error) { return a.codeUser(tx, code, to) }
		return entering(who, target), []string{a.addressKey(c.origin), "code " + to.tag()}, err
	case in.TmpScheme != "":
		return nil, nil, &protocol.Error{Fault: protocol.BadLogin, What: "auth"}
	default:
		return nil, nil, protocol.Denied
	}
	t, err := a.readToken(token, ForLogin, ForReset)
	return entering(func(tx store.Tx) (*store.User, error) { return tokenUser(tx, t) }, target), nil, err
}

// entering checks that who has proven to be a user may enter, is not root, who has
// to log in first, and is the one meant, if one was named.
func entering(who proof, target protocol.UserID) proof {
	return func(tx store.Tx) (*store.User, error) {
		u, err := who(tx)
		if err != nil || u == nil {
			return nil, err
		}
		if target != "" && target != u.ID || u.Level == store.LevelRoot {
			return nil, protocol.Denied
		}
		return u, mayEnter(u)
	}
}

func userOf(tx store.Tx, id protocol.UserID) (*store.User, error) {
	u, err := tx.User(id)
	if errors.Is(err, store.ErrNotFound) || err == nil && u.State == store.StateDeleted {
		return nil, protocol.NotFound
	}
	return u, err
}

// newSecret checks and hashes the secret in a request.
func (a *accounts) newSecret(ctx context.Context, in *protocol.Acc) (secret, error) {
	switch {
	case in.Scheme != schemeBasic:
		return secret{}, protocol.Malformed
	case string(in.Secret) == protocol.Clear: // this scheme cannot be deleted
		return secret{}, &protocol.Error{Fault: protocol.Denied, What: "auth"}
	}
	name, password, err := splitSecret(in.Secret)
	if err != nil {
		return secret{}, err
	}
	if name != "" {
		if name, err = loginName(name); err != nil {
			return secret{}, err
		}
	}
	if password, err = passwordForm(password); err != nil {
		return secret{}, err
	}
	hash, err := a.hash(ctx, password)
	return secret{name, hash}, err
}

// replaceSecret makes s the secret of u, and all tokens of u void. An anonymous
// user who takes a login is one no longer.
func replaceSecret(tx store.Tx, u *store.User, s secret, now time.Time) error {
	old, err := tx.LoginOf(schemeBasic, u.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		old = &store.Login{}
	case err != nil:
		return err
	}
	if s.name == "" {
		s.name = old.Name
	}
	if s.name == "" {
		return badSecret("the account has no login yet")
	}
	err = tx.PutLogin(&store.Login{Scheme: schemeBasic, Name: s.name, User: u.ID, Secret: s.hash})
	if errors.Is(err, store.ErrExists) {
		return errLoginTaken
	}
	if err != nil {
		return err
	}
	replaceTag(u, schemeBasic+":"+old.Name, schemeBasic+":"+s.name)
	if u.Level < store.LevelAuth {
		u.Level, u.Updated = store.LevelAuth, since(u.Updated, now) // a new card, too
	}
	u.Epoch++
	return nil
}

// respond confirms addresses of the caller's.
func (a *accounts) respond(c caller, creds []protocol.Credential) error {
	if c.User == "" {
		return protocol.Denied
	}
	for _, cr := range creds {
		if a.validators[cr.Method] == nil || cr.Response == "" {
			return credFault(protocol.Malformed, nil)
		}
		if err := a.confirm(c, c.User, &cr); err != nil {
			return err
		}
	}
	return nil
}

// setStatus suspends an account or ends that, for root.
func (a *accounts) setStatus(c caller, in *protocol.Acc) (reply, error) {
	states := map[string]store.State{store.StateOK.String(): store.StateOK, store.StateSuspended.String(): store.StateSuspended}
	state, known := states[in.Status]
	switch {
	case c.Level != store.LevelRoot:
		return reply{}, protocol.Denied
	case !known || in.User == "":
		return reply{}, protocol.Malformed
	}
	u, err := protocol.ParseUserID(in.User, a.home)
	if err != nil {
		return reply{}, protocol.Malformed
	}
	r := reply{code: 200}
	if state == store.StateSuspended {
		r.evict = u
	}
	return r, a.setState(u, state)
}

// setState suspends an account or ends that; its sessions are the caller's to end.
// A handle that somebody took meanwhile is lost.
func (a *accounts) setState(id protocol.UserID, s store.State) error {
	return a.store.Update(func(tx store.Tx) error {
		u, err := userOf(tx, id)
		if err != nil {
			return err
		}
		u.State = s
		err = aliasFree(tx, u.Tags, string(id))
		if protocol.FaultOf(err) == protocol.Exists {
			u.Tags = slices.DeleteFunc(u.Tags, isAliasTag)
		} else if err != nil {
			return err
		}
		return tx.PutUser(u)
	})
}

// setPassword changes a password for an operator; all tokens of the user are void.
func (a *accounts) setPassword(ctx context.Context, id protocol.UserID, password string) error {
	password, err := passwordForm(password)
	if err != nil {
		return err
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return err
	}
	_, err = a.changeSecret(func(tx store.Tx) (*store.User, error) { return userOf(tx, id) }, secret{hash: hash})
	return err
}

// erase ends an account for good; the user's record stays as a tombstone, since ids
// are never used again. If hard, what is known of the user goes, and the login and
// the addresses are free for others; else they are kept, good for nothing.
func (a *accounts) erase(tx store.Tx, id protocol.UserID, hard bool) error {
	u, err := tx.User(id)
	if err != nil {
		return err
	}
	u.State, u.Tags, u.Private, u.Query = store.StateDeleted, nil, nil, nil
	u.Epoch++
	if !hard {
		return tx.PutUser(u)
	}
	u.Public, u.Trusted = nil, nil
	creds, err := credentialsOf(tx, id)
	if err != nil {
		return err
	}
	for _, c := range creds {
		if err := tx.DeleteCredential(id, c.Method, c.Value); err != nil {
			return err
		}
	}
	if err := tx.DeleteLogins(id); err != nil {
		return err
	}
	if err := tx.SetLinks(store.RefUser(id), nil); err != nil {
		return err
	}
	return tx.PutUser(u)
}
