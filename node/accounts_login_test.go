package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
	"parley/store"
)

// TestLoginUnknown checks that nothing tells a wrong password from an unknown
// login: not the answer, and not the work done.
func TestLoginUnknown(t *testing.T) {
	d := newDesk(t, nil)
	d.newUser("alice")
	for _, secret := range []string{"alice:wrong-pass", "nobody:wrong-pass", "alice:x", "a:secret99", "sp ace:secret99", ":secret99", "alice:", "alice:" + strings.Repeat("x", 1000)} {
		before := d.passwords.verified.Load()
		_, err := d.signIn(secret)
		if d.want(401, "")(reply{}, err); protocol.FaultOf(err).Text() != "authentication failed" {
			t.Errorf("%q: %v", secret, err)
		}
		if n := d.passwords.verified.Load() - before; n != 1 {
			t.Errorf("%q cost %d verifications", secret, n)
		}
	}
	d.want(400, "")(d.signIn("alice"))
	d.want(400, "")(d.signIn("alice:\xff"))
	d.want(401, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "nosuch", Secret: []byte("x:y")}))
	d.want(401, "")(d.login(t.Context(), stranger, &protocol.Login{Secret: []byte("alice:secret99")}))
	d.want(200, "")(d.signIn("alice:secret99"))
}

func TestLoginForms(t *testing.T) {
	d := newDesk(t, nil)
	d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("Jürgen:pass\u00e9pass")}, nil))
	d.want(200, "")(d.signIn("JU\u0308RGEN:passe\u0301pass")) // composed otherwise
	d.want(401, "")(d.signIn("jurgen:pass\u00e9pass"))
	d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("colon:a:b:c:d:e")}, nil))
	d.want(200, "")(d.signIn("colon:a:b:c:d:e"))
}

func TestLoginTwice(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	d.want(409, "")(d.login(t.Context(), alice, &protocol.Login{Scheme: "basic", Secret: []byte("alice:secret99")}))
}

func TestLoginToken(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	token := func(change func(*Token)) []byte {
		k := Token{User: alice.User, Level: store.LevelAuth, Expires: time.Now().Add(time.Hour)}
		change(&k)
		return d.tokens.Issue(k)
	}
	for name, c := range map[string]struct {
		token []byte
		code  int
	}{
		"good":         {token(func(*Token) {}), 200},
		"no token":     {[]byte("AAA"), 400},
		"empty":        {nil, 400},
		"expired":      {token(func(k *Token) { k.Expires = time.Now() }), 401},
		"earlier":      {token(func(k *Token) { k.Epoch = 9 }), 401},
		"unknown user": {token(func(k *Token) { k.User = "usrAAAAAAAAAAA@chat.example.org" }), 401},
		"validate":     {token(func(k *Token) { k.Purpose = ForValidate }), 200},
		"reset":        {token(func(k *Token) { k.Purpose = ForReset }), 401},
		"says root":    {token(func(k *Token) { k.Level = store.LevelRoot }), 200},
	} {
		r := d.want(c.code, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "token", Secret: c.token}))
		if c.code == 200 && r.login != alice.Identity {
			t.Errorf("%s: login %+v", name, r.login)
		}
	}
	if d.passwords.verified.Load() != 0 {
		t.Error("tokens cost verifications")
	}
}

// Outside of the operators' listener root's right password is answered as a wrong one, and
// as that of a stranger: the same, for the same work, which is not on root's hash.
func TestLoginRoot(t *testing.T) {
	d := newDesk(t, required)
	id, err := d.create(t.Context(), "admin", "secret99", store.LevelRoot, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"admin:wrong-pass", "admin:secret99", "nobody:secret99"} {
		before := d.passwords.verified.Load()
		d.want(401, "")(d.signIn(secret))
		if n := d.passwords.verified.Load() - before; n != 1 || d.passwords.known.Load() {
			t.Errorf("%s: %d verifications, with a hash: %t", secret, n, d.passwords.known.Load())
		}
	}
	operator := stranger
	operator.origin.Admin = true
	r := d.want(200, "")(d.login(t.Context(), operator, &protocol.Login{Scheme: "basic", Secret: []byte("admin:secret99")}))
	if r.login != (Identity{id, store.LevelRoot}) || r.params["authlvl"] != "root" {
		t.Errorf("login %+v", r)
	}
	d.want(401, "")(d.byTokenOf(r))
	d.want(403, "")(d.acc(t.Context(), stranger, &protocol.Acc{Token: r.params["token"].([]byte), Scheme: "basic", Secret: []byte(":brandnew99")}, nil))
	if _, err := d.authenticate(t.Context(), "basic", []byte("admin:secret99"), stranger.origin); protocol.FaultOf(err) != protocol.BadLogin {
		t.Errorf("authenticate: %v", err)
	}
}

