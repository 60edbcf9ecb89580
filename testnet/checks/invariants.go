package checks

import "fmt"

// Verdict is what a run says of an invariant.
type Verdict string

// The verdicts.
const (
	Holds    Verdict = "holds"
	Broken   Verdict = "broken"
	NotTried Verdict = "not tried" // nothing in the run could have broken it
)

// Invariant is one of the ten, with what the run says of it.
type Invariant struct {
	Number  int     `json:"number"`
	Rule    string  `json:"rule"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Tried is what a run had that could break an invariant.
type Tried struct {
	Copies     int // that had to reach readers
	Faults     int // events of the network and nodes
	Kills      int // of nodes, without a word
	Groups     int
	Presence   int // contacts whose state was compared in the end
	Wrong      int // of those
	Waiting    int // posts in outboxes in the end
	LogFrames  int // frames with messages of groups between nodes
	LogPerNode int // of those, at most, that one message needs to one node
}

// Invariants judges the ten.
func (f *Found) Invariants(t Tried) []Invariant {
	all := []Invariant{
		{1, "no message is lost in silence", verdict(t.Copies > 0, f.Lost+t.Waiting), fmt.Sprintf("%d of %d copies lost, %d posts still wait", f.Lost, t.Copies, t.Waiting)},
		{2, "each has its effect once", verdict(t.Copies > 0, f.Doubled), fmt.Sprintf("%d of %d copies doubled", f.Doubled, t.Copies)},
		{3, "what is told to be bounced is in no log", verdict(f.Bounced+f.Unconfirmed > 0 || f.Contradictions > 0, f.Contradictions), fmt.Sprintf("%d bounced, %d unconfirmed, %d of the bounced arrived", f.Bounced, f.Unconfirmed, f.Contradictions)},
		{4, "order is kept, per writer and in groups by the home's number", verdict(t.Copies > 0, f.Reordered+f.Gaps), fmt.Sprintf("%d copies out of order, %d gaps in numbers", f.Reordered, f.Gaps)},
		{5, "what is acknowledged is durable", verdict(t.Kills > 0 || f.Forgotten > 0, f.Forgotten), fmt.Sprintf("%d kills, %d accepted messages forgotten", t.Kills, f.Forgotten)},
		{6, "replicas converge", verdict(t.Copies > 0, f.Diverged), fmt.Sprintf("%d conversations differ", f.Diverged)},
		{7, "nobody speaks for others' users", verdict(f.Forged > 0, f.Forged), fmt.Sprintf("no forger in the run; %d messages were not by whom they name", f.Forged)},
		{8, "a bad peer costs bounded memory, disk and time", NotTried, "no bad peer in the run"},
		{9, "the cost of a link goes by nodes, not by members", verdict(t.LogFrames > 0, max(t.LogPerNode-1, 0)), fmt.Sprintf("%d groups; a message crosses a link %d times at most", t.Groups, t.LogPerNode)},
		{10, "what is ephemeral heals", verdict(t.Presence > 0 && t.Faults > 0, t.Wrong), fmt.Sprintf("after %d faults, %d of %d contacts are shown wrongly", t.Faults, t.Wrong, t.Presence)},
	}
	if t.LogFrames == 0 {
		all[8].Why = "no message of a group crossed a link"
	}
	return all
}

func verdict(tried bool, faults int) Verdict {
	switch {
	case !tried:
		return NotTried
	case faults > 0:
		return Broken
	}
	return Holds
}
