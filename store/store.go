// Package store is the contract of the disk: the records that a node keeps, and
// one small interface for each concern, all seen together through a [Tx].
// store/bolt keeps it in one file, store/storetest proves that an engine does.
package store

import (
	"errors"
	"io"
	"iter"
	"time"

	"parley/protocol"
)

// Errors of every engine. Others are faults of the disk.
var (
	ErrNotFound    = errors.New("store: not found")
	ErrExists      = errors.New("store: already exists")
	ErrInUse       = errors.New("store: the data directory is in use by another process")
	ErrNewerSchema = errors.New("store: the data was written by a newer release")
	ErrOtherNode   = errors.New("store: the data belongs to a node of another name")
	ErrDamaged     = errors.New("store: the file is damaged, or no store")
	ErrFull        = errors.New("store: no space left on the disk")
	ErrClosed      = errors.New("store: closed")
)

// A Store runs transactions. They are serialisable. When Update returns nil, what
// fn did is on the disk, whole, and survives a crash at any instant; when it
// returns an error, nothing of it is. fn may run more than once and must have no
// effect outside of its Tx, which ends when fn returns; nor may it keep slices
// and records it got from a View beyond changing its own copies.
type Store interface {
	View(fn func(Tx) error) error
	Update(fn func(Tx) error) error
	Meta() Meta
	// Backup writes a consistent copy that the engine can open, while running.
	Backup(w io.Writer) error
	// Close waits for running transactions.
	Close() error
}

// Stats are figures since the store was opened.
type Stats struct {
	Commits    uint64        // transactions
	Updates    uint64        // in them
	Failed     uint64        // commits that the disk refused
	CommitTime time.Duration // in all
	Waiting    int           // updates at the moment
	Size       int64         // bytes on the disk
}

// Measured is implemented by stores that keep figures.
type Measured interface{ Stats() Stats }

// Meta is what a store knows of itself. Node is fixed when the store is made.
// Incarnation is random, new when the store is made and when a backup is restored,
// so that peers notice that this node was set back.
type Meta struct {
	Node        protocol.Node
	Incarnation uint64
	Schema      int
	Created     time.Time
}

// Tx is every concern at one consistent moment. Functions take the narrow one.
// Look-ups return ErrNotFound. Records are the caller's to change; Put stores a
// copy. Iterators end at the first error and yield it.
type Tx interface {
	Users
	Logins
	Credentials
	Topics
	Subs
	Messages
	Events
	Files
	FileUses
	Outbox
	Inbox
	Lanes
	Peers
	Followers
	Replicas
	Values
}

// State of an account.
type State uint8

// The states. A deleted user's record stays as a tombstone: ids are never reused.
const (
	StateOK State = iota
	StateSuspended
	StateDeleted
)

// String is the state as clients see it.
func (s State) String() string { return [...]string{"ok", "susp", "del"}[s] }

// Level of an account or session.
type Level uint8

// The levels, in ascending order.
const (
	LevelNone Level = iota
	LevelAnon
	LevelAuth
	LevelRoot
)

// String is the level as clients see it.
func (l Level) String() string { return [...]string{"", "anon", "auth", "root"}[l] }

// Defacs is the access that new subscribers get, by their level.
type Defacs struct{ Auth, Anon protocol.Mode }

// For a session of level l.
func (d Defacs) For(l Level) protocol.Mode {
	switch l {
	case LevelAuth, LevelRoot:
		return d.Auth
	case LevelAnon:
		return d.Anon
	}
	return protocol.None
}

// User is an account. Public, Trusted, Private and Query are JSON, nil if unset.
type User struct {
	ID      protocol.UserID
	State   State
	Level   Level
	Created time.Time
	Updated time.Time // of Public or Trusted
	Defacs  Defacs
	Public  []byte
	Trusted []byte
	Private []byte // of me
	Query   []byte // private query of fnd
	Tags    []string
	// Epoch is raised to make all earlier tokens void.
	Epoch uint32
}

// Seen tells when a user was last online; kept apart from User since it changes often.
type Seen struct {
	When time.Time
	UA   string
}

