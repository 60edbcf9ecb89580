package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
	"parley/store"
)

func cred(value, response string) *protocol.Credential {
	return &protocol.Credential{Method: "email", Value: value, Response: response}
}

func TestCredentials(t *testing.T) {
	d := newDesk(t, nil)
	alice, ctx := d.newUser("alice"), t.Context()
	r := d.want(200, "")(d.setCred(ctx, alice, cred("Second@example.org", "")))
	if r.changed != "" {
		t.Errorf("reply %+v: tags have not changed", r)
	}
	if got := d.credsOf(alice.User); got != "email:alice@example.org! email:second@example.org" {
		t.Errorf("credentials %s", got)
	}
	code := d.lastCode("second@example.org")
	if len(code) != codeDigits || strings.Trim(code, "0123456789") != "" {
		t.Errorf("code %q", code)
	}
	d.want(406, "cred")(d.setCred(ctx, alice, cred("", "wrong")))
	d.want(422, "cred")(d.setCred(ctx, alice, cred("third@example.org", code)))
	if r := d.want(200, "")(d.setCred(ctx, alice, cred("", code))); r.changed != alice.User {
		t.Errorf("reply %+v", r)
	}
	d.want(422, "cred")(d.setCred(ctx, alice, cred("", code))) // nothing is open any more
	if got := d.credsOf(alice.User) + " | " + d.tagsOf(alice.User); got != "email:alice@example.org! email:second@example.org! | alias:alice basic:alice email:alice@example.org email:second@example.org" {
		t.Errorf("confirmed: %s", got)
	}
	if r := d.want(200, "")(d.delCred(ctx, alice, cred("Alice@example.org", ""))); r.changed != alice.User {
		t.Errorf("reply %+v", r)
	}
	if got := d.credsOf(alice.User) + " | " + d.tagsOf(alice.User); got != "email:second@example.org! | alias:alice basic:alice email:second@example.org" {
		t.Errorf("deleted: %s", got)
	}
	for _, address := range []string{"alice@example.org", "never@example.org"} {
		if r := d.want(304, "")(d.delCred(ctx, alice, cred(address, ""))); r.text != "no action" || r.changed != "" {
			t.Errorf("reply %+v", r)
		}
	}
	bob := d.newUser("bob")
	d.want(200, "")(d.setCred(ctx, bob, cred("alice@example.org", ""))) // free again
	if r := d.want(200, "")(d.delCred(ctx, bob, cred("alice@example.org", ""))); r.changed != "" || d.credsOf(bob.User) != "email:bob@example.org!" {
		t.Errorf("reply %+v, credentials %s", r, d.credsOf(bob.User))
	}
}

func TestCredentialsRefused(t *testing.T) {
	d := newDesk(t, nil)
	alice, ctx := d.newUser("alice"), t.Context()
	d.newUser("bob")
	for _, c := range []struct {
		in   protocol.Credential
		code int
		what string
	}{
		{protocol.Credential{Method: "email"}, 400, "email"},
		{protocol.Credential{Method: "email", Value: "nowhere"}, 400, "email"},
		{protocol.Credential{Method: "email", Value: "nowhere", Response: "1"}, 400, "email"},
		{protocol.Credential{Method: "email", Response: "1"}, 422, "cred"},
		{protocol.Credential{Method: "fax", Value: "1"}, 400, "cred"},
		{protocol.Credential{Method: "fax", Response: "1"}, 400, "cred"},
		{protocol.Credential{}, 400, "cred"},
		{protocol.Credential{Method: "email", Value: "bob@example.org"}, 409, "cred"},
		{protocol.Credential{Method: "email", Value: "alice@example.org"}, 409, "cred"}, // one's own
	} {
		d.want(c.code, c.what)(d.setCred(ctx, alice, &c.in))
	}
	d.want(400, "cred")(d.delCred(ctx, alice, &protocol.Credential{Method: "fax", Value: "1"}))
	d.want(400, "email")(d.delCred(ctx, alice, &protocol.Credential{Method: "email"}))
	if len(d.inbox()) != 0 {
		t.Error("a refused credential was sent a code")
	}
}

