package rogue

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// What is done through the victim: to its own network, to others, to the browsers of its
// users; and what keeps it busy.
var outward = []Attack{
	{"names that look like others", "a stranger under a name that looks like that of a known peer", lookalike},
	{"names that lead inside", "a stranger whose name leads to addresses of the victim's own network", inside},
	{"files that lead inside", "a message names files at addresses of the victim's own network", filesInside},
	{"script in files", "a file that is a page with a script, under a harmless name", script},
	{"slow reader", "a peer takes nothing of what it is sent", deaf},
}

func lookalike(ctx context.Context, w *World) (string, error) {
	name := string(w.Self)
	// Certificates hold no other letters than those of ASCII.
	cases := []protocol.Node{protocol.Node(strings.ToUpper(name)), protocol.Node(name + "."), "b.xn--xample-2of"}
	for _, n := range cases {
		if _, err := turnedAway(ctx, w, n, n, w.Key); err != nil {
			return "", fmt.Errorf("%q: %w", n, err)
		}
	}
	// What is said has all letters: Cyrillic, full width, invisible.
	others := []string{strings.Replace(name, "e", "\u0435", 1), strings.Replace(name, "b", "\uff42", 1), "\u200b" + name}
	for _, n := range others {
		if _, err := turnedAway(ctx, w, w.Self, protocol.Node(n), w.Key, federation.CloseUnproven, federation.CloseProtocol); err != nil {
			return "", fmt.Errorf("Hello of %+q: %w", n, err)
		}
		post := text(protocol.UserID(strings.Replace(string(w.Mallory()), name, n, 1)), w.Alice, 201, `"it is me"`)
		if _, err := refuses(ctx, w, post, protocol.Denied, protocol.Malformed); err != nil {
			return "", fmt.Errorf("a post of %+q: %w", n, err)
		}
	}
	return fmt.Sprintf("%d spellings, none taken for another", len(cases)+len(others)), nil
}

// insides are addresses that nobody may be led to: of the network of whoever asks, of the
// machine that knows the secrets of a cloud's tenants, and of nobody.
var insides = []string{"10.9.8.7", "169.254.169.254", "192.168.0.1", "0.0.0.0", "::ffff:10.9.8.7"}

func inside(ctx context.Context, w *World) (how string, err error) {
	for i, a := range insides {
		n, key := protocol.Node(fmt.Sprintf("inside%d.example", i)), strange()
		w.Register(n, netip.AddrPortFrom(netip.MustParseAddr(a), 443), key.Pin()) // not signed: its web site must be asked
		start := time.Now()
		how, err = turnedAway(ctx, w, n, n, key, federation.CloseUnproven, federation.CloseOverloaded)
		switch took := time.Since(start); {
		case err != nil:
			return "", fmt.Errorf("%s: %w", a, err)
		case took > time.Second || !w.logs(ctx, string(n), "lead us to: "+strings.TrimPrefix(a, "::ffff:")): // a connection was tried
			return "", through("%s was answered after %v: %s", a, took, how)
		}
	}
	return fmt.Sprintf("%d addresses, none dialled; %s", len(insides), how), nil
}