// Users keeps accounts, and indexes them and topics by tag.
type Users interface {
	User(protocol.UserID) (*User, error)
	// PutUser also brings the tag index up to date. Only users in StateOK are found by tag.
	PutUser(*User) error
	AllUsers() iter.Seq2[*User, error]
	Seen(protocol.UserID) (Seen, error)
	PutSeen(protocol.UserID, Seen) error
	// Tagged yields the ids of users ("usr…") and topics ("grp…") that bear a tag,
	// in the order of their ids.
	Tagged(tag string) iter.Seq2[string, error]
}

// Login is a way into an account: Name is unique in its Scheme.
type Login struct {
	Scheme string
	Name   string
	User   protocol.UserID
	Secret []byte // encoded hash
}

// Logins keeps secrets.
type Logins interface {
	Login(scheme, name string) (*Login, error)
	// LoginOf finds the one login of a user in a scheme.
	LoginOf(scheme string, u protocol.UserID) (*Login, error)
	// PutLogin replaces the user's login of that scheme; ErrExists if another user has the name.
	PutLogin(*Login) error
	DeleteLogins(protocol.UserID) error
}

// Credential is an address of a user. One confirmed value belongs to one user.
type Credential struct {
	User    protocol.UserID
	Method  string
	Value   string
	Done    bool
	Deleted bool // kept because of failed attempts, so that they are not forgiven
	Created time.Time
	Updated time.Time
	Code    []byte // hash of the code last sent
	Expires time.Time
	Tries   int // wrong answers to Code
	Sent    int // codes sent since SentAt's day began
	SentAt  time.Time
}

// Credentials keeps addresses.
type Credentials interface {
	Credential(u protocol.UserID, method, value string) (*Credential, error)
	CredentialsOf(u protocol.UserID) iter.Seq2[*Credential, error]
	// Confirmed finds who has confirmed an address.
	Confirmed(method, value string) (protocol.UserID, error)
	// PutCredential returns ErrExists if Done and another user has confirmed the value.
	PutCredential(*Credential) error
	DeleteCredential(u protocol.UserID, method, value string) error
}

// Topic is the description of a stored topic. Owner is empty where there is none.
type Topic struct {
	ID      protocol.TopicID
	Channel bool
	Created time.Time
	Updated time.Time
	Owner   protocol.UserID
	Defacs  Defacs
	Public  []byte
	Trusted []byte
	Tags    []string
	Aux     []byte // JSON object
	// Base, of a group whose home is another node: messages below may be missing here.
	Base int
}

// Head is what changes in a topic with every message: the last seq, the last
// deletion, the last event, and when the last message was stored. Subs counts, for
// groups, the live subscriptions that are given Join; PutSub keeps it.
type Head struct {
	Seq     int
	Del     int
	Rev     uint64
	Subs    int
	Touched time.Time
}

// Topics keeps descriptions.
type Topics interface {
	Topic(protocol.TopicID) (*Topic, error)
	// PutTopic also brings the tag index up to date.
	PutTopic(*Topic) error
	// DeleteTopic deletes it with its head, messages, deletions, events,
	// subscriptions, marks and file links; a tombstone makes PutTopic return
	// ErrExists for the id of a deleted group ever after.
	DeleteTopic(protocol.TopicID) error
	// Head is zero for a topic without messages.
	Head(protocol.TopicID) (Head, error)
	AllTopics() iter.Seq2[*Topic, error]
}

// Sub is a subscription. A P2P subscription that was ended stays, with Ended set,
// so that history is there if the user returns.
type Sub struct {
	Topic   protocol.TopicID
	User    protocol.UserID
	Want    protocol.Mode
	Given   protocol.Mode
	Reader  bool // of a channel
	Private []byte
	Created time.Time
	Updated time.Time
	Ended   time.Time
	DelID   int // last deletion that concerns this user: "clear"
}

// Mode is what the user may do.
func (s *Sub) Mode() protocol.Mode { return s.Want & s.Given }

// Live reports whether the subscription has not ended.
func (s *Sub) Live() bool { return s.Ended.IsZero() }

// Marks are how far a user has received and read a topic.
type Marks struct{ Recv, Read int }

