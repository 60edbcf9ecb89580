package node

import (
	"context"
	"errors"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// reset answers {login scheme=reset}, "basic:method:address": who has confirmed
// the address is sent a code. The answer and the time it takes are the same if
// nobody has; the looking up is done behind the client's back.
func (a *accounts) reset(c caller, secret []byte) (reply, error) {
	f := strings.SplitN(string(secret), ":", 3)
	switch {
	case len(f) != 3:
		return reply{}, protocol.Malformed
	case f[0] != schemeBasic || a.validators[f[1]] == nil:
		return reply{}, protocol.NotOffered
	}
	to, err := a.address(f[1], f[2], c.lang)
	if err != nil {
		return reply{}, err
	}
	if !a.failures.allow(time.Now(), a.addressKey(c.origin), "reset "+to.tag()) {
		return reply{}, protocol.TooMany
	}
	if !a.mail.reserve(1) {
		return reply{}, protocol.Busy
	}
	a.mail.start(func(ctx context.Context) {
		if err := a.sendReset(ctx, to, c.lang); err != nil {
			a.log.Error("code to reset a password not made", "err", err)
		}
	})
	return reply{code: 301, text: "auth reset"}, nil
}

// sendReset sends a code if there is somebody who may reset a password by it.
func (a *accounts) sendReset(ctx context.Context, to address, lang string) error {
	var code, login string
	err := a.store.Update(func(tx store.Tx) (err error) {
		code, login, err = a.resetCode(tx, to, a.clock.Now())
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || protocol.FaultOf(err) == protocol.TooMany:
		return nil // nobody, or often enough: the last code is still good
	case err != nil:
		return err
	}
	a.mail.send(ctx, to.method, a.validators[to.method], Code{To: to.value, Code: code, Lang: lang, Login: login})
	return nil
}

// resetCode makes a code for who has confirmed an address. The error is
// store.ErrNotFound if there is nobody who could use it.
func (a *accounts) resetCode(tx store.Tx, to address, now time.Time) (code, login string, err error) {
	id, err := tx.Confirmed(to.method, to.value)
	if err != nil {
		return "", "", err
	}
	u, err := tx.User(id)
	if err != nil {
		return "", "", err
	}
	if mayEnter(u) != nil || u.Level == store.LevelRoot {
		return "", "", store.ErrNotFound
	}
	l, err := tx.LoginOf(schemeBasic, id)
	if err != nil {
		return "", "", err
	}
	c, err := tx.Credential(id, to.method, to.value)
	if err != nil {
		return "", "", err
	}
	if code, err = issue(c, now, a.tokens.Lifetime(ForReset)); err != nil {
		return "", "", err
	}
	return code, l.Name, tx.PutCredential(c)
}
