package node

import (
	"errors"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// A verb is one of the ten requests: what must hold before it, and what it does.
type verb struct {
	name string
	need need
	// session handles what concerns the session itself; else the request goes to
	// its topic, where apply picks it up.
	session func(*session, *protocol.Request, time.Time)
	apply   func(kind, *request)
}

// need is what a verb presumes of its session.
type need uint8

const (
	nothing need = iota
	greeting
	account
)

// verbs is the table of what a client can say. The order is that of [pick].
var verbTable = [...]verb{
	{name: "hi", need: nothing, session: (*session).hi},
	{name: "acc", need: greeting, session: (*session).acc},
	{name: "login", need: greeting, session: (*session).login},
	{name: "sub", need: account, apply: func(k kind, r *request) { k.sub(r, r.in.Sub) }},
	{name: "leave", need: account, apply: func(k kind, r *request) { k.leave(r, r.in.Leave) }},
	{name: "pub", need: account, apply: func(k kind, r *request) { k.pub(r, r.in.Pub) }},
	{name: "get", need: account, apply: func(k kind, r *request) { k.get(r, &r.in.Get.GetQuery) }},
	{name: "set", need: account, apply: func(k kind, r *request) { k.set(r, &r.in.Set.SetQuery) }},
	{name: "del", need: account, apply: func(k kind, r *request) { k.del(r, r.in.Del) }},
	{name: "note", need: account, apply: func(k kind, r *request) { k.note(r, r.in.Note) }},
}

// pick finds the verb of a packet: exactly one must be set.
func pick(in *protocol.Request) *verb {
	set := [...]bool{in.Hi != nil, in.Acc != nil, in.Login != nil, in.Sub != nil, in.Leave != nil,
		in.Pub != nil, in.Get != nil, in.Set != nil, in.Del != nil, in.Note != nil}
	var v *verb
	for i, s := range set {
		if s && v != nil {
			return nil
		}
		if s {
			v = &verbTable[i]
		}
	}
	return v
}

// requestID is what an answer must bear: the id and the topic of the request.
func requestID(in *protocol.Request) (id, topic string) {
	switch {
	case in.Hi != nil:
		return in.Hi.ID, ""
	case in.Acc != nil:
		return in.Acc.ID, ""
	case in.Login != nil:
		return in.Login.ID, ""
	case in.Sub != nil:
		return in.Sub.ID, in.Sub.Topic
	case in.Leave != nil:
		return in.Leave.ID, in.Leave.Topic
	case in.Pub != nil:
		return in.Pub.ID, in.Pub.Topic
	case in.Get != nil:
		return in.Get.ID, in.Get.Topic
	case in.Set != nil:
		return in.Set.ID, in.Set.Topic
	case in.Del != nil:
		return in.Del.ID, in.Del.Topic
	case in.Note != nil:
		return in.Note.ID, in.Note.Topic
	}
	return "", ""
}

// A request is a packet on its way to a topic, and how it is answered.
type request struct {
	s      *session
	in     *protocol.Request
	verb   *verb
	id     string
	name   string // the topic as the client wrote it
	who    Identity
	at     time.Time // by the wall clock
	came   time.Time // by the steady one
	files  []string  // ids of files that the request puts to use
	reader bool      // the client named a channel as its readers do
	// Of {sub}: the name under which a group was created, params of the answer, and
	// what to do once it is given.
	tmpname string
	params  map[string]any
	then    func()
}

// dispatch decodes a packet and brings it to where it is handled.
func (s *session) dispatch(packet []byte, now time.Time) {
	in, err := protocol.Decode(packet)
	if err != nil {
		s.n.metrics.malformed.Inc()
		s.reply(&protocol.Ctrl{Code: protocol.Malformed.Code(), Text: protocol.Malformed.Text()})
		return
	}
	v := pick(in)
	r := &request{s: s, in: in, verb: v, who: s.who, at: s.n.wall(), came: now}
	r.id, r.name = requestID(in)
	switch {
	case v == nil:
		r.refuse(protocol.Malformed)
		return
	case s.n.isStopping():
		r.refuse(protocol.Busy)
		return
	case v.need >= greeting && !s.greeted:
		r.refuse(protocol.OutOfSequence)
		return
	case v.need >= account && s.who.User == "":
		r.refuse(protocol.Unauthorized)
		return
	}
	s.n.metrics.requests.WithLabelValues(v.name).Inc()
	if v.session != nil {
		v.session(s, in, now)
		return
	}
	if h := s.act(); h != nil && !h.bytes.AllowN(now, len(packet)) {
		s.throttled(packet)
		return
	}
	if err := r.onBehalf(); err != nil {
		r.refuse(err)
		return
	}
	if r.asks() {
		s.calm()
	}
	r.route()
}

// asks reports whether the answer may be large.
func (r *request) asks() bool {
	return r.s.answered == nil && (r.in.Get != nil || r.in.Sub != nil && r.in.Sub.Get != nil)
}

// act tells the user's hub, which it returns, which of its sessions is in use, for
// {pres ua}.
func (s *session) act() *hub {
	p := s.profile.Load()
	h := s.n.hub(s.who.User)
	if h != nil && p.ua != "" && !p.background {
		if old := h.ua.Swap(&p.ua); old != nil && *old != p.ua {
			s.n.tell(protocol.Own(protocol.KindMe, s.who.User), uaEvent{})
		}
	}
	return h
}

// onBehalf lets a root user act as another.
func (r *request) onBehalf() error {
	x := r.in.Extra
	if x == nil {
		return nil
	}
	r.files = fileIDs(r.s.n.name, x.Attachments)
	if x.OnBehalfOf == "" {
		return nil
	}
	if r.who.Level != store.LevelRoot {
		return protocol.Denied
	}
	u, err := protocol.ParseUserID(x.OnBehalfOf, r.s.n.name)
	if err != nil {
		return protocol.Malformed
	}
	r.who = Identity{User: u, Level: store.LevelAuth}
	if x.AuthLevel == "anon" {
		r.who.Level = store.LevelAnon
	}
	return nil
}

// route gives the request to its topic.
func (r *request) route() {
	if r.verb.name == "del" && r.in.Del.What == "user" {
		r.s.n.deleteAccount(r)
		return
	}
	if r.verb.name == "sub" && (strings.HasPrefix(r.name, "new") || strings.HasPrefix(r.name, "nch")) {
		r.s.n.createGroup(r)
		return
	}
	id, err := r.resolve()
	if err != nil {
		r.absent(err)
		return
	}
	if !r.bring(id) {
		r.refuse(protocol.Busy)
	}
}

// resolve turns the client's name of a topic into the node's. From here on the
// answers bear the qualified name.
func (r *request) resolve() (protocol.TopicID, error) {
	n, u := r.s.n, r.who.User
	switch {
	case r.name == "me":
		return protocol.Own(protocol.KindMe, u), nil
	case r.name == "fnd":
		return protocol.Own(protocol.KindFnd, u), nil
	case r.name == "slf":
		return protocol.Own(protocol.KindSelf, u), nil
	case r.name == "sys":
		return protocol.Sys, nil
	case strings.HasPrefix(r.name, "usr"):
		peer, err := protocol.ParseUserID(r.name, n.name)
		switch {
		case err != nil:
			return "", protocol.Malformed
		case peer == u:
			return "", protocol.Denied
		case peer.Node() != n.name && n.cfg.Network == nil:
			return "", protocol.NotFound
		case peer.Node() != n.name && !n.ventures(r.who):
			return "", protocol.Denied
		case peer.Node() != n.name && (r.verb.name == "sub" || r.in.Get != nil && whats(&r.in.Get.GetQuery)["desc"]):
			if err := n.meet(u, peer); err != nil {
				return "", err
			}
		}
		r.name = string(peer)
		return protocol.P2P(u, peer), nil
	case strings.HasPrefix(r.name, "grp"), strings.HasPrefix(r.name, "chn"):
		id, channel, err := protocol.ParseGroupID(r.name, n.name)
		if err != nil || id.Home() != n.name && n.cfg.Network == nil {
			return "", protocol.NotFound
		}
		if id.Home() != n.name && !n.ventures(r.who) {
			return "", protocol.Denied
		}
		if err := r.meetInvited(); err != nil {
			return "", err
		}
		r.reader = channel
		r.name = string(id)
		if channel {
			r.name = id.ChannelName()
		}
		return id, nil
	}
	if r.name == "" || r.verb.name == "get" {
		return "", protocol.Malformed
	}
	return "", protocol.NotFound
}

// absent answers a request to a topic that is not there: with what would be said of
// any topic that one has nothing to do with, where that is enough.
func (r *request) absent(err error) {
	if protocol.FaultOf(err) == protocol.NotFound {
		switch r.verb.name {
		case "pub":
			err = protocol.NotAttached
		case "leave":
			r.unchanged("not joined")
			return
		case "del":
			r.unchanged("no action")
			return
		}
	}
	r.refuse(err)
}

// bring gives the request to a topic; false if too much waits there.
func (r *request) bring(id protocol.TopicID) bool {
	if !r.asks() {
		return r.s.n.send(id, r)
	}
	r.s.asks(1)
	ok := r.s.n.send(id, r)
	if !ok {
		r.s.asks(-1)
	}
	return ok
}

// apply runs the verb on the topic's goroutine.
func (r *request) apply(t *topic) {
	r.verb.apply(t.kind, r)
	r.done()
}

// done notes how long the request took.
func (r *request) done() {
	r.s.n.metrics.latency.WithLabelValues(r.verb.name).Observe(time.Since(r.came).Seconds())
}

// refuse answers with an error. A {note} is answered only if it bears an id: the
// sender of others does not wait for one.
func (r *request) refuse(err error) {
	if r.in.Note != nil && r.id == "" && !errors.Is(err, protocol.NotAttached) {
		return
	}
	c := &protocol.Ctrl{ID: r.id, Topic: r.name}
	c.Code, c.Text = codeOf(err)
	var e *protocol.Error
	if errors.As(err, &e) && e.What != "" {
		c.Params = map[string]any{"what": e.What}
	}
	if c.Code == protocol.Internal.Code() {
		r.s.n.log.Error("request failed", "verb", r.verbName(), "err", err)
	}
	r.s.reply(c)
}

func (r *request) verbName() string {
	if r.verb == nil {
		return ""
	}
	return r.verb.name
}

// codeOf maps an error to what the client is told. A full disk or a closed store
// is not the client's doing: try again later.
func codeOf(err error) (code int, text string) {
	f := faultOf(err)
	return f.Code(), f.Text()
}

func faultOf(err error) protocol.Fault {
	f := protocol.FaultOf(err)
	switch {
	case errors.Is(err, store.ErrFull):
		f = protocol.Full
	case errors.Is(err, store.ErrClosed):
		f = protocol.Busy
	case errors.Is(err, store.ErrNotFound) && f == protocol.Internal:
		f = protocol.NotFound
	}
	return f
}

// ok answers with success.
func (r *request) ok(code int, params map[string]any) {
	r.s.reply(&protocol.Ctrl{ID: r.id, Topic: r.name, Code: code, Text: okText(code), Params: params})
}

// unchanged answers 304 with one of its texts.
func (r *request) unchanged(text string) {
	r.s.reply(&protocol.Ctrl{ID: r.id, Topic: r.name, Code: 304, Text: text})
}

// empty answers that a part of the topic has nothing in it.
func (r *request) empty(what string) {
	r.s.reply(&protocol.Ctrl{ID: r.id, Topic: r.name, Code: 204, Text: okText(204), Params: map[string]any{"what": what}})
}

// meta answers with a description of the topic.
func (r *request) meta(m *protocol.Meta) {
	m.ID, m.Topic, m.TS = r.id, r.name, protocol.At(r.s.n.wall())
	r.s.send(&protocol.Response{Meta: m})
}

func okText(code int) string {
	switch code {
	case 200:
		return "ok"
	case 201:
		return "created"
	case 202:
		return "accepted"
	case 204:
		return "no content"
	case 205:
		return "evicted"
	case 208:
		return "delivered"
	case 300:
		return "validate credentials"
	}
	return "ok"
}

// whats splits {get what}, without repetitions.
func whats(q *protocol.GetQuery) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.FieldsFunc(q.What, func(c rune) bool { return c == ' ' || c == ',' }) {
		m[w] = true
	}
	return m
}