// Subs keeps subscriptions, found from both ends.
type Subs interface {
	Sub(protocol.TopicID, protocol.UserID) (*Sub, error)
	PutSub(*Sub) error
	// DeleteSub deletes it with marks and soft deletions.
	DeleteSub(protocol.TopicID, protocol.UserID) error
	SubsTo(protocol.TopicID) iter.Seq2[*Sub, error]
	SubsOf(protocol.UserID) iter.Seq2[*Sub, error]
	// Marks are zero where none are kept.
	Marks(protocol.TopicID, protocol.UserID) (Marks, error)
	PutMarks(protocol.TopicID, protocol.UserID, Marks) error
}

// Message is one line of a topic. (From, Origin, Tag) is its name on every node:
// Origin is its number in the author's own replica, Tag is random. Head is a JSON
// object or nil, Content is JSON.
type Message struct {
	Seq     int
	From    protocol.UserID // empty if the node itself speaks
	TS      time.Time
	Origin  int
	Tag     uint32
	Head    []byte
	Content []byte
}

// Deletion is one entry of a topic's deletion log. User is empty if it holds for
// all (hard).
type Deletion struct {
	ID     int
	User   protocol.UserID
	TS     time.Time
	Ranges protocol.Ranges
}

// Messages keeps logs.
type Messages interface {
	// Append gives m the next Seq of the topic, from 1 without gaps, moves Head.Seq
	// and Head.Touched, and sets Origin to Seq where it is 0.
	Append(protocol.TopicID, *Message) error
	// Message returns one.
	Message(protocol.TopicID, int) (*Message, error)
	// History yields stored messages with low ≤ Seq < high, newest first.
	History(t protocol.TopicID, low, high int) iter.Seq2[*Message, error]
	// Named finds a message by its name on every node; 0 if it is unknown or erased.
	Named(t protocol.TopicID, from protocol.UserID, origin int, tag uint32) (seq int, err error)
	// Delete gives d the next deletion ID and moves Head.Del. For all: messages in
	// the ranges are erased, with their file links; others are kept and the
	// ranges join Hidden of d.User.
	Delete(protocol.TopicID, *Deletion) error
	// Deletions yields the log entries with low ≤ ID < high that concern u, oldest first.
	Deletions(t protocol.TopicID, u protocol.UserID, low, high int) iter.Seq2[*Deletion, error]
	// Hidden is what u has soft-deleted.
	Hidden(protocol.TopicID, protocol.UserID) (protocol.Ranges, error)
}

// Event is one entry of a group's log, by which followers are kept up to date.
// Kind and Body are the node's; a message is an event that holds its seq only.
type Event struct {
	Rev  uint64
	TS   time.Time
	Kind uint8
	By   protocol.UserID
	Seq  int
	Body []byte
}

// Events keeps the gapless log of each group.
type Events interface {
	// AppendEvent gives e the next Rev, from 1 without gaps, and moves Head.Rev.
	AppendEvent(protocol.TopicID, *Event) error
	// EventsAfter yields events with a greater Rev, oldest first.
	EventsAfter(t protocol.TopicID, rev uint64) iter.Seq2[*Event, error]
}

// File is what is known of an uploaded file; the bytes are in [Blobs].
type File struct {
	ID      string
	User    protocol.UserID
	MIME    string
	Name    string
	Size    int64
	SHA256  [32]byte
	Created time.Time
	// Uses counts links; read only.
	Uses int
}

// A Ref is what puts a file to use: a message, or the public part of a user or topic.
type Ref string

// RefMessage, RefTopic and RefUser name what uses a file.
func RefMessage(t protocol.TopicID, seq int) Ref { return messageRef(t, seq) }

// RefTopic is the description of a topic.
func RefTopic(t protocol.TopicID) Ref { return Ref("t\x00" + string(t)) }

// RefUser is the description of a user.
func RefUser(u protocol.UserID) Ref { return Ref("u\x00" + string(u)) }

// Files keeps what is known of uploaded files.
type Files interface {
	File(id string) (*File, error)
	PutFile(*File) error
	// DeleteFile deletes it with its links.
	DeleteFile(id string) error
}

