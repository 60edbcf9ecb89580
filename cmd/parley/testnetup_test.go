package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
	"parley/testnet/live"
	lab "parley/testnet/run"
)

// up is "parley testnet up" that runs.
type up struct {
	*process
	dir string
}

func startUp(t *testing.T, args ...string) *up {
	t.Helper()
	u := &up{&process{t: t, out: &lockedBuffer{}, errs: &lockedBuffer{}, done: make(chan struct{})}, t.TempDir()}
	u.cmd = command(t, context.Background(), append([]string{"testnet", "up", "--port", "0", "--dir", u.dir}, args...)...)
	u.cmd.Stdout, u.cmd.Stderr = u.out, u.errs
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u.wg.Go(func() {
		u.cmd.Wait()
		close(u.done)
	})
	t.Cleanup(func() {
		u.cmd.Process.Kill()
		u.wg.Wait()
	})
	u.says("http://")
	u.until("begin", func() bool { return u.view().At > 0 })
	return u
}

func (u *up) view() *lab.View {
	u.t.Helper()
	v := &lab.View{}
	if err := json.Unmarshal([]byte(good(u.t, "", "testnet", "status", "--json", "--dir", u.dir)), v); err != nil {
		u.t.Fatal(err)
	}
	return v
}

func (u *up) order(args ...string) {
	good(u.t, "", append([]string{"testnet"}, append(args, "--dir", u.dir)...)...)
}

// outsider is a client with an account of its own.
func (u *up) outsider(url, login string) (*client.Client, string) {
	u.t.Helper()
	c, err := testnet.Dial(u.t.Context(), "ws"+strings.TrimPrefix(url, "http")+"v0/channels", client.Config{})
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { c.Close() })
	if _, err := c.Hi(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
	s, err := c.CreateAccount(u.t.Context(), client.Account{Login: login, Password: "secret of " + login})
	if err != nil {
		u.t.Fatal(err)
	}
	if _, err := c.Subscribe(u.t.Context(), &protocol.Sub{Topic: "me"}); err != nil {
		u.t.Fatal(err)
	}
	return c, s.User
}

func TestTestnetUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.toml")
	text := "[[nodes]]\nname = \"n\"\ncount = 3\n[[users]]\n[[work]]\nkind = \"chat\"\n[[check]]\nthat = \"lost == 0\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	u := startUp(t, file, "--pace", "3x")
	v := u.view()
	if len(v.Nodes) != 3 || v.Pace != 3 || len(v.Logins) == 0 {
		t.Errorf("%+v", v)
	}
	ann, annID := u.outsider(v.Nodes[0].URL, "ann")
	bea, _ := u.outsider(v.Nodes[1].URL, "bea")
	if _, err := bea.Subscribe(t.Context(), &protocol.Sub{Topic: annID}); err != nil {
		t.Fatalf("from one node to another: %v", err)
	}
	if _, err := bea.Publish(t.Context(), annID, "hello"); err != nil {
		t.Fatal(err)
	}
	u.until("bring the message", func() bool {
		subs, err := ann.GetSubs(t.Context(), "me")
		if err != nil {
			t.Fatal(err)
		}
		return len(subs) > 0
	})
	u.orders()
	u.signal(syscall.SIGINT)
	if code, _ := u.wait(); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, u.out, u.errs)
	}
	if _, err := os.Stat(filepath.Join(u.dir, "mine", "latest", "report.html")); err != nil {
		t.Error(err)
	}
	fails(t, exitUsage, parley(t, "", "testnet", "status", "--dir", u.dir), "no federation goes on")
}

// orders tries what can be ordered.
func (u *up) orders() {
	t := u.t
	u.order("cut", "n1", "n2", "--for", "1h")
	u.order("kill", "n3")
	u.until("end n3", func() bool { return !u.view().Nodes[2].Up })
	if faults := strings.Join(u.view().Faults, " "); !strings.Contains(faults, "n1 | n2") {
		t.Errorf("wrong is %q", faults)
	}
	if r, err := http.Get(u.view().Nodes[2].URL); err == nil {
		r.Body.Close()
		t.Error("who is killed answers")
	}
	fails(t, exitUsage, parley(t, "", "testnet", "kill", "n9", "--dir", u.dir), `"n9" is none of the nodes`)
	u.order("event", "do = \"slow-disk\"\nnodes = [\"n1\"]\ndelay = \"10ms\"")
	u.order("restart", "n2")
	u.order("heal")
	u.until("heal", func() bool {
		v := u.view()
		return v.Nodes[1].Up && v.Nodes[2].Up && len(v.Faults) == 0
	})
	h, err := live.Read(u.dir)
	if err != nil {
		t.Fatal(err)
	}
	h.Token = "guessed"
	if err := h.Do(t.Context(), "heal", ""); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("without the token: %v", err)
	}
	if info, err := os.Stat(filepath.Join(u.dir, ".up.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
