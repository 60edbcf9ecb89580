// Package protocol holds the words that every other package speaks: names of
// nodes, users and topics, access modes, the ten requests, the five responses
// and the kinds of error. It imports the standard library only and does no I/O.
//
// The client protocol is Tinode's, version 0.25; spec/client.md describes it as
// this node speaks it.
package protocol

import (
	"encoding/json"
	"time"
)

// Version is the version of the client protocol that a node announces in {hi}.
const Version = "0.25"

// MinVersion is the oldest version of the client protocol that is understood.
const MinVersion = "0.20"

// DefaultAPIKey is the key that the public Tinode clients are built with.
const DefaultAPIKey = "AQEAAAABAAD_rAp4DJh05a1HAwFT3A6K"

// Clear is the value that deletes what it is assigned to (U+2421).
const Clear = "\u2421"

// Request is one of the ten things that a client can say, in exactly one of the
// pointers, and what goes beside it.
type Request struct {
	Hi    *Hi    `json:"hi,omitempty"`
	Acc   *Acc   `json:"acc,omitempty"`
	Login *Login `json:"login,omitempty"`
	Sub   *Sub   `json:"sub,omitempty"`
	Leave *Leave `json:"leave,omitempty"`
	Pub   *Pub   `json:"pub,omitempty"`
	Get   *Get   `json:"get,omitempty"`
	Set   *Set   `json:"set,omitempty"`
	Del   *Del   `json:"del,omitempty"`
	Note  *Note  `json:"note,omitempty"`

	Extra *Extra `json:"extra,omitempty"`
}

// Extra accompanies any request.
type Extra struct {
	// Attachments lists the relative paths of uploaded files that the request
	// puts to use.
	Attachments []string `json:"attachments,omitempty"`
	// OnBehalfOf is the user for whom a root user acts.
	OnBehalfOf string `json:"obo,omitempty"`
	// AuthLevel is the level at which OnBehalfOf acts: "auth" (default) or "anon".
	AuthLevel string `json:"authlevel,omitempty"`
}

// Hi is the handshake. Sent again it updates the user agent, device and language.
type Hi struct {
	ID         string `json:"id,omitempty"`
	Version    string `json:"ver,omitempty"`
	UserAgent  string `json:"ua,omitempty"`
	Device     string `json:"dev,omitempty"`
	Platform   string `json:"platf,omitempty"`
	Lang       string `json:"lang,omitempty"`
	Background bool   `json:"bkg,omitempty"`
}

// Acc creates an account or changes how one is entered.
type Acc struct {
	ID        string       `json:"id,omitempty"`
	User      string       `json:"user,omitempty"` // "new…", "" (self) or an id
	Status    string       `json:"status,omitempty"`
	AuthLevel string       `json:"authlevel,omitempty"`
	Token     []byte       `json:"token,omitempty"`
	TmpScheme string       `json:"tmpscheme,omitempty"`
	TmpSecret []byte       `json:"tmpsecret,omitempty"`
	Scheme    string       `json:"scheme,omitempty"`
	Secret    []byte       `json:"secret,omitempty"`
	Login     bool         `json:"login,omitempty"`
	Tags      []string     `json:"tags,omitempty"`
	Cred      []Credential `json:"cred,omitempty"`
	Desc      *SetDesc     `json:"desc,omitempty"`
}

// Login authenticates the session.
type Login struct {
	ID     string       `json:"id,omitempty"`
	Scheme string       `json:"scheme,omitempty"`
	Secret []byte       `json:"secret,omitempty"`
	Cred   []Credential `json:"cred,omitempty"`
}

// Credential is an address of a user that can be verified. Requests use Value to
// add one and Response to confirm it; responses carry Method, Value and Done.
type Credential struct {
	Method   string          `json:"meth,omitempty"`
	Value    string          `json:"val,omitempty"`
	Response string          `json:"resp,omitempty"`
	Params   json.RawMessage `json:"params,omitempty"`
	Done     bool            `json:"done,omitempty"`
}

// Sub subscribes the user to a topic, attaches the session to it, or both.
type Sub struct {
	ID         string    `json:"id,omitempty"`
	Topic      string    `json:"topic"`
	Background bool      `json:"bkg,omitempty"`
	Set        *SetQuery `json:"set,omitempty"`
	Get        *GetQuery `json:"get,omitempty"`
}

// Leave detaches the session, and with Unsub ends the subscription.
type Leave struct {
	ID    string `json:"id,omitempty"`
	Topic string `json:"topic"`
	Unsub bool   `json:"unsub,omitempty"`
}

