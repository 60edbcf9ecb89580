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
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	binary, err := testnet.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	page := serve(ctx, t, binary, "")
	app := serve(ctx, t, binary, "[http]\nweb = '"+filepath.Join(dir, "node_modules", "tinode-webapp")+"'\n")

	start := time.Now()
	cases, err := compat.Run(ctx, compat.Suite{Dir: dir, Cases: []string{"web"}, Base: page.HTTP, Files: 2, Env: []string{"WEBBASE=" + app.HTTP}})
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

// serve starts a node, and at the end of the test stops it and shows what it
// said if the test failed.
func serve(ctx context.Context, t *testing.T, binary, config string) *testnet.Process {
	t.Helper()
	node, err := testnet.Start(ctx, testnet.Options{Binary: binary, Data: filepath.Join(t.TempDir(), "data"), Config: config})
	if err != nil {
		t.Fatal(err)
	}
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
	return node
}
