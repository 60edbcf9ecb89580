package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/node/httpd"
	"parley/protocol"
	"parley/protocol/client"
)

func TestInit(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "b")
	out := good(t, "", "init", "--data", data, "--name", "Chat.Example.org")
	pin := strings.TrimSpace(good(t, "", "key", "--data", data))
	if !strings.Contains(out, "node  chat.example.org\nkey   "+pin+"\n") || !strings.HasPrefix(pin, "ed25519:") {
		t.Errorf("init says %q, the key is %q", out, pin)
	}
	s, err := config.Load(dataDir(data).path(config.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if s.Node.Name != "chat.example.org" || s.Node.Data != data {
		t.Errorf("the file says %+v", s.Node)
	}
	if got, want := good(t, "", "config", "check", "--data", data), config.FileName+" is good\n"; !strings.HasSuffix(got, want) {
		t.Errorf("config check says %q", got)
	}
	before, err := os.ReadFile(dataDir(data).path(config.FileName))
	if err != nil {
		t.Fatal(err)
	}
	fails(t, exitFailed, parley(t, "", "init", "--data", data), "is there already")
	if after, err := os.ReadFile(dataDir(data).path(config.FileName)); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed (%v)", err)
	}
	if again := strings.TrimSpace(good(t, "", "key", "--data", data)); again != pin {
		t.Errorf("the key has changed from %s to %s", pin, again)
	}
	p := start(t, data)
	if !strings.Contains(p.out.String(), "node chat.example.org") {
		t.Errorf("the node has not the name of its settings: %s", p.out)
	}
	p.stop()
	fails(t, exitUsage, parley(t, "", "init", "--data", t.TempDir(), "--name", "192.0.2.1"), "--name: ", "not an IP address")
}

// Whoever has used a program knows its name from its errors.
func TestUsage(t *testing.T) {
	fails(t, exitUsage, parley(t, "", "server"), `unknown command "server"`, "parley --help")
	fails(t, exitUsage, parley(t, "", "serve", "--prot", "1"), "unknown flag", "parley serve --help")
	fails(t, exitUsage, parley(t, "", "user", "add"), "accepts 1 arg", "parley user add LOGIN")
	fails(t, exitUsage, parley(t, "", "user", "lst"), `unknown command "lst" for "parley user"; did you mean "list"?`, "parley user --help")
	fails(t, exitUsage, parley(t, "", "completion", "tcsh"), `unknown command "tcsh"`)
	fails(t, exitUsage, parley(t, "", "help", "server"), `unknown command "server"`)
	fails(t, exitUsage, parley(t, "", "help", "user", "lst"), `unknown command "lst"`)
	good(t, "", "user")
	good(t, "", "user", "lst", "--help")
	good(t, "", "help", "user", "list")
	fails(t, exitUsage, parley(t, "", "serve", "--config", "/nonexistent.toml"), "--config: /nonexistent.toml does not exist")
	fails(t, exitFailed, parley(t, "", "user", "list", "--data", "/nonexistent"), "no node's data in /nonexistent", "parley serve")
	file := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(file, []byte("[http]\nlisen = \":80\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, exitUsage, parley(t, "", "serve", "--config", file), file+`:2:1: there is no setting "http.lisen"; did you mean "listen"?`)
	fails(t, exitUsage, parley(t, "", "config", "check", "--config", file), "c.toml:2:1")
}

// Every command says what it does, and what it takes.
func TestHelp(t *testing.T) {
	each(newRoot(), func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no short text", c.CommandPath())
		}
		if len(c.Commands()) == 0 && c.RunE == nil {
			t.Errorf("%s does nothing", c.CommandPath())
		}
	})
	for _, command := range []string{"serve", "user add", "backup", "restore", "init"} {
		if out := good(t, "", append(strings.Fields(command), "--help")...); !strings.Contains(out, "Examples:\n") {
			t.Errorf("the help of %s has no example", command)
		}
	}
}

func TestVersion(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(good(t, "", "version", "--json")), &b); err != nil || b.Version == "" || b.Go == "" {
		t.Errorf("version is %+v (%v)", b, err)
	}
	for _, word := range []string{"version", "--version"} {
		if out := good(t, "", word); !strings.HasPrefix(out, "parley "+b.Version+" (go") {
			t.Errorf("%s says %q", word, out)
		}
	}
}

// What could not be printed was not done well.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full here: ", err)
	}
	defer full.Close()
	var errs strings.Builder
	if code := run(t.Context(), []string{"config", "check", "--data", t.TempDir()}, strings.NewReader(""), full, &errs); code != exitFailed || !strings.Contains(errs.String(), "no space") {
		t.Errorf("exit code %d, and it says %q", code, errs.String())
	}
}

