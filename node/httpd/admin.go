package httpd

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

// The operators' interface is JSON over HTTP on the loopback listener, for whoever
// can read the token in the data directory:
//
//	GET    /admin/node                                 → AdminNode
//	GET    /admin/users                                → []AdminUser
//	POST   /admin/users                AdminNewUser    → AdminUser, 201
//	PUT    /admin/users/{who}/password AdminPassword   → AdminUser
//	PUT    /admin/users/{who}/state    AdminState      → AdminUser
//	DELETE /admin/users/{who}?hard=1                   → AdminUser
//	GET    /admin/reports                              → []AdminReport
//	GET    /admin/backup              → the database; cut off if that fails
//
// {who} is a login or the id of a user. Errors are AdminError.

const (
	maxAdminBody  = 64 << 20  // bytes that an operator's request may hold
	backupTimeout = time.Hour // for the database to be read by whoever asked for it
	// backupStall is how long that one may read nothing: meanwhile the database cannot
	// use its free space again, and grows.
	backupStall = 2 * time.Minute
)

// AdminNode is which node answers.
type AdminNode struct {
	Node  string `json:"node"`
	Build string `json:"build"`
}

// AdminUser is an account.
type AdminUser struct {
	ID       string    `json:"id"`
	Login    string    `json:"login,omitempty"`
	Name     string    `json:"name,omitempty"`
	Level    string    `json:"level"` // "anon", "auth", "root"
	State    string    `json:"state"` // "ok", "susp"
	Created  time.Time `json:"created"`
	Seen     time.Time `json:"seen,omitzero"` // when last online
	Sessions int       `json:"sessions"`
}

// AdminNewUser asks for an account.
type AdminNewUser struct {
	Login    string `json:"login"`
	Password string `json:"password"`
	Name     string `json:"name,omitempty"` // shown to others; empty: the login
	Root     bool   `json:"root,omitempty"`
	// Email and Tel are taken for confirmed; empty: none.
	Email string `json:"email,omitempty"`
	Tel   string `json:"tel,omitempty"`
}

// AdminPassword is a new password.
type AdminPassword struct {
	Password string `json:"password"`
}

// AdminState is a new state: "ok" or "susp".
type AdminState struct {
	State string `json:"state"`
}

// AdminReport is a report to the operators.
type AdminReport struct {
	Seq     int             `json:"seq"`
	From    string          `json:"from"`
	When    time.Time       `json:"when"`
	Times   int             `json:"times"` // that From has reported it
	Last    time.Time       `json:"last"`
	Action  string          `json:"action,omitempty"`
	Target  string          `json:"target,omitempty"`
	Content json.RawMessage `json:"content"`
}

// AdminError is why a request was refused. Code is that of the protocol.
type AdminError struct {
	Code int    `json:"code"`
	Text string `json:"text"`
	What string `json:"what,omitempty"` // "auth", "password" …
}

// Error implements error.
func (e *AdminError) Error() string { return e.Text }

// Admin answers operators. Its handler is for the loopback listener only.
type Admin struct {
	node  *node.Node
	token [sha256.Size]byte
	build string
	peers Peers  // nil: nothing is told of other nodes
	links Links  // nil: there are none
	ping  Pinger // nil: there are no links
}

// NewAdmin is the operators' interface to n, for those who bear token.
func NewAdmin(n *node.Node, token, build string) *Admin {
	return &Admin{node: n, token: sha256.Sum256([]byte(token)), build: build}
}

// Handler answers paths that begin with /admin/.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range a.peerRoutes() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serveAdmin(w, r, serve) })
	}
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /admin/node":                 a.whoAmI,
		"GET /admin/users":                a.users,
		"POST /admin/users":               a.addUser,
		"PUT /admin/users/{who}/password": a.setPassword,
		"PUT /admin/users/{who}/state":    a.setState,
		"DELETE /admin/users/{who}":       a.deleteUser,
		"GET /admin/groups":               a.groups,
		"PUT /admin/groups/{group}/owner": a.setOwner,
		"GET /admin/reports":              a.reports,
		"GET /admin/reputation":           a.standings,
		"GET /admin/reputation/{peer}":    a.explain,
		"PUT /admin/reputation/{peer}":    a.setStanding,
		"DELETE /admin/reputation/{peer}": a.forget,
		"DELETE /admin/complaints/{user}": a.pardon,
		"GET /admin/reputation-list":      a.signedList,
		"GET /admin/reputation-state":     a.exportStanding,
		"PUT /admin/reputation-state":     a.importStanding,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serveAdmin(w, r, serve) })
	}
	mux.HandleFunc("GET /admin/backup", a.backup)
	return a.guard(mux)
}

// guard lets in who bears the token.
func (a *Admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		sum := sha256.Sum256([]byte(token))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], a.token[:]) != 1 {
			writeAdmin(w, http.StatusUnauthorized, &AdminError{Code: http.StatusUnauthorized, Text: "the operator's token is required"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
		next.ServeHTTP(w, r)
	})
}

// created makes the answer a 201.
type created struct{ AdminUser }

func serveAdmin(w http.ResponseWriter, r *http.Request, serve func(*http.Request) (any, error)) {
	v, err := serve(r)
	if err != nil {
		e := adminError(err)
		writeAdmin(w, e.Code, e)
		return
	}
	if c, ok := v.(created); ok {
		writeAdmin(w, http.StatusCreated, c.AdminUser)
		return
	}
	writeAdmin(w, http.StatusOK, v)
}