// FileUses counts what files are used for, and by whom they are kept.
type FileUses interface {
	// SetLinks makes ids the files that ref uses; unknown ids are passed over.
	SetLinks(ref Ref, ids []string) error
	// Unused yields files without a use, made before a time.
	Unused(before time.Time) iter.Seq2[*File, error]
	// FilesOf yields what a user has uploaded.
	FilesOf(u protocol.UserID) iter.Seq2[*File, error]
}

// Lane is one of the ordered queues to a peer.
type Lane uint8

// Post is an entry of the outbox: opaque to the store. An empty body is a void:
// it holds the place of a post that was withdrawn.
type Post struct {
	N    uint64
	Key  string
	Body []byte
	At   time.Time
}

// Outbox keeps what peers have not settled: per peer and lane a queue numbered
// from 1 without gaps.
type Outbox interface {
	// Enqueue appends p and sets p.N. If p.Key is not empty and the last entry that was
	// queued under it is above Offered and not withdrawn, it replaces that entry's body in
	// place instead.
	Enqueue(protocol.Node, Lane, *Post) error
	// Posts yields entries with a greater N, oldest first.
	Posts(to protocol.Node, l Lane, after uint64) iter.Seq2[*Post, error]
	// Offer moves the mark up to which posts may have been on a wire; never back.
	Offer(to protocol.Node, l Lane, upto uint64) error
	// Void empties post n, keeping its place; ErrNotFound if it is settled.
	Void(to protocol.Node, l Lane, n uint64) error
	// Settle forgets posts up to and including n.
	Settle(to protocol.Node, l Lane, upto uint64) error
	// Queue tells where a lane stands.
	Queue(to protocol.Node, l Lane) (Queue, error)
	// Waiting yields the peers with unsettled posts.
	Waiting() iter.Seq2[protocol.Node, error]
}

// Queue is the state of a lane to a peer: Settled ≤ Offered ≤ Last. Bytes is the size of
// the bodies that are kept.
type Queue struct{ Settled, Offered, Last, Bytes uint64 }

// Lanes is what becomes of lanes when a link has ended, when posts are dropped, and when
// one of two nodes was set back.
type Lanes interface {
	// Unoffer moves the mark of offered posts back to a number, if it is above: what
	// follows was on no wire after all.
	Unoffer(to protocol.Node, l Lane, downto uint64) error
	// Amend replaces the body of post n in place; ErrNotFound if it is settled.
	Amend(to protocol.Node, l Lane, n uint64, body []byte) error
	// Compact drops the voids above Offered: what follows them gets lower numbers.
	Compact(to protocol.Node, l Lane) error
	// Renumber drops all voids and gives the other posts new numbers, from base + 1 on;
	// Settled is base then, and Offered covers the posts that it has covered.
	Renumber(to protocol.Node, l Lane, base uint64) error
	// Restart sets the cursor and drops all verdicts.
	Restart(from protocol.Node, l Lane, cursor uint64) error
}

// Verdict is a peer's post that was not simply applied, remembered until the
// peer says that it knows.
type Verdict struct {
	N    uint64
	Body []byte
}

// Inbox remembers how far each peer's posts have been applied.
type Inbox interface {
	// Cursor is the number of the last post applied or refused; 0 at first.
	Cursor(from protocol.Node, l Lane) (uint64, error)
	// Advance moves the cursor to n, which must be cursor + 1; a verdict with an
	// empty Body is not kept.
	Advance(from protocol.Node, l Lane, v Verdict) error
	// Verdicts yields those kept with a greater N, oldest first.
	Verdicts(from protocol.Node, l Lane, after uint64) iter.Seq2[*Verdict, error]
	// Forget drops verdicts up to and including n.
	Forget(from protocol.Node, l Lane, upto uint64) error
}

// Blobs keeps the bytes of files.
type Blobs interface {
	// Create starts a blob; it exists once Commit has returned nil.
	Create(id string) (BlobWriter, error)
	// Open returns ErrNotFound for an unknown id.
	Open(id string) (io.ReadSeekCloser, error)
	Remove(id string) error
}

// BlobWriter takes the bytes, and gives those that it has, until Close. Commit puts
// them on the disk for good; Close without Commit discards them.
type BlobWriter interface {
	io.WriteCloser
	io.ReaderAt
	Commit() error
}
