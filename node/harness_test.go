package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/node/auth"
	"parley/protocol"
	"parley/store"
	"parley/store/blob"
	"parley/store/bolt"
)

// pipe is a client's connection without a network: what is sent is read at once,
// unless the client stalls.
type pipe struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	got    []string
	stall  chan struct{}
	reason node.CloseReason
}

func newPipe() *pipe { return &pipe{in: make(chan []byte), closed: make(chan struct{})} }

func (p *pipe) Read() ([]byte, error) {
	select {
	case b := <-p.in:
		return b, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p *pipe) Write(packets [][]byte) error {
	p.mu.Lock()
	stall := p.stall
	p.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-p.closed:
			return io.ErrClosedPipe
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range packets {
		p.got = append(p.got, string(b))
	}
	return nil
}

func (p *pipe) Close(r node.CloseReason) {
	p.once.Do(func() {
		p.mu.Lock()
		p.reason = r
		p.mu.Unlock()
		close(p.closed)
	})
}

// send gives the node a packet; false if the node has closed the connection.
func (p *pipe) send(packet string) bool {
	select {
	case p.in <- []byte(packet):
		return true
	case <-p.closed:
		return false
	}
}

// take returns and forgets what has arrived.
func (p *pipe) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// world is a node in a synctest bubble, with its clients.
type world struct {
	t     testing.TB
	n     *node.Node
	st    store.Store
	stop  context.CancelFunc
	wg    sync.WaitGroup
	pipes map[string]*pipe
	next  int
	wait  func() // until all is done that follows from what was said
}

// newWorld starts a node named "localhost" on a store of its own. Call it inside a
// bubble; end ends it.
func newWorld(t testing.TB, change func(*node.Config)) *world {
	t.Helper()
	w := &world{t: t, pipes: map[string]*pipe{}, wait: synctest.Wait}
	w.start("localhost", t.TempDir(), change)
	return w
}

// start starts a node on what is in a directory.
func (w *world) start(name protocol.Node, dir string, change func(*node.Config)) {
	t := w.t
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "parley.db"), bolt.Options{Node: name, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.NewTokens(make([]byte, auth.SecretLen), name, auth.Lifetimes{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := node.Config{Store: db, Blobs: blobs, Passwords: auth.NewArgon2(auth.Params{Time: 1, Memory: 8}, 0), Tokens: tokens,
		Limits: node.Limits{SignupRate: 1e6, SignupBurst: 1e6}}
	if change != nil {
		change(&cfg)
	}
	n, err := node.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.n, w.st, w.stop = n, db, stop
	w.wg.Go(func() { n.Run(ctx) })
}

// end stops the node and checks that nothing of it goes on.
func (w *world) end() {
	w.t.Helper()
	w.stop()
	w.wg.Wait()
	if err := w.st.Close(); err != nil {
		w.t.Error(err)
	}
}

// open connects a session and greets.
func (w *world) open(name string) *pipe {
	w.t.Helper()
	p := newPipe()
	w.pipes[name] = p
	o := node.Origin{Addr: netip.MustParseAddr("127.0.0.1"), Proto: "ws"}
	w.wg.Go(func() {
		if err := w.n.Serve(context.Background(), p, o); err != nil && !errors.Is(err, io.EOF) {
			w.t.Errorf("session %s: %v", name, err)
		}
	})
	w.ask(name, `{"hi":{"id":"hi","ver":"0.25","ua":"`+name+`/1"}}`, 201)
	return p
}

// ask sends a packet and returns the params of its answer, which must have the code.
func (w *world) ask(name, packet string, code int) map[string]any {
	w.t.Helper()
	p := w.pipes[name]
	p.take()
	if !p.send(packet) {
		w.t.Fatalf("%s: connection is closed", name)
	}
	w.wait()
	for _, g := range p.take() {
		if c := ctrlOf(g); c != nil {
			if c.Code != code {
				w.t.Fatalf("%s > %s\n< %s, want code %d", name, packet, g, code)
			}
			return c.Params
		}
	}
	w.t.Fatalf("%s > %s: no answer", name, packet)
	return nil
}

type ctrl struct {
	ID, Topic, Text string
	Code            int
	Params          map[string]any
}

// ctrlOf reads a packet if it is a ctrl.
func ctrlOf(packet string) *ctrl {
	var r struct{ Ctrl *ctrl }
	if json.Unmarshal([]byte(packet), &r) != nil {
		return nil
	}
	return r.Ctrl
}

// user makes an account, logged in as session name and attached to me; its id.
func (w *world) user(name string) string {
	w.t.Helper()
	w.open(name)
	secret, _ := json.Marshal([]byte(name + "-user:password-" + name))
	id := w.ask(name, fmt.Sprintf(`{"acc":{"id":"a","user":"new","scheme":"basic","secret":%s,"login":true,"desc":{"public":{"fn":%q}}}}`, secret, name), 200)["user"].(string)
	w.ask(name, `{"sub":{"id":"m","topic":"me"}}`, 200)
	return id
}

// again opens another session of a user.
func (w *world) again(name, of string) {
	w.t.Helper()
	w.open(name)
	secret, _ := json.Marshal([]byte(of + "-user:password-" + of))
	w.ask(name, fmt.Sprintf(`{"login":{"id":"l","scheme":"basic","secret":%s}}`, secret), 200)
	w.ask(name, `{"sub":{"id":"m","topic":"me"}}`, 200)
}

// settle lets the node finish and forgets what sessions have got.
func (w *world) settle() {
	w.wait()
	for _, p := range w.pipes {
		p.take()
	}
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) // a bubble's clock
	synctest.Wait()
}