func TestLoginStates(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	r := d.want(200, "")(d.signIn("alice:secret99"))
	if err := d.setState(alice.User, store.StateSuspended); err != nil {
		t.Fatal(err)
	}
	d.want(403, "")(d.signIn("alice:secret99"))
	d.want(401, "")(d.signIn("alice:wrong-pass"))
	d.want(403, "")(d.byTokenOf(r))
	d.want(409, "auth")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:other999")}, nil))
	bob := d.newUser("bob")
	err := d.store.Update(func(tx store.Tx) error { return retag(tx, bob.User, "alias:bob", "alias:alice") })
	if err != nil {
		t.Fatal(err)
	}
	if err := d.setState(alice.User, store.StateOK); err != nil {
		t.Fatal(err)
	}
	if got := d.tagsOf(alice.User); got != "basic:alice email:alice@example.org" {
		t.Errorf("resumed, with tags %s", got) // bob has the handle
	}
	d.want(200, "")(d.byTokenOf(r))
	for _, hard := range []bool{false, true} {
		d.want(409, "auth")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:other999")}, nil))
		d.want(409, "cred")(d.setCred(t.Context(), bob, cred("alice@example.org", "")))
		if err := d.store.Update(func(tx store.Tx) error { return d.erase(tx, alice.User, hard) }); err != nil {
			t.Fatal(err)
		}
		d.want(401, "")(d.signIn("alice:secret99"))
		d.want(401, "")(d.byTokenOf(r))
		d.want(301, "")(d.askReset("alice@example.org"))
	}
	if u := d.user(alice.User); u.State != store.StateDeleted || len(u.Tags) != 0 || d.credsOf(alice.User) != "" || len(d.inbox()) != 0 {
		t.Errorf("tombstone %+v, or a code was sent", u)
	}
	if err := d.setState(alice.User, store.StateOK); protocol.FaultOf(err) != protocol.NotFound {
		t.Errorf("a deleted account resumed: %v", err)
	}
	carol := d.newUser("alice") // the login and the address are free
	if carol.User == alice.User {
		t.Error("an id was used again")
	}
}

func TestLoginRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(c *Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 0.2, 3 })
		from := func(addr, secret string) (reply, error) {
			c := stranger
			c.origin.Addr = netip.MustParseAddr(addr)
			return d.login(t.Context(), c, &protocol.Login{Scheme: "basic", Secret: []byte(secret)})
		}
		alice := d.newUser("alice")
		for range 10 {
			d.want(200, "")(d.signIn("alice:secret99")) // only failures count
		}
		for range 3 {
			d.want(401, "")(from("198.51.100.1", "alice:wrong-pass"))
		}
		verified := d.passwords.verified.Load()
		d.want(429, "")(from("198.51.100.2", "alice:secret99")) // the account
		d.want(429, "")(from("198.51.100.2", "ALICE:secret99"))
		d.want(429, "")(from("198.51.100.1", "bob:secret99")) // the address
		if d.passwords.verified.Load() != verified {
			t.Error("refused attempts cost verifications")
		}
		token := d.tokens.Issue(Token{User: alice.User, Expires: time.Now().Add(time.Hour)})
		for range 5 {
			d.want(401, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "token", Secret: []byte(`{}`)}))
		}
		d.want(200, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "token", Secret: token})) // never limited
		for range 3 {
			d.want(401, "")(from("198.51.100.3", "nobody:wrong-pass"))
		}
		d.want(429, "")(from("198.51.100.4", "nobody:wrong-pass")) // as if it existed
		time.Sleep(5 * time.Second)
		d.want(200, "")(from("198.51.100.1", "alice:secret99"))
		d.want(401, "")(from("198.51.100.1", "alice:wrong-pass"))
		d.want(429, "")(from("198.51.100.1", "alice:wrong-pass"))
	})
}

// Strangers who try passwords do not keep out whom the node knows from an address.
func TestLoginRateSparesFamiliarAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(c *Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 0.001, 3 })
		from := func(addr, scheme string, secret []byte) (reply, error) {
			c := stranger
			c.origin.Addr = netip.MustParseAddr(addr)
			return d.login(t.Context(), c, &protocol.Login{Scheme: scheme, Secret: secret})
		}
		alice := d.newUser("alice")
		token := d.tokens.Issue(Token{User: alice.User, Expires: time.Now().Add(time.Hour)})
		good, bad := []byte("alice:secret99"), []byte("alice:wrong-pass")
		d.want(200, "")(from("198.51.100.1", "basic", good))
		d.want(200, "")(from("198.51.100.2", "token", token))
		for range 3 {
			d.want(401, "")(from("203.0.113.9", "basic", bad))
		}
		d.want(429, "")(from("203.0.113.9", "basic", good))
		d.want(429, "")(from("203.0.113.10", "basic", good))
		for range 3 {
			d.want(200, "")(from("198.51.100.1", "basic", good))
			d.want(200, "")(from("198.51.100.2", "basic", good))
		}
		for range 3 { // known, but not let off
			d.want(401, "")(from("198.51.100.1", "basic", bad))
		}
		d.want(429, "")(from("198.51.100.1", "basic", good))
	})
}

