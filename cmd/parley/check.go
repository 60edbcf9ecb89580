package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/node/httpd"
	"parley/protocol"
	"parley/store/bolt"
)

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Aliases: []string{"doctor"},
		Short:   "Tell whether the node is well, or would start",
		Long: `Tell whether the node is well: settings, data directory, key, database, and either
the running node's answers or whether its ports are free. Nothing is changed.

Exit codes: 0 all is well (there may be warnings), 1 something is wrong.`,
		Example: "  parley check --data /var/lib/parley\n  parley check --json",
		Args:    cobra.NoArgs,
		RunE:    runCheck,
	}
	addJSON(cmd)
	addSettings(cmd, dataFlags)
	return cmd
}

// The results of a check.
const (
	fine = "ok"
	warn = "warning"
	bad  = "wrong"
)

// finding is what one check has found, and what to do about it.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Text   string `json:"text"`
}

// doctor looks at one node.
type doctor struct {
	s        *config.Settings
	data     dataDir
	node     protocol.Node // empty: not known
	running  bool
	run      runFile
	findings []finding
}

func (d *doctor) say(check, result, format string, args ...any) {
	d.findings = append(d.findings, finding{check, result, fmt.Sprintf(format, args...)})
}

// sayErr says what went wrong, or that nothing did.
func (d *doctor) sayErr(check string, err error, format string, args ...any) {
	if err != nil {
		d.say(check, bad, "%v", err)
		return
	}
	d.say(check, fine, format, args...)
}

func runCheck(cmd *cobra.Command, _ []string) error {
	d := &doctor{}
	var err error
	if d.s, err = settingsOf(cmd); err != nil {
		d.say("settings", bad, "%v", err)
	} else {
		d.data = dataDir(d.s.Node.Data)
		d.examine(cmd.Context())
	}
	return d.tell(cmd)
}

func (d *doctor) examine(ctx context.Context) {
	if d.s.File == "" {
		d.say("settings", fine, "no file; the defaults hold")
	} else {
		d.say("settings", fine, "%s", d.s.File)
	}
	info, err := os.Stat(string(d.data))
	if errors.Is(err, fs.ErrNotExist) {
		d.say("data", warn, "there is no %s; parley serve makes it, for a new node. If there is one already, say where with --data", d.data)
		d.checkPorts(ctx)
		return
	}
	switch {
	case err != nil:
		d.say("data", bad, "%v", err)
	case info.Mode().Perm()&0o077 != 0:
		d.say("data", warn, "others may look into %s; run: chmod 700 %s", d.data, quoteArg(string(d.data)))
	default:
		d.say("data", fine, "%s", d.data)
	}
	d.checkKey()
	d.checkDatabase(ctx)
	d.checkCertificate()
	if key, err := federation.LoadKey(d.data.key()); err == nil && d.node != "" {
		d.checkNames(ctx, d.node, key)
	}
	if d.running {
		d.checkAnswer(ctx)
	} else {
		d.checkPorts(ctx)
	}
}

func (d *doctor) checkKey() {
	key, err := federation.LoadKey(d.data.key())
	switch {
	case errors.Is(err, fs.ErrNotExist) && !d.data.exists():
		d.say("key", fine, "not there yet; parley serve makes it")
	case errors.Is(err, fs.ErrNotExist):
		d.say("key", bad, "%s is missing; put it back from a copy, or make another with: parley key --create --data %s", d.data.key(), quoteArg(string(d.data)))
	default:
		d.sayErr("key", err, "%s", pinOf(key))
	}
}

func pinOf(key *federation.Key) string {
	if key == nil {
		return ""
	}
	return key.Pin()
}

// checkDatabase asks the running node, or reads the whole file.
func (d *doctor) checkDatabase(ctx context.Context) {
	if !d.data.exists() {
		d.say("database", fine, "not there yet; parley serve makes it")
		return
	}
	o, err := openOperator(ctx, d.s)
	if err != nil {
		d.say("database", bad, "%v", err)
		return
	}
	d.running = o.running
	var users []httpd.AdminUser
	err = o.Do(ctx, http.MethodGet, "/admin/users", nil, &users)
	d.checkReach(ctx, o)
	err = errors.Join(err, o.close())
	if err == nil && !d.running {
		err = bolt.Check(d.data.db())
	}
	d.node = protocol.Node(o.node)
	d.sayErr("database", err, "node %s, accounts: %d", o.node, len(users))
	if !d.running {
		d.say("node", fine, "does not run")
	} else if d.run, err = readRunFile(d.data.run()); err == nil {
		d.say("node", fine, "runs as process %d since %s", d.run.PID, when(d.run.Started))
	}
}

