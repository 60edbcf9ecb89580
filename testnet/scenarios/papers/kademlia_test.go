package papers

import (
	"context"
	"testing"
)

// Look-ups keep to the bound, and find everything while nobody fails: also the records of
// those who came first, when there were few to keep them.
func TestKademlia(t *testing.T) {
	o, err := table{24, 8, 0}.measure(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if o.found < 1 || o.hops < 1 || o.hops > 3 || o.asked < o.hops {
		t.Errorf("%+v", o)
	}
}

// Who is gone does not keep a look-up from those who are there.
func TestKademliaAmongDead(t *testing.T) {
	o, err := table{48, 8, .75}.measure(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if o.found < .7 {
		t.Errorf("%+v", o)
	}
}