// TestCredentialsRace lets two users ask for one address: who confirms first has it.
func TestCredentialsRace(t *testing.T) {
	d := newDesk(t, nil)
	alice, bob, ctx := d.newUser("alice"), d.newUser("bob"), t.Context()
	d.want(200, "")(d.setCred(ctx, alice, cred("shared@example.org", "")))
	first := d.lastCode("shared@example.org")
	d.want(200, "")(d.setCred(ctx, bob, cred("shared@example.org", "")))
	second := d.lastCode("shared@example.org")
	d.want(406, "cred")(d.setCred(ctx, bob, cred("", first))) // a code is for one user
	d.want(200, "")(d.setCred(ctx, alice, cred("", first)))
	d.want(409, "cred")(d.setCred(ctx, bob, cred("", second)))
	if strings.Contains(d.tagsOf(bob.User), "shared") {
		t.Error("the loser has the tag")
	}
}

// TestCredentialsReplaced checks that an address not confirmed gives way to the next.
func TestCredentialsReplaced(t *testing.T) {
	d := newDesk(t, nil)
	alice, ctx := d.newUser("alice"), t.Context()
	d.want(200, "")(d.setCred(ctx, alice, cred("mistake@example.org", "")))
	old := d.lastCode("mistake@example.org")
	d.want(200, "")(d.setCred(ctx, alice, cred("right@example.org", "")))
	if got := d.credsOf(alice.User); got != "email:alice@example.org! email:right@example.org" {
		t.Errorf("credentials %s", got)
	}
	d.want(406, "cred")(d.setCred(ctx, alice, cred("", old)))
	d.want(200, "")(d.setCred(ctx, alice, cred("", d.lastCode("right@example.org"))))
}

func TestCredentialRequired(t *testing.T) {
	d := newDesk(t, required)
	ctx := t.Context()
	in := &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99"), Login: true, Cred: email("a@b.c")}
	r := d.want(300, "")(d.acc(ctx, stranger, in, nil))
	login := &protocol.Login{Scheme: "token", Secret: r.params["token"].([]byte)}
	login.Cred = []protocol.Credential{{Method: "email"}} // lost: send it again
	old := d.lastCode("a@b.c")
	d.want(300, "")(d.login(ctx, stranger, login))
	code := d.lastCode("a@b.c")
	login.Cred = response(old)
	if old != code {
		d.want(300, "")(d.login(ctx, stranger, login))
	}
	login.Cred = email("c@d.e") // a mistake: another
	d.want(300, "")(d.login(ctx, stranger, login))
	login.Cred = response(d.lastCode("c@d.e"))
	alice := caller{Identity: d.want(200, "")(d.login(ctx, stranger, login)).login}
	d.want(422, "cred")(d.delCred(ctx, alice, cred("c@d.e", "")))
	d.want(200, "")(d.setCred(ctx, alice, cred("f@g.h", "")))
	code = d.lastCode("f@g.h")
	d.want(422, "cred")(d.delCred(ctx, alice, cred("c@d.e", "")))
	d.want(200, "")(d.acc(ctx, alice, &protocol.Acc{Cred: response(code)}, nil)) // {acc} confirms as well
	d.want(200, "")(d.delCred(ctx, alice, cred("c@d.e", "")))
	d.want(400, "cred")(d.acc(ctx, alice, &protocol.Acc{Cred: email("x@y.z")}, nil)) // but does not add
}

func TestCodeTries(t *testing.T) {
	d := newDesk(t, nil)
	alice, ctx := d.newUser("alice"), t.Context()
	d.want(200, "")(d.setCred(ctx, alice, cred("b@c.d", "")))
	code := d.lastCode("b@c.d")
	for range codeTries {
		d.want(406, "cred")(d.setCred(ctx, alice, cred("", "x")))
	}
	d.want(422, "cred")(d.setCred(ctx, alice, cred("", code))) // void
	d.want(200, "")(d.setCred(ctx, alice, cred("b@c.d", "")))
	d.want(200, "")(d.setCred(ctx, alice, cred("", d.lastCode("b@c.d"))))
}

func TestCodeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		alice, ctx := d.newUser("alice"), t.Context()
		for _, c := range []struct {
			after time.Duration
			code  int
		}{{24 * time.Hour, 422}, {24*time.Hour - time.Second, 200}} {
			d.want(200, "")(d.setCred(ctx, alice, cred("b@c.d", "")))
			code := d.lastCode("b@c.d")
			time.Sleep(c.after)
			_, err := d.setCred(ctx, alice, cred("", code))
			if got := protocol.FaultOf(err).Code(); err == nil && c.code != 200 || err != nil && got != c.code {
				t.Errorf("after %v: %v", c.after, err)
			}
		}
	})
}

