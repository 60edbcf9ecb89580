package rogue

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
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
	cases := []protocol.Node{protocol.Node(strings.ToUpper(name)), protocol.Node(name + "."), "xn--xample-2of.b." + Third}
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
		if _, err := unanswered(ctx, w, &s2s.Ask{Handle: "alice@" + strings.Replace(string(w.Victim), "a", "\u0430", 1)}); err != nil {
			return "", err
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
		case took > time.Second || !w.logs(ctx, "lead us to: "+strings.TrimPrefix(a, "::ffff:")): // a connection was tried
			return "", through("%s was answered after %v: %s", a, took, how)
		}
	}
	return fmt.Sprintf("%d addresses, none dialled; %s", len(insides), how), nil
}

// logs waits for a moment until the victim has logged something.
func (w *World) logs(ctx context.Context, text string) bool {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	for !strings.Contains(w.Log(), text) {
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

func filesInside(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	var refs []string
	for _, at := range append([]string{"localhost", string(Third), "printer.lan", "[::1]"}, insides...) {
		refs = append(refs, "/v0/file/s/"+at+"/"+strings.Repeat("A", 24)+".png")
	}
	post := text(w.Mallory(), w.Alice, 301, `{"txt":" ","ent":[{"tp":"IM","data":{"ref":"`+strings.Join(refs, `"}},{"tp":"IM","data":{"ref":"`)+`"}}]}`)
	post.Message.Head = []byte(`{"mime":"text/x-drafty"}`)
	if v, err := p.Post(ctx, post); err != nil || v.Outcome == s2s.Later {
		return "", fmt.Errorf("the message is not taken: %+v, %w", v, err)
	}
	var codes []string
	for _, r := range refs {
		start := time.Now()
		f, err := w.Fetch(ctx, r)
		switch {
		case err != nil:
			return "", err
		case f.Code < 400:
			return "", through("%s is answered %d", r, f.Code)
		case time.Since(start) > time.Second: // somebody was dialled
			return "", through("%s is answered %d after %v", r, f.Code, time.Since(start))
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

// Much is written to a peer that takes nothing: more than windows of QUIC hold.
const (
	letters    = 128
	letterSize = 16 << 10
)

func deaf(ctx context.Context, w *World) (string, error) {
	if _, err := w.link(ctx); err != nil {
		return "", err
	}
	letter := strings.Repeat("x", letterSize)
	var slowest time.Duration
	for i := range letters {
		code, err := w.Say(ctx, string(w.Mallory()), letter)
		if err != nil || code >= 300 {
			return "", fmt.Errorf("letter %d is answered %d, %w", i, code, err)
		}
		if i%16 != 0 {
			continue
		}
		start := time.Now()
		if code, err := w.Say(ctx, string(w.Group), "and meanwhile here"); err != nil || code >= 300 {
			return "", through("another topic: %d, %v", code, err)
		}
		slowest = max(slowest, time.Since(start))
	}
	if slowest > time.Second {
		return "", through("another topic waits %v", slowest)
	}
	return fmt.Sprintf("%d KiB wait on disk; other topics answer within %v", letters*letterSize>>10, slowest.Round(time.Millisecond)), nil
}
