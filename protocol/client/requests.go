package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"parley/protocol"
)

// Server is what a node says of itself in answer to hi. A limit of 0 was not told.
type Server struct {
	Version        string          `json:"ver"`
	Build          string          `json:"build"`
	MaxMessage     int             `json:"maxMessageSize"`     // bytes of a packet
	MaxSubscribers int             `json:"maxSubscriberCount"` // of a group
	MinTag         int             `json:"minTagLength"`       // characters
	MaxTag         int             `json:"maxTagLength"`
	MaxTags        int             `json:"maxTagCount"`
	MaxFile        int64           `json:"maxFileUploadSize"` // bytes
	MsgDelAge      int             `json:"msgDelAge"`         // seconds
	CallTimeout    int             `json:"callTimeout"`       // seconds
	ICE            json.RawMessage `json:"iceServers"`
}

// Hi introduces the client; Dial has done so. Said again it brings user agent,
// device and language up to date.
func (c *Client) Hi(ctx context.Context) (*Server, error) {
	r, err := c.ctrl(ctx, func(id string) *protocol.Request {
		return &protocol.Request{Hi: &protocol.Hi{ID: id, Version: protocol.Version, UserAgent: c.cfg.UserAgent,
			Device: c.cfg.Device, Platform: c.cfg.Platform, Lang: c.cfg.Lang, Background: c.cfg.Background}}
	})
	if err != nil {
		return nil, err
	}
	s := new(Server)
	if err := decodeParams(r, s); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.server = *s
	c.mu.Unlock()
	return s, nil
}

// Server is what the node said in answer to the last hi.
func (c *Client) Server() Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// Account describes an account to be made.
type Account struct {
	Login    string // empty: an anonymous account, which only its token opens
	Password string
	Public   any // marshals to JSON; shown to others, see thecard.md
	Private  any // the same, for the user alone
	Tags     []string
	Cred     []protocol.Credential
	Defacs   *protocol.Defacs
	NoLogin  bool // do not log this session in
}

// Session is who is logged in and with what to log in again.
type Session struct {
	User      string
	Token     []byte
	Expires   time.Time // of Token
	AuthLevel string
	// Unvalidated names the methods of credentials ("email") that must be confirmed
	// before the session can do anything else; Token is good for that only.
	Unvalidated []string
}

// CreateAccount makes an account and, unless a.NoLogin, logs the session in.
func (c *Client) CreateAccount(ctx context.Context, a Account) (*Session, error) {
	public, err := raw(a.Public)
	if err != nil {
		return nil, err
	}
	private, err := raw(a.Private)
	if err != nil {
		return nil, err
	}
	acc := &protocol.Acc{User: "new", Scheme: "anonymous", Login: !a.NoLogin, Tags: a.Tags, Cred: a.Cred,
		Desc: &protocol.SetDesc{Defacs: a.Defacs, Public: public, Private: private}}
	if a.Login != "" {
		acc.Scheme, acc.Secret = "basic", []byte(a.Login+":"+a.Password)
	}
	r, err := c.ctrl(ctx, func(id string) *protocol.Request {
		acc.ID = id
		return &protocol.Request{Acc: acc}
	})
	if err != nil {
		return nil, err
	}
	return c.session(r, acc.Login)
}

// LoginBasic logs in with a password.
func (c *Client) LoginBasic(ctx context.Context, login, password string) (*Session, error) {
	return c.Login(ctx, "basic", []byte(login+":"+password), nil)
}

// LoginToken logs in with a token from an earlier Session.
func (c *Client) LoginToken(ctx context.Context, token []byte) (*Session, error) {
	return c.Login(ctx, "token", token, nil)
}

// Login logs in by any scheme, with the confirmations of credentials that may be
// wanted.
func (c *Client) Login(ctx context.Context, scheme string, secret []byte, cred []protocol.Credential) (*Session, error) {
	r, err := c.ctrl(ctx, func(id string) *protocol.Request {
		return &protocol.Request{Login: &protocol.Login{ID: id, Scheme: scheme, Secret: secret, Cred: cred}}
	})
	if err != nil {
		return nil, err
	}
	return c.session(r, true)
}

func (c *Client) session(r *protocol.Ctrl, loggedIn bool) (*Session, error) {
	var p params
	if err := decodeParams(r, &p); err != nil {
		return nil, err
	}
	if p.User == "" {
		return nil, fmt.Errorf("%w: %d %s without a user", ErrUnexpected, r.Code, r.Text)
	}
	if loggedIn && r.Code < 300 {
		c.mu.Lock()
		c.user = p.User
		c.mu.Unlock()
	}
	return &Session{User: p.User, Token: p.Token, Expires: p.Expires, AuthLevel: p.AuthLevel, Unvalidated: p.Cred}, nil
}

// raw makes JSON of what a program gives: nil stays nil.
func raw(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return b, nil
}