// stuckPasswords never get a turn.
type stuckPasswords struct{ *countedPasswords }

func (stuckPasswords) Verify(ctx context.Context, _ []byte, _ string) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

func (stuckPasswords) Hash(ctx context.Context, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestLoginBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(c *Config) { c.Passwords = stuckPasswords{} })
		begin := time.Now()
		d.want(503, "")(d.signIn("alice:secret99"))
		d.want(503, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99")}, nil))
		if w := time.Since(begin); w != 2*hashWait {
			t.Errorf("waited %v", w)
		}
	})
}

func TestLoginRenews(t *testing.T) {
	d := newDesk(t, nil)
	d.newUser("alice")
	d.passwords.cost.Store(2)
	secret := func() (s string) {
		d.store.View(func(tx store.Tx) error {
			l, err := tx.Login("basic", "alice")
			s = string(l.Secret)
			return err
		})
		return s
	}
	d.want(401, "")(d.signIn("alice:wrong-pass"))
	if s := secret(); s != "0$secret99" {
		t.Errorf("hash %s", s)
	}
	d.want(200, "")(d.signIn("alice:secret99"))
	if s := secret(); s != "2$secret99" {
		t.Errorf("hash %s", s)
	}
	n := d.passwords.hashed.Load()
	d.want(200, "")(d.signIn("alice:secret99"))
	if d.passwords.hashed.Load() != n {
		t.Error("a hash at the costs in force was made again")
	}
}

func TestAuthenticate(t *testing.T) {
	d := newDesk(t, required)
	in := &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99"), Login: true, Cred: email("a@b.c")}
	r := d.want(300, "")(d.acc(t.Context(), stranger, in, nil))
	id := protocol.UserID(r.params["user"].(string))
	_, err := d.authenticate(t.Context(), "basic", []byte("alice:secret99"), stranger.origin)
	d.want(403, "cred")(reply{}, err)
	d.want(200, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "basic", Secret: []byte("alice:secret99"), Cred: response(d.lastCode("a@b.c"))}))
	token := d.tokens.Issue(Token{User: id, Expires: time.Now().Add(time.Hour)})
	for _, c := range []struct {
		scheme, secret string
		code           int
	}{
		{"basic", "alice:secret99", 200}, {"token", string(token), 200},
		{"basic", "alice:wrong-pass", 401}, {"token", "AAA", 400}, {"code", "123456:email:a@b.c", 401}, {"", "", 401}, {"anonymous", "", 401},
	} {
		who, err := d.authenticate(t.Context(), c.scheme, []byte(c.secret), stranger.origin)
		d.want(c.code, "")(reply{code: 200}, err)
		if err == nil && who != (Identity{id, store.LevelAuth}) {
			t.Errorf("%s: %+v", c.scheme, who)
		}
	}
}

// brokenStore fails in every transaction.
type brokenStore struct{ store.Store }

func (brokenStore) View(func(store.Tx) error) error   { return store.ErrFull }
func (brokenStore) Update(func(store.Tx) error) error { return store.ErrFull }

// TestDiskFull checks that the store's faults reach the client as such, and not as
// a wrong password, upon which clients forget their tokens.
func TestDiskFull(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	token := d.tokens.Issue(Token{User: alice.User, Expires: time.Now().Add(time.Hour)})
	whole := d.store
	d.store = brokenStore{whole}
	defer func() { d.store = whole }()
	for name, f := range map[string]func() (reply, error){
		"password": func() (reply, error) { return d.signIn("alice:secret99") },
		"token": func() (reply, error) {
			return d.login(t.Context(), stranger, &protocol.Login{Scheme: "token", Secret: token})
		},
		"code": func() (reply, error) {
			return d.login(t.Context(), stranger, &protocol.Login{Scheme: "code", Secret: []byte("1:email:a@b.c")})
		},
		"sign up": func() (reply, error) {
			return d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Cred: email("x@y.z"), Desc: &protocol.SetDesc{Public: json.RawMessage(`1`)}}, nil)
		},
		"change": func() (reply, error) {
			return d.acc(t.Context(), alice, &protocol.Acc{Scheme: "basic", Secret: []byte(":brandnew99")}, nil)
		},
		"credential": func() (reply, error) {
			return d.setCred(t.Context(), alice, &protocol.Credential{Method: "email", Value: "x@y.z"})
		},
		"response": func() (reply, error) {
			return d.setCred(t.Context(), alice, &protocol.Credential{Method: "email", Response: "1"})
		},
		"no credential": func() (reply, error) {
			return d.delCred(t.Context(), alice, &protocol.Credential{Method: "email", Value: "x@y.z"})
		},
	} {
		if _, err := f(); !errors.Is(err, store.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(d.mail.places) != 0 || len(d.inbox()) != 0 {
		t.Error("codes were sent, or places for them are lost")
	}
}
