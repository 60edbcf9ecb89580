// Package config is the one file of settings: what can be set, the defaults, how
// it is read, and the reference that is printed from the comments below.
package config

import _ "embed"

//go:generate go run parley/cmd/parley config reference --output ../../../spec/config.md

// source is this file: its comments are the reference and the text of a new
// configuration, see reference.go.
//
//go:embed config.go
var source string

// Config is every setting. What a file leaves out keeps its default, so that an
// empty file, or none, makes a node that works.
type Config struct {
	Node       Node       `toml:"node"`
	HTTP       HTTP       `toml:"http"`
	Admin      Admin      `toml:"admin"`
	S2S        S2S        `toml:"s2s"`
	Reputation Reputation `toml:"reputation"`
	Accounts   Accounts   `toml:"accounts"`
	Email      Email      `toml:"email"`
	Tel        Tel        `toml:"tel"`
	Calls      Calls      `toml:"calls"`
	Files      Files      `toml:"files"`
	Limits     Limits     `toml:"limits"`
	Log        Log        `toml:"log"`
}

// Node is who this node is, and where it keeps everything.
type Node struct {
	// The part after the @ in the addresses of this node's users: a DNS name
	// without a port, such as "chat.example.org". It is fixed when the data
	// directory is first used; empty means the name found there, or "localhost".
	Name string `toml:"name"`
	// The data directory: messages, files, the node's key. A relative path in
	// a file counts from the directory of that file.
	Data string `toml:"data"`
	// When the disk of the data directory has less than this free, nothing is
	// added: messages and files are refused, reading and deleting go on. "0": until
	// the disk is full, when not even deleting is sure to work.
	MinFree Size `toml:"min_free"`
}

// HTTP is where clients come in.
type HTTP struct {
	// Address and port for clients. "127.0.0.1:6060" is reached from this
	// machine only, ":6060" from everywhere.
	Listen string `toml:"listen"`
	// Certificate chain (PEM) to speak HTTPS; tls_key is needed with it. It is
	// read again when the file changes.
	TLSCert string `toml:"tls_cert"`
	// Private key (PEM) of tls_cert.
	TLSKey string `toml:"tls_key"`
	// Get and renew a certificate for the node's name from Let's Encrypt.
	// Port 443 of that name must reach http.listen, or port 80 http.redirect.
	// By this you accept the terms of service of Let's Encrypt.
	ACME bool `toml:"acme"`
	// Where Let's Encrypt may write to about the certificate. Optional.
	ACMEEmail string `toml:"acme_email"`
	// Another certificate authority with ACME than Let's Encrypt, by the URL of
	// its directory.
	ACMEDirectory string `toml:"acme_directory"`
	// Address and port for plain HTTP, such as ":80", that only leads to HTTPS.
	Redirect string `toml:"redirect"`
	// Directory of a web client to serve at /, for example a copy of
	// node_modules/tinode-webapp. Empty: the small page that is built in.
	Web string `toml:"web"`
	// Reverse proxies in front, as addresses or networks ("10.0.0.0/8"). Their
	// X-Forwarded-For is believed, nobody else's.
	TrustedProxies []string `toml:"trusted_proxies"`
	// Keys that clients may send as X-Tinode-APIKEY. The default is the one
	// that the public clients are built with. A key is no secret.
	APIKeys []string `toml:"api_keys"`
	// Compress messages to clients that can read it: fewer bytes, more CPU.
	Compress bool `toml:"compress"`
}

// Admin is where operators come in: the parley commands, metrics at /metrics,
// profiles at /debug/pprof/, and the sign-in of root users.
type Admin struct {
	// Address and port, on loopback only. Where it is not set and the port is
	// taken, any free one is used; the parley commands find it by themselves.
	Listen string `toml:"listen"`
}

// S2S is the link to other nodes.
type S2S struct {
	// UDP address and port for links, such as ":7788". Empty: that port, but none on a
	// node named "localhost". "off": no links; users of this node talk among
	// themselves.
	Listen string `toml:"listen"`
	// Let links go to private addresses, which other nodes' names may lead to. They
	// always may on a node whose name ends in localhost, and to peers whose address
	// you give.
	AllowPrivate bool `toml:"allow_private"`
	// Talk only with the peers that you have named: with "parley peer", or below.
	Closed bool `toml:"closed"`
	// Let users of other nodes find those of this one, and its groups, by their handle,
	// one at a time: "alice@chat.example.org". A user without a handle is not found.
	Find bool `toml:"find"`
	// Let users without a login have to do with those of other nodes.
	Guests bool `toml:"guests"`
	// DNS servers to ask, as "address:port". Empty: those of the system.
	Resolvers []string `toml:"resolvers"`
	// Where other nodes reach this one, as "host:port", if its DNS records do not say:
	// published on its web site and in the DHT.
	Announce []string `toml:"announce"`
	// Whether other nodes can dial this one: "yes"; "no", behind NAT or a firewall
	// without a forwarded port, when it keeps links with its partners up, since they
	// cannot call back, and strangers cannot reach it; "auto": "no" until one has
	// dialled it of its own accord.
	Reach string `toml:"reach"`
	// Part in the table by which nodes without DNS are found: "server" also answers
	// others, "client" only asks, "off". Empty: "server" if the node's name is made
	// from its key or bootstrap is set, else "off". It takes about 4 MB of memory.
	DHT string `toml:"dht"`
	// Nodes of that table to begin with, as "host:port". Peers that this node knows
	// are tried too.
	Bootstrap []string `toml:"bootstrap"`
	// Peers whose address or key you know.
	Peers []S2SPeer `toml:"peers"`
}

