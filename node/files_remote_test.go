package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation"
	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// upload stores a file of a user and returns its path and bytes.
func (s *site) upload(u string, size int, mime string) (path, id string, content []byte) {
	s.t.Helper()
	content = make([]byte, size)
	rand.Read(content)
	f, err := s.n.SaveFile(context.Background(), node.Upload{Who: node.Identity{User: protocol.UserID(u), Level: store.LevelAuth},
		Name: "picture.bin", MIME: mime, Body: bytes.NewReader(content)})
	if err != nil {
		s.t.Fatal(err)
	}
	return node.FilePath(s.name, f), f.ID, content
}

// open opens a file of another node as a user.
func (s *site) fetch(u string, home protocol.Node, id string) (*store.File, []byte, error) {
	f, b, err := s.n.OpenRemoteFile(context.Background(), node.Identity{User: protocol.UserID(u), Level: store.LevelAuth}, home, id)
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	content, err := io.ReadAll(b)
	return f, content, err
}

// sends publishes a message with a picture.
func (s *site) sends(name, topic, path string) {
	s.t.Helper()
	s.next++
	got(s.t, s.say(name, fmt.Sprintf(`{"pub":{"id":"p%d","topic":%q,"head":{"mime":"text/x-drafty"},"content":{"txt":" ","fmt":[{"len":1}],`+
		`"ent":[{"tp":"IM","data":{"mime":"image/png","ref":%q}}]}},"extra":{"attachments":[%q]}}`, s.next, topic, path, path)), `"code":202`)
	s.f.rest()
}

// A file that a message names is fetched once, checked, kept, and given from then on
// without its node; one that nothing names is not, though it is there.
func TestFileOfAnotherNode(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		alice, bob := a.user("alice"), b.user("bob")
		befriend(a, "alice", alice, b, "bob", bob)
		path, id, content := a.upload(alice, 300_000, "image/png")
		_, other, _ := a.upload(alice, 10, "image/png")
		a.sends("alice", bob, path)
		f, gotten, err := b.fetch(bob, nodeA, id)
		if err != nil || !bytes.Equal(gotten, content) || f.MIME != "image/png" || f.Name != "picture.bin" || f.SHA256 != sha256.Sum256(content) {
			t.Fatalf("%+v, %d bytes, %v", f, len(gotten), err)
		}
		for _, guess := range []string{other, strings.Repeat("A", 24)} {
			if _, _, err := b.fetch(bob, nodeA, guess); protocol.FaultOf(err) != protocol.NotFound {
				t.Errorf("a file that nobody named: %v", err)
			}
		}
		if _, _, err := b.n.OpenRemoteFile(context.Background(), node.Identity{}, nodeA, id); protocol.FaultOf(err) != protocol.Unauthorized {
			t.Errorf("nobody: %v", err)
		}
		if _, _, err := b.n.OpenRemoteFile(context.Background(), node.Identity{User: protocol.UserID(bob), Level: store.LevelAnon}, nodeA, id); protocol.FaultOf(err) != protocol.Denied {
			t.Errorf("a guest: %v", err)
		}
		r.cut(a.name, b.name)
		pass(2 * time.Minute)
		if _, gotten, err := b.fetch(bob, nodeA, id); err != nil || !bytes.Equal(gotten, content) {
			t.Errorf("from the cache: %d bytes, %v", len(gotten), err)
		}
		got(t, b.say("bob", `{"del":{"id":"d","topic":"`+alice+`","what":"msg","delseq":[{"low":1,"hi":100}],"hard":true}}`), `"code":200`)
		pass(2 * time.Hour)
		if _, _, err := b.fetch(bob, nodeA, id); protocol.FaultOf(err) != protocol.NotFound {
			t.Errorf("after the message is gone: %v", err)
		}
		if got := kept(t, b); got != 0 {
			t.Errorf("%d files are kept", got)
		}
	})
}