func TestReferenceIsPrinted(t *testing.T) {
	if good(t, "", "config", "reference") != config.Reference() {
		t.Error("the reference is another")
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := good(t, "", "completion", shell); !strings.Contains(out, "parley") {
			t.Errorf("completion for %s is %.100q", shell, out)
		}
	}
	data := t.TempDir()
	good(t, "secret1\n", "user", "add", "alice", "--password-stdin", "--full-name", "Alice J", "--data", fresh(t, data))
	out := good(t, "", "__complete", "user", "passwd", "--data", data, "a")
	if !strings.HasPrefix(out, "alice\tAlice J\n") {
		t.Errorf("completion of a login is %q", out)
	}
}

// fresh makes a node's data.
func fresh(t *testing.T, data string) string {
	t.Helper()
	start(t, data).stop()
	return data
}

func users(t *testing.T, data string) map[string]httpd.AdminUser {
	t.Helper()
	var list []httpd.AdminUser
	if err := json.Unmarshal([]byte(good(t, "", "user", "list", "--json", "--data", data)), &list); err != nil {
		t.Fatal(err)
	}
	all := map[string]httpd.AdminUser{}
	for _, u := range list {
		all[u.Login] = u
	}
	return all
}

// The same story with the node running and not; what it leads to is seen by clients.
func TestUserCommands(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			data := t.TempDir()
			p := start(t, data, "--registration", "closed")
			_, err := p.dial(p.run.HTTP).CreateAccount(t.Context(), client.Account{Login: "mallory", Password: "secret9"})
			if !errors.Is(err, protocol.Denied) {
				t.Errorf("sign-up where it is closed: %v", err)
			}
			if !running {
				p.stop()
			}
			manageUsers(t, data)
			if !running {
				p = start(t, data)
			}
			for login, password := range map[string]string{"alice": "another1", "bob": "secret2"} {
				if err := p.signIn(p.run.HTTP, login, password); err != nil {
					t.Error(err)
				}
			}
			for login, password := range map[string]string{"alice": "secret1", "carol": "secret3", "dave": "secret4"} {
				if err := p.signIn(p.run.HTTP, login, password); !errors.Is(err, protocol.BadLogin) && !errors.Is(err, protocol.Denied) {
					t.Errorf("%s got in, or another error: %v", login, err)
				}
			}
			if err := p.signIn(p.run.Admin, "admin", "secret5"); err != nil {
				t.Error(err)
			}
			if err := p.signIn(p.run.HTTP, "admin", "secret5"); !errors.Is(err, protocol.BadLogin) {
				t.Errorf("root from outside: %v, want what a wrong password gets", err)
			}
			p.stop()
		})
	}
}

// manageUsers adds five users; alice gets another password, carol is suspended,
// bob too for a while, and dave is deleted.
func manageUsers(t *testing.T, data string) {
	t.Helper()
	for i, login := range []string{"alice", "bob", "carol", "dave"} {
		out := good(t, fmt.Sprintf("secret%d\n", i+1), "user", "add", login, "--password-stdin", "--data", data)
		if !strings.HasPrefix(out, "added "+login+", usr") {
			t.Errorf("adding %s says %q", login, out)
		}
	}
	out := good(t, "secret5", "user", "add", "admin", "--root", "--full-name", "The Operator", "--password-stdin", "--data", data)
	if !strings.Contains(out, "admin listener") {
		t.Errorf("adding a root user says %q", out)
	}
	good(t, "another1\n", "user", "passwd", "alice", "--password-stdin", "--data", data)
	good(t, "", "user", "suspend", "carol", "Bob", "--data", data)
	good(t, "", "user", "resume", "bob", "--data", data)
	dave := users(t, data)["dave"]
	good(t, "", "user", "del", dave.ID, "--yes", "--data", data)

	all := users(t, data)
	if len(all) != 4 || all["carol"].State != "susp" || all["bob"].State != "ok" || all["admin"].Level != "root" ||
		all["alice"].Level != "auth" || all["admin"].Name != "The Operator" || all["alice"].Name != "alice" {
		t.Errorf("users are %+v", all)
	}
	table := good(t, "", "user", "list", "--data", data)
	if !strings.HasPrefix(table, "LOGIN") || !strings.Contains(table, "suspended") || strings.Count(table, "\n") != 5 {
		t.Errorf("the table is\n%s", table)
	}
	fails(t, exitFailed, parley(t, "secret9\n", "user", "add", "alice", "--password-stdin", "--data", data), "alice is taken")
	fails(t, exitFailed, parley(t, "short\n", "user", "add", "erin", "--password-stdin", "--data", data), "password")
	fails(t, exitFailed, parley(t, "", "user", "suspend", "nobody", "--data", data), "no user nobody")
	fails(t, exitFailed, parley(t, "", "user", "del", "alice", "--data", data), "--yes")
	fails(t, exitFailed, parley(t, "", "user", "add", "erin", "--data", data), "--password-stdin")
	fails(t, exitUsage, parley(t, "", "user", "add", "erin", "--password-stdin", "--generate", "--data", data), "password-stdin")
	if r := parley(t, "", "user", "add", "a b", "--generate", "--data", data); r.code != exitFailed || r.out != "" {
		t.Errorf("a refused account: exit code %d, and it prints %q", r.code, r.out)
	}
}

