package node

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"parley/protocol"
)

// hi greets. A second {hi} may change the user agent, device and language, but not
// the version.
func (s *session) hi(in *protocol.Request, _ time.Time) {
	h := in.Hi
	r := &request{s: s, in: in, id: h.ID}
	minor, err := parseVersion(h.Version)
	switch {
	case s.greeted && h.Version != "" && h.Version != s.version:
		r.refuse(protocol.OutOfSequence)
		return
	case s.greeted && h.Version == "":
	case err != nil:
		r.refuse(protocol.Malformed)
		return
	case minor < minMinor:
		r.refuse(protocol.OldVersion)
		return
	}
	again := s.greeted
	if !again {
		s.version, s.greeted = h.Version, true
	}
	s.profile.Store(s.newProfile(h, again))
	if again {
		s.act()
		r.ok(201, nil)
		return
	}
	code := 201
	if s.origin.Proto == "lp" { // its session was created by the first poll
		code = 200
	}
	r.ok(code, s.n.welcome())
}

// newProfile takes over what {hi} says; a repeated {hi} keeps what it leaves out.
func (s *session) newProfile(h *protocol.Hi, again bool) *profile {
	p := profile{ua: clip(h.UserAgent, maxUserAgent), lang: h.Lang, device: h.Device, platform: h.Platform, background: h.Background}
	if old := s.profile.Load(); again {
		keep(&p.ua, old.ua)
		keep(&p.lang, old.lang)
		keep(&p.device, old.device)
		keep(&p.platform, old.platform)
	}
	return &p
}

func keep(v *string, old string) {
	if *v == "" {
		*v = old
	}
}

// maxUserAgent bounds what a client says of itself, in bytes.
const maxUserAgent = 256

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// welcome is params of the answer to {hi}: what the node allows.
func (n *Node) welcome() map[string]any {
	l := n.cfg.Limits
	required := map[string][]string{}
	if len(n.cfg.Required) > 0 {
		required["auth"] = n.cfg.Required
	}
	p := map[string]any{
		"ver":                protocol.Version,
		"build":              "parley/" + n.cfg.Build,
		"maxMessageSize":     l.MaxMessage,
		"maxSubscriberCount": l.MaxSubscribers,
		"minTagLength":       minTagLength,
		"maxTagLength":       maxTagLength,
		"maxTagCount":        l.MaxTags,
		"maxFileUploadSize":  l.MaxFile,
		"reqCred":            required,
		"msgDelAge":          int(l.MsgDeleteAge / time.Second),
	}
	if len(n.cfg.Calls.ICE) > 0 {
		p["iceServers"] = json.RawMessage(n.cfg.Calls.ICE)
		p["callTimeout"] = int(n.cfg.Calls.Timeout / time.Second)
	}
	return p
}

const minMinor = 20 // of protocol.MinVersion

// parseVersion reads the minor number of "0.25" or "0.25.3-rc1"; a later major
// number is taken for newest.
func parseVersion(v string) (minor int, err error) {
	major, rest, _ := strings.Cut(v, ".")
	m, err := strconv.Atoi(strings.TrimPrefix(major, "v"))
	if err != nil {
		return 0, err
	}
	if m > 0 {
		return 1 << 16, nil
	}
	end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	return strconv.Atoi(rest)
}
