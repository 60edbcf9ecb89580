package scenario

import (
	"slices"

	"parley/testnet/names"
)

// Finding is how others find a node, and know its key.
type Finding uint8

// The ways.
const (
	BySettings Finding = iota // of everybody
	ByDNS                     // a zone with DNSSEC
	ByWeb                     // a zone without, and the web site
	ByKey                     // the DHT
)

// maxBootstrap is how many nodes of the DHT a node asks at once to join it.
const maxBootstrap = 16

// minConnections: with fewer, a table finds nobody.
const minConnections = 6

// finding reads [dns] and [dht].
func (r *reader) finding() {
	if len(r.problems) > 0 {
		return
	}
	if d := &r.p.DNS; len(d.Nodes) > 0 {
		r.found("dns.nodes", d.Nodes, BySettings, ByDNS)
		if len(d.Unsigned) > 0 {
			r.found("dns.unsigned", d.Unsigned, ByDNS, ByWeb)
		}
	} else if len(d.Unsigned) > 0 {
		r.wrong("dns.unsigned", "there are no zones: nodes is missing")
	}
	d := &r.p.DHT
	if len(d.Nodes) == 0 {
		return
	}
	r.found("dht.nodes", d.Nodes, BySettings, ByKey)
	if d.Connections < minConnections {
		r.wrong("dht.connections", "a member of the DHT keeps %d connections or more", minConnections)
	}
	if d.Bootstrap < 1 || d.Bootstrap > maxBootstrap {
		r.wrong("dht.bootstrap", "1 to %d nodes can be known from the beginning", maxBootstrap)
	}
}

// found gives nodes another way to be found.
func (r *reader) found(key string, s Selection, from, to Finding) {
	for _, i := range r.chooseNodes(key, s) {
		n := &r.p.Net[i]
		if n.Find != from {
			r.wrong(key, "%q is found in another way already, or has no zone", n.Name)
			return
		}
		n.Find = to
	}
}

// dnsFailure checks an event about zones.
func (r *reader) dnsFailure(key string, s *Step) {
	if !slices.Contains(names.Failures, names.Failure(s.Answer)) {
		r.wrong(key+".answer", "%q is no answer; there are silent, servfail, nxdomain", s.Answer)
	}
	for _, i := range s.Nodes {
		if n := r.p.Net[i]; n.Find != ByDNS && n.Find != ByWeb {
			r.wrong(key+".nodes", "the name of %q is not in the DNS: see [dns]", n.Name)
			return
		}
	}
}
