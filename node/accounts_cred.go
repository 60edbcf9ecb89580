package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// maxCredentials bounds the addresses of one user.
const maxCredentials = 16

// address is a credential as its owner gave it, in normal form.
type address struct{ method, value string }

func (d address) key() string { return "to " + d.method + ":" + d.value }
func (d address) tag() string { return d.method + ":" + d.value }

// credFault is an error that concerns a credential of the request.
func credFault(f protocol.Fault, err error) error {
	return &protocol.Error{Fault: f, What: "cred", Err: err}
}

// address reads the address in a request. The error is Malformed.
func (a *accounts) address(method, value, lang string) (address, error) {
	v := a.validators[method]
	if v == nil {
		return address{}, credFault(protocol.Malformed, errors.New("no validator for this method"))
	}
	value, err := v.Normalise(value, lang)
	if err != nil {
		return address{}, &protocol.Error{Fault: protocol.Malformed, What: method, Err: err}
	}
	return address{method, value}, nil
}

// credentialsOf reads all credentials of a user.
func credentialsOf(tx store.Tx, u protocol.UserID) ([]*store.Credential, error) {
	var out []*store.Credential
	for c, err := range tx.CredentialsOf(u) {
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// creds answers {get cred}.
func (a *accounts) creds(tx store.Tx, u protocol.UserID) ([]protocol.Credential, error) {
	all, err := credentialsOf(tx, u)
	if err != nil {
		return nil, err
	}
	var out []protocol.Credential
	for _, c := range all {
		if !c.Deleted {
			out = append(out, protocol.Credential{Method: c.Method, Value: c.Value, Done: c.Done})
		}
	}
	slices.SortFunc(out, func(x, y protocol.Credential) int {
		return cmp.Or(cmp.Compare(x.Method, y.Method), cmp.Compare(x.Value, y.Value))
	})
	return out, nil
}

// setCred answers {set cred}: with a response it confirms an address, else it adds
// one, or sends another code to one that is not confirmed.
func (a *accounts) setCred(_ context.Context, c caller, in *protocol.Credential) (reply, error) {
	if a.validators[in.Method] != nil && in.Response != "" {
		return reply{code: 200, changed: c.User}, a.confirm(c, c.User, in)
	}
	to, err := a.address(in.Method, in.Value, c.lang)
	if err != nil {
		return reply{}, err
	}
	return reply{code: 200}, a.sendCode(c, to)
}

// sendCode adds an address to the caller's and sends a code to it.
func (a *accounts) sendCode(c caller, to address) error {
	if !a.sent.allow(time.Now(), to.key()) {
		return credFault(protocol.TooMany, nil)
	}
	if !a.mail.reserve(1) {
		return protocol.Busy
	}
	var code string
	err := a.store.Update(func(tx store.Tx) (err error) {
		code, err = a.addCred(tx, c.User, to, a.clock.Now())
		return err
	})
	if err != nil {
		a.mail.release(1)
		return err
	}
	a.post(to, Code{To: to.value, Code: code, Lang: c.lang})
	return nil
}

// post sends a code for which a place is reserved.
func (a *accounts) post(to address, c Code) {
	a.mail.start(func(ctx context.Context) { a.mail.send(ctx, to.method, a.validators[to.method], c) })
}

// addCred stores an address that is to be confirmed, and makes its code. It takes
// the place of an unconfirmed one of the same method.
func (a *accounts) addCred(tx store.Tx, u protocol.UserID, to address, now time.Time) (code string, err error) {
	_, err = tx.Confirmed(to.method, to.value)
	if err == nil {
		return "", credFault(protocol.Exists, nil)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	all, err := credentialsOf(tx, u)
	if err != nil {
		return "", err
	}
	c := &store.Credential{User: u, Method: to.method, Value: to.value, Created: now}
	kept, sent := 0, 0
	for _, old := range all {
		switch {
		case old.Method == to.method && old.Value == to.value:
			c = old
		case old.Method == to.method && !old.Done || old.Deleted:
			if err := discard(tx, old, now); err != nil {
				return "", err
			}
		default:
			kept++
		}
		if !old.Done {
			sent += sentToday(old, now)
		}
	}
	switch {
	case kept >= maxCredentials:
		return "", credFault(protocol.Policy, errors.New("too many credentials"))
	case sent >= codesPerDay:
		return "", credFault(protocol.TooMany, nil)
	}
	if code, err = issue(c, now, a.tokens.Lifetime(ForValidate)); err != nil {
		return "", err
	}
	c.Deleted = false
	return code, tx.PutCredential(c)
}

// discard deletes a credential. One to which a code was sent today is only hidden:
// to add it again must not forgive what was sent.
func discard(tx store.Tx, c *store.Credential, now time.Time) error {
	if sentToday(c, now) == 0 {
		return tx.DeleteCredential(c.User, c.Method, c.Value)
	}
	c.Deleted, c.Done, c.Code = true, false, nil
	return tx.PutCredential(c)
}

// confirm checks the response to a code. Without a value it concerns the one
// unconfirmed address of its method. Errors: WrongCode, and Policy if there is no
// code to answer, or none any more.
func (a *accounts) confirm(c caller, u protocol.UserID, in *protocol.Credential) error {
	value := ""
	if in.Value != "" {
		to, err := a.address(in.Method, in.Value, c.lang)
		if err != nil {
			return err
		}
		value = to.value
	}
	var wrong bool
	err := a.store.Update(func(tx store.Tx) error {
		now := a.clock.Now()
		cred, err := unconfirmed(tx, u, in.Method, value)
		if err != nil {
			return err
		}
		if !answerable(cred, now) {
			return credFault(protocol.Policy, errors.New("the code is void"))
		}
		if wrong = !a.try(cred, in.Response, now); wrong {
			return tx.PutCredential(cred)
		}
		return finish(tx, cred)
	})
	if err == nil && wrong {
		err = credFault(protocol.WrongCode, nil)
	}
	return err
}

// unconfirmed finds the address that a response is about. The error is Policy.
func unconfirmed(tx store.Tx, u protocol.UserID, method, value string) (*store.Credential, error) {
	all, err := credentialsOf(tx, u)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.Method == method && !c.Done && !c.Deleted && (value == "" || value == c.Value) {
			return c, nil
		}
	}
	return nil, credFault(protocol.Policy, errors.New("no address is waiting for a code"))
}

// finish marks an address as confirmed, by which its owner can be found from now on.
func finish(tx store.Tx, c *store.Credential) error {
	c.Done = true
	err := tx.PutCredential(c)
	if errors.Is(err, store.ErrExists) {
		return credFault(protocol.Exists, nil)
	}
	if err != nil {
		return err
	}
	return retag(tx, c.User, "", address{c.Method, c.Value}.tag())
}

// retag takes a tag from a user and gives another; empty ones are none.
func retag(tx store.Tx, id protocol.UserID, from, to string) error {
	u, err := tx.User(id)
	if err != nil {
		return err
	}
	replaceTag(u, from, to)
	return tx.PutUser(u)
}

func replaceTag(u *store.User, from, to string) {
	u.Tags = slices.DeleteFunc(u.Tags, func(t string) bool { return t == from || t == to })
	if to != "" {
		u.Tags = append(u.Tags, to)
		slices.Sort(u.Tags)
	}
}

// delCred answers {del cred}. The last confirmed address of a required method can
// only be deleted once there is another.
func (a *accounts) delCred(_ context.Context, c caller, in *protocol.Credential) (reply, error) {
	to, err := a.address(in.Method, in.Value, c.lang)
	if err != nil {
		return reply{}, err
	}
	r := reply{code: 200}
	err = a.store.Update(func(tx store.Tx) error {
		cred, err := tx.Credential(c.User, to.method, to.value)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && cred.Deleted:
			r = reply{code: 304, text: "no action"}
			return nil
		case err != nil:
			return err
		case !cred.Done:
			return discard(tx, cred, a.clock.Now())
		}
		if err := a.mayRemove(tx, cred); err != nil {
			return err
		}
		r.changed = c.User
		if err := discard(tx, cred, a.clock.Now()); err != nil {
			return err
		}
		return retag(tx, c.User, to.tag(), "")
	})
	return r, err
}

// mayRemove reports Policy if c is the only confirmed address of a method
// that is required of its owner.
func (a *accounts) mayRemove(tx store.Tx, c *store.Credential) error {
	u, err := tx.User(c.User)
	if err != nil {
		return err
	}
	if !slices.Contains(a.required, c.Method) || u.Level != store.LevelAuth {
		return nil
	}
	all, err := credentialsOf(tx, c.User)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Done && other.Method == c.Method && other.Value != c.Value {
			return nil
		}
	}
	return credFault(protocol.Policy, errors.New("the credential is required"))
}
