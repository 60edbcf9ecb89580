package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/node/httpd"
	"parley/protocol"
	"parley/testnet"
	"parley/testnet/tour"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run two nodes that talk to each other, to look at",
		Long: `Run two nodes on this machine, a.localhost with a user alice and b.localhost with
a user bob, with a real link between them. Open both addresses in a browser and let
the two write to each other; what crosses the link is shown here. Everything is in a
temporary directory, which goes when Ctrl-C stops the nodes.

With --check the two do by themselves what users do, each step is printed, and the
exit code is 1 if one failed.`,
		Example: "  parley demo\n  parley demo --check",
		Args:    cobra.NoArgs,
		RunE:    runDemo,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().Bool("check", false, "go through the steps and exit")
	cmd.Flags().String("web", "", "`directory` of a web client to serve (default: a small page)")
	cmd.Flags().String("log-level", "error", "`level` of the nodes' logs: debug, info, warn, error")
	must(cmd.MarkFlagDirname("web"))
	must(cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(fields("debug info warn error"), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// demoNode is one of the two nodes.
type demoNode struct {
	name     protocol.Node
	login    string
	http     string // preferred address for clients
	s2s      string // UDP address
	settings *config.Settings
	key      *federation.Key
	run      runFile
}

func runDemo(cmd *cobra.Command, _ []string) (err error) {
	ctx, stop := untilStopped(cmd)
	defer stop()
	dir, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	nodes := []*demoNode{
		{name: "a.localhost", login: "alice", http: "127.0.0.1:6071"},
		{name: "b.localhost", login: "bob", http: "127.0.0.1:6072"},
	}
	for _, n := range nodes {
		if err := n.prepare(cmd, filepath.Join(dir, string(n.name))); err != nil {
			return err
		}
	}
	for i, n := range nodes {
		n.introduce(nodes[1-i])
	}
	return demonstrate(ctx, cmd, nodes)
}

// demonstrate runs the nodes, and the tour if asked for.
func demonstrate(ctx context.Context, cmd *cobra.Command, nodes []*demoNode) error {
	out := &syncWriter{w: cmd.OutOrStdout()}
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan struct{}, len(nodes))
	for _, n := range nodes {
		g.Go(func() error {
			return serve(ctx, n.settings, serving{log: cmd.ErrOrStderr(), traffic: n.traffic(out, boolFlag(cmd, "check")), started: func(r runFile, _ string) {
				n.run = r
				ready <- struct{}{}
			}})
		})
	}
	g.Go(func() error {
		defer end()
		for range nodes {
			select {
			case <-ready:
			case <-ctx.Done():
				return nil
			}
		}
		if boolFlag(cmd, "check") {
			return tour.Run(ctx, tour.Config{Alice: nodes[0].guest(), Bob: nodes[1].guest(), Dial: testnet.Dialer, Out: out})
		}
		for _, n := range nodes {
			fmt.Fprintf(out, "%-6s is at %s   %s   password %s\n", n.login, n.name, n.run.HTTP, n.password())
		}
		fmt.Fprintf(out, "\nSign in at both (two browser windows). As alice, search for bob@%s.\nWhat crosses the link appears below; Ctrl-C stops the nodes.\n\n", nodes[1].name)
		<-ctx.Done()
		return nil
	})
	err := g.Wait()
	if failed := err != nil && boolFlag(cmd, "check"); failed {
		return err
	}
	if err == nil && boolFlag(cmd, "check") {
		fmt.Fprintln(out, "All went as it should.")
	}
	return err
}

func (n *demoNode) password() string { return n.login + "-demo" }

func (n *demoNode) guest() tour.Guest {
	return tour.Guest{URL: n.run.HTTP, Node: n.name, Login: n.login, Password: n.password()}
}

// prepare makes the data directory and the settings of a node, and its user.
func (n *demoNode) prepare(cmd *cobra.Command, dir string) error {
	n.settings = config.New()
	at, err := testnet.FreeUDP()
	if err != nil {
		return err
	}
	n.s2s = at.String()
	if l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", n.http); err != nil {
		n.http = "127.0.0.1:0"
	} else if err := l.Close(); err != nil {
		return err
	}
	for key, value := range map[string]string{
		"node.data": dir, "node.name": string(n.name), "http.listen": n.http, "admin.listen": "127.0.0.1:0",
		"s2s.listen": n.s2s, "http.web": stringFlag(cmd, "web"), "log.level": stringFlag(cmd, "log-level"),
	} {
		if err := n.settings.Override(key, "--"+key, value); err != nil {
			return err
		}
	}
	if err := n.settings.Check(); err != nil {
		return err
	}
	data := dataDir(dir)
	if _, err := data.create(); err != nil {
		return err
	}
	if n.key, err = federation.CreateKey(data.key()); err != nil {
		return err
	}
	o, err := offline(cmd.Context(), n.settings)
	if err != nil {
		return err
	}
	user := httpd.AdminNewUser{Login: n.login, Name: n.login, Password: n.password()}
	return errors.Join(o.Do(cmd.Context(), http.MethodPost, "/admin/users", user, nil), o.close())
}

// introduce tells a node where the other is and which key it has, and that its users may come
// in any number: who looks on signs up as several people at once.
func (n *demoNode) introduce(other *demoNode) {
	n.settings.S2S.Peers = []config.S2SPeer{{Name: string(other.name), Addresses: []string{other.s2s}, Key: other.key.Pin(), Trusted: true}}
}

// syncWriter lets several write lines to one place.
type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *syncWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// traffic shows what a node sends; what it gets is shown by the other.
func (n *demoNode) traffic(out io.Writer, quiet bool) func(federation.Traffic) {
	if quiet {
		return nil
	}
	return func(t federation.Traffic) {
		if t.From == n.name {
			fmt.Fprintf(out, "%s  %s → %s  %-18s %5d B\n", time.Now().Format("15:04:05.000"), t.From, t.To, t.What, t.Bytes)
		}
	}
}
