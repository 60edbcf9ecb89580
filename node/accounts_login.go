package node

import (
	"context"
	"errors"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// login answers {login}. A wrong secret, an unknown login and an unknown scheme are
// one answer, in code, text and time.
func (a *accounts) login(ctx context.Context, c caller, in *protocol.Login) (reply, error) {
	if c.User != "" {
		return reply{}, protocol.OutOfSequence
	}
	if in.Scheme == schemeReset {
		return a.reset(c, in.Secret)
	}
	u, err := a.identify(ctx, in.Scheme, in.Secret, c.origin)
	if err != nil {
		return reply{}, err
	}
	if err := a.answerCreds(ctx, c, u.ID, in.Cred); err != nil {
		return reply{}, err
	}
	var missing []string
	err = a.store.View(func(tx store.Tx) (err error) {
		missing, err = a.missing(tx, u)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	r := a.welcome(u, missing, a.clock.Now())
	if len(in.Cred) > 0 {
		r.changed = u.ID
	}
	return r, nil
}

// stillGood refuses one whose secret was changed, or whose account has ended or was
// suspended, while a login was under way. It is asked when the session is counted as
// the user's: what happens from then on ends it.
func (a *accounts) stillGood(id protocol.UserID, epoch uint32) error {
	var u *store.User
	err := a.store.View(func(tx store.Tx) (err error) {
		u, err = tx.User(id)
		return err
	})
	if err != nil {
		return err
	}
	if u.Epoch != epoch {
		return &protocol.Error{Fault: protocol.BadLogin, Err: errors.New("the secret has changed meanwhile")}
	}
	return mayEnter(u)
}

// answerCreds takes the responses to codes. Without a response an address is added,
// or if only the method is given, sent another code. A wrong response is no error:
// the credential is still missing, which is what the client is told.
func (a *accounts) answerCreds(ctx context.Context, c caller, u protocol.UserID, creds []protocol.Credential) error {
	c.User = u
	for _, cr := range creds {
		var err error
		switch {
		case a.validators[cr.Method] == nil:
		case cr.Response != "":
			err = a.confirm(c, u, &cr)
		case cr.Value != "":
			_, err = a.setCred(ctx, c, &cr)
		default:
			err = a.sendAgain(c, cr.Method)
		}
		if f := protocol.FaultOf(err); err != nil && f != protocol.WrongCode && f != protocol.Policy {
			return err
		}
	}
	return nil
}

// sendAgain sends another code to the address that the user has not confirmed yet.
func (a *accounts) sendAgain(c caller, method string) error {
	var to address
	err := a.store.View(func(tx store.Tx) error {
		cred, err := unconfirmed(tx, c.User, method, "")
		if err == nil {
			to = address{method, cred.Value}
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.sendCode(c, to)
}

// authenticate tells whose secret it is, for requests outside of sessions.
func (a *accounts) authenticate(ctx context.Context, scheme string, secret []byte, o Origin) (Identity, error) {
	if scheme != schemeBasic && scheme != schemeToken {
		return Identity{}, protocol.BadLogin
	}
	u, err := a.identify(ctx, scheme, secret, o)
	if err != nil {
		return Identity{}, err
	}
	err = a.store.View(func(tx store.Tx) error {
		missing, err := a.missing(tx, u)
		if err == nil && len(missing) > 0 {
			err = credFault(protocol.Denied, nil)
		}
		return err
	})
	if err != nil {
		return Identity{}, err
	}
	return Identity{User: u.ID, Level: u.Level}, nil
}

// errElsewhere is answered as a wrong secret: nobody is to try root's where it is no use.
var errElsewhere = &protocol.Error{Fault: protocol.BadLogin, Err: errors.New("root users log in over the admin listener")}

// elsewhere reports whether u may not log in from there, with any secret.
func elsewhere(u *store.User, o Origin) bool { return u.Level == store.LevelRoot && !o.Admin }

// identify finds the user whose secret it is, and who may enter from there.
func (a *accounts) identify(ctx context.Context, scheme string, secret []byte, o Origin) (u *store.User, err error) {
	switch scheme {
	case schemeBasic:
		u, err = a.byPassword(ctx, secret, o)
	case schemeToken:
		u, err = a.byToken(secret, ForLogin, ForValidate)
	case schemeCode:
		u, err = a.byCode(secret, o)
	default:
		return nil, protocol.BadLogin
	}
	if err != nil {
		return nil, err
	}
	if err := mayEnter(u); err != nil {
		return nil, err
	}
	if elsewhere(u, o) {
		return nil, errElsewhere
	}
	a.familiar.greet(u.ID, a.addressKey(o))
	return u, nil
}

// byPassword checks "login:password". An unknown login costs a verification too, and so
// does one that may not be used from there: its hash is not looked at.
func (a *accounts) byPassword(ctx context.Context, secret []byte, o Origin) (*store.User, error) {
	name, password, err := splitSecret(secret)
	if err != nil {
		return nil, err
	}
	name, badName := loginName(name)
	password, badPassword := passwordForm(password)
	var l *store.Login
	var u *store.User
	if badName == nil && badPassword == nil {
		if l, u, err = a.findLogin(name); err != nil {
			return nil, err
		}
	}
	refusal := error(protocol.BadLogin)
	if u != nil && elsewhere(u, o) {
		l, u, refusal = nil, nil, errElsewhere
	}
	addr, account := a.addressKey(o), "login "+name
	if u != nil && a.familiar.knows(u.ID, addr) {
		account += " from " + addr
	}
	end, ok := a.failures.begin(time.Now(), addr, account)
	if !ok {
		return nil, protocol.TooMany
	}
	failed := false
	defer func() { end(failed) }()
	var hash []byte
	if l != nil {
		hash = l.Secret
	}
	wait, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	good, err := a.passwords.Verify(wait, hash, password)
	if err != nil {
		return nil, busyIfLate(err)
	}
	if failed = !good || u == nil; failed {
		return nil, refusal
	}
	a.renew(ctx, l, password)
	return u, nil
}

// findLogin reads a login and its user; nil if there is none.
func (a *accounts) findLogin(name string) (l *store.Login, u *store.User, err error) {
	err = a.store.View(func(tx store.Tx) (err error) {
		if l, err = tx.Login(schemeBasic, name); err != nil {
			return err
		}
		u, err = tx.User(l.User)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	return l, u, err
}

// renew hashes a password again if its hash was made at costs that are no longer
// in force. It may fail: the old hash is still good.
func (a *accounts) renew(ctx context.Context, l *store.Login, password string) {
	p, ok := a.passwords.(interface{ Outdated(hash []byte) bool })
	if !ok || !p.Outdated(l.Secret) {
		return
	}
	hash, err := a.hash(ctx, password)
	if err == nil {
		err = a.store.Update(func(tx store.Tx) error {
			now, err := tx.Login(l.Scheme, l.Name)
			if err != nil || now.User != l.User || string(now.Secret) != string(l.Secret) {
				return err // changed meanwhile
			}
			now.Secret = hash
			return tx.PutLogin(now)
		})
	}
	if err != nil {
		a.log.Warn("password not hashed again", "user", l.User, "err", err)
	}
}

// byToken reads a token that is for one of the purposes, and not void by now.
func (a *accounts) byToken(token []byte, purposes ...Purpose) (u *store.User, err error) {
	t, err := a.readToken(token, purposes...)
	if err != nil {
		return nil, err
	}
	err = a.store.View(func(tx store.Tx) error {
		u, err = tokenUser(tx, t)
		return err
	})
	return u, err
}

func (a *accounts) readToken(token []byte, purposes ...Purpose) (Token, error) {
	t, err := a.tokens.Read(token, a.clock.Now())
	if err != nil {
		return t, err
	}
	for _, p := range purposes {
		if t.Purpose == p {
			return t, nil
		}
	}
	return t, &protocol.Error{Fault: protocol.BadLogin, Err: errors.New("the token is for something else")}
}

// tokenUser is whom a token belongs to, unless the secret was changed since.
func tokenUser(tx store.Tx, t Token) (*store.User, error) {
	u, err := tx.User(t.User)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &protocol.Error{Fault: protocol.BadLogin, Err: errors.New("the token's user is unknown")}
	}
	if err == nil && u.Epoch != t.Epoch {
		return nil, &protocol.Error{Fault: protocol.BadLogin, Err: errors.New("the token is void")}
	}
	return u, err
}

// codeSecret reads "code:method:address".
func (a *accounts) codeSecret(secret []byte) (code string, to address, err error) {
	f := strings.SplitN(string(secret), ":", 3)
	if len(f) != 3 || f[0] == "" {
		return "", to, protocol.Malformed
	}
	to, err = a.address(f[1], f[2], "")
	if err != nil {
		return "", to, &protocol.Error{Fault: protocol.BadLogin, Err: err}
	}
	return f[0], to, nil
}

// byCode takes a code that was sent by reset, once.
func (a *accounts) byCode(secret []byte, o Origin) (*store.User, error) {
	code, to, err := a.codeSecret(secret)
	if err != nil {
		return nil, err
	}
	end, ok := a.failures.begin(time.Now(), a.addressKey(o), "code "+to.tag())
	if !ok {
		return nil, protocol.TooMany
	}
	failed := false
	defer func() { end(failed) }()
	var u *store.User
	err = a.store.Update(func(tx store.Tx) (err error) {
		u, err = a.codeUser(tx, code, to)
		return err
	})
	if failed = err == nil && u == nil; failed {
		return nil, protocol.BadLogin
	}
	return u, err
}

// codeUser is who was sent a code to reset the secret; nil if it is not good, in
// which case the transaction must be committed nevertheless: it counts the try.
func (a *accounts) codeUser(tx store.Tx, code string, to address) (*store.User, error) {
	id, err := tx.Confirmed(to.method, to.value)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := tx.Credential(id, to.method, to.value)
	if err != nil {
		return nil, err
	}
	good := a.try(c, code, a.clock.Now())
	if err := tx.PutCredential(c); err != nil || !good {
		return nil, err
	}
	return tx.User(id)
}
