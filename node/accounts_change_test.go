package node

import (
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
)

func TestChangePassword(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	old := d.want(200, "")(d.signIn("alice:secret99"))
	r := d.want(200, "")(d.acc(t.Context(), alice, &protocol.Acc{Scheme: "basic", Secret: []byte(":brandnew99")}, nil))
	if r.evict != alice.User || r.params["token"] == nil || r.login.User != "" || r.changed != "" {
		t.Errorf("reply %+v", r)
	}
	d.want(401, "")(d.signIn("alice:secret99"))
	d.want(200, "")(d.signIn("alice:brandnew99"))
	d.want(401, "")(d.byTokenOf(old)) // void
	d.want(200, "")(d.byTokenOf(r))   // what the answer gave is not
}

func TestChangeLogin(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	d.newUser("bob")
	d.want(409, "auth")(d.acc(t.Context(), alice, &protocol.Acc{Scheme: "basic", Secret: []byte("BOB:brandnew99")}, nil))
	d.want(200, "")(d.signIn("alice:secret99")) // nothing has changed
	if r := d.want(200, "")(d.acc(t.Context(), alice, &protocol.Acc{Scheme: "basic", Secret: []byte("Alyssa:brandnew99")}, nil)); r.changed != alice.User {
		t.Errorf("reply %+v", r)
	}
	d.want(401, "")(d.signIn("alice:brandnew99"))
	d.want(200, "")(d.signIn("alyssa:brandnew99"))
	if got := d.tagsOf(alice.User); got != "alias:alice basic:alyssa email:alice@example.org" {
		t.Errorf("tags %s", got)
	}
	d.want(200, "")(d.acc(t.Context(), alice, &protocol.Acc{Scheme: "basic", Secret: []byte("alyssa:secret99")}, nil)) // the same
	d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99")}, nil))
}

func TestChangeRefused(t *testing.T) {
	d := newDesk(t, nil)
	alice, bob := d.newUser("alice"), d.newUser("bob")
	root := caller{Identity: Identity{"usrAAAAAAAAAAA@chat.example.org", store.LevelRoot}}
	reset := func(purpose Purpose, u protocol.UserID) []byte {
		return d.tokens.Issue(Token{User: u, Purpose: purpose, Expires: time.Now().Add(time.Hour)})
	}
	for name, c := range map[string]struct {
		who  caller
		in   protocol.Acc
		code int
		what string
	}{
		"nothing to do":        {alice, protocol.Acc{}, 400, ""},
		"short password":       {alice, protocol.Acc{Scheme: "basic", Secret: []byte(":x")}, 422, "auth"},
		"no password":          {alice, protocol.Acc{Scheme: "basic", Secret: []byte("alyssa:")}, 422, "auth"},
		"short login":          {alice, protocol.Acc{Scheme: "basic", Secret: []byte("a:brandnew99")}, 422, "auth"},
		"no colon":             {alice, protocol.Acc{Scheme: "basic", Secret: []byte("alice")}, 400, ""},
		"other scheme":         {alice, protocol.Acc{Scheme: "token", Secret: []byte("x")}, 400, ""},
		"delete the scheme":    {alice, protocol.Acc{Scheme: "basic", Secret: []byte(protocol.Clear)}, 403, "auth"},
		"another user":         {alice, protocol.Acc{User: string(bob.User), Scheme: "basic", Secret: []byte(":hacked9999")}, 403, ""},
		"another, bare id":     {alice, protocol.Acc{User: bob.User.Local(), Scheme: "basic", Secret: []byte(":hacked9999")}, 403, ""},
		"no id":                {alice, protocol.Acc{User: "bob", Scheme: "basic", Secret: []byte(":hacked9999")}, 400, ""},
		"suspend another":      {alice, protocol.Acc{User: string(bob.User), Status: "susp"}, 403, ""},
		"suspend oneself":      {alice, protocol.Acc{User: string(alice.User), Status: "susp"}, 403, ""},
		"stranger":             {stranger, protocol.Acc{Scheme: "basic", Secret: []byte(":hacked9999")}, 403, ""},
		"stranger names alice": {stranger, protocol.Acc{User: string(alice.User), Scheme: "basic", Secret: []byte(":hacked9999")}, 403, ""},
		"tags alone":           {alice, protocol.Acc{Tags: []string{"basic:alice"}}, 400, ""},
		"stranger's status":    {stranger, protocol.Acc{User: string(alice.User), Status: "susp", Token: reset(ForLogin, alice.User)}, 403, ""},
		"stranger's response":  {stranger, protocol.Acc{Cred: response("1"), Token: reset(ForLogin, alice.User)}, 403, ""},
		"bad token":            {stranger, protocol.Acc{Token: []byte("AAA"), Scheme: "basic", Secret: []byte(":hacked9999")}, 400, ""},
		"bad temporary token":  {stranger, protocol.Acc{TmpScheme: "token", TmpSecret: []byte("AAA"), Scheme: "basic", Secret: []byte(":hacked9999")}, 400, ""},
		"token to validate":    {stranger, protocol.Acc{Token: reset(ForValidate, alice.User), Scheme: "basic", Secret: []byte(":hacked9999")}, 401, ""},
		"token of another":     {stranger, protocol.Acc{User: string(bob.User), Token: reset(ForReset, alice.User), Scheme: "basic", Secret: []byte(":hacked9999")}, 403, ""},
		"other temporary":      {stranger, protocol.Acc{TmpScheme: "basic", TmpSecret: []byte("alice:secret99"), Scheme: "basic", Secret: []byte(":hacked9999")}, 401, "auth"},
		"malformed code":       {stranger, protocol.Acc{TmpScheme: "code", TmpSecret: []byte("123456"), Scheme: "basic", Secret: []byte(":hacked9999")}, 400, ""},
		"code, unknown method": {stranger, protocol.Acc{TmpScheme: "code", TmpSecret: []byte("123456:fax:1"), Scheme: "basic", Secret: []byte(":hacked9999")}, 401, ""},
		"root, unknown user":   {root, protocol.Acc{User: "usrBBBBBBBBBBA", Scheme: "basic", Secret: []byte(":brandnew99")}, 404, ""},
		"root, unknown status": {root, protocol.Acc{User: string(bob.User), Status: "del"}, 400, ""},
		"root, nobody's state": {root, protocol.Acc{Status: "susp"}, 400, ""},
		"root, unknown state":  {root, protocol.Acc{User: "usrBBBBBBBBBBA", Status: "susp"}, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{accounts: d.accounts, t: t}
			d.want(c.code, c.what)(d.acc(t.Context(), c.who, &c.in, nil))
		})
	}
	d.want(200, "")(d.signIn("alice:secret99"))
	d.want(200, "")(d.signIn("bob:secret99"))
}

