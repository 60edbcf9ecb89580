package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/node"
	"parley/node/auth"
	"parley/node/httpd"
	"parley/node/web"
	"parley/protocol"
	"parley/store"
	"parley/store/blob"
	"parley/store/bolt"
)

// parts are what a node is made of.
type parts struct {
	data  dataDir
	key   *federation.Key
	store *bolt.DB
	node  *node.Node
	links *links // nil: none
	peers *federation.Notary
	ran   bool      // node.Run has been called, and ends before close
	codes io.Closer // nil: no sender "log"
}

// assembly is how a node is put together.
type assembly struct {
	log      *slog.Logger
	registry prometheus.Registerer    // nil: no metrics
	links    bool                     // with links to other nodes, if the settings want any
	traffic  func(federation.Traffic) // what crosses them; nil: nobody looks
}

// assemble makes a node from its data directory and settings.
func assemble(ctx context.Context, s *config.Settings, how assembly) (_ *parts, err error) {
	p := &parts{data: dataDir(s.Node.Data)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.key, err = p.data.loadKey(); err != nil {
		return nil, err
	}
	if p.store, err = openStore(s, p.data, how.log); err != nil {
		return nil, err
	}
	home := p.store.Meta().Node
	c := nodeConfig(s)
	c.Store, c.Log, c.Metrics = p.store, how.log, how.registry
	if how.links {
		if p.links, err = newLinks(ctx, s, p, how.log, how.traffic); err != nil {
			return nil, err
		}
	}
	if p.links == nil { // what is known of others can be seen and changed all the same
		static, err := staticPeers(s)
		if err != nil {
			return nil, err
		}
		p.peers = federation.NewNotary(federation.NotaryConfig{Store: p.store, Static: static})
	}
	if p.links != nil {
		p.peers = p.links.notary
		c.Network, c.Trusted = p.links.mesh, trustedPeers(s)
		c.OpinionKey = p.key.Private()
		if c.Federation.Lists, err = listSources(s, home); err != nil {
			return nil, err
		}
	}
	files, err := blob.Open(p.data.files())
	if err != nil {
		return nil, err
	}
	files.Room = p.store.Room
	c.Blobs = files
	c.Passwords = auth.NewArgon2(auth.Params{}, auth.DefaultAtOnce)
	c.Tokens, err = auth.NewTokens(p.key.Secret("login tokens"), home, auth.Lifetimes{
		Login:    s.Accounts.TokenLifetime.Duration,
		Validate: s.Accounts.CodeLifetime.Duration,
		Reset:    s.Accounts.ResetLifetime.Duration,
	})
	if err != nil {
		return nil, err
	}
	if c.Validators, err = p.validators(s, home); err != nil {
		return nil, err
	}
	p.node, err = node.New(c)
	return p, err
}

// admin is the operators' interface, for those who bear token.
func (p *parts) admin(token string) *httpd.Admin {
	a := httpd.NewAdmin(p.node, token, buildVersion())
	if p.links == nil {
		return a.WithPeers(p.peers, nil)
	}
	return a.WithPeers(steered{p.peers, p.links.mesh}, p.links.ping).WithLinks(p.links.mesh)
}

// close lets go of the data. The node must not be running.
func (p *parts) close() error {
	var err error
	if p.node != nil && !p.ran { // ends what operators' requests have started
		ended, end := context.WithCancel(context.Background())
		end()
		err = p.node.Run(ended)
	}
	if p.links != nil {
		err = errors.Join(err, p.links.close())
	}
	if p.store != nil {
		err = errors.Join(err, p.store.Close())
	}
	if p.codes != nil {
		err = errors.Join(err, p.codes.Close())
	}
	return err
}

// openStore opens the database or makes it. Without a name it takes the one that
// the database has.
func openStore(s *config.Settings, data dataDir, log *slog.Logger) (*bolt.DB, error) {
	name := protocol.Node(s.Node.Name)
	o := bolt.Options{Node: name, Create: name != "", MinFree: int64(s.Node.MinFree), Log: log}
	if o.MinFree == 0 {
		o.MinFree = -1 // in the settings it is said
	}
	db, err := bolt.Open(data.db(), o)
	if name == "" && errors.Is(err, store.ErrNotFound) { // none, or one whose making was cut short
		o.Node, o.Create = config.DefaultName, true
		db, err = bolt.Open(data.db(), o)
	}
	if err != nil {
		return nil, explainStore(err, data, name)
	}
	return db, nil
}

// explainStore says what to do about what stands in the way.
func explainStore(err error, data dataDir, name protocol.Node) error {
	switch {
	case errors.Is(err, store.ErrInUse):
		who := "another process"
		if r, bad := readRunFile(data.run()); bad == nil && r.alive() {
			who = fmt.Sprintf("the node that runs as process %d", r.PID)
		}
		return explained{fmt.Sprintf("%s uses %s; stop it first, or choose another directory with --data", who, data), err}
	case errors.Is(err, store.ErrOtherNode):
		return fmt.Errorf("%s is not for a node named %s: %w, with --data. Without --name and node.name the data are used as they are", data, name, err)
	case errors.Is(err, store.ErrNewerSchema):
		return fmt.Errorf("%s: %w", data, err)
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%s: %w; put it aside and restore the last backup", data.db(), err)
	case errors.Is(err, fs.ErrPermission):
		return data.explain(err)
	}
	return err
}

// explained says it in other words than its cause.
type explained struct {
	text  string
	cause error
}

// Error implements error.
func (e explained) Error() string { return e.text }

// Unwrap gives the cause.
func (e explained) Unwrap() error { return e.cause }

// nodeConfig is what the settings say of a node that works as they are.
func nodeConfig(s *config.Settings) node.Config {
	l := s.Limits
	return node.Config{
		Required:   s.Accounts.Required,
		Restricted: s.Accounts.RestrictedTags,
		Closed:     s.Accounts.Registration == config.Closed,
		Build:      buildVersion(),
		Limits: node.Limits{
			MaxMessage:     int(l.MaxMessage),
			MaxSubscribers: l.MaxSubscribers,
			MaxTags:        l.MaxTags,
			MaxFile:        int64(s.Files.MaxSize),
			MaxGuestFile:   int64(s.Files.GuestMaxSize),
			GuestBytes:     int64(s.Files.GuestQuota),
			GuestRate:      s.Files.GuestRate,
			GuestBurst:     s.Files.GuestBurst,
			UploadRate:     s.Files.Rate,
			UploadBurst:    s.Files.Burst,
			MaxHistory:     l.MaxHistory,
			MaxSubs:        l.MaxSubscriptions,
			SendQueue:      int(l.SendQueue),
			TopicQueue:     l.TopicQueue,
			SessionRate:    l.SessionRate,
			SessionBurst:   l.SessionBurst,
			UserBytes:      int(l.UserBytes),
			LoginRate:      l.LoginRate,
			LoginBurst:     l.LoginBurst,
			SignupRate:     l.SignupRate,
			SignupBurst:    l.SignupBurst,
			MaxSessions:    l.MaxSessions,
			PerAddress:     l.SessionsPerAddress,
			TopicIdle:      l.TopicIdle.Duration,
			MsgDeleteAge:   l.DeleteAge.Duration,
		},
		Calls:       node.Calls{ICE: iceServers(s.Calls.ICE), Timeout: s.Calls.Timeout.Duration},
		FileQuota:   int64(s.Files.Quota),
		UnusedFiles: s.Files.KeepUnused.Duration,
		Federation: node.Federation{Hidden: !s.S2S.Find, Guests: s.S2S.Guests, FileCache: int64(s.Files.Cache),
			PassReports: s.Reputation.PassReports, Deaf: !s.Reputation.Ask, Mute: !s.Reputation.Answer},
	}
}

// iceServers are in the form of RTCIceServer (W3C WebRTC 1.0, 4.2.4).
func iceServers(all []config.ICE) json.RawMessage {
	if len(all) == 0 {
		return nil
	}
	type server struct {
		URLs       []string `json:"urls"`
		Username   string   `json:"username,omitempty"`
		Credential string   `json:"credential,omitempty"`
	}
	list := make([]server, len(all))
	for i, s := range all {
		list[i] = server(s)
	}
	text, err := json.Marshal(list)
	must(err)
	return text
}

// validators are those with a sender.
func (p *parts) validators(s *config.Settings, home protocol.Node) (map[string]node.Validator, error) {
	all := map[string]node.Validator{}
	if s.Email.Sender != "" {
		sender, err := p.sender(s, s.Email.Sender, s.Email.Command)
		if err != nil {
			return nil, err
		}
		all[auth.MethodEmail], err = auth.NewEmail(home, auth.Options{
			Sender: sender, FixedCode: s.Email.TestCode, Confirm: s.Email.Confirm, Reset: s.Email.Reset,
		})
		if err != nil {
			return nil, err
		}
	}
	if s.Tel.Sender != "" {
		sender, err := p.sender(s, s.Tel.Sender, s.Tel.Command)
		if err != nil {
			return nil, err
		}
		all[auth.MethodTel], err = auth.NewTel(home, auth.Options{
			Sender: sender, FixedCode: s.Tel.TestCode, Confirm: s.Tel.Confirm, Reset: s.Tel.Reset, Country: s.Tel.Country,
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// sender makes what brings codes to people.
func (p *parts) sender(s *config.Settings, kind string, command []string) (auth.Sender, error) {
	switch kind {
	case config.SendExec:
		return auth.NewExec(command[0], command[1:], 0)
	case config.SendSMTP:
		password, err := passwordFile(s.Email.SMTPPasswordFile)
		if err != nil {
			return nil, err
		}
		return auth.NewSMTP(auth.SMTPConfig{
			Addr: s.Email.SMTP, TLS: auth.TLSMode(s.Email.SMTPTLS),
			Username: s.Email.SMTPUser, Password: password, From: s.Email.From,
		})
	}
	if c, ok := p.codes.(*auth.CodeFile); ok { // both methods write to one file
		return c, nil
	}
	c, err := auth.OpenCodeFile(p.data.codes())
	if err == nil {
		p.codes = c
	}
	return c, err
}

func passwordFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("email.smtp_password_file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// webClient is the client to serve at /: a directory, or what is built in.
func webClient(dir string) (fs.FS, error) {
	if dir == "" {
		return web.FS, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("http.web: %w", err)
	}
	return root.FS(), nil
}
