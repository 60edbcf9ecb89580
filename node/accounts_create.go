package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// newcomer is an account about to be made.
type newcomer struct {
	user     store.User
	login    string // empty: anonymous
	password string
	creds    []address
	files    []string // of the public description
}

// acc answers {acc}: it makes an account, or changes how one is entered.
func (a *accounts) acc(ctx context.Context, c caller, in *protocol.Acc, files []string) (reply, error) {
	if strings.HasPrefix(in.User, "new") {
		return a.signUp(ctx, c, in, files)
	}
	return a.change(ctx, c, in)
}

// signUp makes an account and, if asked to, logs in to it.
func (a *accounts) signUp(ctx context.Context, c caller, in *protocol.Acc, files []string) (reply, error) {
	now := a.clock.Now()
	if in.Login && c.User != "" {
		return reply{}, protocol.OutOfSequence
	}
	if a.closed && c.Level != store.LevelRoot {
		return reply{}, protocol.Denied
	}
	n, err := a.newcomer(c, in, now)
	if err != nil {
		return reply{}, err
	}
	n.files = files
	if err := a.admit(c, n); err != nil {
		return reply{}, err
	}
	missing, err := a.register(ctx, n, c.lang)
	if err != nil {
		return reply{}, err
	}
	u := &n.user
	r := reply{code: 201, params: map[string]any{"user": string(u.ID), "authlvl": u.Level.String()}}
	if in.Login {
		r = a.welcome(u, missing, now)
	}
	r.params["desc"] = ownDesc(u)
	return r, nil
}

// admit checks what newcomers from outside have to fulfil.
func (a *accounts) admit(c caller, n *newcomer) error {
	now := time.Now()
	if !a.signups.allow(now, a.addressKey(c.origin)) {
		return protocol.TooMany
	}
	if n.login != "" {
		if err := a.loginFree(n.login); err != nil { // saves the work of hashing
			return err
		}
	}
	for _, m := range a.required {
		given := slices.ContainsFunc(n.creds, func(d address) bool { return d.method == m })
		if n.user.Level == store.LevelAuth && !given {
			return credFault(protocol.Policy, errors.New("a credential is required: "+m))
		}
	}
	for _, to := range n.creds {
		if !a.sent.allow(now, to.key()) {
			return credFault(protocol.TooMany, nil)
		}
	}
	return nil
}

// ownDesc is a user's description for the user.
func ownDesc(u *store.User) *protocol.Desc {
	return &protocol.Desc{
		Created: protocol.Ptr(u.Created), Updated: protocol.Ptr(u.Updated),
		Defacs: &protocol.Defacs{Auth: u.Defacs.Auth.String(), Anon: u.Defacs.Anon.String()},
		Acs:    protocol.NewAcs(protocol.ModeMe, protocol.ModeMe),
		Public: u.Public, Trusted: u.Trusted, Private: u.Private,
	}
}

// newcomer reads and checks a request for an account.
func (a *accounts) newcomer(c caller, in *protocol.Acc, now time.Time) (*newcomer, error) {
	n := &newcomer{user: store.User{
		ID: protocol.NewUserID(random(), a.home), Level: store.LevelAuth, Created: protocol.At(now).Time,
		Defacs: store.Defacs{Auth: protocol.ModeUserAuth, Anon: protocol.None},
	}}
	n.user.Updated = n.user.Created
	switch in.Scheme {
	case schemeBasic:
		if err := n.readSecret(in.Secret); err != nil {
			return nil, err
		}
	case schemeAnonymous:
		n.user.Level = store.LevelAnon
	case schemeToken, schemeCode, schemeReset:
		return nil, &protocol.Error{Fault: protocol.NotOffered, What: "auth"}
	default:
		return nil, protocol.Malformed
	}
	if err := n.describe(in.Desc, c.Level == store.LevelRoot); err != nil {
		return nil, err
	}
	var err error
	if n.user.Tags, err = a.tags.change(nil, in.Tags); err != nil {
		return nil, err
	}
	n.creds, err = a.addresses(in.Cred, c.lang)
	return n, err
}

// readSecret takes over "login:password".
func (n *newcomer) readSecret(secret []byte) error {
	login, password, err := splitSecret(secret)
	if err != nil {
		return err
	}
	return n.setSecret(login, password)
}

func (n *newcomer) setSecret(login, password string) (err error) {
	if n.login, err = loginName(login); err != nil {
		return err
	}
	n.password, err = passwordForm(password)
	return err
}

// describe takes over what a client says of the new user.
func (n *newcomer) describe(d *protocol.SetDesc, root bool) (err error) {
	if d == nil {
		return nil
	}
	u := &n.user
	if u.Public, _, err = merge(nil, d.Public); err != nil {
		return err
	}
	if u.Private, _, err = merge(nil, d.Private); err != nil {
		return err
	}
	if root {
		if u.Trusted, _, err = merge(nil, d.Trusted); err != nil {
			return err
		}
	}
	u.Defacs, err = changeDefacs(u.Defacs, d.Defacs)
	return err
}