// What operators do to a user reaches the user's sessions.
func TestSuspensionEndsSessions(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	good(t, "secret1\n", "user", "add", "alice", "--password-stdin", "--data", data)
	for _, args := range [][]string{{"suspend", "alice"}, {"passwd", "alice", "--generate"}, {"del", "alice", "--yes"}} {
		c := p.dial(p.run.HTTP)
		if _, err := c.LoginBasic(t.Context(), "alice", "secret1"); err != nil {
			t.Fatal(err)
		}
		out := good(t, "", append(append([]string{"user"}, args...), "--data", data)...)
		<-c.Done()
		switch args[0] {
		case "suspend":
			good(t, "", "user", "resume", "alice", "--data", data)
		case "passwd":
			_, password, _ := strings.Cut(strings.SplitN(out, "\n", 2)[0], " ")
			if err := p.signIn(p.run.HTTP, "alice", password); err != nil {
				t.Error(err)
			}
			good(t, "secret1\n", "user", "passwd", "alice", "--password-stdin", "--data", data)
		}
	}
	p.stop()
}

func TestReports(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	good(t, "secret1\n", "user", "add", "alice", "--password-stdin", "--data", data)
	c := p.dial(p.run.HTTP)
	session, err := c.LoginBasic(t.Context(), "alice", "secret1")
	if err != nil {
		t.Fatal(err)
	}
	var report any
	must(json.Unmarshal([]byte(`{"txt":"","fmt":[{"at":-1,"len":0,"key":0}],"ent":[{"tp":"EX","data":{"mime":"application/json","val":{"action":"report","target":"usrEvil\u001b[2J"}}}]}`), &report))
	if _, err := c.Publish(t.Context(), "sys", report); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish(t.Context(), "sys", "please help"); err != nil {
		t.Fatal(err)
	}
	var list []httpd.AdminReport
	if err := json.Unmarshal([]byte(good(t, "", "report", "list", "--json", "--data", data)), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[1].Action != "report" || list[1].Target != "usrEvil\x1b[2J" || list[1].From != string(session.User) || list[0].Seq != 2 {
		t.Errorf("reports are %+v, want two, the newer first, from %s", list, session.User)
	}
	table := good(t, "", "report", "list", "--data", data)
	if !strings.Contains(table, "usrEvil�[2J") || !strings.Contains(table, "please help") {
		t.Errorf("the table is\n%s", table)
	}
	p.stop()
}

// A node that was killed leaves run.json behind; commands must not believe it.
func TestAfterKill(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	good(t, "secret1\n", "user", "add", "alice", "--password-stdin", "--data", data)
	p.signal(syscall.SIGKILL)
	p.wait()
	if _, err := os.Stat(dataDir(data).run()); err != nil {
		t.Fatal(err)
	}
	if _, ok := users(t, data)["alice"]; !ok {
		t.Error("alice is lost")
	}
	p = start(t, data)
	if err := p.signIn(p.run.HTTP, "alice", "secret1"); err != nil {
		t.Error(err)
	}
	p.stop()
}

func TestOperatorsNeedTheToken(t *testing.T) {
	p := start(t, t.TempDir())
	for _, token := range []string{"", "Bearer", "Bearer x", "Basic " + p.run.Token, p.run.Token} {
		for _, path := range []string{"/admin/users", "/admin/backup", "/admin/nothing"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.run.Admin+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %q is answered %d", path, token, resp.StatusCode)
			}
		}
	}
	if code, _ := get(t, p.run.HTTP+"admin/users"); code != http.StatusNotFound {
		t.Errorf("clients get %d for /admin/", code)
	}
	p.stop()
}