// Pub publishes a message.
type Pub struct {
	ID      string                     `json:"id,omitempty"`
	Topic   string                     `json:"topic"`
	NoEcho  bool                       `json:"noecho,omitempty"`
	Head    map[string]json.RawMessage `json:"head,omitempty"`
	Content json.RawMessage            `json:"content"`
}

// Get asks for parts of a topic.
type Get struct {
	ID    string `json:"id,omitempty"`
	Topic string `json:"topic"`
	GetQuery
}

// GetQuery names the parts: What is a space-separated list of
// "desc sub data del tags cred aux".
type GetQuery struct {
	What string     `json:"what"`
	Desc *GetOpts   `json:"desc,omitempty"`
	Sub  *GetOpts   `json:"sub,omitempty"`
	Data *GetRanges `json:"data,omitempty"`
	Del  *GetRanges `json:"del,omitempty"`
}

// GetOpts narrows desc and sub.
type GetOpts struct {
	IfModifiedSince *Time  `json:"ims,omitempty"`
	User            string `json:"user,omitempty"`
	Topic           string `json:"topic,omitempty"`
	Limit           int    `json:"limit,omitempty"`
}

// GetRanges narrows data and del: Since is inclusive, Before exclusive; zero
// means unbounded. Ranges, if given, are asked for instead.
type GetRanges struct {
	Since  int     `json:"since,omitempty"`
	Before int     `json:"before,omitempty"`
	Limit  int     `json:"limit,omitempty"`
	Ranges []Range `json:"ranges,omitempty"`
}

// Set changes parts of a topic.
type Set struct {
	ID    string `json:"id,omitempty"`
	Topic string `json:"topic"`
	SetQuery
}

// SetQuery names the parts to change; nil parts stay.
type SetQuery struct {
	Desc *SetDesc                   `json:"desc,omitempty"`
	Sub  *SetSub                    `json:"sub,omitempty"`
	Tags []string                   `json:"tags,omitempty"`
	Cred *Credential                `json:"cred,omitempty"`
	Aux  map[string]json.RawMessage `json:"aux,omitempty"`
}

// SetDesc changes a description. Public and Private are merged key by key where
// both sides are objects; [Clear] deletes.
type SetDesc struct {
	Defacs  *Defacs         `json:"defacs,omitempty"`
	Trusted json.RawMessage `json:"trusted,omitempty"`
	Public  json.RawMessage `json:"public,omitempty"`
	Private json.RawMessage `json:"private,omitempty"`
}

// SetSub changes a subscription: Given of User, or the requester's own Want if
// User is empty.
type SetSub struct {
	User string `json:"user,omitempty"`
	Mode string `json:"mode,omitempty"`
}

// Defacs is the access that new subscribers get, by their authentication level.
type Defacs struct {
	Auth string `json:"auth,omitempty"`
	Anon string `json:"anon,omitempty"`
}

// Del deletes what What says: "msg" (default), "topic", "sub", "user", "cred".
type Del struct {
	ID     string      `json:"id,omitempty"`
	Topic  string      `json:"topic,omitempty"`
	What   string      `json:"what,omitempty"`
	Hard   bool        `json:"hard,omitempty"`
	DelSeq []Range     `json:"delseq,omitempty"`
	User   string      `json:"user,omitempty"`
	Cred   *Credential `json:"cred,omitempty"`
}