// addresses reads the credentials of a request, one of each method. Those that
// nobody here can confirm are ignored: clients send an e-mail address unasked.
func (a *accounts) addresses(in []protocol.Credential, lang string) ([]address, error) {
	var out []address
	for _, cr := range in {
		had := slices.ContainsFunc(out, func(d address) bool { return d.method == cr.Method })
		if a.validators[cr.Method] == nil || had {
			continue
		}
		to, err := a.address(cr.Method, cr.Value, lang)
		if err != nil {
			return nil, err
		}
		out = append(out, to)
	}
	return out, nil
}

// register stores a newcomer whole, sends the codes, and says which methods are
// still to be confirmed. n.user becomes what was stored.
func (a *accounts) register(ctx context.Context, n *newcomer, lang string) (missing []string, err error) {
	var hash []byte
	if n.login != "" {
		if hash, err = a.hash(ctx, n.password); err != nil {
			return nil, err
		}
	}
	if !a.mail.reserve(len(n.creds)) {
		return nil, protocol.Busy
	}
	var stored store.User
	var codes []string
	err = a.store.Update(func(tx store.Tx) (err error) {
		stored = n.user
		if codes, err = a.insert(tx, &stored, n, hash); err != nil {
			return err
		}
		missing, err = a.missing(tx, &stored)
		return err
	})
	if err != nil {
		a.mail.release(len(n.creds))
		return nil, err
	}
	n.user = stored
	for i, to := range n.creds {
		a.post(to, Code{To: to.value, Code: codes[i], Lang: lang})
	}
	return missing, nil
}

var errLoginTaken = &protocol.Error{Fault: protocol.Exists, What: "auth"}

func (a *accounts) loginFree(name string) error {
	return a.store.View(func(tx store.Tx) error {
		_, err := tx.Login(schemeBasic, name)
		switch {
		case err == nil:
			return errLoginTaken
		case errors.Is(err, store.ErrNotFound):
			return nil
		}
		return err
	})
}

// insert stores the user u of a newcomer with login, tags, addresses and files. At
// first the login is the handle too, unless it is taken or was chosen otherwise.
func (a *accounts) insert(tx store.Tx, u *store.User, n *newcomer, hash []byte) (codes []string, err error) {
	if _, err := tx.User(u.ID); !errors.Is(err, store.ErrNotFound) {
		return nil, errors.Join(err, errors.New("node: a random user id is in use"))
	}
	u.Tags = slices.Clone(u.Tags)
	if err := aliasFree(tx, u.Tags, string(u.ID)); err != nil {
		return nil, err
	}
	if n.login != "" {
		if err := addLoginTags(tx, u, n.login); err != nil {
			return nil, err
		}
		err := tx.PutLogin(&store.Login{Scheme: schemeBasic, Name: n.login, User: u.ID, Secret: hash})
		if errors.Is(err, store.ErrExists) {
			return nil, errLoginTaken
		}
		if err != nil {
			return nil, err
		}
	}
	if err := tx.PutUser(u); err != nil {
		return nil, err
	}
	for _, to := range n.creds {
		code, err := a.addCred(tx, u.ID, to, u.Created)
		if err != nil {
			return nil, err
		}
		codes = append(codes, code)
	}
	if len(n.files) == 0 {
		return codes, nil
	}
	return codes, tx.SetLinks(store.RefUser(u.ID), n.files)
}

func addLoginTags(tx store.Tx, u *store.User, login string) error {
	replaceTag(u, "", schemeBasic+":"+login)
	alias := aliasPrefix + ":" + login
	named := slices.ContainsFunc(u.Tags, isAliasTag)
	if named || !isAlias(login) {
		return nil
	}
	err := aliasFree(tx, []string{alias}, string(u.ID))
	if err == nil {
		replaceTag(u, "", alias)
	}
	if protocol.FaultOf(err) == protocol.Exists {
		return nil
	}
	return err
}

// create makes an account for an operator: no address is required. public is JSON
// or nil.
func (a *accounts) create(ctx context.Context, login, password string, level store.Level, public []byte) (protocol.UserID, error) {
	n, err := a.newcomer(caller{}, &protocol.Acc{Scheme: schemeAnonymous, Desc: &protocol.SetDesc{Public: public}}, a.clock.Now())
	if err != nil {
		return "", err
	}
	if err := n.setSecret(login, password); err != nil {
		return "", err
	}
	n.user.Level = level
	_, err = a.register(ctx, n, "")
	return n.user.ID, err
}
