package node

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
)

func TestSignUp(t *testing.T) {
	d := newDesk(t, nil)
	r := d.want(200, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "newABC", Scheme: "basic", Secret: []byte("Alice:secret99"), Login: true,
		Tags: []string{"Travel", "travel", "x"}, Desc: &protocol.SetDesc{Public: json.RawMessage(`{"fn":"Alice"}`), Private: json.RawMessage(`{"comment":"me"}`),
			Trusted: json.RawMessage(`{"staff":true}`)}}, nil))
	id := r.login.User
	if r.login.Level != store.LevelAuth || id.Node() != testHome || r.params["user"] != string(id) || r.params["authlvl"] != "auth" {
		t.Errorf("login %+v, params %v", r.login, r.params)
	}
	if exp, ok := r.params["expires"].(protocol.Time); !ok || time.Until(exp.Time) < 13*24*time.Hour {
		t.Errorf("expires %v", r.params["expires"])
	}
	desc, err := json.Marshal(r.params["desc"])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"public":{"fn":"Alice"}`, `"private":{"comment":"me"}`, `"defacs":{"auth":"JRWPASD","anon":"N"}`, `"created":"`, `"updated":"`, `"acs":{"want":"JPS","given":"JPS","mode":"JPS"}`} {
		if !strings.Contains(string(desc), part) {
			t.Errorf("desc %s lacks %s", desc, part)
		}
	}
	if strings.Contains(string(desc), "staff") {
		t.Error("a user made himself trusted")
	}
	if got := d.tagsOf(id); got != "alias:alice basic:alice travel" {
		t.Errorf("tags %s", got)
	}
	d.want(200, "")(d.byTokenOf(r))
	if r := d.want(200, "")(d.signIn("ALICE:secret99")); r.login != (Identity{id, store.LevelAuth}) {
		t.Errorf("login %+v", r.login)
	}
}

func TestSignUpWithoutLogin(t *testing.T) {
	d := newDesk(t, nil)
	r := d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("bob:secret99")}, nil))
	if r.login.User != "" || r.params["token"] != nil || r.params["user"] == nil {
		t.Errorf("reply %+v", r)
	}
	bob := caller{Identity: Identity{User: protocol.UserID(r.params["user"].(string)), Level: store.LevelAuth}, origin: stranger.origin}
	d.want(201, "")(d.acc(t.Context(), bob, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("carol:secret99")}, nil))
	d.want(409, "")(d.acc(t.Context(), bob, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("dave:secret99"), Login: true}, nil))
	d.want(401, "")(d.signIn("dave:secret99"))
}

func TestSignUpRefused(t *testing.T) {
	d := newDesk(t, nil)
	d.newUser("alice")
	before := d.passwords.hashed.Load()
	for _, c := range []struct {
		scheme, secret string
		change         func(*protocol.Acc)
		code           int
		what           string
	}{
		{"basic", "alice:secret99", nil, 409, "auth"},
		{"basic", "ALICE:secret99", nil, 409, "auth"},
		{"basic", "ａｌｉｃｅ:secret99", nil, 409, "auth"}, // full width
		{"basic", "ab:secret99", nil, 422, "auth"},
		{"basic", "sp ace!x:secret99", nil, 422, "auth"},
		{"basic", "-dash:secret99", nil, 422, "auth"},
		{"basic", "a@b.c:secret99", nil, 422, "auth"},
		{"basic", strings.Repeat("a", 33) + ":secret99", nil, 422, "auth"},
		{"basic", "fred:short", nil, 422, "auth"},
		{"basic", "fred:", nil, 422, "auth"},
		{"basic", "fred:" + strings.Repeat("x", 300), nil, 422, "auth"},
		{"basic", "fred", nil, 400, ""},
		{"basic", "", nil, 400, ""},
		{"basic", "fred:\xff\xfe123456", nil, 400, ""},
		{"zzz", "fred:secret99", nil, 400, ""},
		{"", "fred:secret99", nil, 400, ""},
		{"token", "fred:secret99", nil, 501, "auth"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Tags = []string{"basic:fred"} }, 403, "tags"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Tags = []string{"x1", "email:fred@example.org"} }, 403, "tags"},
		{"anonymous", "", func(a *protocol.Acc) { a.Tags = []string{"tel:+1"} }, 403, "tags"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Tags = []string{"alias:alice"} }, 409, "tags"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Tags = []string{"alias:fred", "alias:fritz"} }, 400, "tags"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Cred = email("nowhere") }, 400, "email"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Cred = email("alice@example.org") }, 409, "cred"},
		{"basic", "fred:secret99", func(a *protocol.Acc) { a.Desc = &protocol.SetDesc{Defacs: &protocol.Defacs{Auth: "JX"}} }, 400, ""},
	} {
		in := &protocol.Acc{User: "new", Scheme: c.scheme, Secret: []byte(c.secret), Login: true}
		if c.change != nil {
			c.change(in)
		}
		t.Run(fmt.Sprintf("%s %.20q", c.scheme, c.secret), func(t *testing.T) {
			d := &desk{accounts: d.accounts, t: t}
			d.want(c.code, c.what)(d.acc(t.Context(), stranger, in, nil))
		})
	}
	if n := d.passwords.hashed.Load() - before; n != 2 { // both Cred and alias are only seen in the transaction
		t.Errorf("refused sign-ups cost %d hashes", n)
	}
	if d.want(401, "")(d.signIn("fred:secret99")); len(d.inbox()) != 0 {
		t.Error("a refused sign-up left an account, or sent a code")
	}
}

func TestSignUpAnonymous(t *testing.T) {
	d := newDesk(t, required)
	r := d.want(200, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Login: true}, nil))
	if r.login.Level != store.LevelAnon || r.params["authlvl"] != "anon" {
		t.Errorf("reply %+v", r)
	}
	if r := d.want(200, "")(d.byTokenOf(r)); r.login.Level != store.LevelAnon {
		t.Errorf("login %+v", r.login)
	}
	d.want(401, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "anonymous", Secret: []byte("x")}))
	if d.passwords.hashed.Load() != 0 {
		t.Error("an anonymous account cost a hash")
	}
}

func TestSignUpDefacs(t *testing.T) {
	d := newDesk(t, nil)
	for i, c := range []struct{ auth, anon, want string }{
		{"", "", "JRWPASD/N"}, {"JR", "", "JR/N"}, {"N", "JR", "N/JR"}, {"JRWPASDO", "O", "JRWPASD/N"}, {"-P", "+J", "JRWASD/J"},
	} {
		r := d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: fmt.Appendf(nil, "user%d:secret99", i),
			Desc: &protocol.SetDesc{Defacs: &protocol.Defacs{Auth: c.auth, Anon: c.anon}}}, nil))
		u := d.user(protocol.UserID(r.params["user"].(string)))
		if got := u.Defacs.Auth.String() + "/" + u.Defacs.Anon.String(); got != c.want {
			t.Errorf("defacs %q %q give %s", c.auth, c.anon, got)
		}
	}
}

func TestSignUpAlias(t *testing.T) {
	d := newDesk(t, nil)
	for _, c := range []struct{ login, tag, want string }{
		{"alice", "", "alias:alice basic:alice"},
		{"bob", "alias:robert", "alias:robert basic:bob"},
		{"robert", "", "basic:robert"}, // taken
		{"jürgen", "", "basic:jürgen"}, // not ASCII
		{"carol", protocol.Clear, "alias:carol basic:carol"},
	} {
		in := &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte(c.login + ":secret99"), Login: true}
		if c.tag != "" {
			in.Tags = []string{c.tag}
		}
		r := d.want(200, "")(d.acc(t.Context(), stranger, in, nil))
		if got := d.tagsOf(r.login.User); got != c.want {
			t.Errorf("%s has tags %s", c.login, got)
		}
	}
}

func TestSignUpRequired(t *testing.T) {
	d := newDesk(t, required)
	in := &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99"), Login: true}
	d.want(422, "cred")(d.acc(t.Context(), stranger, in, nil))
	d.want(201, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("bob:secret99"), Cred: email("bob@example.org")}, nil))
	d.want(409, "auth")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("bob:secret99")}, nil)) // rather than 422
	d.inbox()
	in.Cred = append(email("Alice@example.org"), protocol.Credential{Method: "tel", Value: "+1"}, protocol.Credential{Method: "email", Value: "second@example.org"})
	r := d.want(300, "")(d.acc(t.Context(), stranger, in, nil))
	if r.login.User != "" || r.params["token"] == nil || fmt.Sprint(r.params["cred"]) != "[email]" || r.params["authlvl"] != "auth" || r.params["desc"] == nil {
		t.Errorf("reply %+v", r)
	}
	code := d.lastCode("alice@example.org")
	d.want(300, "")(d.byTokenOf(r))
	d.want(300, "")(d.signIn("alice:secret99"))
	token := r.params["token"].([]byte)
	_, err := d.authenticate(t.Context(), "token", token, stranger.origin)
	d.want(403, "cred")(reply{}, err)
	d.want(401, "")(d.acc(t.Context(), stranger, &protocol.Acc{Token: token, Scheme: "basic", Secret: []byte(":brandnew99")}, nil))
	login := &protocol.Login{Scheme: "token", Secret: token, Cred: response("000000")}
	if r := d.want(300, "")(d.login(t.Context(), stranger, login)); r.params["token"] == nil {
		t.Error("no token to try again with")
	}
	login.Cred = response(code)
	r = d.want(200, "")(d.login(t.Context(), stranger, login))
	if r.login.User == "" || r.changed != r.login.User {
		t.Errorf("reply %+v", r)
	}
	if got := d.credsOf(r.login.User) + " " + d.tagsOf(r.login.User); got != "email:alice@example.org! alias:alice basic:alice email:alice@example.org" {
		t.Errorf("credentials and tags: %s", got)
	}
	d.want(200, "")(d.signIn("alice:secret99"))
}

func TestSignUpIgnoresCredentials(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Validators, c.Required = nil, []string{"email"} })
	r := d.want(200, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99"), Login: true, Cred: email("x@y.z")}, nil))
	if got := d.credsOf(r.login.User); got != "" {
		t.Errorf("credentials %s", got)
	}
	d.want(400, "cred")(d.setCred(t.Context(), stranger, &protocol.Credential{Method: "email", Value: "x@y.z"}))
	d.want(501, "")(d.login(t.Context(), stranger, &protocol.Login{Scheme: "reset", Secret: []byte("basic:email:x@y.z")}))
}

func TestSignUpClosed(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Closed = true })
	for _, scheme := range []string{"basic", "anonymous"} {
		d.want(403, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: scheme, Secret: []byte("alice:secret99")}, nil))
	}
	root := caller{Identity: Identity{"usrAAAAAAAAAAA@chat.example.org", store.LevelRoot}}
	d.want(201, "")(d.acc(t.Context(), root, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99"), Desc: &protocol.SetDesc{Trusted: json.RawMessage(`{"staff":true}`)}}, nil))
	if id, err := d.create(t.Context(), "bob", "secret99", store.LevelRoot, []byte(`{"fn":"Bob"}`)); err != nil || d.user(id).Level != store.LevelRoot || string(d.user(id).Public) != `{"fn":"Bob"}` {
		t.Errorf("create: %v, %v", id, err)
	}
	if _, err := d.create(t.Context(), "Bob", "secret99", store.LevelAuth, nil); protocol.FaultOf(err) != protocol.Exists {
		t.Errorf("create twice: %v", err)
	}
}

func TestSignUpFiles(t *testing.T) {
	d := newDesk(t, nil)
	err := d.store.Update(func(tx store.Tx) error { return tx.PutFile(&store.File{ID: "avatar", Created: time.Now()}) })
	if err != nil {
		t.Fatal(err)
	}
	r := d.want(200, "")(d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "anonymous", Login: true}, []string{"avatar", "unknown"}))
	uses := func() (n int) {
		d.store.View(func(tx store.Tx) error {
			f, err := tx.File("avatar")
			n = f.Uses
			return err
		})
		return n
	}
	if uses() != 1 {
		t.Errorf("the avatar has %d uses", uses())
	}
	if err := d.store.Update(func(tx store.Tx) error { return d.erase(tx, r.login.User, true) }); err != nil || uses() != 0 {
		t.Errorf("after the account is gone: %v, %d uses", err, uses())
	}
}

func TestSignUpRate(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Limits.SignupRate, c.Limits.SignupBurst = 1e-9, 3 })
	try := func(code int, from, home string) {
		t.Helper()
		c := stranger
		c.origin.Addr = netip.MustParseAddr(from)
		d.home = protocol.Node(home)
		d.want(code, "")(d.acc(t.Context(), c, &protocol.Acc{User: "new", Scheme: "anonymous"}, nil))
	}
	for range 3 {
		try(201, "2001:db8::1", testHome)
	}
	try(429, "2001:db8::2", testHome) // of the same /64
	try(201, "2001:db8:0:1::1", testHome)
	for range 4 {
		try(201, "127.0.0.1", "localhost") // a node for its own machine
	}
	for range 3 {
		try(201, "127.0.0.1", testHome)
	}
	try(429, "::ffff:127.0.0.1", testHome)
}

// TestSignUpTogether lets many ask for one login at once: exactly one gets it.
func TestSignUpTogether(t *testing.T) {
	d := newDesk(t, nil)
	var wg sync.WaitGroup
	codes := make([]int, 16)
	for i := range codes {
		wg.Go(func() {
			r, err := d.acc(t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte("alice:secret99"), Login: true}, nil)
			if codes[i] = r.code; err != nil {
				codes[i] = protocol.FaultOf(err).Code()
			}
		})
	}
	wg.Wait()
	won := 0
	for _, c := range codes {
		if c == 200 {
			won++
		} else if c != 409 {
			t.Errorf("code %d", c)
		}
	}
	if won != 1 {
		t.Errorf("%d got the login", won)
	}
	users := 0
	d.store.View(func(tx store.Tx) error {
		for range tx.AllUsers() {
			users++
		}
		return nil
	})
	if users != 1 {
		t.Errorf("%d users were stored", users)
	}
}
