package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// accounts knows who may enter and how: logins, tokens, and addresses that can be
// confirmed. It is safe for concurrent use; what takes long is done outside of
// store transactions.
type accounts struct {
	home       protocol.Node
	store      store.Store
	log        *slog.Logger
	passwords  Passwords
	tokens     Tokens
	validators map[string]Validator
	required   []string // methods
	closed     bool
	clock      protocol.Clock

	tags     tagRules
	rewriter rewriter

	failures *quota // failed attempts to enter, per account and per address
	familiar *familiar
	signups  *quota // new accounts, per address
	sent     *quota // codes sent, per recipient, whoever asked
	mail     *mailer
}

// caller is who asks. Identity is zero before login.
type caller struct {
	Identity
	lang   string
	origin Origin
}

// reply is a success.
type reply struct {
	code   int
	text   string // empty: that of the code
	params map[string]any
	// login is who the session is from now on, if anybody.
	login Identity
	epoch uint32 // of that user when the secret was found to be good
	// changed is a user whose other sessions must be told that tags or credentials
	// have changed.
	changed protocol.UserID
	// evict is a user whose other sessions must end: the secret by which they came
	// in is not good any more, or the account is suspended.
	evict protocol.UserID
}

// The schemes by which a client can prove who it is.
const (
	schemeBasic     = "basic"     // "login:password"
	schemeToken     = "token"     // what an earlier login gave
	schemeCode      = "code"      // "code:method:address", after a reset
	schemeReset     = "reset"     // "basic:method:address": asks for a code
	schemeAnonymous = "anonymous" // only to make an account
)

// hashWait bounds the wait for a turn to hash a password: clients give up after 5 s.
const hashWait = 4 * time.Second

func newAccounts(cfg Config, home protocol.Node) *accounts {
	return &accounts{
		home:       home,
		store:      cfg.Store,
		log:        cfg.Log,
		passwords:  cfg.Passwords,
		tokens:     cfg.Tokens,
		validators: cfg.Validators,
		required:   offered(cfg.Required, cfg.Validators),
		closed:     cfg.Closed,
		clock:      cfg.Clock,
		tags:       newTagRules(&cfg),
		rewriter:   rewriter{home: home, validators: cfg.Validators},
		failures:   newQuota(cfg.Limits.LoginRate, cfg.Limits.LoginBurst),
		familiar:   newFamiliar(),
		signups:    newQuota(cfg.Limits.SignupRate, cfg.Limits.SignupBurst),
		sent:       newQuota(float64(codesPerDay)/(24*time.Hour).Seconds(), codesPerDay),
		mail:       newMailer(cfg.Log),
	}
}

// offered leaves out required methods that nobody could fulfil.
func offered(required []string, by map[string]Validator) []string {
	return slices.DeleteFunc(slices.Clone(required), func(m string) bool { return by[m] == nil })
}

// close waits for codes that are being sent, not long, and sends no more.
func (a *accounts) close() { a.mail.close() }

// userTags gives the tags of a user who asks for next; see [tagRules.change].
func (a *accounts) userTags(old, next []string) ([]string, error) { return a.tags.change(old, next) }

// groupTags does the same for a group; old is nil for a new one.
func (a *accounts) groupTags(old, next []string) ([]string, error) { return a.tags.change(old, next) }

// terms parses and rewrites a query; see [rewriter.terms].
func (a *accounts) terms(text, lang string, public bool) (all [][]string, some []string) {
	return a.rewriter.terms(text, lang, public)
}

// hash hashes a new password.
func (a *accounts) hash(ctx context.Context, password string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	h, err := a.passwords.Hash(ctx, password)
	return h, busyIfLate(err)
}

// busyIfLate tells the client to try again when its turn did not come in time.
func busyIfLate(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &protocol.Error{Fault: protocol.Busy, Err: err}
	}
	return err
}

// missing lists the methods of which the user still has to confirm an address.
func (a *accounts) missing(tx store.Tx, u *store.User) ([]string, error) {
	if u.Level != store.LevelAuth {
		return nil, nil
	}
	creds, err := credentialsOf(tx, u.ID)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range a.required {
		if !slices.ContainsFunc(creds, func(c *store.Credential) bool { return c.Method == m && c.Done }) {
			out = append(out, m)
		}
	}
	return out, nil
}

// welcome is the answer to who has proven to be u: a token and the session, or if
// credentials are missing, a token to come back with and what is missing.
func (a *accounts) welcome(u *store.User, missing []string, now time.Time) reply {
	r := reply{code: 200, params: map[string]any{"user": string(u.ID), "authlvl": u.Level.String()}}
	purpose := ForLogin
	if len(missing) > 0 {
		r.code, purpose = 300, ForValidate // its text is what clients look for
		r.params["cred"] = missing
	} else {
		r.login, r.epoch = Identity{User: u.ID, Level: u.Level}, u.Epoch
	}
	a.addToken(r.params, u, purpose, now)
	return r
}

func (a *accounts) addToken(params map[string]any, u *store.User, p Purpose, now time.Time) {
	expires := now.Add(a.tokens.Lifetime(p)).Truncate(time.Second)
	params["token"] = a.tokens.Issue(Token{User: u.ID, Level: u.Level, Epoch: u.Epoch, Expires: expires, Purpose: p})
	params["expires"] = protocol.At(expires)
}

// mayEnter checks the state of an account whose owner has proven who he is.
func mayEnter(u *store.User) error {
	switch u.State {
	case store.StateOK:
		return nil
	case store.StateSuspended:
		return &protocol.Error{Fault: protocol.Denied, Err: errors.New("the account is suspended")}
	}
	return &protocol.Error{Fault: protocol.BadLogin, Err: errors.New("the account is deleted")}
}