// Note is an ephemeral notification: "kp kpa kpv read recv call data".
type Note struct {
	ID      string          `json:"id,omitempty"`
	Topic   string          `json:"topic"`
	What    string          `json:"what"`
	Seq     int             `json:"seq,omitempty"`
	Unread  int             `json:"unread,omitempty"`
	Event   string          `json:"event,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Response is one of the five things that a node can say: exactly one is set.
type Response struct {
	Ctrl *Ctrl `json:"ctrl,omitempty"`
	Data *Data `json:"data,omitempty"`
	Meta *Meta `json:"meta,omitempty"`
	Pres *Pres `json:"pres,omitempty"`
	Info *Info `json:"info,omitempty"`
}

// Ctrl answers a request. Params is nil or marshals to a JSON object.
type Ctrl struct {
	ID     string         `json:"id,omitempty"`
	Topic  string         `json:"topic,omitempty"`
	Params map[string]any `json:"params,omitempty"`
	Code   int            `json:"code"`
	Text   string         `json:"text"`
	TS     Time           `json:"ts"`
}

// Data is a message. From is empty where the author is not shown.
type Data struct {
	Topic   string          `json:"topic"`
	From    string          `json:"from,omitempty"`
	TS      Time            `json:"ts"`
	Seq     int             `json:"seq"`
	Head    json.RawMessage `json:"head,omitempty"`
	Content json.RawMessage `json:"content"`
}

// Meta describes a topic.
type Meta struct {
	ID    string                     `json:"id,omitempty"`
	Topic string                     `json:"topic"`
	TS    Time                       `json:"ts"`
	Desc  *Desc                      `json:"desc,omitempty"`
	Sub   []SubDesc                  `json:"sub,omitempty"`
	Del   *DelDesc                   `json:"del,omitempty"`
	Tags  []string                   `json:"tags,omitempty"`
	Cred  []Credential               `json:"cred,omitempty"`
	Aux   map[string]json.RawMessage `json:"aux,omitempty"`
}

// Desc is a topic as one user sees it.
type Desc struct {
	Created  *Time           `json:"created,omitempty"`
	Updated  *Time           `json:"updated,omitempty"`
	Touched  *Time           `json:"touched,omitempty"`
	Status   string          `json:"status,omitempty"`
	Online   bool            `json:"online,omitempty"`
	IsChan   bool            `json:"chan,omitempty"`
	Defacs   *Defacs         `json:"defacs,omitempty"`
	Acs      *Acs            `json:"acs,omitempty"`
	Seq      int             `json:"seq,omitempty"`
	Read     int             `json:"read,omitempty"`
	Recv     int             `json:"recv,omitempty"`
	Clear    int             `json:"clear,omitempty"`
	SubCount int             `json:"subcnt,omitempty"`
	Seen     *Seen           `json:"seen,omitempty"`
	Trusted  json.RawMessage `json:"trusted,omitempty"`
	Public   json.RawMessage `json:"public,omitempty"`
	Private  json.RawMessage `json:"private,omitempty"`
}

// SubDesc is one subscription: of User in a topic, or on me of oneself in Topic.
type SubDesc struct {
	Updated  *Time           `json:"updated,omitempty"`
	Deleted  *Time           `json:"deleted,omitempty"`
	Online   bool            `json:"online,omitempty"`
	Acs      *Acs            `json:"acs,omitempty"`
	Read     int             `json:"read,omitempty"`
	Recv     int             `json:"recv,omitempty"`
	Trusted  json.RawMessage `json:"trusted,omitempty"`
	Public   json.RawMessage `json:"public,omitempty"`
	Private  json.RawMessage `json:"private,omitempty"`
	User     string          `json:"user,omitempty"`
	Topic    string          `json:"topic,omitempty"`
	Touched  *Time           `json:"touched,omitempty"`
	Seq      int             `json:"seq,omitempty"`
	Clear    int             `json:"clear,omitempty"`
	SubCount int             `json:"subcnt,omitempty"`
	Seen     *Seen           `json:"seen,omitempty"`
	IsChan   bool            `json:"chan,omitempty"`
}

// Acs is an access mode: what is wanted, what is given, and both.
type Acs struct {
	Want  string `json:"want,omitempty"`
	Given string `json:"given,omitempty"`
	Mode  string `json:"mode,omitempty"`
}

// Seen tells when a user was last online, and with which user agent.
type Seen struct {
	When Time   `json:"when"`
	UA   string `json:"ua,omitempty"`
}

// DelDesc is a part of a topic's deletion log.
type DelDesc struct {
	Clear  int     `json:"clear,omitempty"`
	DelSeq []Range `json:"delseq,omitempty"`
}

// Pres tells that something happened. It has no time stamp.
type Pres struct {
	Topic  string  `json:"topic"`
	Src    string  `json:"src,omitempty"`
	What   string  `json:"what"`
	UA     string  `json:"ua,omitempty"`
	Seq    int     `json:"seq,omitempty"`
	Clear  int     `json:"clear,omitempty"`
	DelSeq []Range `json:"delseq,omitempty"`
	Tgt    string  `json:"tgt,omitempty"`
	Act    string  `json:"act,omitempty"`
	Acs    *Acs    `json:"dacs,omitempty"`
}

// Info is a note that another user sent. From is empty where the node ends a call.
type Info struct {
	Topic   string          `json:"topic"`
	Src     string          `json:"src,omitempty"`
	From    string          `json:"from,omitempty"`
	What    string          `json:"what"`
	Seq     int             `json:"seq,omitempty"`
	Event   string          `json:"event,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Time is an instant as clients read it (spec/client.md#times): RFC 3339 in UTC with
// exactly three decimals, 24 characters. The SDK takes other lengths for plain strings.
type Time struct{ time.Time }

// At makes t a protocol Time, cut to milliseconds.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// Ptr returns a pointer to t as Time, nil for the zero time.
func Ptr(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	p := At(t)
	return &p
}

const timeLayout = `"2006-01-02T15:04:05.000Z"`

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) { return t.UTC().AppendFormat(nil, timeLayout), nil }