// TestCodeRate checks how often codes are sent: three in a row, ten a day, whatever
// the user does to be forgiven.
func TestCodeRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour) // not at midnight
		d := newDesk(t, nil)
		alice, ctx := d.newUser("alice"), t.Context()
		d.inbox()
		sent := 0
		for range 30 { // each round deletes what it added
			if _, err := d.setCred(ctx, alice, cred("b@c.d", "")); err == nil {
				sent++
			} else {
				d.want(429, "cred")(reply{}, err)
			}
			d.delCred(ctx, alice, cred("b@c.d", ""))
		}
		if sent != codesPerHour || len(d.inbox()) != sent {
			t.Errorf("%d codes at once", sent)
		}
		for range 20 {
			time.Sleep(time.Hour)
			for i := range 5 {
				if _, err := d.setCred(ctx, alice, cred(fmt.Sprintf("b%d@c.d", i), "")); err == nil {
					sent++
				}
			}
		}
		if sent != codesPerDay || len(d.inbox()) != sent-codesPerHour {
			t.Errorf("%d codes in a day to one user's addresses", sent)
		}
		time.Sleep(4 * time.Hour) // the next day
		d.want(200, "")(d.setCred(ctx, alice, cred("b@c.d", "")))
		d.inbox()
		var kept int
		d.store.View(func(tx store.Tx) error {
			all, err := credentialsOf(tx, alice.User)
			kept = len(all)
			return err
		})
		if kept != 2 {
			t.Errorf("%d records are kept", kept)
		}
	})
}

// TestCodeRateOfAddress checks that many accounts together cannot flood one address.
func TestCodeRateOfAddress(t *testing.T) {
	d := newDesk(t, nil)
	for i := range codesPerDay + 3 {
		code, what := 201, ""
		if i >= codesPerDay {
			code, what = 429, "cred"
		}
		d.want(code, what)(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: fmt.Appendf(nil, "user%d:secret99", i), Cred: email("victim@example.org")}, nil))
	}
	if n := len(d.inbox()); n != codesPerDay {
		t.Errorf("%d codes", n)
	}
}

func TestCodeFixed(t *testing.T) {
	d := newDesk(t, nil)
	d.mailbox.fixed = "123456"
	alice, ctx := d.newUser("alice"), t.Context()
	d.want(422, "cred")(d.setCred(ctx, alice, cred("", "123456"))) // good only for what is open
	d.want(200, "")(d.setCred(ctx, alice, cred("b@c.d", "")))
	d.want(406, "cred")(d.setCred(ctx, alice, cred("", "000001")))
	d.want(200, "")(d.setCred(ctx, alice, cred("", "123456")))
	d.want(401, "")(d.login(ctx, stranger, &protocol.Login{Scheme: "code", Secret: []byte("123456:email:b@c.d")})) // nobody asked for it
}

func TestMailBusy(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	d.inbox()
	if !d.mail.reserve(mailQueue) || d.mail.reserve(1) {
		t.Fatal("the queue has another length")
	}
	d.want(503, "")(d.setCred(t.Context(), alice, cred("b@c.d", "")))
	d.want(503, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Cred: email("b@c.d")}, nil))
	d.want(503, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "reset", Secret: []byte("basic:email:alice@example.org")}))
	d.want(503, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "reset", Secret: []byte("basic:email:nobody@example.org")}))
	d.mail.release(mailQueue)
	if got := d.credsOf(alice.User); got != "email:alice@example.org!" {
		t.Errorf("credentials %s", got)
	}
}

func TestMailFails(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	d.inbox()
	d.mailbox.fails = true
	d.want(200, "")(d.setCred(t.Context(), alice, cred("b@c.d", "")))
	d.want(301, "")(d.askReset("alice@example.org"))
	in := d.inbox()
	l := d.logged.String()
	if len(in) != 2 || strings.Count(l, "550 no such user") != 2 {
		t.Fatalf("sent %v, log: %s", in, l)
	}
	for _, c := range in {
		if strings.Contains(l, c.Code) || strings.Contains(l, c.To) {
			t.Errorf("the log has a code or an address: %s", l)
		}
	}
}

// slowMail takes as long as it is let.
type slowMail struct{ *mailbox }

func (slowMail) Send(ctx context.Context, _ Code) error { <-ctx.Done(); return ctx.Err() }

func TestMailClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(c *Config) { c.Validators["email"] = slowMail{new(mailbox)} })
		d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Cred: email("b@c.d")}, nil))
		begin := time.Now()
		d.close()
		if w := time.Since(begin); w != mailGrace {
			t.Errorf("close took %v", w)
		}
		d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Cred: email("e@f.g")}, nil)) // nothing is started
		if len(d.mail.places) != 0 {
			t.Error("places are lost")
		}
	})
}
