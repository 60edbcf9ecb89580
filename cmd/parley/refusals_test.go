package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/reputation"
)

// An operator's slip changes nothing, and is told.
func TestSlips(t *testing.T) {
	data := t.TempDir()
	good(t, "", "init", "--data", filepath.Join(data, "n"), "--name", "chat.example.org")
	data = filepath.Join(data, "n")
	say := func(args ...string) result { return parley(t, "", append(args, "--data", data)...) }
	for _, args := range [][]string{
		{"peer", "deny", "chat.example.org"}, {"peer", "auto", "chat.example.org"},
		{"reputation", "set", "chat.example.org", "deny"}, {"reputation", "vouch", "chat.example.org"},
	} {
		fails(t, exitFailed, say(args...), "this node's own name")
	}
	fails(t, exitFailed, say("peer", "auto", "mistyped.example"), "nothing is known of mistyped.example")
	fails(t, exitFailed, say("peer", "unpin", "mistyped.example"), "nothing is known of mistyped.example")
	if out := good(t, "", "peer", "list", "--json", "--data", data); out != "[]\n" {
		t.Errorf("nodes that nobody has spoken of: %s", out)
	}
	fails(t, exitFailed, say("reputation", "pardon", "nobody"), "no user nobody")
	fails(t, exitFailed, say("group", "owner", "grpX", "nobody"), "no such group")
	fails(t, exitFailed, say("group", "owner", "nobody", "nobody"), "no group of this node")
}

// A standing is replaced by an export, and by nothing else.
func TestImportOfStanding(t *testing.T) {
	data := fresh(t, t.TempDir())
	good(t, "", "reputation", "set", "spam.example.org", "deny", "--data", data)
	before := good(t, "", "reputation", "list", "--data", data)
	for _, text := range []string{"", "{", "{}", "[]", `{"Peers":[]}`, "null"} {
		fails(t, exitFailed, parley(t, text, "reputation", "import", "-", "--data", data), "nothing was changed")
		if after := good(t, "", "reputation", "list", "--data", data); after != before {
			t.Errorf("%q: the list is\n%swas\n%s", text, after, before)
		}
	}
	file := filepath.Join(t.TempDir(), "standing.json")
	text := good(t, "", "reputation", "export", "--data", data)
	if err := json.Unmarshal([]byte(text), new(reputation.State)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	good(t, "", "reputation", "forget", "spam.example.org", "--data", data)
	good(t, "", "reputation", "import", file, "--data", data)
	if after := good(t, "", "reputation", "list", "--data", data); after != before {
		t.Errorf("after an import the list is\n%swas\n%s", after, before)
	}
}

// What is wrong with a data directory is told with what to do about it.
func TestWrongDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"init", "serve", "key", "user list", "config check"} {
		fails(t, exitFailed, parley(t, "", append(strings.Fields(command), "--data", file)...), file+" is not a directory", "--data")
	}
	place := filepath.Join(t.TempDir(), "new")
	fails(t, exitFailed, parley(t, "", "restore", file+".tar", "--data", place), "no such file")
	if _, err := os.Stat(place); err == nil {
		t.Error("a restore from nothing has made a directory")
	}
	data := fresh(t, t.TempDir())
	key := dataDir(data).key()
	if err := os.WriteFile(key, []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, exitFailed, parley(t, "", "user", "list", "--data", data), key, "from a copy")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	fails(t, exitFailed, parley(t, "", "key", "--data", data), key+" is missing", "parley key --create --data")
}

// What would keep a node from starting is found before, also the port for other nodes.
func TestCheckOfLinks(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data := filepath.Join(t.TempDir(), "d")
	good(t, "", "init", "--data", data)
	settings := filepath.Join(t.TempDir(), "elsewhere.toml")
	text := "[node]\ndata = \"" + data + "\"\n[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[s2s]\nlisten = \"" + conn.LocalAddr().String() + "\"\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := parley(t, "", "check", "--config", settings)
	if r.code != exitFailed || !strings.Contains(r.out, "another program uses the UDP address "+conn.LocalAddr().String()) {
		t.Errorf("exit code %d: %s", r.code, r.out)
	}
	// Settings that are elsewhere are not in a backup, which says so.
	contains(t, good(t, "", "backup", filepath.Join(t.TempDir(), "b.tar"), "--config", settings), "settings are not in it", settings)
	if out := good(t, "", "backup", filepath.Join(t.TempDir(), "b.tar"), "--data", data); strings.Contains(out, "settings are not in it") {
		t.Errorf("backup says %q", out)
	}
}

// What a measurement cannot do is told before its minutes, and as a wrong call.
func TestBenchRefuses(t *testing.T) {
	for call, word := range map[string]string{
		"bench nope": `"nope"`, "bench faults nope": `"nope"`, "bench reputation nope": `"nope"`, "bench papers nope": `"nope"`, "testnet show nope": `"nope"`,
		"bench p2p --users 0": "--users", "bench p2p --size -5": "--size", "bench p2p --duration -1s": "--duration",
		"bench p2p --pid 1": "--url", "bench p2p --json /nonexistent/x.json": "/nonexistent is no directory",
	} {
		fails(t, exitUsage, parley(t, "", strings.Fields(call)...), word)
	}
}

// A plain kill ends what a measurement has begun, as Ctrl-C does.
func TestBenchEndsWhenKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := command(t, t.Context(), "bench", "connect", "--quick", "--temp", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "*", "*", "parley.db"))
		return err != nil || len(found) > 0
	}
	look, late := time.NewTicker(2*time.Millisecond), time.After(patience)
	defer look.Stop()
	for !started() {
		select {
		case <-look.C:
		case <-late:
			_ = cmd.Process.Kill()
			t.Fatal("no node has started")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v (%v)", left, err)
	}
}
