package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"parley/federation/vnet"
	"parley/testnet/expr"
)

// spreads by name.
var spreads = map[string]vnet.Spread{"uniform": vnet.Uniform, "normal": vnet.Normal, "exponential": vnet.Exponential, "pareto": vnet.Pareto}

// minMTU is what QUIC needs (RFC 9000 section 14): 1200 bytes of UDP.
const minMTU = 1280

// link checks a link.
func (r *reader) link(key string, l *Link) {
	for name, part := range map[string]*float64{"loss": l.Loss, "double": l.Double, "reorder": l.Reorder} {
		if part != nil && (*part < 0 || *part > 1) {
			r.wrong(key+"."+name, "%s is a part: 0 to 1", name)
		}
	}
	if l.Spread != nil {
		if _, ok := spreads[*l.Spread]; !ok {
			r.wrong(key+".spread", "spread is one of uniform, normal, exponential, pareto")
		}
	}
	if l.Burst != nil && *l.Burst < 1 {
		r.wrong(key+".burst", "burst is how many packets are lost in a row: 1 or more")
	}
	if l.MTU != nil && *l.MTU < minMTU {
		r.wrong(key+".mtu", "QUIC does not work below %d", minMTU)
	}
}

// Over puts what l says over another link.
func (l *Link) Over(under vnet.Link) vnet.Link {
	set := func(d *time.Duration, v *Duration) {
		if v != nil {
			*d = v.Duration
		}
	}
	put(&under.Loss, l.Loss)
	put(&under.Burst, l.Burst)
	put(&under.Double, l.Double)
	put(&under.Reorder, l.Reorder)
	put(&under.MTU, l.MTU)
	put((*Rate)(&under.Rate), l.Rate)
	set(&under.Latency, l.Latency)
	set(&under.Jitter, l.Jitter)
	if l.Spread != nil {
		under.Spread = spreads[*l.Spread]
	}
	if l.Queue != nil {
		under.Queue = int(*l.Queue)
	}
	return under
}

func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// rule reads the ends of a link; key is of the section.
func (r *reader) rule(key string, between []Selection, from, to Selection) Rule {
	n := len(r.p.Net)
	switch {
	case len(between) > 0 && len(from)+len(to) > 0:
		r.wrong(key, "either between, or from and to")
	case len(between) > 0 && len(between) != 2:
		r.wrong(key+".between", "between has two ends: [[…], […]]")
	case len(between) > 0:
		return Rule{From: set(r.chooseNodes(key+".between", between[0]), n), To: set(r.chooseNodes(key+".between", between[1]), n), Both: true}
	case len(from) == 0 || len(to) == 0:
		r.wrong(key, "between is missing, or from and to")
	default:
		return Rule{From: set(r.chooseNodes(key+".from", from), n), To: set(r.chooseNodes(key+".to", to), n)}
	}
	return Rule{}
}

func (r *reader) links() {
	for i := range r.p.Links {
		l := &r.p.Links[i]
		key := fmt.Sprintf("links[%d]", i)
		r.link(key, &l.Link)
		rule := r.rule(key, l.Between, l.From, l.To)
		rule.Link = l.Link
		r.p.Rules = append(r.p.Rules, rule)
	}
}

// What events need, by their kind; all may have at, do and for.
var kinds = map[string][]string{
	"partition": {"sides"},
	"cut":       {"from", "to"},
	"link":      {"between|from", "link"},
	"kill":      {"nodes"},
	"stop":      {"nodes"},
	"start":     {"nodes"},
	"churn":     {"nodes", "up", "down"},
	"slow-disk": {"nodes", "delay"},
	"full-disk": {"nodes"},
	"sign-off":  {"users"},

	"dns-failure": {"nodes", "answer"},

	"skew":  {"nodes", "ahead|behind"},
	"jump":  {"nodes", "ahead|behind"},
	"drift": {"nodes", "ahead|behind"},
}