func TestChangeByToken(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	for i, in := range []protocol.Acc{{}, {User: string(alice.User)}, {TmpScheme: "token"}} {
		token := d.tokens.Issue(Token{User: alice.User, Epoch: uint32(i), Purpose: ForReset, Expires: time.Now().Add(time.Hour)})
		in.Scheme, in.Secret = "basic", []byte(":brandnew99")
		if in.TmpSecret = token; in.TmpScheme == "" {
			in.Token = token
		}
		r := d.want(200, "")(d.acc(t.Context(), stranger, &in, nil))
		if r.params["token"] != nil || r.evict != alice.User {
			t.Errorf("reply %+v", r)
		}
		d.want(401, "")(d.acc(t.Context(), stranger, &in, nil)) // good once
	}
	d.want(200, "")(d.signIn("alice:brandnew99"))
	if err := d.setState(alice.User, store.StateSuspended); err != nil {
		t.Fatal(err)
	}
	token := d.tokens.Issue(Token{User: alice.User, Epoch: 3, Expires: time.Now().Add(time.Hour)})
	d.want(403, "")(d.acc(t.Context(), stranger, &protocol.Acc{Token: token, Scheme: "basic", Secret: []byte(":brandnew98")}, nil))
}

func TestChangeByRoot(t *testing.T) {
	d := newDesk(t, nil)
	alice := d.newUser("alice")
	root := caller{Identity: Identity{"usrAAAAAAAAAAA@chat.example.org", store.LevelRoot}}
	r := d.want(200, "")(d.acc(t.Context(), root, &protocol.Acc{User: alice.User.Local(), Scheme: "basic", Secret: []byte(":brandnew99")}, nil))
	if r.params != nil || r.evict != alice.User {
		t.Errorf("reply %+v: root got a user's token", r)
	}
	d.want(200, "")(d.signIn("alice:brandnew99"))
	r = d.want(200, "")(d.acc(t.Context(), root, &protocol.Acc{User: string(alice.User), Status: "susp"}, nil))
	if r.evict != alice.User || d.user(alice.User).State != store.StateSuspended {
		t.Errorf("reply %+v", r)
	}
	r = d.want(200, "")(d.acc(t.Context(), root, &protocol.Acc{User: string(alice.User), Status: "ok"}, nil))
	if r.evict != "" || d.user(alice.User).State != store.StateOK {
		t.Errorf("reply %+v", r)
	}
	if err := d.setPassword(t.Context(), alice.User, "secret99"); err != nil {
		t.Error(err)
	}
	d.want(200, "")(d.signIn("alice:secret99"))
	if err := d.setPassword(t.Context(), alice.User, "x"); protocol.FaultOf(err) != protocol.Policy {
		t.Errorf("setPassword: %v", err)
	}
	if err := d.setPassword(t.Context(), "usrBBBBBBBBBBA@chat.example.org", "secret99"); protocol.FaultOf(err) != protocol.NotFound {
		t.Errorf("setPassword: %v", err)
	}
}

func TestChangeAnonymous(t *testing.T) {
	d := newDesk(t, nil)
	r := d.want(200, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Login: true}, nil))
	guest := caller{Identity: r.login}
	d.want(422, "auth")(d.acc(t.Context(), guest, &protocol.Acc{Scheme: "basic", Secret: []byte(":brandnew99")}, nil))
	d.want(200, "")(d.acc(t.Context(), guest, &protocol.Acc{Scheme: "basic", Secret: []byte("guest:brandnew99")}, nil))
	d.want(401, "")(d.byTokenOf(r))
	if r := d.want(200, "")(d.signIn("guest:brandnew99")); r.login != (Identity{guest.User, store.LevelAuth}) || d.tagsOf(guest.User) != "basic:guest" {
		t.Errorf("login %+v, tags %s", r.login, d.tagsOf(guest.User))
	}
}

func TestChangeRate(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 1e-9, 2 })
	alice := d.newUser("alice")
	in := &protocol.Acc{Scheme: "basic", Secret: []byte(":brandnew99")}
	d.want(200, "")(d.acc(t.Context(), alice, in, nil))
	d.want(200, "")(d.acc(t.Context(), alice, in, nil))
	d.want(429, "")(d.acc(t.Context(), alice, in, nil))
}