// kept counts the files of other nodes that are stored.
func kept(t *testing.T, s *site) (n int) {
	t.Helper()
	err := s.st.View(func(tx store.Tx) error {
		n = 0
		for f, err := range tx.FilesOf("importer") {
			if err != nil {
				return err
			}
			if f.Size >= 0 {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The picture of a user is fetched by nodes where somebody knows the user, not by
// those where one has not answered yet; nor are files of a stranger.
func TestNothingOfStrangersIsFetched(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		alice, bob := a.user("alice"), b.user("bob")
		face, faceID, _ := a.upload(alice, 1000, "image/jpeg")
		path, id, _ := a.upload(alice, 1000, "image/png")
		a.say("alice", fmt.Sprintf(`{"set":{"id":"d","topic":"me","desc":{"public":{"fn":"alice","photo":{"ref":%q}}}},"extra":{"attachments":[%q]}}`, face, face))
		a.say("alice", `{"sub":{"id":"s","topic":"`+bob+`"}}`)
		a.sends("alice", bob, path)
		for _, id := range []string{faceID, id} {
			if _, _, err := b.fetch(bob, nodeA, id); protocol.FaultOf(err) != protocol.NotFound {
				t.Errorf("before he answered: %v", err)
			}
		}
		b.say("bob", `{"sub":{"id":"s","topic":"`+alice+`","set":{"sub":{"mode":"JRWPA"}}}}`)
		for _, id := range []string{faceID, id} {
			if _, _, err := b.fetch(bob, nodeA, id); err != nil {
				t.Errorf("after: %v", err)
			}
		}
		face, faceID, _ = a.upload(alice, 1000, "image/jpeg")
		a.say("alice", fmt.Sprintf(`{"set":{"id":"d","topic":"me","desc":{"public":{"fn":"alice","photo":{"ref":%q}}}},"extra":{"attachments":[%q]}}`, face, face))
		if _, _, err := b.fetch(bob, nodeA, faceID); err != nil {
			t.Errorf("her new picture: %v", err)
		}
		// Somebody found by search may be looked at, for a while.
		b.user("bert")
		attachFnd(b, "bert")
		anna := a.user("anna")
		face, faceID, _ = a.upload(anna, 1000, "image/jpeg")
		a.say("anna", fmt.Sprintf(`{"set":{"id":"d","topic":"me","desc":{"public":{"fn":"anna","photo":{"ref":%q}}}},"extra":{"attachments":[%q]}}`, face, face))
		got(t, b.look("bert", "anna-user@a.localhost"), face)
		if _, _, err := b.fetch(bob, nodeA, faceID); err != nil {
			t.Errorf("the picture of one who was found: %v", err)
		}
	})
}

// filer is a node that gives files as a test wants.
type filer struct {
	mute
	asked  atomic.Int32
	info   s2s.FileInfo
	body   func(offset int64) io.ReadCloser
	answer *s2s.Answer
}

func (h *filer) Answer(_ context.Context, _ federation.Peer, a *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	if a.File == nil {
		return &s2s.Answer{Failed: true, Fault: protocol.NotFound}, nil
	}
	h.asked.Add(1)
	if h.answer != nil {
		return h.answer, nil
	}
	info := h.info
	if info.Follow == 0 {
		info.Follow = info.Size - a.File.Offset
	}
	return &s2s.Answer{File: &info}, h.body(a.File.Offset)
}

// drip gives bytes slowly.
type drip struct {
	r     io.Reader
	each  int
	pause time.Duration
	after int // bytes before the first pause
}

func (d *drip) Read(p []byte) (int, error) {
	if d.after > 0 {
		n, err := d.r.Read(p[:min(len(p), d.after)])
		d.after -= n
		return n, err
	}
	nap(d.pause)
	return d.r.Read(p[:min(len(p), d.each)])
}
func (d *drip) Close() error { return nil }

// names makes a user of b know a file of a strange node, and returns its id.
func names(s *site, name, topic string, home protocol.Node, n int) string {
	s.t.Helper()
	id := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{byte(n)}, 18))
	s.sends(name, topic, "/v0/file/s/"+string(home)+"/"+id+".bin")
	return id
}

// What a home says and what it gives must agree; what does not is never given whole,
// nor kept. Nothing makes the node take more than was said, or wait for ever.
func TestHostileFiles(t *testing.T) {
	change := func(c *node.Config) { c.Federation.FileCache = 8 << 20 }
	inFederation(t, change, []protocol.Node{nodeB}, func(r *fed) {
		b := r.sites[nodeB]
		h := &filer{}
		r.strange(nodeC, h)
		bob := b.user("bob")
		b.say("bob", `{"sub":{"id":"s","topic":"slf"}}`)
		content := bytes.Repeat([]byte("file "), 40_000)
		sum := sha256.Sum256(content)
		good := s2s.FileInfo{Size: int64(len(content)), MIME: "image/png", SHA256: sum[:]}
		whole := func(off int64) io.ReadCloser { return io.NopCloser(bytes.NewReader(content[off:])) }
		bad := func(change func(*s2s.FileInfo)) s2s.FileInfo {
			i := good
			change(&i)
			return i
		}
		for i, c := range []struct {
			what  string
			info  s2s.FileInfo
			body  func(int64) io.ReadCloser
			fault protocol.Fault
			most  time.Duration
		}{
			{"wrong hash", bad(func(i *s2s.FileInfo) { i.SHA256 = make([]byte, 32) }), whole, protocol.Busy, time.Second},
			{"no hash", bad(func(i *s2s.FileInfo) { i.SHA256 = nil }), whole, protocol.Busy, time.Second},
			{"negative", bad(func(i *s2s.FileInfo) { i.Size, i.Follow = -5, 5 }), whole, protocol.Busy, time.Second},
			{"too large", bad(func(i *s2s.FileInfo) { i.Size = 2 << 20 }), whole, protocol.TooLarge, time.Second},
			{"absurd", bad(func(i *s2s.FileInfo) { i.Size = 1 << 62 }), whole, protocol.TooMany, time.Second},
			{"follows more", bad(func(i *s2s.FileInfo) { i.Follow = i.Size + 1 }), whole, protocol.Busy, time.Second},
			{"says it is shorter", bad(func(i *s2s.FileInfo) { i.Size = 1000 }), whole, protocol.Busy, time.Second},
			{"gives less", good, func(off int64) io.ReadCloser {
				return io.NopCloser(bytes.NewReader(content[off:min(off+1000, 5000)]))
			}, protocol.Busy, 10 * time.Second},
			{"stalls", good, func(off int64) io.ReadCloser {
				return &drip{r: bytes.NewReader(content[off:]), each: 100_000, pause: 40 * time.Second, after: 5000}
			}, protocol.Timeout, 70 * time.Second},
			{"drips", good, func(off int64) io.ReadCloser {
				return &drip{r: bytes.NewReader(content[off:]), each: 8 << 10, pause: 3 * time.Second, after: 5000}
			}, protocol.Timeout, 70 * time.Second},
		} {
			h.info, h.body = c.info, c.body
			id := names(b, "bob", "slf", nodeC, i+1)
			start := time.Now()
			_, gotten, err := b.fetch(bob, nodeC, id)
			if protocol.FaultOf(err) != c.fault || len(gotten) >= int(max(c.info.Size, 1)) {
				t.Errorf("%s: %d bytes, %v; want %v", c.what, len(gotten), err, c.fault)
			}
			if took := time.Since(start); took > c.most {
				t.Errorf("%s took %s", c.what, took)
			}
			before := h.asked.Load()
			if _, _, err := b.fetch(bob, nodeC, id); err == nil || h.asked.Load() != before {
				t.Errorf("%s: it is asked again at once, %v", c.what, err)
			}
			pass(time.Minute)
		}
		if n := kept(t, b); n != 0 {
			t.Errorf("%d bad files are kept", n)
		}
		for _, f := range []protocol.Fault{protocol.NotFound, protocol.Denied, protocol.TooMany} {
			h.answer = &s2s.Answer{Failed: true, Fault: f}
			id := names(b, "bob", "slf", nodeC, 100+int(f))
			if _, _, err := b.fetch(bob, nodeC, id); protocol.FaultOf(err) != f {
				t.Errorf("the home says %v: %v", f, err)
			}
		}
		h.answer = nil
		h.info, h.body = bad(func(i *s2s.FileInfo) {
			i.MIME, i.Name = "text/html; charset=\r\nX-Evil: 1", "../../etc/\x00pass\u202ewd"
		}), whole
		f, _, err := b.fetch(bob, nodeC, names(b, "bob", "slf", nodeC, 200))
		if err != nil || f.MIME != "application/octet-stream" || f.Name != "....etcpasswd" {
			t.Errorf("%+v, %v", f, err)
		}
		id := names(b, "bob", "slf", "d.localhost", 201) // there is no such node
		if _, _, err := b.fetch(bob, "d.localhost", id); protocol.FaultOf(err) != protocol.Busy && protocol.FaultOf(err) != protocol.Timeout {
			t.Errorf("no such node: %v", err)
		}
	})
}

// Many who want a file at once share one fetch, and read it while it comes, from any
// place. A link that breaks off costs only what was on its way.
func TestFetchIsShared(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeB}, func(r *fed) {
		b := r.sites[nodeB]
		content := make([]byte, 600_000)
		rand.Read(content)
		sum := sha256.Sum256(content)
		var offsets []int64
		h := &filer{info: s2s.FileInfo{Size: int64(len(content)), MIME: "video/mp4", SHA256: sum[:]}}
		h.body = func(off int64) io.ReadCloser {
			offsets = append(offsets, off)
			d := &drip{r: bytes.NewReader(content[off:]), each: 20_000, pause: time.Second}
			if len(offsets) == 1 {
				d.r = io.MultiReader(bytes.NewReader(content[:300_000]), broken{})
			}
			return d
		}
		c := r.strange(nodeC, h)
		bob := b.user("bob")
		b.say("bob", `{"sub":{"id":"s","topic":"slf"}}`)
		id := names(b, "bob", "slf", nodeC, 1)
		who := node.Identity{User: protocol.UserID(bob), Level: store.LevelAuth}
		var wg sync.WaitGroup
		first := time.Duration(0)
		for i := range 5 {
			wg.Go(func() {
				nap(time.Duration(i) * time.Second)
				start := time.Now()
				_, body, err := b.n.OpenRemoteFile(context.Background(), who, nodeC, id)
				if err != nil {
					t.Error(err)
					return
				}
				defer body.Close()
				from := int64(i * 50_000)
				if _, err := body.Seek(from, io.SeekStart); err != nil {
					t.Error(err)
				}
				some := make([]byte, 10_000)
				if _, err := io.ReadFull(body, some); err != nil || !bytes.Equal(some, content[from:from+10_000]) {
					t.Errorf("reader %d: %v", i, err)
				}
				if i == 0 {
					first = time.Since(start)
				}
				rest, err := io.ReadAll(body)
				if err != nil || !bytes.Equal(rest, content[from+10_000:]) {
					t.Errorf("reader %d: %d more bytes, %v", i, len(rest), err)
				}
			})
		}
		wg.Wait()
		if len(offsets) != 2 || offsets[1] == 0 || offsets[1] > 300_000 {
			t.Errorf("asked from %v", offsets)
		}
		if first > 5*time.Second {
			t.Errorf("the first bytes came after %s", first)
		}
		if kept(t, b) != 1 {
			t.Error("it is not kept")
		}
		r.cut(b.name, c.name)
		if _, gotten, err := b.fetch(bob, nodeC, id); err != nil || !bytes.Equal(gotten, content) {
			t.Errorf("from the cache: %d bytes, %v", len(gotten), err)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// The cache keeps to its size: what was not wanted for long goes first, and can be
// fetched again.
func TestCacheIsBounded(t *testing.T) {
	change := func(c *node.Config) { c.Federation.FileCache = 1 << 20 }
	inFederation(t, change, []protocol.Node{nodeB}, func(r *fed) {
		b := r.sites[nodeB]
		content := bytes.Repeat([]byte("x"), 100<<10)
		sum := sha256.Sum256(content)
		h := &filer{info: s2s.FileInfo{Size: int64(len(content)), SHA256: sum[:]},
			body: func(off int64) io.ReadCloser { return io.NopCloser(bytes.NewReader(content[off:])) }}
		r.strange(nodeC, h)
		bob := b.user("bob")
		b.say("bob", `{"sub":{"id":"s","topic":"slf"}}`)
		var ids []string
		for i := range 20 {
			ids = append(ids, names(b, "bob", "slf", nodeC, i+1))
			if _, _, err := b.fetch(bob, nodeC, ids[i]); err != nil {
				t.Fatal(err)
			}
			if _, _, err := b.fetch(bob, nodeC, ids[0]); err != nil { // is always wanted
				t.Fatal(err)
			}
		}
		if n := kept(t, b); n != 10 {
			t.Errorf("%d files of 100 KiB in 1 MiB", n)
		}
		if n := h.asked.Load(); n != 20 {
			t.Errorf("%d fetches", n)
		}
		if _, gotten, err := b.fetch(bob, nodeC, ids[1]); err != nil || !bytes.Equal(gotten, content) || h.asked.Load() != 21 {
			t.Errorf("again: %d bytes, %v, %d fetches", len(gotten), err, h.asked.Load())
		}
	})
}

// A node gives its files to peers by id only, in the parts that they ask for, and not
// without bounds.
func TestFilesForPeers(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		c := r.strange(nodeC, mute{})
		alice := a.user("alice")
		_, id, content := a.upload(alice, 100_000, "image/png")
		ask := func(f s2s.File) (*s2s.FileInfo, []byte, error) {
			answer, body, err := c.mesh.Ask(context.Background(), nodeA, &s2s.Ask{File: &f})
			if err != nil {
				return nil, nil, err
			}
			if body == nil {
				return answer.File, nil, nil
			}
			defer body.Close()
			b, err := io.ReadAll(body)
			return answer.File, b, err
		}
		for _, f := range []struct{ off, length, from, to int64 }{{0, 0, 0, 100_000}, {500, 0, 500, 100_000}, {500, 10, 500, 510}, {99_990, 50, 99_990, 100_000}, {100_000, 0, 100_000, 100_000}} {
			info, b, err := ask(s2s.File{ID: id, Offset: f.off, Length: f.length})
			if err != nil || !bytes.Equal(b, content[f.from:f.to]) || info.Size != 100_000 {
				t.Errorf("%+v: %d bytes, %v", f, len(b), err)
			}
		}
		for _, f := range []s2s.File{{ID: strings.Repeat("A", 24)}, {ID: id + ".png"}, {ID: "../" + id}, {ID: "~" + id}, {ID: ""}, {ID: id[:23]}} {
			if _, _, err := ask(f); err == nil {
				t.Errorf("%q is given", f.ID)
			}
		}
		for _, f := range []s2s.File{{ID: id, Offset: -1}, {ID: id, Offset: 100_001}, {ID: id, Length: -1}} {
			if _, _, err := ask(f); protocol.FaultOf(err) != protocol.Malformed {
				t.Errorf("%+v: %v", f, err)
			}
		}
	})
}
