package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
	"parley/store"
)

func (d *desk) askReset(address string) (reply, error) {
	return d.login(d.t.Context(), stranger, &protocol.Login{Scheme: "reset", Secret: []byte("basic:email:" + address)})
}

// setByCode sets the password of who has address.
func (d *desk) setByCode(code, address, secret string) (reply, error) {
	return d.acc(d.t.Context(), stranger, &protocol.Acc{TmpScheme: "code", TmpSecret: []byte(code + ":email:" + address), Scheme: "basic", Secret: []byte(secret)}, nil)
}

func TestReset(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	token := d.want(200, "")(d.signIn("alice:secret99"))
	r := d.want(301, "")(d.askReset("Alice@example.org"))
	if r.params != nil || r.login.User != "" || r.text != "auth reset" {
		t.Errorf("reply %+v", r)
	}
	in := d.inbox()
	if len(in) != 1 || in[0].To != "alice@example.org" || in[0].Login != "alice" || in[0].Lang != "en-US" {
		t.Fatalf("sent %+v", in)
	}
	code := in[0].Code
	d.want(422, "auth")(d.setByCode(code, "alice@example.org", ":x")) // does not use the code up
	d.want(401, "auth")(d.setByCode("wrong", "alice@example.org", ":brandnew99"))
	d.want(200, "")(d.signIn("alice:secret99"))
	r = d.want(200, "")(d.setByCode(code, "alice@example.org", ":brandnew99"))
	if r.evict != alice.User || r.params["token"] != nil {
		t.Errorf("reply %+v", r)
	}
	d.want(200, "")(d.signIn("alice:brandnew99"))
	d.want(401, "")(d.signIn("alice:secret99"))
	d.want(401, "")(d.byTokenOf(token))
	d.want(401, "auth")(d.setByCode(code, "alice@example.org", ":brandnew98")) // good once
	if got := d.credsOf(alice.User); got != "email:alice@example.org!" {
		t.Errorf("credentials %s", got)
	}
}

// TestResetUnknown checks that the answer and the work are the same for addresses
// that nobody has, has confirmed, or may use.
func TestResetUnknown(t *testing.T) {
	d := newDesk(t, nil)
	d.newUser("alice")
	gone, bob := d.newUser("gone"), d.newUser("bob")
	root := d.newUser("root")
	d.want(200, "")(d.setCred(t.Context(), bob, cred("open@example.org", "")))
	err := d.store.Update(func(tx store.Tx) error {
		u, err := tx.User(root.User)
		if err != nil {
			return err
		}
		u.Level = store.LevelRoot
		return tx.PutUser(u)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.setState(gone.User, store.StateSuspended); err != nil {
		t.Fatal(err)
	}
	d.inbox()
	for i, address := range []string{"alice@example.org", "nobody@example.org", "open@example.org", "gone@example.org", "root@example.org"} {
		hashed := d.passwords.hashed.Load()
		r, err := d.askReset(address)
		if d.want(301, "")(r, err); fmt.Sprint(r) != fmt.Sprint(reply{code: 301, text: "auth reset"}) {
			t.Errorf("%s: %+v", address, r)
		}
		if sent := d.inbox(); (len(sent) == 1) != (i == 0) {
			t.Errorf("%s was sent %v", address, sent)
		}
		_, err = d.setByCode("000000", address, ":brandnew99")
		if d.want(401, "auth")(reply{}, err); err.Error() != "authentication failed (auth)" {
			t.Errorf("%s: %v", address, err)
		}
		if n := d.passwords.hashed.Load() - hashed; n != 1 {
			t.Errorf("%s cost %d hashes", address, n)
		}
	}
	for secret, code := range map[string]int{"": 400, "basic": 400, "basic:email": 400, "email:alice@example.org": 400,
		"token:email:alice@example.org": 501, "basic:fax:1": 501} {
		d.want(code, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "reset", Secret: []byte(secret)}))
	}
	d.want(400, "email")(d.askReset("nowhere"))
}

func TestResetCodeLogin(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	d.want(301, "")(d.askReset("alice@example.org"))
	login := &protocol.Login{Scheme: "code", Secret: []byte(d.lastCode("alice@example.org") + ":email:alice@example.org")}
	if r := d.want(200, "")(d.login(t.Context(), stranger, login)); r.login != alice.Identity {
		t.Errorf("login %+v", r.login)
	}
	d.want(401, "")(d.login(t.Context(), stranger, login))
}

func TestResetTries(t *testing.T) {
	d := newDesk(t, nil)
	d.newUser("alice")
	d.want(301, "")(d.askReset("alice@example.org"))
	code := d.lastCode("alice@example.org")
	for range codeTries {
		d.want(401, "auth")(d.setByCode("000000x", "alice@example.org", ":brandnew99"))
	}
	d.want(401, "auth")(d.setByCode(code, "alice@example.org", ":brandnew99"))
	for range 10 - 1 - codeTries - 1 {
		d.want(401, "auth")(d.setByCode("000000x", "nobody@example.org", ":brandnew99"))
	}
	d.want(429, "")(d.setByCode("000000x", "nobody@example.org", ":brandnew99")) // this address has had its ten
}

func TestResetRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		d := newDesk(t, func(c *Config) { c.Limits.LoginRate = 1 })
		d.newUser("alice")
		d.inbox()
		for range 20 {
			d.want(301, "")(d.askReset("alice@example.org")) // whatever is sent
			time.Sleep(time.Second)
		}
		in := d.inbox()
		if len(in) != codesPerHour-1 { // one confirmed the address
			t.Errorf("%d codes were sent", len(in))
		}
		time.Sleep(time.Hour - time.Minute)
		d.want(200, "")(d.setByCode(in[len(in)-1].Code, "alice@example.org", ":brandnew99")) // the last is good still
		time.Sleep(time.Minute)
		d.want(301, "")(d.askReset("alice@example.org"))
		code := d.lastCode("alice@example.org")
		time.Sleep(time.Hour)
		d.want(401, "auth")(d.setByCode(code, "alice@example.org", ":secret99"))
	})
}
