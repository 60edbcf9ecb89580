package bench

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"parley/protocol"
	"parley/protocol/client"
)

// fakeServer speaks just enough of the protocol for the scenarios, and breaks its
// promises on demand.
type fakeServer struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	users  map[string]string               // login → id
	seqs   map[string]int                  // topic → last seq
	subs   map[string]map[*fakeConn]string // topic → session → its name of the topic
	faults map[int]string                  // by seq: drop, dup, noack, refuse, seq, swap; 0: blind
}

// fakeConn is a session, and the client's end of its connection.
type fakeConn struct {
	s      *fakeServer
	uid    string
	in     chan []byte
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

// newFake gives a target on a fake server.
func newFake(t *testing.T, c Case) (*fakeServer, *target) {
	t.Helper()
	s := &fakeServer{users: map[string]string{}, seqs: map[string]int{},
		subs: map[string]map[*fakeConn]string{}, faults: map[int]string{}}
	t.Cleanup(s.wg.Wait)
	tg, err := newTarget(t.Context(), Config{URL: "ws://fake", Dial: s.dial, Prefix: "t", Log: io.Discard}, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, tg
}

func (s *fakeServer) dial(context.Context, string, http.Header) (client.Conn, error) {
	c := &fakeConn{s: s, in: make(chan []byte, 256), out: make(chan []byte, 4096), closed: make(chan struct{})}
	s.wg.Go(c.serve)
	return c, nil
}

func (c *fakeConn) Read() ([]byte, error) {
	select {
	case b := <-c.out:
		return b, nil
	case <-c.closed:
		return nil, io.EOF
	}
}

func (c *fakeConn) Write(packets [][]byte) error {
	for _, b := range packets {
		select {
		case c.in <- b:
		case <-c.closed:
			return errors.New("closed")
		}
	}
	return nil
}

func (c *fakeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *fakeConn) serve() {
	for {
		select {
		case b := <-c.in:
			r, err := protocol.Decode(b)
			if err != nil {
				panic(err)
			}
			c.handle(r)
		case <-c.closed:
			c.gone()
			return
		}
	}
}

func (c *fakeConn) say(format string, args ...any) {
	select {
	case c.out <- fmt.Appendf(nil, format, args...):
	case <-c.closed:
	}
}

// canonical gives both sides of a P2P topic the same name.
func (c *fakeConn) canonical(topic string) string {
	if topic == "me" {
		return "me" + c.uid
	}
	if strings.HasPrefix(topic, "usr") {
		return "p2p" + min(topic, c.uid) + max(topic, c.uid)
	}
	return topic
}

func (c *fakeConn) handle(m *protocol.Request) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Hi != nil:
		c.say(`{"ctrl":{"id":%q,"code":201,"text":"created","params":{"ver":"fake","build":"fake"}}}`, m.Hi.ID)
	case m.Acc != nil:
		login, _, _ := strings.Cut(string(m.Acc.Secret), ":")
		if s.users[login] != "" {
			c.say(`{"ctrl":{"id":%q,"code":409,"text":"already exists"}}`, m.Acc.ID)
			return
		}
		s.users[login] = fmt.Sprintf("usr%d", len(s.users)+1)
		c.loggedIn(m.Acc.ID, login)
	case m.Login != nil:
		login, _, _ := strings.Cut(string(m.Login.Secret), ":")
		if s.users[login] == "" {
			c.say(`{"ctrl":{"id":%q,"code":401,"text":"authentication failed"}}`, m.Login.ID)
			return
		}
		c.loggedIn(m.Login.ID, login)
	case m.Sub != nil:
		c.subscribe(m.Sub)
	case m.Get != nil:
		c.get(m.Get)
	case m.Pub != nil:
		c.publish(m.Pub.ID, m.Pub.Topic, m.Pub.Content)
	}
}

func (c *fakeConn) loggedIn(id, login string) {
	c.uid = c.s.users[login]
	token := base64.StdEncoding.EncodeToString([]byte(login + ":token"))
	c.say(`{"ctrl":{"id":%q,"code":200,"text":"ok","params":{"user":%q,"token":%q}}}`, id, c.uid, token)
}

func (c *fakeConn) subscribe(m *protocol.Sub) {
	s := c.s
	name := m.Topic
	if strings.HasPrefix(name, "new") {
		name = fmt.Sprintf("grp%d", len(s.subs))
	}
	topic := c.canonical(name)
	if s.subs[topic] == nil {
		s.subs[topic] = map[*fakeConn]string{}
	}
	s.subs[topic][c] = name
	c.say(`{"ctrl":{"id":%q,"topic":%q,"code":200,"text":"ok"}}`, m.ID, name)
	if m.Get != nil {
		for range strings.Fields(m.Get.What) {
			c.say(`{"ctrl":{"id":%q,"topic":%q,"code":204,"text":"no content"}}`, m.ID, name)
		}
	}
	c.presence(topic, "on")
}

func (c *fakeConn) get(m *protocol.Get) {
	s := c.s
	if m.What == "sub" {
		var online []string
		for topic, set := range s.subs {
			if peer, ok := strings.CutPrefix(topic, "me"); ok && peer != c.uid && len(set) > 0 && s.faults[0] != "blind" {
				online = append(online, fmt.Sprintf(`{"topic":%q,"online":true}`, peer))
			}
		}
		c.say(`{"meta":{"id":%q,"topic":"me","sub":[%s]}}`, m.ID, strings.Join(online, ","))
		return
	}
	n := 0
	for q := m.Data.Before - 1; q >= 1 && n < m.Data.Limit; q-- {
		if n++; s.faults[q] != "drop" {
			c.say(`{"data":{"topic":%q,"seq":%d,"content":"x"}}`, m.Topic, q)
		}
	}
	c.say(`{"ctrl":{"id":%q,"code":208,"text":"delivered","params":{"what":"data","count":%d}}}`, m.ID, n)
}

func (c *fakeConn) publish(id, topic string, content json.RawMessage) {
	s := c.s
	canon := c.canonical(topic)
	s.seqs[canon]++
	seq := s.seqs[canon]
	fault := s.faults[seq]
	if fault == "refuse" {
		c.say(`{"ctrl":{"id":%q,"code":503,"text":"unavailable"}}`, id)
		return
	}
	if fault != "noack" {
		c.say(`{"ctrl":{"id":%q,"topic":%q,"params":{"seq":%d},"code":202,"text":"accepted"}}`, id, topic, seq)
	}
	shown := seq
	if fault == "seq" {
		shown = seq - 1
	}
	copies := map[string]int{"drop": 0, "dup": 2, "": 1, "seq": 1, "noack": 1}[fault]
	for to, name := range s.subs[canon] {
		for range copies {
			to.say(`{"data":{"topic":%q,"from":%q,"seq":%d,"content":%s}}`, name, c.uid, shown, content)
		}
	}
}

// presence tells everybody on me that this user came or went.
func (c *fakeConn) presence(topic, what string) {
	if topic != "me"+c.uid {
		return
	}
	for t, set := range c.s.subs {
		if strings.HasPrefix(t, "me") && t != topic {
			for to := range set {
				to.say(`{"pres":{"topic":"me","src":%q,"what":%q}}`, cmp.Or(c.uid, "nobody"), what)
			}
		}
	}
}

func (c *fakeConn) gone() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for topic, set := range c.s.subs {
		if _, ok := set[c]; ok {
			delete(set, c)
			c.presence(topic, "off")
		}
	}
}