func (r *reader) events() {
	for i := range r.p.Events {
		key := fmt.Sprintf("event[%d]", i)
		s := Step{Event: r.p.Events[i]}
		if r.needs(key, &s.Event) {
			r.resolve(key, &s)
			s.Text = s.describe()
			r.p.Timeline = append(r.p.Timeline, s)
		}
	}
	slices.SortStableFunc(r.p.Timeline, func(a, b Step) int { return cmp.Compare(a.At.Duration, b.At.Duration) })
}

// needs checks that an event has what its kind needs, and nothing else.
func (r *reader) needs(key string, e *Event) bool {
	needed, known := r.kind(key+".do", kinds, e.Do, "event")
	if !known {
		return false
	}
	if e.At.Duration >= r.p.Duration.Duration {
		r.wrong(key+".at", "at %v the scenario has ended", e.At.Duration)
	}
	has := map[string]bool{"nodes": len(e.Nodes) > 0, "users": len(e.Users) > 0, "sides": len(e.Sides) > 0, "between": len(e.Between) > 0,
		"from": len(e.From) > 0, "to": len(e.To) > 0, "up": e.Up.Duration > 0, "down": e.Down.Duration > 0,
		"delay": e.Delay.Duration > 0, "answer": e.Answer != "", "ahead": e.Ahead.Duration > 0, "behind": e.Behind.Duration > 0, "link": e.Link != (Link{})}
	if e.Do == "link" {
		delete(has, "to") // as one likes
	}
	return r.fits(key, e.Do, needed, has)
}

