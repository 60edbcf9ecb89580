package main

import (
	"encoding/json"
	"os"
	"path/filepath"
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
