package bench

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"slices"
)

//go:embed peers.json
var peersJSON []byte

// Peer is another server, measured with the same load.
type Peer struct {
	Name       string                        `json:"name"`
	Provenance string                        `json:"provenance"`
	Figures    map[string]map[string]float64 `json:"figures"` // by case, then metric; units are ours
}

// Peers are the servers that ours is compared with, from peers.json.
func Peers() []Peer {
	var p []Peer
	if err := json.Unmarshal(peersJSON, &p); err != nil {
		panic("bench: peers.json: " + err.Error()) // embedded, and a test reads it
	}
	return p
}

// Compare is one figure beside a peer's.
type Compare struct {
	Peer   string  `json:"peer"`
	Metric string  `json:"metric"`
	Theirs float64 `json:"theirs"`
	Ratio  float64 `json:"ours_by_theirs"`
}

// figures of p for a case, none if the case was changed to something else.
func (p Peer) figures(c Case) map[string]float64 {
	for _, d := range Cases() {
		if d.Name == c.Name && d.Users == c.Users && d.Size == c.Size && d.Inflight == c.Inflight && d.Rate == c.Rate {
			return p.Figures[c.Name]
		}
	}
	return nil
}

// compare fills res.Peers.
func (res *Result) compare(peers []Peer) {
	for _, p := range peers {
		for name, theirs := range p.figures(res.Case) {
			i := slices.IndexFunc(res.Summary, func(f Figure) bool { return f.Name == name })
			if i >= 0 && theirs != 0 {
				res.Peers = append(res.Peers, Compare{p.Name, name, theirs, res.Summary[i].Value / theirs})
			}
		}
	}
	slices.SortFunc(res.Peers, func(a, b Compare) int { return cmp.Compare(a.Peer+a.Metric, b.Peer+b.Metric) })
}
