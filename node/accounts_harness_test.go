package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
	"parley/store/bolt"
)

// countedPasswords stands in for node/auth, which a test inside of package node
// cannot import; it counts, so that equal work can be checked without a clock.
type countedPasswords struct {
	hashed, verified atomic.Int32
	cost             atomic.Int32 // in force; part of a hash
	known            atomic.Bool  // the last to be verified had a hash
}

func (p *countedPasswords) Hash(ctx context.Context, password string) ([]byte, error) {
	p.hashed.Add(1)
	return fmt.Appendf(nil, "%d$%s", p.cost.Load(), password), ctx.Err()
}

func (p *countedPasswords) Verify(ctx context.Context, hash []byte, password string) (bool, error) {
	p.verified.Add(1)
	p.known.Store(len(hash) > 0)
	_, known, found := strings.Cut(string(hash), "$")
	return found && known == password, ctx.Err()
}

func (p *countedPasswords) Outdated(hash []byte) bool {
	return !strings.HasPrefix(string(hash), fmt.Sprintf("%d$", p.cost.Load()))
}

// openTokens are tokens that say what they are.
type openTokens struct{}

func (openTokens) Issue(t Token) []byte { b, _ := json.Marshal(t); return b }

func (openTokens) Read(b []byte, now time.Time) (t Token, err error) {
	if json.Unmarshal(b, &t) != nil {
		return t, protocol.Malformed
	}
	if !now.Before(t.Expires) {
		return t, protocol.BadLogin
	}
	return t, nil
}

func (openTokens) Lifetime(p Purpose) time.Duration {
	return map[Purpose]time.Duration{ForLogin: 14 * 24 * time.Hour, ForValidate: 24 * time.Hour, ForReset: time.Hour}[p]
}

// mailbox is a validator that keeps what it sends.
type mailbox struct {
	fixed string
	fails bool

	mu   sync.Mutex
	sent []Code
}

func (m *mailbox) Normalise(value, _ string) (string, error) {
	if !strings.Contains(value, "@") {
		return "", errors.New("no address")
	}
	return strings.ToLower(value), nil
}

func (m *mailbox) Send(_ context.Context, c Code) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, c)
	if m.fails {
		return fmt.Errorf("550 no such user <%s>: %s", c.To, c.Code)
	}
	return nil
}

func (m *mailbox) FixedCode() string { return m.fixed }

// desk is the accounts of a node of its own.
type desk struct {
	*accounts
	t         *testing.T
	passwords *countedPasswords
	mailbox   *mailbox
	logged    *strings.Builder
}

const testHome = "chat.example.org"

var stranger = caller{lang: "en-US", origin: Origin{Addr: netip.MustParseAddr("192.0.2.1")}}

func newDesk(t *testing.T, change func(*Config)) *desk {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "parley.db"), bolt.Options{Node: testHome, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, passwords: new(countedPasswords), mailbox: new(mailbox), logged: new(strings.Builder)}
	cfg := Config{Store: db, Passwords: d.passwords, Tokens: openTokens{}, Log: slog.New(slog.NewTextHandler(d.logged, nil)),
		Validators: map[string]Validator{"email": d.mailbox}}
	cfg.setDefaults()
	if change != nil {
		change(&cfg)
	}
	d.accounts = newAccounts(cfg, testHome)
	t.Cleanup(func() {
		d.close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		for _, secret := range []string{"secret99", "brandnew99", "$"} {
			if strings.Contains(d.logged.String(), secret) {
				t.Errorf("the log has a secret:\n%s", d.logged)
			}
		}
	})
	return d
}

// required makes e-mail required.
func required(c *Config) { c.Required = []string{"email"} }

// inbox waits until all codes are sent and takes them.
func (d *desk) inbox() []Code {
	d.mail.jobs.Wait()
	d.mailbox.mu.Lock()
	defer d.mailbox.mu.Unlock()
	sent := d.mailbox.sent
	d.mailbox.sent = nil
	return sent
}

// lastCode is the code last sent, which must be to an address.
func (d *desk) lastCode(to string) string {
	d.t.Helper()
	in := d.inbox()
	if len(in) == 0 || in[len(in)-1].To != to {
		d.t.Fatalf("no code was sent to %s, but %v", to, in)
	}
	return in[len(in)-1].Code
}

func email(value string) []protocol.Credential {
	return []protocol.Credential{{Method: "email", Value: value}}
}

func response(code string) []protocol.Credential {
	return []protocol.Credential{{Method: "email", Response: code}}
}

// newUser signs up name with "secret99" and confirms name@example.org.
func (d *desk) newUser(name string) caller {
	d.t.Helper()
	r := d.want(200, "")(d.acc(d.t.Context(), stranger, &protocol.Acc{User: "new", Scheme: "basic", Secret: []byte(name + ":secret99"), Login: true}, nil))
	c := stranger
	c.Identity = r.login
	d.want(200, "")(d.setCred(d.t.Context(), c, &protocol.Credential{Method: "email", Value: name + "@example.org"}))
	d.want(200, "")(d.setCred(d.t.Context(), c, &protocol.Credential{Method: "email", Response: d.lastCode(name + "@example.org")}))
	return c
}

// want checks code and params.what of an answer.
func (d *desk) want(code int, what string) func(reply, error) reply {
	d.t.Helper()
	return func(r reply, err error) reply {
		d.t.Helper()
		got, gotWhat := r.code, ""
		if err != nil {
			got = protocol.FaultOf(err).Code()
			if e := new(protocol.Error); errors.As(err, &e) {
				gotWhat = e.What
			}
			if r.login.User != "" {
				d.t.Errorf("%v, and a login", err)
			}
		}
		if got != code || gotWhat != what {
			d.t.Errorf("answer %d %q (%v), want %d %q", got, gotWhat, err, code, what)
		}
		return r
	}
}

// user reads a record.
func (d *desk) user(id protocol.UserID) *store.User {
	d.t.Helper()
	var u *store.User
	if err := d.store.View(func(tx store.Tx) (err error) { u, err = tx.User(id); return err }); err != nil {
		d.t.Fatal(err)
	}
	return u
}

func (d *desk) tagsOf(id protocol.UserID) string { return strings.Join(d.user(id).Tags, " ") }

// credsOf is what {get cred} shows, as "method:value", with a "!" if confirmed.
func (d *desk) credsOf(id protocol.UserID) string {
	d.t.Helper()
	var out []string
	err := d.store.View(func(tx store.Tx) error {
		list, err := d.creds(tx, id)
		for _, c := range list {
			s := c.Method + ":" + c.Value
			if c.Done {
				s += "!"
			}
			out = append(out, s)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(out, " ")
}

// signIn logs in with "login:password".
func (d *desk) signIn(secret string) (reply, error) {
	return d.login(d.t.Context(), stranger, &protocol.Login{Scheme: "basic", Secret: []byte(secret)})
}

func (d *desk) byTokenOf(r reply) (reply, error) {
	token, _ := r.params["token"].([]byte)
	return d.login(d.t.Context(), stranger, &protocol.Login{Scheme: "token", Secret: token})
}
