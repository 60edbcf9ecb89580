// Package web_test runs the browser's cases, which are in the .mjs files beside
// it, against nodes with all defaults.
package web_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/testnet"
	"parley/testnet/compat"
)

// budget bounds the whole run; on an idle machine of two cores it takes a third.
const budget = 5 * time.Minute

// TestWeb drives the unmodified web app, served by one node, and the built-in
// page, served by another.
func TestWeb(t *testing.T) {
	dir, binary := needed(t)
	page := serve(t, binary, "")
	app := serve(t, binary, "[http]\nweb = '"+filepath.Join(dir, "node_modules", "tinode-webapp")+"'\n")
	run(t, compat.Suite{Dir: dir, Base: page.HTTP, Env: []string{"WEBBASE=" + app.HTTP}})
}

// TestWebFederated drives both with alice on one node, and bob and carol on another.
func TestWebFederated(t *testing.T) {
	if os.Getenv("PARLEY_LONG") == "" {
		t.Skip("PARLEY_LONG is not set")
	}
	dir, binary := needed(t)
	a, b, err := compat.Linked(t.Context(), binary, t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, a)
	stopped(t, b)
	run(t, compat.Suite{Dir: dir, Base: a.HTTP, Env: []string{"PEER=" + b.HTTP}})
}

// needed is the folder of the suite, and the program; the test is skipped if what it needs
// is not installed.
func needed(t *testing.T) (dir, binary string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := compat.Installed(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if binary, err = testnet.Build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return dir, binary
}

func run(t *testing.T, s compat.Suite) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	s.Cases, s.Files = []string{"web"}, 2
	start := time.Now()
	cases, err := compat.Run(ctx, s)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			switch c.Result {
			case compat.Fail:
				t.Error(c.Err)
			case compat.Skip:
				t.Skip(c.Why)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cases in %.1f s", len(cases), time.Since(start).Seconds())
}

func serve(t *testing.T, binary, config string) *testnet.Process {
	t.Helper()
	node, err := testnet.Start(t.Context(), testnet.Options{Binary: binary, Data: filepath.Join(t.TempDir(), "data"), Config: config})
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, node)
	return node
}

// stopped stops the node at the end of the test and shows what it said if the test failed.
func stopped(t *testing.T, node *testnet.Process) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := node.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the node's last words:\n%s", node.Output())
		}
	})
}