// logs waits for a moment until the victim has logged a line with both texts.
func (w *World) logs(ctx context.Context, about, text string) bool {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	has := func(line string) bool { return strings.Contains(line, about) && strings.Contains(line, text) }
	for !slices.ContainsFunc(strings.Split(w.Log(), "\n"), has) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// names is how many are claimed: more than a source may have looked up at once.
const names = 48

// perName is how many questions a name may cost: addresses, service, key, with one repeat.
const perName = 6

func lookups(ctx context.Context, w *World) (string, error) {
	before, unasked := w.Asked(), 0
	for i := range names {
		n := protocol.Node(fmt.Sprintf("n%d.flood.example", i))
		_, err := turnedAway(ctx, w, n, n, strange(), federation.CloseOverloaded)
		switch e, closed := errors.AsType[*federation.ClosedError](err); {
		case err == nil, closed && e.Remote && e.Code == federation.CloseOverloaded: // while still greeting
			unasked++
		case errors.Is(err, ErrThrough):
			return "", err
		}
	}
	asked := w.Asked() - before
	if unasked == 0 || asked > perName*(names-unasked) {
		return "", through("%d names: %d questions, %d refused without", names, asked, unasked)
	}
	return fmt.Sprintf("%d names: %d questions to the DNS; then %d refused unasked", names, asked, unasked), nil
}

// filesInside names files at addresses, which are no nodes, so that there is no such file; and
// at nodes whose names lead there, which must be seen before anything is sent.
func filesInside(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	at := append([]string{"[::1]"}, insides...)
	addrs := len(at)
	at = append(at, "localhost", "printer.lan")
	for i, a := range insides { // names of its own: who was not reached lately is not looked up at once
		n := fmt.Sprintf("files%d.example", i)
		w.Register(protocol.Node(n), netip.AddrPortFrom(netip.MustParseAddr(a), 443), strange().Pin())
		at = append(at, n)
	}
	var refs []string
	for _, host := range at {
		refs = append(refs, "/v0/file/s/"+host+"/"+strings.Repeat("A", 24)+".png")
	}
	post := text(w.Mallory(), w.Alice, 301, `{"txt":" ","ent":[{"tp":"IM","data":{"ref":"`+strings.Join(refs, `"}},{"tp":"IM","data":{"ref":"`)+`"}}]}`)
	post.Message.Head = []byte(`{"mime":"text/x-drafty"}`)
	if v, err := p.Post(ctx, post); err != nil || v.Outcome != s2s.Applied {
		return "", fmt.Errorf("the message is not taken: %+v, %w", v, err)
	}
	var codes []string
	for i, host := range at {
		start := time.Now()
		f, err := w.Fetch(ctx, refs[i])
		took := time.Since(start)
		switch {
		case err != nil:
			return "", err
		case i < addrs && f.Code != http.StatusNotFound:
			return "", through("%s is taken for a node, and answered %d", host, f.Code)
		case i >= addrs && f.Code < 500 || took > time.Second: // somebody was dialled
			return "", through("%s is answered %d after %v", host, f.Code, took)
		case strings.HasPrefix(host, "files") && !w.logs(ctx, host, "lead us to"):
			return "", through("where %s leads is not seen", host)
		}
		codes = append(codes, fmt.Sprint(f.Code))
	}
	return "answered at once: " + strings.Join(codes, " "), nil
}

// page is what no browser may run on the victim's origin.
const page = `<html><script>fetch("/v0/steal")</script></html>`

func script(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	var seen []string
	for i, mime := range []string{"text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "image/png"} {
		id := fmt.Sprintf("%024d", 777+i)
		ref := "/v0/file/s/" + string(w.Self) + "/" + id + ".html"
		post := text(w.Mallory(), w.Alice, 310+i, `{"txt":" ","ent":[{"tp":"EX","data":{"ref":"`+ref+`"}}]}`)
		post.Message.Head = []byte(`{"mime":"text/x-drafty"}`)
		if v, err := p.Post(ctx, post); err != nil || v.Outcome != s2s.Applied {
			return "", fmt.Errorf("the message is not taken: %+v, %w", v, err)
		}
		served := make(chan error, 1)
		stop := context.AfterFunc(ctx, func() { served <- ctx.Err() })
		w.wg.Go(func() { served <- p.serve(ctx, id, mime) })
		f, err := w.Fetch(ctx, ref)
		if err := errors.Join(err, <-served); err != nil {
			return "", err
		}
		stop()
		safe := strings.HasPrefix(f.Header.Get("Content-Disposition"), "attachment") || strings.HasPrefix(f.Header.Get("Content-Type"), "image/png")
		if f.Code != 200 || !safe || f.Header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(f.Header.Get("Content-Security-Policy"), "sandbox") {
			return "", through("%s is served as %d %v", mime, f.Code, f.Header)
		}
		seen = append(seen, f.Header.Get("Content-Type"))
	}
	return "served in a sandbox, to be saved, never as a page: " + strings.Join(seen, ", "), nil
}

// serve answers the next question for a file with the page, as a type.
func (p *Peer) serve(ctx context.Context, id, mime string) error {
	for {
		s, err := p.conn.Accept(ctx)
		if err != nil {
			return err
		}
		var a s2s.Ask
		_, err = p.codec.ReadFrame(bufio.NewReader(s), s2s.MaxFrame, &a)
		if err != nil || a.File == nil || a.File.ID != id {
			s.Reset(federation.CloseGoodbye) // another question, which may wait
			continue
		}
		sum := sha256.Sum256([]byte(page))
		b, err := p.codec.AppendFrame(nil, &s2s.Answer{File: &s2s.FileInfo{Size: int64(len(page)), MIME: mime, Name: "photo.png",
			SHA256: sum[:], Follow: int64(len(page))}})
		if err == nil {
			_, err = s.Write(append(b, page...))
		}
		return errors.Join(err, s.Close())
	}
}

// Much is written to a peer that takes nothing: more than windows of QUIC hold, and more
// posts than may be on a wire unanswered (spec/link.md).
const (
	letters    = 300
	letterSize = 16 << 10
	window     = 256
)

// deaf reads nothing at first; then all that comes, and answers nothing.
func deaf(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	letter := strings.Repeat("x", letterSize)
	var slowest time.Duration
	say := func(topic, text string) error {
		start := time.Now()
		code, err := w.Say(ctx, topic, text)
		slowest = max(slowest, time.Since(start))
		if err != nil || code >= 300 {
			return through("%s: %d, %v", topic, code, err)
		}
		return nil
	}
	for i := range letters {
		err := say(string(w.Mallory()), letter)
		if err == nil && i%16 == 0 {
			err = say(string(w.Group), "and meanwhile here")
		}
		if err != nil {
			return "", fmt.Errorf("letter %d: %w", i, err)
		}
	}
	if slowest > time.Second {
		return "", through("a message is answered after %v", slowest)
	}
	came, err := p.posts(ctx, s2s.LaneOf(protocol.P2P(w.Alice, w.Mallory())))
	switch {
	case err != nil:
		return "", err
	case came == 0 || came > window:
		return "", through("%d posts are sent, none of which is answered", came)
	}
	return fmt.Sprintf("of %d KiB %d posts are sent, the rest waits on disk; everything is answered within %v",
		letters*letterSize>>10, came, slowest.Round(time.Millisecond)), nil
}

// posts counts those that come in a lane, until none does for a while.
func (p *Peer) posts(ctx context.Context, lane uint8) (n int, err error) {
	for {
		s, err := p.conn.AcceptReceive(ctx)
		if err != nil {
			return 0, err
		}
		in := bufio.NewReader(s)
		kind, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if kind != laneStream+lane {
			continue // it stays unread
		}
		for {
			var l s2s.Line
			if err := s.SetReadDeadline(time.Now().Add(silence)); err != nil {
				return 0, err
			}
			_, err := p.codec.ReadFrame(in, s2s.MaxFrame, &l)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return n, nil
			case err != nil:
				return 0, err
			case l.Post != nil:
				n++
			}
		}
	}
}