// S2SPeer is another node. Repeat [[s2s.peers]] for several.
type S2SPeer struct {
	// Its name, such as "chat.example.org".
	Name string `toml:"name"`
	// Where it is, as "host:port". Empty: it is looked for.
	Addresses []string `toml:"addresses"`
	// Its key, as "parley key" prints it there. Empty: its name must prove it.
	Key string `toml:"key"`
	// Its users may begin any number of conversations with yours, and yours with them.
	Trusted bool `toml:"trusted"`
}

// Reputation is what this node and others tell each other of third ones, so that
// strangers come in faster and spammers later. "parley reputation" shows what came of it.
type Reputation struct {
	// Ask a few nodes that are known here about one that is new. It waits for their
	// answers, 45 seconds at most.
	Ask bool `toml:"ask"`
	// Tell nodes that are known here, when they ask, how a third one has behaved:
	// roughly, as of up to an hour ago, and nothing of users.
	Answer bool `toml:"answer"`
	// When users here report one of another node, tell that node how many have, within
	// minutes, and never who.
	PassReports bool `toml:"pass_reports"`
	// Lists of other operators, of nodes to let in or keep out, that this node follows.
	// What you say yourself goes before them.
	Lists []List `toml:"lists"`
}

// List is one that is followed. Repeat [[reputation.lists]] for several.
type List struct {
	// What you call it.
	Name string `toml:"name"`
	// Where it is: an "https:" address, or the full path of a file.
	From string `toml:"from"`
	// The key that signs it, as "parley key" prints it at the node that makes it.
	Key string `toml:"key"`
}

// Accounts says who may have an account, and how one is proven.
type Accounts struct {
	// Who may make an account: "open" is anybody who reaches this node,
	// "closed" only the operator with "parley user add". Must be said if
	// http.listen is not on loopback, or behind a proxy; else it is "open".
	Registration string `toml:"registration"`
	// Addresses that every account must confirm before it can be used: "email",
	// "tel". Each needs a sender below.
	Required []string `toml:"required"`
	// Prefixes of tags that users cannot give themselves, such as "staff" for
	// "staff:helpdesk". Those of logins and addresses always are.
	RestrictedTags []string `toml:"restricted_tags"`
	// How long a client stays signed in without the password.
	TokenLifetime Duration `toml:"token_lifetime"`
	// How long a code that confirms an address is good.
	CodeLifetime Duration `toml:"code_lifetime"`
	// How long a code that resets a password is good.
	ResetLifetime Duration `toml:"reset_lifetime"`
}

// Email confirms e-mail addresses, and with them resets forgotten passwords.
type Email struct {
	// How codes are sent: "log" appends them to codes.log in the data
	// directory, for trials; "exec" runs command; "smtp" uses the server below.
	// Empty: addresses are accepted and not confirmed.
	Sender string `toml:"sender"`
	// Program, by its full path, and arguments for "exec". It gets one line of
	// JSON on standard input: method, to, code, lang, login, subject, text.
	Command []string `toml:"command"`
	// Mail server and port for "smtp", such as "mail.example.org:587".
	SMTP string `toml:"smtp"`
	// "starttls" as usual on port 587, "tls" as usual on port 465, or "none"
	// for a server on this machine.
	SMTPTLS string `toml:"smtp_tls"`
	// User name at that server. Empty: no sign-in.
	SMTPUser string `toml:"smtp_user"`
	// File that holds the password and nothing else.
	SMTPPasswordFile string `toml:"smtp_password_file"`
	// The From line for "smtp": "chat@example.org" or "Chat <chat@example.org>".
	From string `toml:"from"`
	// The letter that confirms an address. The first line is the subject.
	// {{.Code}}, {{.To}} and {{.Node}} are filled in. Empty: one in English.
	Confirm string `toml:"confirm"`
	// The letter that resets a password; {{.Login}} is filled in as well.
	Reset string `toml:"reset"`
	// A code that is always right, for tests. Only on a node named localhost.
	TestCode string `toml:"test_code"`
}

