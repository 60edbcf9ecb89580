package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/node/httpd"
)

// stopTimeout is how long a node may take to stop.
const stopTimeout = 5 * time.Second

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node until it is interrupted. Without any settings it keeps its data in
./parley-data, is named localhost, and serves this machine at http://127.0.0.1:6060/.

Ctrl-C, or SIGTERM, stops it within five seconds; a second one at once. Nothing that
was acknowledged is lost in either case.`,
		Example: `  parley serve
  parley serve --web node_modules/tinode-webapp
  parley serve --data /var/lib/parley
  parley serve --name chat.example.org --http :6060 --registration closed`,
		Args: cobra.NoArgs,
		RunE: runServe,
	}
	addSettings(cmd, dataFlags, serveFlags)
	return cmd
}

func runServe(cmd *cobra.Command, _ []string) error {
	s, err := settingsOf(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	out := cmd.OutOrStdout()
	ended := make(chan error, 1)
	var wg sync.WaitGroup // not waited for where the process ends at once
	wg.Go(func() {
		ended <- serve(ctx, s, serving{log: cmd.ErrOrStderr(), started: func(_ runFile, greeting string) { fmt.Fprint(out, greeting) }})
	})
	select {
	case err := <-ended:
		return err
	case <-signals:
	case <-ctx.Done():
	}
	fmt.Fprintln(out, "Stopping.")
	cancel()
	select {
	case err := <-ended:
		return err
	case <-signals:
		return errors.New("stopped at once, as asked a second time")
	case <-time.After(stopTimeout):
		if s.Log.Level == "debug" { // what it waits for
			_ = pprof.Lookup("goroutine").WriteTo(cmd.ErrOrStderr(), 1)
		}
		return fmt.Errorf("stopped at once: the node took longer than %v to end", stopTimeout)
	}
}

// gcPercent lets the collector run earlier than Go does by itself: idle sessions
// then cost a fifth less memory, for a little CPU under load.
const gcPercent = 50

// serving is what a node has to do with those who started it.
type serving struct {
	log     io.Writer
	started func(r runFile, greeting string) // once it can be reached
	traffic func(federation.Traffic)         // what crosses links; nil: nobody looks
}

// serve runs a node until ctx ends, and everything it started has ended.
func serve(ctx context.Context, s *config.Settings, how serving) (err error) {
	log := logTo(how.log, &s.Log)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	data := dataDir(s.Node.Data)
	fresh, err := data.create()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	p, err := assemble(ctx, s, assembly{log: log, registry: registry, links: true, traffic: how.traffic})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.links != nil {
		if err := registry.Register(linkMetrics{p.links.mesh}); err != nil {
			return err
		}
	}
	if err := data.settle(fresh); err != nil {
		return err
	}
	l, err := listen(ctx, s)
	if err != nil {
		return err
	}
	run := runFile{
		PID: os.Getpid(), Token: newToken(), Started: time.Now().UTC(),
		Admin: "http://" + l.admin.Addr().String(), HTTP: urlOf(s, string(p.node.Name()), l.http),
		Listen: l.http.Addr().String(),
	}
	server, err := newServer(s, p, l, run.Token, registry, log)
	if err != nil {
		l.close()
		return err
	}
	p.ran = true
	g, ctx := errgroup.WithContext(ctx)
	nodeEnded := make(chan struct{})
	g.Go(func() error {
		defer close(nodeEnded)
		return p.node.Run(ctx)
	})
	if p.links != nil {
		g.Go(func() error { return p.links.run(nodeEnded, p.node) })
	}
	g.Go(func() error { return server.Run(ctx) })
	if err := run.write(data.run()); err != nil {
		log.Warn("operators' commands will not reach this node", "err", err)
	}
	defer os.Remove(data.run())
	how.started(run, greeting(s, p, l, run, fresh))
	return g.Wait()
}

func newServer(s *config.Settings, p *parts, l listeners, token string, registry *prometheus.Registry, log *slog.Logger) (*httpd.Server, error) {
	web, err := webClient(s.HTTP.Web)
	if err != nil {
		return nil, err
	}
	c := httpd.Config{
		Node: p.node, Listener: l.http, Admin: l.admin, Redirect: l.redirect,
		TLS:      httpd.TLS{CertFile: s.HTTP.TLSCert, KeyFile: s.HTTP.TLSKey},
		APIKeys:  s.HTTP.APIKeys,
		Web:      web,
		Health:   (&health{store: p.store, room: p.store.Room, file: p.data.health()}).check,
		Registry: registry,
		Log:      log,
		Compress: s.HTTP.Compress,
	}
	c.AdminHandler = p.admin(token).Handler()
	if p.links != nil && p.links.page != nil {
		c.WellKnown = p.links.page.Bytes
	}
	if s.HTTP.ACME {
		c.ACME = httpd.ACME{CacheDir: p.data.acme(), Email: s.HTTP.ACMEEmail, Directory: s.HTTP.ACMEDirectory}
	}
	for _, text := range s.HTTP.TrustedProxies {
		network, err := config.ParseNetwork(text)
		if err != nil {
			return nil, err
		}
		c.TrustedProxies = append(c.TrustedProxies, network)
	}
	return httpd.New(c)
}

// greeting tells who started the node what to do next.
func greeting(s *config.Settings, p *parts, l listeners, run runFile, fresh bool) string {
	w := new(strings.Builder)
	note := ""
	if fresh {
		note = " (new)"
	}
	fmt.Fprintf(w, "Parley node %s is running. Open %s\n\n", p.node.Name(), run.HTTP)
	line := func(what, value string) { fmt.Fprintf(w, "  %-9s %s\n", what, value) }
	line("clients", l.http.Addr().String())
	line("operators", l.admin.Addr().String())
	line("data", string(p.data)+note)
	if s.File != "" {
		line("settings", s.File)
	}
	line("key", p.key.Pin())
	line("web", cmp.Or(s.HTTP.Web, "the page that is built in"))
	if s.Accounts.Registration == config.Closed {
		line("sign-up", "closed; make accounts with: parley user add LOGIN --data "+quoteArg(string(p.data)))
	} else {
		line("sign-up", "open to all who reach this node")
	}
	if p.links == nil {
		line("nodes", "no links to other nodes")
	} else {
		line("nodes", p.links.addr.String()+" (UDP)")
		line("records", p.links.advice(p.key))
	}
	fmt.Fprintln(w, "\nCtrl-C stops it.")
	return w.String()
}

// logTo writes structured lines.
func logTo(w io.Writer, c *config.Log) *slog.Logger {
	var level slog.Level
	must(level.UnmarshalText([]byte(c.Level))) // has been checked
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
