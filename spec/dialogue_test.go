package spec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/node/auth"
	"parley/protocol"
	"parley/store/blob"
	"parley/store/bolt"
)

// record writes what a node answers into the vectors; read them before believing it.
var record = flag.Bool("record", false, "write the node's answers into vectors/client/dialogues.json")

const dialogueFile = "vectors/client/dialogues.json"

// dialogue is one conversation with a node named localhost, whose format
// client.md#vectors explains.
type dialogue struct {
	Name     string            `json:"name"`
	About    string            `json:"about"` // an anchor of client.md
	Sessions map[string]string `json:"sessions"`
	Steps    []*step           `json:"steps"`
}

// step is what one session says, and all that every session then gets, in order.
type step struct {
	By   string                       `json:"by,omitempty"`
	Send json.RawMessage              `json:"send,omitempty"`
	Text string                       `json:"text,omitempty"` // instead of Send, as it is
	Wait string                       `json:"wait,omitempty"` // instead of both: time goes by
	Get  map[string][]json.RawMessage `json:"get"`
}

func TestDialogues(t *testing.T) {
	src, err := os.ReadFile(dialogueFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []*dialogue
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	for _, d := range all {
		t.Run(d.Name, func(t *testing.T) {
			if err := resolve(os.ReadFile, "client.md", d.About); err != nil {
				t.Error(err)
			}
			synctest.Test(t, func(t *testing.T) { play(t, d) })
		})
	}
	if *record {
		writeDialogues(t, all)
	}
}

// stage is a node and the sessions of one dialogue.
type stage struct {
	node     *node.Node
	sessions map[string]*client
	vars     map[string]string // what stands for a name: "$alice" → "usr…"
	wg       sync.WaitGroup
}

// client is a connection without a network.
type client struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	got    [][]byte
}

// Read implements node.Conn.
func (c *client) Read() ([]byte, error) {
	select {
	case b := <-c.in:
		return b, nil
	case <-c.closed:
		return nil, io.EOF
	}
}

// Write implements node.Conn.
func (c *client) Write(packets [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, packets...)
	return nil
}

// Close implements node.Conn.
func (c *client) Close(node.CloseReason) { c.once.Do(func() { close(c.closed) }) }

// say sends a packet and waits until the node has nothing more to do.
func (c *client) say(packet string) {
	select {
	case c.in <- []byte(packet):
	case <-c.closed:
	}
	synctest.Wait()
	time.Sleep(time.Millisecond) // no two things happen at one time
}

func (c *client) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

func play(t *testing.T, d *dialogue) {
	s, stop := open(t)
	defer stop()
	for _, name := range slices.Sorted(maps.Keys(d.Sessions)) {
		s.enter(t, name, d.Sessions[name])
	}
	synctest.Wait()
	for _, c := range s.sessions {
		c.take()
	}
	for i, st := range d.Steps {
		s.do(t, st)
		got := map[string][]json.RawMessage{}
		for name, c := range s.sessions {
			for _, p := range c.take() {
				got[name] = append(got[name], s.named(t, p))
			}
		}
		if *record {
			st.Get = got
			continue
		}
		compare(t, fmt.Sprintf("step %d (%s %s%s)", i+1, st.By, st.Send, st.Text), got, st.Get)
	}
}