// Tel confirms telephone numbers.
type Tel struct {
	// How codes are sent: "log" or "exec", as in email.sender. Empty: numbers
	// are accepted and not confirmed.
	Sender string `toml:"sender"`
	// Program, by its full path, and arguments for "exec", as in email.command.
	Command []string `toml:"command"`
	// Country of numbers without a country code, unless the client says.
	Country string `toml:"country"`
	// The text that confirms a number, as email.confirm.
	Confirm string `toml:"confirm"`
	// The text that resets a password, as email.reset.
	Reset string `toml:"reset"`
	// A code that is always right, for tests. Only on a node named localhost.
	TestCode string `toml:"test_code"`
}

// Calls are audio and video calls. They go between the clients; the node only
// brings them together.
type Calls struct {
	// How long a call rings.
	Timeout Duration `toml:"timeout"`
	// STUN and TURN servers, told to the clients. Without any, calls are off.
	ICE []ICE `toml:"ice"`
}

// ICE is a server that helps clients to reach each other. Repeat [[calls.ice]]
// for several.
type ICE struct {
	// Such as "stun:stun.example.org" or "turn:turn.example.org:3478".
	URLs []string `toml:"urls"`
	// User name at a TURN server. All users of this node can read it.
	Username string `toml:"username"`
	// Password at a TURN server. All users of this node can read it.
	Credential string `toml:"credential"`
}

// Files are pictures and other attachments.
type Files struct {
	// Largest file that can be sent.
	MaxSize Size `toml:"max_size"`
	// What one user's files may take in all. "0": no limit.
	Quota Size `toml:"quota"`
	// Files a second that one user may send.
	Rate float64 `toml:"rate"`
	// Files that a user may send at once before that rate counts.
	Burst int `toml:"burst"`
	// Largest file that can be sent without an account: the picture of one that is about
	// to be made. With accounts.registration = "closed" nobody can.
	GuestMaxSize Size `toml:"guest_max_size"`
	// What such files may take in all, until an account uses them or they are removed.
	GuestQuota Size `toml:"guest_quota"`
	// Such files a second from one address.
	GuestRate float64 `toml:"guest_rate"`
	// Such files at once before that rate counts.
	GuestBurst int `toml:"guest_burst"`
	// Files that no message uses are removed after this time.
	KeepUnused Duration `toml:"keep_unused"`
	// What files of other nodes that were fetched for users here may take in all. Those
	// that were not wanted for the longest time give way. One that is larger than an
	// eighth of this is not fetched.
	Cache Size `toml:"cache"`
}

// Limits bound what one client can ask of the node. The defaults suit a node of
// some thousand users.
type Limits struct {
	// Largest packet, and so message, that a client can send.
	MaxMessage Size `toml:"max_message"`
	// Members of a group; readers of a channel do not count.
	MaxSubscribers int `toml:"max_subscribers"`
	// Tags of a user or group.
	MaxTags int `toml:"max_tags"`
	// Messages in one page of history.
	MaxHistory int `toml:"max_history"`
	// Conversations of one user; others can begin or invite to no more than half.
	MaxSubscriptions int `toml:"max_subscriptions"`
	// Bytes that may wait for a slow client before it is disconnected.
	SendQueue Size `toml:"send_queue"`
	// Requests that may wait for a busy group before others are answered 503.
	TopicQueue int `toml:"topic_queue"`
	// Requests a second of one session.
	SessionRate float64 `toml:"session_rate"`
	// Requests that a session may make at once before that rate counts.
	SessionBurst int `toml:"session_burst"`
	// Bytes a second that one user may send in all sessions, files apart. Sixteen times as
	// much may be sent at once.
	UserBytes Size `toml:"user_bytes"`
	// Failed sign-ins a second, of one account or from one address.
	LoginRate float64 `toml:"login_rate"`
	// Failed sign-ins at once before that rate counts.
	LoginBurst int `toml:"login_burst"`
	// New accounts a second from one address.
	SignupRate float64 `toml:"signup_rate"`
	// New accounts at once before that rate counts.
	SignupBurst int `toml:"signup_burst"`
	// Sessions in all.
	MaxSessions int `toml:"max_sessions"`
	// Sessions from one address.
	SessionsPerAddress int `toml:"sessions_per_address"`
	// After this time without use a conversation leaves the memory.
	TopicIdle Duration `toml:"topic_idle"`
	// Messages older than this cannot be deleted for everybody. "0": no limit.
	DeleteAge Duration `toml:"delete_age"`
}

// Log goes to standard error. It never holds passwords, tokens or messages.
type Log struct {
	// Least important level that is written: "debug", "info", "warn", "error".
	Level string `toml:"level"`
	// "text" for people, "json" for machines.
	Format string `toml:"format"`
}
