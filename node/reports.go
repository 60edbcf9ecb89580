package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// Who reports the same again while the first report is there adds to its tally: the
// operators read it once, and it weighs once.

// maxAccusations are read of one report.
const maxAccusations = 16

// accusation is what a report says, and of whom.
type accusation struct{ Action, Target string }

// accusations reads {"action":"report","target":"usr…"}, as it is or, as clients publish
// it, attached to a Drafty text. Users are named in full.
func (n *Node) accusations(content []byte) (all []accusation) {
	var report struct {
		accusation
		Ent []struct {
			Data struct{ Val accusation }
		}
	}
	if json.Unmarshal(content, &report) != nil {
		return nil
	}
	found := []accusation{report.accusation}
	for _, e := range report.Ent {
		found = append(found, e.Data.Val)
	}
	for _, a := range found {
		if u, err := protocol.ParseUserID(a.Target, n.name); err == nil {
			a.Target = string(u)
		}
		if a.Target != "" && len(all) < maxAccusations && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// tally is how often one user has said the same in reports, the first of which is Seq.
type tally struct {
	Seq, Times int
	Last       time.Time
}

func tallyName(by protocol.UserID, a accusation) string {
	sum := sha256.Sum256([]byte(a.Action + "\x00" + a.Target))
	return "reported " + string(by) + " " + hex.EncodeToString(sum[:16])
}

// tallyOf is zero if there is no such report, or none any more.
func tallyOf(tx store.Tx, by protocol.UserID, a accusation) (t tally, err error) {
	raw, err := tx.Value(tallyName(by, a))
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err == nil {
		_, err = tx.Message(protocol.Sys, t.Seq)
	}
	if errors.Is(err, store.ErrNotFound) {
		return tally{}, nil
	}
	return t, err
}

// unsaid is what of a report its author has not reported yet; first is where the rest is.
func (s *sys) unsaid(by protocol.UserID, said []accusation) (fresh []accusation, first int, err error) {
	err = s.n.store.View(func(tx store.Tx) error {
		fresh = nil
		for _, a := range said {
			t, err := tallyOf(tx, by, a)
			if err != nil {
				return err
			}
			if t.Seq == 0 {
				fresh = append(fresh, a)
			} else {
				first = t.Seq
			}
		}
		return nil
	})
	return fresh, first, err
}

// countAgain adds what a report says to the tallies.
func countAgain(tx store.Tx, m *store.Message, said []accusation) error {
	for _, a := range said {
		t, err := tallyOf(tx, m.From, a)
		if err != nil {
			return err
		}
		if t.Seq == 0 {
			t.Seq = m.Seq
		}
		t.Times, t.Last = t.Times+1, m.TS
		raw, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if err := tx.PutValue(tallyName(m.From, a), raw); err != nil {
			return err
		}
	}
	return nil
}

// readTally completes r by how often it was made.
func (n *Node) readTally(tx store.Tx, r *Report) error {
	r.Times, r.Last = 1, r.When
	for _, a := range n.accusations(r.Content) {
		t, err := tallyOf(tx, r.From, a)
		if err != nil {
			return err
		}
		if t.Seq == r.Seq && t.Times > r.Times {
			r.Times, r.Last = t.Times, t.Last
		}
	}
	return nil
}