// checkReach says whether other nodes can dial this one, as far as they have tried.
func (d *doctor) checkReach(ctx context.Context, o *operator) {
	if d.s.S2S.Reach != "auto" || d.s.LinkAddress(o.node) == "" || federation.ScopeOf(protocol.Node(o.node)) == federation.LoopbackScope {
		return
	}
	var peers []httpd.AdminPeer
	if err := o.Do(ctx, http.MethodGet, "/admin/peers", nil, &peers); err != nil || len(peers) == 0 {
		return // there is nothing to say yet
	}
	last := slices.MaxFunc(peers, func(a, b httpd.AdminPeer) int { return a.Dialed.Compare(b.Dialed) })
	if last.Dialed.IsZero() {
		d.say("reach", warn, "no other node has dialled this one yet, so it keeps up its links from here; if strangers are to reach it, see that UDP port %s comes in from outside, or say s2s.reach", portOf(d.s.LinkAddress(o.node)))
		return
	}
	d.say("reach", fine, "other nodes can dial this one: %s did on %s", last.Name, when(last.Dialed))
}

func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return port
}

// certWarning is how long before its end a certificate should have been renewed.
const certWarning = 14 * 24 * time.Hour

func (d *doctor) checkCertificate() {
	h := d.s.HTTP
	if h.TLSCert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(h.TLSCert, h.TLSKey)
	if err != nil {
		d.say("certificate", bad, "%v", err)
		return
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	left := time.Duration(0)
	if err == nil {
		left = time.Until(cert.NotAfter)
		if d.s.Node.Name != "" {
			err = cert.VerifyHostname(d.s.Node.Name)
		}
	}
	switch {
	case err != nil:
		d.say("certificate", bad, "%v", err)
	case left <= 0:
		d.say("certificate", bad, "ended on %s", when(cert.NotAfter))
	case left < certWarning:
		d.say("certificate", warn, "ends on %s", when(cert.NotAfter))
	default:
		d.say("certificate", fine, "good until %s", when(cert.NotAfter))
	}
}

// checkAnswer asks the running node, as clients do, whether it is well. The name
// in the URL need not lead here from this machine, so the address is taken from
// the node.
func (d *doctor) checkAnswer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, d.run.Listen)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.run.HTTP+"healthz", nil)
	if err != nil {
		d.say("http", bad, "%v", err)
		return
	}
	resp, err := client.Do(req)
	if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
		d.say("http", warn, "%s: only clients that know who signed the certificate will connect (%v)", d.run.HTTP, unknown)
		return
	}
	if err != nil {
		d.say("http", bad, "%v", err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		d.say("http", bad, "%s answers %s", req.URL, resp.Status)
		return
	}
	d.say("http", fine, "%s", d.run.HTTP)
}

// checkPorts opens what the node would, and lets go of it.
func (d *doctor) checkPorts(ctx context.Context) {
	try := func(check, address string, l net.Listener, err error) {
		if err == nil {
			l.Close()
		}
		d.sayErr(check, err, "%s is free", address)
	}
	l, err := listenOn(ctx, d.s.HTTP.Listen, "--http", "http.listen")
	try("http", d.s.HTTP.Listen, l, err)
	l, err = listenAdmin(ctx, d.s)
	try("admin", d.s.Admin.Listen, l, err)
	if address := d.s.HTTP.Redirect; address != "" {
		l, err = listenOn(ctx, address, "", "http.redirect")
		try("redirect", address, l, err)
	}
	if address := d.s.LinkAddress(cmp.Or(string(d.node), d.s.Node.Name, config.DefaultName)); address != "" {
		conn, err := listenUDP(ctx, address)
		if err == nil {
			conn.Close()
		}
		d.sayErr("nodes", err, "UDP %s is free", address)
	}
}

func (d *doctor) tell(cmd *cobra.Command) error {
	wrong := 0
	for _, f := range d.findings {
		if f.Result == bad {
			wrong++
		}
	}
	if boolFlag(cmd, "json") {
		if err := printJSON(cmd.OutOrStdout(), d.findings); err != nil {
			return err
		}
	} else {
		for _, f := range d.findings {
			fmt.Fprintf(cmd.OutOrStdout(), "%-8s %-11s %s\n", f.Result, f.Check, f.Text)
		}
	}
	if wrong > 0 {
		return silent{exitFailed}
	}
	return nil
}