// open starts a node in the bubble.
func open(t *testing.T) (*stage, func()) {
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "parley.db"), bolt.Options{Node: "localhost", Create: true})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.NewTokens(make([]byte, auth.SecretLen), "localhost", auth.Lifetimes{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{Store: db, Blobs: blobs, Tokens: tokens, Build: "vectors",
		Passwords: auth.NewArgon2(auth.Params{Time: 1, Memory: 8}, 0),
		Calls:     node.Calls{ICE: json.RawMessage(`[{"urls":["stun:localhost"]}]`)}})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{node: n, sessions: map[string]*client{}, vars: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	s.wg.Go(func() { _ = n.Run(ctx) })
	return s, func() {
		cancel()
		s.wg.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// enter connects a session; one of a user is logged in and attached to me.
func (s *stage) enter(t *testing.T, name, user string) {
	c := &client{in: make(chan []byte), closed: make(chan struct{})}
	s.sessions[name] = c
	s.wg.Go(func() {
		_ = s.node.Serve(context.Background(), c, node.Origin{Addr: netip.MustParseAddr("127.0.0.1"), Proto: "ws"})
	})
	if user == "" {
		return
	}
	secret, _ := json.Marshal([]byte(user + "-login:password")) // bytes always marshal
	c.say(`{"hi":{"ver":"0.25","ua":"` + name + `/1"}}`)
	if s.vars["$"+user] == "" {
		c.say(fmt.Sprintf(`{"acc":{"user":"new","scheme":"basic","secret":%s,"desc":{"public":{"fn":%q}}}}`, secret, user))
		var r protocol.Response
		got := c.take()
		if err := json.Unmarshal(got[len(got)-1], &r); err != nil || r.Ctrl == nil || r.Ctrl.Code != 201 {
			t.Fatalf("no account for %s: %s", user, got)
		}
		s.vars["$"+user] = r.Ctrl.Params["user"].(string)
	}
	c.say(fmt.Sprintf(`{"login":{"scheme":"basic","secret":%s}}`, secret))
	c.say(`{"sub":{"topic":"me"}}`)
}

func (s *stage) do(t *testing.T, st *step) {
	if st.Wait != "" {
		d, err := time.ParseDuration(st.Wait)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d) // the bubble's clock
		synctest.Wait()
		return
	}
	packet := st.Text
	if st.Send != nil {
		packet = string(st.Send)
	}
	c := s.sessions[st.By]
	if c == nil {
		t.Fatalf("there is no session %q", st.By)
	}
	c.say(variable.ReplaceAllStringFunc(packet, func(v string) string {
		if is, ok := s.vars[v]; ok {
			return is
		}
		return v
	}))
}

var (
	variable = regexp.MustCompile(`\$[a-z]+[0-9]*`)
	anyID    = regexp.MustCompile(`\b(usr|grp|chn)([A-Za-z0-9_-]{11})@localhost`)
	anyTime  = regexp.MustCompile(`"(ts|created|updated|touched|when|expires|deleted)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)
	anyToken = regexp.MustCompile(`"token":"([A-Za-z0-9+/=]{40,})"`)
)

// named puts names in place of what differs from run to run: ids, times, tokens.
func (s *stage) named(t *testing.T, packet []byte) json.RawMessage {
	text := anyTime.ReplaceAllString(string(packet), `"$1":"$$time"`)
	text = anyToken.ReplaceAllStringFunc(text, func(m string) string {
		s.vars["$token"] = anyToken.FindStringSubmatch(m)[1]
		return `"token":"$token"`
	})
	text = anyID.ReplaceAllStringFunc(text, func(id string) string {
		for v, is := range s.vars {
			if is == id {
				return v
			}
		}
		bare := strings.TrimSuffix(id[3:], "@localhost")
		if id[:3] == "usr" { // a user who came during the dialogue
			s.vars["$newcomer"] = id
			return "$newcomer"
		}
		if s.vars["$group"] != "" {
			t.Fatalf("a second group in one dialogue: %s", id)
		}
		s.vars["$group"], s.vars["$channel"], s.vars["$bare"] = "grp"+bare+"@localhost", "chn"+bare+"@localhost", "grp"+bare
		return map[string]string{"grp": "$group", "chn": "$channel"}[id[:3]]
	})
	if !json.Valid([]byte(text)) {
		t.Fatalf("not JSON: %s", packet)
	}
	return json.RawMessage(text)
}

// compare reports what is missing and what is too much.
func compare(t *testing.T, where string, got, want map[string][]json.RawMessage) {
	t.Helper()
	names := map[string]bool{}
	for n := range got {
		names[n] = true
	}
	for n := range want {
		names[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if g, w := lineup(got[n]), lineup(want[n]); g != w {
			t.Errorf("%s: %s gets\n%swant\n%s", where, n, g, w)
		}
	}
}

// lineup writes packets in one form, a line each. The order of members who came at
// the same time means nothing.
func lineup(packets []json.RawMessage) string {
	write := func(v any) string {
		j, _ := json.Marshal(v) // what was decoded marshals
		return string(j) + "\n"
	}
	var b strings.Builder
	for _, p := range packets {
		var v map[string]map[string]any
		d := json.NewDecoder(bytes.NewReader(p))
		d.UseNumber()
		if d.Decode(&v) != nil {
			b.WriteString(string(p) + "\n") // the answer to a probe
			continue
		}
		if sub, ok := v["meta"]["sub"].([]any); ok {
			slices.SortFunc(sub, func(x, y any) int { return strings.Compare(write(x), write(y)) })
		}
		b.WriteString(write(v))
	}
	return b.String()
}

// writeDialogues writes one packet a line.
func writeDialogues(t *testing.T, all []*dialogue) {
	line := func(v any) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(b.String())
	}
	var b strings.Builder
	for i, d := range all {
		fmt.Fprintf(&b, "%s{\"name\": %s, \"about\": %s, \"sessions\": %s, \"steps\": [", []string{",\n", "[\n"}[bit(i == 0)], line(d.Name), line(d.About), line(d.Sessions))
		for j, s := range d.Steps {
			head := *s
			head.Get = nil
			fmt.Fprintf(&b, "%s\n  %s \"get\": {", []string{",", ""}[bit(j == 0)], strings.TrimSuffix(line(head), `"get":null}`))
			for k, name := range slices.Sorted(maps.Keys(s.Get)) {
				fmt.Fprintf(&b, "%s\n    %s: [", []string{",", ""}[bit(k == 0)], line(name))
				for l, p := range s.Get[name] {
					fmt.Fprintf(&b, "%s\n      %s", []string{",", ""}[bit(l == 0)], line(p))
				}
				b.WriteString("]")
			}
			b.WriteString("}}")
		}
		b.WriteString("]}")
	}
	b.WriteString("\n]\n")
	if err := os.WriteFile(dialogueFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
