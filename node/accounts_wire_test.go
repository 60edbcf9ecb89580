package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"parley/node"
	"parley/node/auth"
)

// TestAccountsOnTheWire takes an account from sign-up to a forgotten password with
// the real hashes, tokens and letters, as a client and its user see it.
func TestAccountsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var letters, log bytes.Buffer
		w := newWorld(t, func(c *node.Config) {
			v, err := auth.NewEmail("localhost", auth.Options{Sender: auth.NewWriter(&letters)})
			if err != nil {
				t.Fatal(err)
			}
			c.Validators, c.Required = map[string]node.Validator{"email": v}, []string{"email"}
			c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		defer w.end()
		code := func() string { // the last that was sent
			synctest.Wait()
			f := strings.Fields(letters.String())
			return f[len(f)-1]
		}
		basic := func(secret string) string { b, _ := json.Marshal([]byte(secret)); return string(b) }
		login := func(session, secret string, want int) map[string]any {
			return w.ask(session, fmt.Sprintf(`{"login":{"id":"l","scheme":"basic","secret":%s}}`, basic(secret)), want)
		}
		byToken := func(session string, token any, cred string, want int) map[string]any {
			return w.ask(session, fmt.Sprintf(`{"login":{"id":"t","scheme":"token","secret":%q,"cred":[%s]}}`, token, cred), want)
		}

		w.open("a")
		p := w.ask("a", `{"acc":{"id":"1","user":"new1","scheme":"basic","secret":`+basic("Alice:secret-99")+`,"login":true,"cred":[{"meth":"email","val":"Alice@Example.org"}]}}`, 300)
		w.ask("a", `{"sub":{"id":"2","topic":"me"}}`, 401)
		byToken("a", p["token"], `{"meth":"email","resp":"x"}`, 300)
		p = byToken("a", p["token"], `{"meth":"email","resp":"`+code()+`"}`, 200)
		w.ask("a", `{"sub":{"id":"3","topic":"me"}}`, 200)
		first := p["token"]

		w.open("b")
		login("b", "alice:wrong-99", 401)
		login("b", "alice:secret-99", 200)
		w.ask("a", `{"acc":{"id":"4","scheme":"basic","secret":`+basic(":secret-98")+`}}`, 200)
		synctest.Wait()
		if w.pipes["b"].send("1") {
			t.Error("another session goes on after the password was changed")
		}
		w.open("c")
		byToken("c", first, "", 401)
		login("c", "alice:secret-99", 401)
		w.ask("c", `{"login":{"id":"5","scheme":"reset","secret":`+basic("basic:email:nobody@example.org")+`}}`, 301)
		w.ask("c", `{"login":{"id":"6","scheme":"reset","secret":`+basic("basic:email:alice@example.org")+`}}`, 301)
		byCode := func(secret string, want int) {
			w.ask("c", `{"acc":{"id":"7","tmpscheme":"code","tmpsecret":`+basic(code()+":email:alice@example.org")+`,"scheme":"basic","secret":`+basic(secret)+`}}`, want)
		}
		byCode(":short", 422)
		byCode(":secret-97", 200)
		byCode(":secret-96", 401)
		login("c", "alice:secret-97", 200)

		synctest.Wait()
		if n := strings.Count(letters.String(), "\n"); n != 2 {
			t.Errorf("%d letters:\n%s", n, &letters)
		}
		for _, secret := range []string{"secret-9", "wrong-9", "example.org", fmt.Sprint(first), code()} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log has %q:\n%s", secret, &log)
			}
		}
	})
}
