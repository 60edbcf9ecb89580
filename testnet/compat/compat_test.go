package compat

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/testnet"
)

// Every case comes from 127.0.0.1, so limits per address are lifted; small
// groups and short calls make the cases about their limits affordable.
const common = `
[limits]
max_subscribers = 8
signup_rate = 1000.0
signup_burst = 10000
login_rate = 1000.0
login_burst = 10000
session_rate = 10000.0
user_bytes = "1GiB"
session_burst = 100000

[files]
max_size = "8 MiB"

[log]
level = "warn"
`

// confirming is a node that wants e-mail addresses confirmed, and has calls.
const confirming = common + `
[accounts]
required = ["email"]

[email]
sender = "log"
test_code = "123456"

[tel]
sender = "log"
test_code = "123456"

[calls]
timeout = "5s"

[[calls.ice]]
urls = ["stun:127.0.0.1:3478"]
`

// budget bounds a whole run; the slowest machine that we know needs a third.
const budget = 4 * time.Minute

func TestSDK(t *testing.T) {
	dir := here(t)
	binary := build(t)
	t.Run("confirming", func(t *testing.T) {
		t.Parallel()
		run(t, binary, confirming, Suite{Dir: dir, Cases: []string{"sdk"}})
	})
	// What differs on a node without validators and calls, which is the default.
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		run(t, binary, common, Suite{Dir: dir, Name: "^(handshake|account|credentials|password reset|me: tags|calls: without)"})
	})
}

// TestFederated runs the cases with the users of each by turns at one of two nodes: with
// PARLEY_LONG=1 those that look only at what the other node has had to hear of, with
// PARLEY_LONG=all all of them.
func TestFederated(t *testing.T) {
	dir := here(t)
	if os.Getenv("PARLEY_LONG") == "" {
		t.Skip("PARLEY_LONG is not set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	a, b, err := Linked(ctx, build(t), t.TempDir(), confirming)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	defer stop(t, b)
	start := time.Now()
	s := Suite{Dir: dir, Cases: []string{"sdk"}, Base: a.HTTP, Files: filesAtOnce, Env: []string{"PEER=" + b.HTTP}}
	if os.Getenv("PARLEY_LONG") != "all" {
		s.Name = "^(p2p|reply|headers|drafty|forward|notes|delete|attachments|devices|calls|forms|channel):"
	}
	cases, err := Run(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	report(t, cases)
	t.Logf("%d cases in %.1f s", len(cases), time.Since(start).Seconds())
}

// here is this folder; the test is skipped if what it needs is not installed.
func here(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := Installed(dir); err != nil {
		t.Skip(err)
	}
	return dir
}

func build(t *testing.T) string {
	t.Helper()
	binary, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// run starts a node, runs the cases against it and reports each as a subtest.
func run(t *testing.T, binary, config string, s Suite) {
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	node, err := testnet.Start(ctx, testnet.Options{Binary: binary, Data: filepath.Join(t.TempDir(), "data"), Config: config})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, node)
	s.Base, s.Files = node.HTTP, filesAtOnce
	start := time.Now()
	cases, err := Run(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	report(t, cases)
	t.Logf("%d cases in %.1f s", len(cases), time.Since(start).Seconds())
}

// filesAtOnce keeps two cores busy: the cases wait more than they work.
const filesAtOnce = 6

func report(t *testing.T, cases []Case) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			switch c.Result {
			case Fail:
				t.Error(c.Err)
			case Skip:
				t.Skip(c.Why)
			}
		})
	}
}

// stop also checks that the node survived the cases and ends in time.
func stop(t *testing.T, node *testnet.Process) {
	select {
	case <-node.Ended():
		t.Errorf("the node died:\n%s", node.Output())
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
	defer cancel()
	if err := node.Stop(ctx); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the node's last words:\n%s", node.Output())
	}
}

func TestInstalledSaysWhatToDo(t *testing.T) {
	err := Installed(t.TempDir())
	if !errors.Is(err, ErrMissing) {
		t.Fatalf("an empty folder: %v, want ErrMissing", err)
	}
}

// The suite itself must be able to fail: without a server every case does.
func TestCasesFailWithoutServer(t *testing.T) {
	s := Suite{Dir: here(t), Cases: []string{"sdk/01"}, Name: "network probe", Base: "http://127.0.0.1:1"}
	cases, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 1 || cases[0].Result != Fail || cases[0].Err == "" {
		t.Errorf("cases = %+v, want one failure with its reason", cases)
	}
}
