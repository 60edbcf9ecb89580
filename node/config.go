package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/federation"
	"parley/protocol"
	"parley/store"
)

// Config is what a Node is made of. Store, Passwords and Tokens are required;
// every other field has a default that its comment states.
type Config struct {
	Store     store.Store
	Blobs     store.Blobs // nil: no files
	Passwords Passwords
	Tokens    Tokens
	// Validators confirm addresses, by method: "email", "tel". Required names the
	// methods without which an account of level auth cannot be used.
	Validators map[string]Validator
	Required   []string
	// Network is what the node can do with others; nil: it has none.
	Network federation.Network
	// Trusted are nodes with which first contacts are not rationed, either way.
	Trusted []protocol.Node
	// OpinionKey signs what the node says of others, if asked: its own key. Nil: it
	// says nothing.
	OpinionKey ed25519.PrivateKey
	Federation Federation
	Log        *slog.Logger          // nil: discarded
	Clock      protocol.Clock        // nil: the machine's
	Metrics    prometheus.Registerer // nil: a private registry
	Build      string                // shown in {hi}
	Limits     Limits
	Calls      Calls
	// Closed refuses new accounts over {acc}; operators can still add users.
	Closed bool
	// FileQuota bounds the bytes of files that one user may store; 0: no limit.
	// UnusedFiles is the age at which files without a use are removed; 1 h.
	FileQuota   int64
	UnusedFiles time.Duration
	// Restricted are the tag prefixes that users cannot set themselves, beside
	// those of login schemes and validators.
	Restricted []string
}

// Federation is what goes between this node's users and those of others.
type Federation struct {
	// Hidden: nobody at another node finds our users and groups by their handle.
	Hidden bool
	// Guests lets users without a login have to do with those of other nodes, too.
	Guests bool
	// FileCache bounds the bytes of other nodes' files that are kept here; 1 GiB. One
	// that is larger than an eighth of it is not fetched.
	FileCache int64
	// Lists of other operators that are followed.
	Lists []ListSource
	// PassReports tells other nodes which of their users were reported here, without saying
	// by whom.
	PassReports bool
	// Deaf: nobody is asked what they think of a node that is new; Mute: nobody who asks
	// is told what this node thinks.
	Deaf, Mute bool
	// Stranger is how fast a node is read with whose users nobody here talks, and whose
	// standing is not yet known; Partner, how fast others are. Standard: 40 posts and
	// 1 MiB, 4,000 posts and 64 MiB. Nodes that the operator trusts are read as they come.
	Stranger, Partner Pace
}

// Limits bound what clients may do. A zero field means its default.
type Limits struct {
	MaxMessage     int           // bytes of a packet; 128 KiB
	MaxSubscribers int           // of a group; 512
	MaxTags        int           // of a user or topic; 16
	MaxFile        int64         // bytes of an upload; 32 MiB
	MaxGuestFile   int64         // bytes of an upload without an account, for one that is about to be; 512 KiB
	GuestBytes     int64         // of such files in all, until they are used or removed; 256 MiB
	GuestRate      float64       // such uploads a second, per address; 0.01
	GuestBurst     int           // 10
	UploadRate     float64       // uploads a second, per user; 1
	UploadBurst    int           // 200
	MaxHistory     int           // messages in one page; 100
	MaxSubs        int           // subscriptions of one user; 2000
	SendQueue      int           // bytes waiting for a slow session before it is closed; 4 MiB
	TopicQueue     int           // requests waiting for a topic before 503; 256
	SessionRate    float64       // requests a second of one session; 200
	SessionBurst   int           // 1000
	UserBytes      int           // bytes a second that all sessions of a user may send, 16 times as many at once; 1 MiB
	LoginRate      float64       // failed logins a second, per account and per address; 0.2
	LoginBurst     int           // 10
	SignupRate     float64       // new accounts a second, per address; 1
	SignupBurst    int           // 100
	MaxSessions    int           // in all; 100,000
	PerAddress     int           // sessions from one address; 10,000
	TopicIdle      time.Duration // after which an unused topic leaves memory; 2 min
	MsgDeleteAge   time.Duration // messages older than this cannot be deleted for all; 0: no limit
}

// Calls configures audio and video calls.
type Calls struct {
	// ICE is the list of ICE servers announced in {hi} as JSON; nil: calls are answered 501.
	ICE json.RawMessage
	// Timeout is how long a call may ring; 30 s.
	Timeout time.Duration
}

// Passwords hashes secrets slowly, a bounded number at once. Both methods wait
// for their turn until ctx ends.
type Passwords interface {
	Hash(ctx context.Context, password string) ([]byte, error)
	// Verify takes as long for a nil hash (unknown user) as for any other.
	Verify(ctx context.Context, hash []byte, password string) (bool, error)
}

// Token is what a token says.
type Token struct {
	User    protocol.UserID
	Level   store.Level
	Epoch   uint32 // of the user's, when it was issued
	Expires time.Time
	Purpose Purpose
}

// Purpose restricts what a token is good for.
type Purpose uint8

// The purposes.
const (
	ForLogin    Purpose = iota
	ForValidate         // log in only together with the missing credentials
	ForReset            // change the secret, once
)

// Tokens signs and reads tokens. Read returns protocol.Malformed for what is no
// token and protocol.BadLogin for one that is forged or has expired.
type Tokens interface {
	Issue(Token) []byte
	Read(token []byte, now time.Time) (Token, error)
	// Lifetime is how long a new token of a purpose is good.
	Lifetime(Purpose) time.Duration
}

// Validator confirms addresses of one method.
type Validator interface {
	// Normalise checks an address and gives its one form; lang is the client's
	// language ("en-US"), for numbers without a country.
	Normalise(value, lang string) (string, error)
	// Send brings a code to an address; it returns without waiting for delivery
	// where that takes long, and errors are logged by the caller.
	Send(ctx context.Context, c Code) error
	// FixedCode is a code that is always good, empty outside of tests.
	FixedCode() string
}

// Code is what a Validator sends.
type Code struct {
	To    string
	Code  string
	Lang  string
	Login string // set if the code resets the secret of this login
}

// Conn is one client's connection, or long-polling session. Read and Write are
// called by one goroutine each, Close by any.
type Conn interface {
	// Read returns the next packet. Its error ends the session.
	Read() ([]byte, error)
	// Write sends packets in order and returns when the connection took them.
	Write(packets [][]byte) error
	// Close ends the connection; reason is for the client where it can be told.
	Close(reason CloseReason)
}

// CloseReason says why a node closes a connection.
type CloseReason uint8

// The reasons.
const (
	CloseNormal CloseReason = iota
	CloseShutdown
	CloseSlow     // did not read what was sent
	CloseFlood    // asked too much
	CloseTooLarge // a packet over the limit
)

// Origin says where a connection comes from.
type Origin struct {
	Addr  netip.Addr
	Admin bool   // over the admin listener: root users may log in
	Proto string // "ws" or "lp"
}
