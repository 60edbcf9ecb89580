package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/config"
	"parley/node"
	"parley/node/auth"
	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

// The defaults that the reference states are those of the node.
func TestDefaultsAreTheNodes(t *testing.T) {
	s := config.New()
	s.Node.Data = t.TempDir()
	p, err := assemble(t.Context(), s, assembly{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	bare, err := node.New(node.Config{Store: p.store, Passwords: auth.NewArgon2(auth.Params{}, 0), Tokens: tokens(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := nodeConfig(s).Limits, bare.Limits(); got != want {
		t.Errorf("limits of the settings\n%+v, of the node\n%+v", got, want)
	}
}

func tokens(t *testing.T) node.Tokens {
	t.Helper()
	k, err := auth.NewTokens(make([]byte, auth.SecretLen), "localhost", auth.Lifetimes{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What a file says is what clients meet.
func TestSettingsReachClients(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, config.FileName)
	text := `[node]
name = "a.localhost"
[http]
api_keys = ["our-own-key"]
[accounts]
required = ["email"]
[email]
sender = "log"
[files]
max_size = "1MiB"
[limits]
max_message = "64KiB"
max_subscribers = 7
delete_age = "1h"
[calls]
timeout = "20s"
[[calls.ice]]
urls = ["turn:turn.example.org"]
username = "u"
credential = "c"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, data)
	url := "ws" + strings.TrimPrefix(p.run.HTTP, "http") + "v0/channels"
	c, err := testnet.Dial(t.Context(), url, client.Config{APIKey: "our-own-key"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	says := c.Server()
	if says.MaxMessage != 64<<10 || says.MaxSubscribers != 7 || says.MaxFile != 1<<20 || says.MsgDelAge != 3600 ||
		says.CallTimeout != 20 {
		t.Errorf("the node says %+v", says)
	}
	if got, want := string(says.ICE), `[{"credential":"c","urls":["turn:turn.example.org"],"username":"u"}]`; got != want {
		t.Errorf("ICE servers are %s, want %s", got, want)
	}
	if _, err := testnet.Dial(t.Context(), url, client.Config{}); err == nil {
		t.Error("the public key is good as well")
	}
	confirmByFile(t, c, data)
	good(t, "secret2", "user", "add", "bob", "--email", "Bob@example.org", "--password-stdin", "--data", data)
	add := func(args ...string) result {
		return parley(t, "secret3", append([]string{"user", "add", "carol", "--password-stdin", "--data", data}, args...)...)
	}
	fails(t, exitFailed, add("--email", "bob@example.org"), "another user's")
	fails(t, exitFailed, add("--email", "nonsense"), "not an e-mail address")
	fails(t, exitFailed, add("--tel", "+14155550100"), "tel.sender")
	if _, ok := users(t, data)["carol"]; ok {
		t.Error("carol is there in spite of all")
	}
	b, err := testnet.Dial(t.Context(), url, client.Config{APIKey: "our-own-key"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if session, err := b.LoginBasic(t.Context(), "bob", "secret2"); err != nil || len(session.Unvalidated) != 0 {
		t.Errorf("a user whom the operator added must confirm %+v (%v)", session, err)
	}
	p.stop()
}

// confirmByFile signs up and confirms the address with the code that was "sent".
func confirmByFile(t *testing.T, c *client.Client, data string) {
	t.Helper()
	session, err := c.CreateAccount(t.Context(), client.Account{
		Login: "alice", Password: "secret1", Cred: []protocol.Credential{{Method: "email", Value: "alice@example.org"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(session.Unvalidated) != 1 {
		t.Errorf("nothing to confirm: %+v", session)
	}
	var line []string
	p := &process{t: t}
	p.until("write the code", func() bool {
		text, err := os.ReadFile(dataDir(data).codes())
		line = strings.Fields(string(text))
		return err == nil && len(line) == 5
	})
	cred := []protocol.Credential{{Method: "email", Response: line[4]}}
	session, err = c.Login(t.Context(), "token", session.Token, cred)
	if err != nil || len(session.Unvalidated) != 0 {
		t.Errorf("confirmed with %q: %+v (%v)", line, session, err)
	}
}

// A program that sends codes, and one that is not there.
func TestSenders(t *testing.T) {
	p := &parts{data: dataDir(t.TempDir())}
	s := config.New()
	s.Email.SMTPPasswordFile = filepath.Join(t.TempDir(), "password")
	if _, err := p.sender(s, config.SendSMTP, nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "smtp_password_file") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(s.Email.SMTPPasswordFile, []byte("geheim \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if password, err := passwordFile(s.Email.SMTPPasswordFile); err != nil || password != "geheim " {
		t.Errorf("password %q (%v)", password, err)
	}
	s.Email.SMTP, s.Email.From = "127.0.0.1:25", "chat@example.org"
	for _, kind := range []string{config.SendSMTP, config.SendExec, config.SendLog, config.SendLog} {
		if _, err := p.sender(s, kind, []string{"/bin/true"}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := p.close(); err != nil { // one file of codes
		t.Error(err)
	}
}

// In one process as over a network: answers, refusals, and answers that are cut.
func TestLocalTransport(t *testing.T) {
	l := &local{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Path", r.URL.Path)
		switch r.URL.Path {
		case "/nothing":
		case "/refused":
			w.WriteHeader(http.StatusConflict)
			w.WriteHeader(http.StatusOK)
		case "/cut":
			_, _ = w.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		default:
			_, _ = w.Write(body)
		}
	})}
	defer l.wg.Wait()
	c := &http.Client{Transport: l}
	for _, x := range []struct {
		path string
		code int
		body string
		err  error
	}{
		{"/echo", 200, "hello", nil}, {"/nothing", 200, "", nil}, {"/refused", 409, "", nil}, {"/cut", 200, "half", io.ErrUnexpectedEOF},
	} {
		resp, err := c.Post("http://node.invalid"+x.path, "", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != x.code || string(body) != x.body || !errors.Is(err, x.err) || resp.Header.Get("X-Path") != x.path {
			t.Errorf("%s: %d %q (%v)", x.path, resp.StatusCode, body, err)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{clean("a\x1b[31mb\n\u202ec"), "a�[31mb��c"},
		{bytesOf(0), "0 bytes"}, {bytesOf(2048), "2.0 KiB"}, {bytesOf(3 << 29), "1.5 GiB"},
		{quoteArg("/a/b-1"), "/a/b-1"}, {quoteArg("it's"), `'it'\''s'`}, {quoteArg(""), "''"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	var b bytes.Buffer
	tb := newTable(&b, "A", "B")
	tb.row("x\ty", strings.Repeat("é", 100))
	if err := tb.flush(); err != nil || b.String() != "A    B\nx�y  "+strings.Repeat("é", maxCell-1)+"…\n" {
		t.Errorf("table %q (%v)", b.String(), err)
	}
	var run runFile
	if err := json.Unmarshal([]byte(`{"pid":1,"admin":"a","http":"h","token":"t"}`), &run); err != nil || run.Token != "t" {
		t.Errorf("run file %+v (%v)", run, err)
	}
}