// kind finds what a kind of something needs.
func (r *reader) kind(key string, all map[string][]string, name, what string) (needed []string, known bool) {
	if needed, known = all[name]; !known {
		r.wrong(key, "%q is no %s; there are %s", name, what, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	return needed, known
}

// fits checks that something of a kind has what that needs ("a|b": one of both), and
// nothing else.
func (r *reader) fits(key, kind string, needed []string, has map[string]bool) bool {
	before := len(r.problems)
	for _, n := range needed {
		if a, b, either := strings.Cut(n, "|"); !has[a] && !(either && has[b]) {
			r.wrong(key, "%q needs %s", kind, strings.ReplaceAll(n, "|", ", or "))
		}
	}
	for name, set := range has {
		if set && !slices.ContainsFunc(needed, func(n string) bool { return slices.Contains(strings.Split(n, "|"), name) }) {
			r.wrong(key+"."+name, "%q has no %s", kind, name)
		}
	}
	return len(r.problems) == before
}

func (r *reader) resolve(key string, s *Step) {
	switch s.Do {
	case "partition":
		if len(s.Event.Sides) < 2 {
			r.wrong(key+".sides", "a partition has two sides or more: [[…], […]]")
		}
		for _, side := range s.Event.Sides {
			s.Sides = append(s.Sides, set(r.chooseNodes(key+".sides", side), len(r.p.Net)))
		}
	case "cut":
		s.Rule = r.rule(key, nil, s.From, s.To)
	case "link":
		r.link(key+".link", &s.Link)
		s.Rule = r.rule(key, s.Between, s.From, s.To)
		s.Rule.Link = s.Link
	case "sign-off":
		s.Users = r.chooseUsers(key+".users", s.Event.Users)
	default:
		s.Nodes = r.chooseNodes(key+".nodes", s.Event.Nodes)
		if s.Do == "dns-failure" {
			r.dnsFailure(key, s)
		}
		s.Clock = r.offset(key, s.Ahead, s.Behind)
		if s.Do == "jump" && s.For.Duration > 0 {
			r.wrong(key+".for", "a jump is over at once; \"skew\" sets clocks right again")
		}
	}
}

// offset is how far a clock is ahead.
func (r *reader) offset(key string, ahead, behind Duration) time.Duration {
	if ahead.Duration > 0 && behind.Duration > 0 {
		r.wrong(key+".behind", "a clock is either ahead or behind")
	}
	if max(ahead.Duration, behind.Duration) > maxOffset {
		r.wrong(key, "a clock is at most %s off", Short(maxOffset))
	}
	return ahead.Duration - behind.Duration
}

// maxOffset is how wrong a clock can be.
const maxOffset = 3650 * day

// describe says what an event is, for people.
func (s *Step) describe() string {
	list := func(x Selection) string { return strings.Join(x, " ") }
	text := s.Do
	switch s.Do {
	case "partition":
		var sides []string
		for _, side := range s.Event.Sides {
			sides = append(sides, list(side))
		}
		text += " " + strings.Join(sides, " | ")
	case "sign-off":
		text += " " + list(s.Event.Users)
	case "cut", "link":
		if len(s.Between) > 0 {
			text += " " + list(s.Between[0]) + " – " + list(s.Between[1])
		} else {
			text += " " + list(s.From) + " → " + list(s.To)
		}
	default:
		text += " " + list(s.Event.Nodes)
	}
	switch {
	case s.Clock > 0:
		text += " " + Short(s.Clock) + " ahead"
	case s.Clock < 0:
		text += " " + Short(-s.Clock) + " back"
	}
	return text
}

// Cuts reports whether the event keeps packets of one node from another.
func (s *Step) Cuts(from, to int) bool {
	return s.Do == "partition" && s.Partitioned(from, to) || s.Do == "cut" && s.Rule.Fits(from, to)
}

// Partitioned reports whether the event keeps two nodes apart.
func (s *Step) Partitioned(a, b int) bool {
	sideOf := func(i int) int {
		return slices.IndexFunc(s.Sides, func(side Set) bool { return side.Has(i) })
	}
	x, y := sideOf(a), sideOf(b)
	return x >= 0 && y >= 0 && x != y
}

func (r *reader) checks() {
	for i, c := range r.p.Checks {
		key := fmt.Sprintf("check[%d]", i)
		e, err := expr.Parse(c.That)
		if err != nil {
			var at *expr.SyntaxError
			errors.As(err, &at)
			r.wrong(key+".that", "%q: %v", c.That, err)
			continue
		}
		for _, n := range e.Names() {
			if _, known := Figures[n]; !known {
				r.wrong(key+".that", "there is no figure %q; \"parley testnet reference\" lists them", n)
			}
		}
		r.p.Must = append(r.p.Must, Must{c, e})
	}
}

// work checks what users do.
func (r *reader) work() {
	for i, w := range r.p.Work {
		key := fmt.Sprintf("work[%d]", i)
		j := Job{Work: w, Who: r.chooseUsers(key+".users", w.Users)}
		if len(w.To) > 0 {
			j.To = set(r.chooseUsers(key+".to", w.To), len(r.p.People))
		}
		if j.Until.Duration == 0 {
			j.Until = r.p.Duration
		}
		switch {
		case w.Kind != "chat" && w.Kind != "group" && w.Kind != "presence" && w.Kind != "meet":
			r.wrong(key+".kind", "%q is no work; there are chat, group, presence, meet", w.Kind)
		case w.Kind != "chat" && w.Kind != "meet" && len(w.To) > 0:
			r.wrong(key+".to", "%q has no to", w.Kind)
		case w.Every.Duration < time.Millisecond:
			r.wrong(key+".every", "every must be 1ms or more")
		case w.From.Duration >= j.Until.Duration || j.Until.Duration > r.p.Duration.Duration:
			r.wrong(key, "from must be before until, and that not after the scenario's end")
		case w.Size < minMessage || w.Size > maxMessage:
			r.wrong(key+".size", "a message has %d to %d bytes", minMessage, maxMessage)
		case w.Kind == "group" && len(r.p.Rooms) == 0:
			r.wrong(key+".kind", "there are no [[groups]] to write to")
		}
		r.p.Jobs = append(r.p.Jobs, j)
	}
}

// Bounds of a message, in bytes: a message carries its number.
const (
	minMessage = 16
	maxMessage = 64 << 10
)
