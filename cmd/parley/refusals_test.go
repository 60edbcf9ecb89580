package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
