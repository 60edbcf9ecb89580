package node_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/protocol"
)

var update = flag.Bool("update", false, "write what the node answers into the scripts")

// TestScripts plays the dialogues in testdata/script against a node: what each session
// says, and everything that every session gets, in order and nothing else.
//
//	user al            account and session, attached to me
//	session al2 al     another session of al
//	wait 5s            time passes
//	al > {…}           al sends; keys need no quotes
//	al < {…}           al gets; id and ts are left out, times are T
//	G = al > {…}       as above; $G is the topic of the answer
//	al closes          the connection ends
//
// With nodes that are linked:
//
//	nodes a b          nodes a.localhost, b.localhost; the first line
//	node b             users and sessions that follow are at b
//	cut a b            nothing passes between them until: heal a b
//	stop b             the node ends, with its sessions, until: start b
//
// $al is the id of user al. Run with -update to write the answers, then read them.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playFile(t, f) })
		})
	}
}

// player plays one script.
type player struct {
	*world // where users and sessions are made
	fed    *fed
	at     map[string]*world // of each session

	file string
	line int
	vars map[string]string
	last map[string][]string // what sessions got since the last ">"
	out  strings.Builder     // the script as it should be
}

func playFile(t *testing.T, file string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(src), "\n"), "\n")
	p := &player{file: file, at: map[string]*world{}, vars: map[string]string{}, last: map[string][]string{}}
	defer p.set(t, lines[0], strings.Contains(filepath.Base(file), "call"))()
	for i, l := range lines {
		p.line = i + 1
		p.step(l)
		if t.Failed() && !*update {
			break
		}
	}
	p.drained()
	if *update {
		if err := os.WriteFile(file, []byte(p.out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// set makes the nodes that a script wants.
func (p *player) set(t *testing.T, first string, calls bool) (end func()) {
	change := func(c *node.Config) {
		if calls {
			c.Calls.ICE = json.RawMessage(`[{"urls":["stun:localhost"]}]`)
		}
	}
	names := strings.Fields(first)
	if names[0] != "nodes" {
		p.world = newWorld(t, change)
		return p.end
	}
	var full []protocol.Node
	for _, n := range names[1:] {
		full = append(full, nodeNamed(n))
	}
	p.fed = newFederation(t, change, full...)
	p.world = p.fed.sites[full[0]].world
	return p.fed.end
}

func nodeNamed(short string) protocol.Node { return protocol.Node(short + ".localhost") }

// links is a line about nodes; false if it is about something else.
func (p *player) links(f []string) bool {
	if p.fed == nil || len(f) < 2 {
		return false
	}
	s := p.fed.sites[nodeNamed(f[1])]
	switch f[0] {
	case "nodes":
		return true
	case "node":
		p.world = s.world
		return true
	case "cut":
		p.fed.cut(nodeNamed(f[1]), nodeNamed(f[2]))
	case "heal":
		p.fed.heal(nodeNamed(f[1]), nodeNamed(f[2]))
	case "stop":
		s.halt()
	case "start":
		s.up()
	default:
		return false
	}
	p.wait()
	p.collect()
	return true
}

func (p *player) step(l string) {
	f := strings.Fields(l)
	if len(f) >= 3 && f[1] == "<" {
		if !*update {
			p.expect(f[0], strings.Join(f[2:], " "))
		}
		return
	}
	p.drained()
	p.out.WriteString(l + "\n")
	switch {
	case len(f) == 0 || f[0] == "#":
	case p.links(f):
	case f[0] == "user":
		p.vars[f[1]] = p.user(f[1])
		p.at[f[1]] = p.world
		p.settle()
	case f[0] == "session":
		p.again(f[1], f[2])
		p.at[f[1]] = p.world
		p.settle()
	case f[0] == "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			p.t.Fatalf("%s:%d: %v", p.file, p.line, err)
		}
		pass(d)
		p.collect()
	case f[1] == "=":
		p.send(f[2], strings.Join(f[4:], " "), f[0])
	case f[1] == ">":
		p.send(f[0], strings.Join(f[2:], " "), "")
	case f[1] == "closes":
		p.pipe(f[0]).Close(node.CloseNormal)
		p.wait()
		delete(p.at[f[0]].pipes, f[0])
		p.collect()
	default:
		p.t.Fatalf("%s:%d: what is %q?", p.file, p.line, l)
	}
}

// pipe is the connection of a session; nil if it has none.
func (p *player) pipe(session string) *pipe {
	if w := p.at[session]; w != nil {
		return w.pipes[session]
	}
	return nil
}

// collect takes what sessions got and, when updating, writes it down.
func (p *player) collect() {
	for _, n := range slices.Sorted(maps.Keys(p.at)) {
		if p.pipe(n) == nil {
			continue
		}
		p.last[n] = append(p.last[n], p.pipe(n).take()...)
		if *update {
			for _, g := range p.last[n] {
				fmt.Fprintf(&p.out, "    %s < %s\n", n, p.fold(g))
			}
		}
	}
}

// drained fails if a session got what the script does not have.
func (p *player) drained() {
	for n, got := range p.last {
		if !*update {
			for _, g := range got {
				p.t.Errorf("%s:%d: not in the script:\n    %s < %s", p.file, p.line, n, p.fold(g))
			}
		}
	}
	p.last = map[string][]string{}
}

func (p *player) expect(name, want string) {
	got := p.last[name]
	if len(got) == 0 {
		p.t.Errorf("%s:%d: %s got nothing more, want %s", p.file, p.line, name, want)
		return
	}
	p.last[name] = got[1:]
	var g, w any
	if err := json.Unmarshal([]byte(quoteKeys(p.fold(got[0]))), &g); err != nil {
		p.t.Fatalf("%s:%d: %v in %s", p.file, p.line, err, got[0])
	}
	if err := json.Unmarshal([]byte(quoteKeys(want)), &w); err != nil {
		p.t.Fatalf("%s:%d: %v in the script", p.file, p.line, err)
	}
	sortSubs(g)
	sortSubs(w)
	if !reflect.DeepEqual(g, w) {
		p.t.Errorf("%s:%d: %s\n got %s\nwant %s", p.file, p.line, name, p.fold(got[0]), want)
	}
}

// sortSubs puts lists of subscriptions, whose ids are random, in an order.
func sortSubs(v any) {
	m, _ := v.(map[string]any)
	meta, _ := m["meta"].(map[string]any)
	list, _ := meta["sub"].([]any)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// send says a packet as a session, and binds the topic of the answer to a name.
func (p *player) send(session, packet, name string) {
	p.next++
	c := p.pipe(session)
	if c == nil {
		p.t.Fatalf("%s:%d: no session %s", p.file, p.line, session)
	}
	c.send(p.fill(withID(quoteKeys(packet), "q"+strconv.Itoa(p.next))))
	p.wait()
	if name != "" {
		p.vars[name] = p.topicOf(session)
	}
	p.collect()
}

// topicOf peeks at the topic of the first answer that a session has got.
func (p *player) topicOf(session string) string {
	c := p.pipe(session)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.got {
		var r struct{ Ctrl struct{ Topic string } }
		if json.Unmarshal([]byte(g), &r) == nil && r.Ctrl.Topic != "" {
			return r.Ctrl.Topic
		}
	}
	p.t.Fatalf("%s:%d: no answer with a topic", p.file, p.line)
	return ""
}

// fill puts values for $names.
func (p *player) fill(s string) string {
	return varName.ReplaceAllStringFunc(s, func(v string) string {
		name, channel := strings.CutPrefix(v, "chn")
		val, ok := p.vars[name[1:]]
		switch {
		case !ok:
			return v
		case channel:
			return "chn" + strings.TrimPrefix(val, "grp")
		}
		return val
	})
}

// fold is a packet as scripts have it.
func (p *player) fold(packet string) string {
	for name, val := range maps.All(p.vars) {
		packet = strings.ReplaceAll(packet, val, "$"+name)
		if rest, ok := strings.CutPrefix(val, "grp"); ok {
			packet = strings.ReplaceAll(packet, "chn"+rest, "chn$"+name)
		}
	}
	packet = dropped.ReplaceAllString(packet, "")
	packet = times.ReplaceAllString(packet, `"T"`)
	return keys.ReplaceAllString(packet, "$1:")
}

var (
	varName = regexp.MustCompile(`(?:chn)?\$[A-Za-z][A-Za-z0-9]*`)
	dropped = regexp.MustCompile(`"id":"[^"]*",|,?"ts":"[^"]*"`)
	times   = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)
	keys    = regexp.MustCompile(`"([a-z][a-z-]*)":`)
	bare    = regexp.MustCompile(`([{,])([a-z][a-z-]*):`)
)

func quoteKeys(s string) string { return bare.ReplaceAllString(s, `$1"$2":`) }

// withID gives a request an id, unless it is a note.
func withID(packet, id string) string {
	i := strings.Index(packet, ":{")
	if i < 0 || strings.Contains(packet, `"id":`) || strings.HasPrefix(packet, `{"note"`) {
		return packet
	}
	return packet[:i+2] + `"id":"` + id + `",` + packet[i+2:]
}