// adminError tells operators more than clients: also the cause.
func adminError(err error) *AdminError {
	fault := protocol.FaultOf(err)
	e := &AdminError{Code: fault.Code(), Text: fault.Text()}
	detail := new(protocol.Error)
	if errors.As(err, &detail) {
		e.What = detail.What
		if detail.Err != nil {
			e.Text = detail.Err.Error()
		}
	} else if fault == protocol.Internal {
		e.Text = err.Error()
	}
	return e
}

func writeAdmin(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the operator has gone if it fails
}

// decode reads a body of one JSON object.
func decode[T any](r *http.Request) (T, error) {
	var v T
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, protocol.Errorf(protocol.Malformed, "%w", err)
	}
	return v, nil
}

func (a *Admin) whoAmI(*http.Request) (any, error) {
	return AdminNode{Node: string(a.node.Name()), Build: a.build}, nil
}

func userJSON(u node.UserInfo) AdminUser {
	return AdminUser{
		ID: string(u.ID), Login: u.Login, Name: u.Name, Level: u.Level.String(), State: u.State.String(),
		Created: u.Created, Seen: u.Seen, Sessions: u.Sessions,
	}
}

func (a *Admin) users(*http.Request) (any, error) {
	users, err := a.node.Users()
	if err != nil {
		return nil, err
	}
	all := make([]AdminUser, len(users))
	for i, u := range users {
		all[i] = userJSON(u)
	}
	return all, nil
}

func (a *Admin) addUser(r *http.Request) (any, error) {
	in, err := decode[AdminNewUser](r)
	if err != nil {
		return nil, err
	}
	level := store.LevelAuth
	if in.Root {
		level = store.LevelRoot
	}
	if in.Name == "" {
		in.Name = in.Login
	}
	public, err := json.Marshal(map[string]string{"fn": in.Name})
	if err != nil {
		return nil, err
	}
	id, err := a.node.AddUser(r.Context(), in.Login, in.Password, level, public)
	if err != nil {
		return nil, err
	}
	if err := a.confirm(id, in); err != nil { // then it was not to be
		return nil, errors.Join(err, a.node.DeleteUser(r.Context(), id, true))
	}
	u, err := a.node.User(string(id))
	return created{userJSON(u)}, err
}

// confirm gives a new user the addresses that the operator has made sure of.
func (a *Admin) confirm(id protocol.UserID, in AdminNewUser) error {
	for method, value := range map[string]string{"email": in.Email, "tel": in.Tel} {
		if value == "" {
			continue
		}
		if err := a.node.Confirm(id, method, value); err != nil {
			return err
		}
	}
	return nil
}

func (a *Admin) setPassword(r *http.Request) (any, error) {
	in, err := decode[AdminPassword](r)
	if err != nil {
		return nil, err
	}
	return a.change(r, func(u node.UserInfo) error {
		return a.node.SetPassword(r.Context(), u.ID, in.Password)
	})
}

func (a *Admin) setState(r *http.Request) (any, error) {
	in, err := decode[AdminState](r)
	if err != nil {
		return nil, err
	}
	for _, state := range []store.State{store.StateOK, store.StateSuspended} {
		if in.State == state.String() {
			return a.change(r, func(u node.UserInfo) error { return a.node.SetState(u.ID, state) })
		}
	}
	return nil, protocol.Errorf(protocol.Malformed, "state is %q or %q", store.StateOK, store.StateSuspended)
}

// change does something to the user that the path names and tells how it is then.
func (a *Admin) change(r *http.Request, do func(node.UserInfo) error) (any, error) {
	u, err := a.node.User(r.PathValue("who"))
	if err != nil {
		return nil, err
	}
	if err := do(u); err != nil {
		return nil, err
	}
	u, err = a.node.User(string(u.ID))
	return userJSON(u), err
}

func (a *Admin) deleteUser(r *http.Request) (any, error) {
	u, err := a.node.User(r.PathValue("who"))
	if err != nil {
		return nil, err
	}
	return userJSON(u), a.node.DeleteUser(r.Context(), u.ID, r.FormValue("hard") == "1")
}

func (a *Admin) reports(*http.Request) (any, error) {
	reports, err := a.node.Reports()
	if err != nil {
		return nil, err
	}
	all := make([]AdminReport, len(reports))
	for i, r := range reports {
		all[i] = AdminReport{
			Seq: r.Seq, From: string(r.From), When: r.When, Times: r.Times, Last: r.Last,
			Action: r.Action, Target: r.Target, Content: r.Content,
		}
	}
	return all, nil
}

// backup sends the database. Should that fail on the way, the connection is cut,
// so that what arrived does not look whole.
func (a *Admin) backup(w http.ResponseWriter, r *http.Request) {
	timeout(w, backupTimeout)
	w.Header().Set("Content-Type", "application/octet-stream")
	rec := &recorder{ResponseWriter: &impatient{w, backupStall, time.Now().Add(backupTimeout)}}
	err := a.node.Backup(rec)
	switch {
	case err == nil:
	case rec.bytes == 0 && r.Context().Err() == nil:
		e := adminError(err)
		writeAdmin(w, e.Code, e)
	default:
		panic(http.ErrAbortHandler)
	}
}

// impatient fails when what it has written is not taken for a while, or at the end.
type impatient struct {
	http.ResponseWriter
	stall time.Duration
	end   time.Time
}

// Write implements io.Writer.
func (i *impatient) Write(p []byte) (int, error) {
	by := time.Now().Add(i.stall)
	if by.After(i.end) {
		by = i.end
	}
	_ = http.NewResponseController(i.ResponseWriter).SetWriteDeadline(by) // tests' recorders have none
	return i.ResponseWriter.Write(p)
}
