package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// contains wants all of the words.
func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// linkAddress reads from the greeting where a node listens for others.
func (p *process) linkAddress() string {
	p.t.Helper()
	for line := range strings.Lines(p.out.String()) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "nodes" && f[2] == "(UDP)" {
			return f[1]
		}
	}
	p.t.Fatalf("no address for links in:\n%s", p.out)
	return ""
}

func pinOfNode(t *testing.T, data string) string {
	t.Helper()
	return strings.TrimSpace(good(t, "", "key", "--data", data))
}

// Two operators pin each other's nodes, whether these run or not; links hold, also when one
// of them changes its key, and end when an operator says so.
func TestPeersByHand(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	pb := start(t, b, "--name", "b.localhost", "--s2s", "127.0.0.1:0")
	at := pb.linkAddress()
	good(t, "", "init", "--data", a, "--name", "a.localhost")
	contains(t, good(t, "", "peer", "pin", "b.localhost", at, pinOfNode(t, b), "--data", a), at, pinOfNode(t, b)) // a has never run
	fails(t, exitFailed, parley(t, "", "peer", "ping", "b.localhost", "--data", a), "parley serve")
	pa := start(t, a, "--name", "a.localhost", "--s2s", "127.0.0.1:0")
	refused := parley(t, "", "peer", "ping", "b.localhost", "--data", a)
	if refused.code != exitFailed || !strings.Contains(refused.out, "by a pin") || !strings.Contains(refused.out, "not proven to be of the node a.localhost") {
		t.Errorf("b does not know a: exit code %d, %s", refused.code, refused.out)
	}
	good(t, "", "peer", "pin", "a.localhost", pa.linkAddress(), pinOfNode(t, a), "--data", b) // b runs
	ping := func() result { return parley(t, "", "peer", "ping", "a.localhost", "--data", b) }
	if r := ping(); r.code != exitOK {
		t.Fatalf("ping: %s%s", r.out, r.err)
	}
	contains(t, good(t, "", "peer", "list", "--data", a), "b.localhost", "up since", "by a pin")
	contains(t, good(t, "", "peer", "show", "b.localhost", "--data", a), "up since", at, "traffic")

	good(t, "", "peer", "deny", "a.localhost", "--data", b)
	if r := ping(); r.code != exitFailed || !strings.Contains(r.out+r.err, "parley peer allow a.localhost") || strings.Contains(r.out, "dial") {
		t.Errorf("a denied peer: exit code %d, %s%s", r.code, r.out, r.err)
	}
	good(t, "", "peer", "auto", "a.localhost", "--data", b)
	if r := ping(); r.code != exitOK {
		t.Errorf("after the word is taken back: %s", r.out)
	}

	fails(t, exitUsage, parley(t, "", "peer", "pin", "x", "--data", a))
	fails(t, exitUsage, parley(t, "", "peer", "pin", "x", "127.0.0.1:1", "--data", a), "KEY")
	fails(t, exitUsage, parley(t, "", "peer", "pin", "x", "ed25519:abc", "--data", a), "KEY", "parley key")
	fails(t, exitFailed, parley(t, "", "peer", "ping", "a.localhost", "--data", a), "this node's own name")
	fails(t, exitUsage, parley(t, "", "peer", "pin", "x", "nowhere", pinOfNode(t, b), "--data", a), "HOST:PORT")
	fails(t, exitFailed, parley(t, "", "peer", "show", "unknown.example", "--data", a), "unknown.example")
}

// A node whose key has changed is believed by those who pinned the old one, who dial it.
func TestKeyRotation(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	pb := start(t, b, "--name", "b.localhost", "--s2s", "127.0.0.1:0")
	at := pb.linkAddress()
	pa := start(t, a, "--name", "a.localhost", "--s2s", "127.0.0.1:0")
	first := pinOfNode(t, b)
	good(t, "", "peer", "pin", "b.localhost", at, first, "--data", a)
	good(t, "", "peer", "pin", "a.localhost", pa.linkAddress(), pinOfNode(t, a), "--data", b)
	contains(t, good(t, "", "peer", "ping", "b.localhost", "--data", a), first)

	fails(t, exitFailed, parley(t, "", "key", "rotate", "--finish", "--data", b), "without --finish first")
	contains(t, good(t, "", "key", "rotate", "--data", b), first, "the next one is")
	contains(t, good(t, "", "key", "rotate", "--finish", "--data", b), "start it again")
	second := pinOfNode(t, b)
	if second == first {
		t.Fatal("the key is the same")
	}
	pb.stop()
	start(t, b, "--s2s", at)
	contains(t, good(t, "", "peer", "ping", "b.localhost", "--data", a), second)
	contains(t, good(t, "", "peer", "show", "b.localhost", "--data", a), second+" in use", first+" until")
	old, err := filepath.Glob(filepath.Join(b, "node.key.*.old"))
	if err != nil || len(old) != 1 {
		t.Errorf("the old key: %v, %v", old, err)
	}

	// Whoever has stolen the old key is refused when it has revoked itself.
	good(t, "", "key", "rotate", "--data", b, "--compromised")
	good(t, "", "key", "rotate", "--cancel", "--data", b)
	if pinOfNode(t, b) != second {
		t.Error("a change that was called off has changed the key")
	}
}

// A node that is named by its key is found through a third, without DNS or pins.
func TestFoundWithoutDNS(t *testing.T) {
	data := t.TempDir()
	keyNode := func(bootstrap ...string) (*process, string) {
		dir, err := os.MkdirTemp(data, "node")
		if err != nil {
			t.Fatal(err)
		}
		good(t, "", "key", "--create", "--data", dir)
		name := strings.TrimSpace(good(t, "", "key", "--name", "--data", dir))
		text := "[s2s]\nlisten = \"127.0.0.1:0\"\n"
		if len(bootstrap) > 0 {
			text += "bootstrap = [\"" + strings.Join(bootstrap, "\", \"") + "\"]\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "parley.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return start(t, dir, "--name", name), name
	}
	meeting, _ := keyNode()
	_, lonely := keyNode(meeting.linkAddress())
	seeker, _ := keyNode(meeting.linkAddress())
	var r result
	seeker.until("find the other", func() bool {
		r = parley(t, "", "peer", "ping", lonely, "--data", seeker.data)
		return r.code == exitOK
	})
	contains(t, r.out, "DHT", "by the name itself", "round trip")

	// Another key does not run under the name.
	dir := t.TempDir()
	good(t, "", "key", "--create", "--data", dir)
	fails(t, exitFailed, parley(t, "", "serve", "--data", dir, "--name", lonely, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--s2s", "127.0.0.1:0"), "made from another key")
}
