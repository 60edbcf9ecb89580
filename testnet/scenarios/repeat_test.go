package scenarios

import (
	"math"
	"strings"
	"testing"
)

// How far two runs of one seed may differ in what depends on packets. TLS draws its secrets
// anew each time and so handshakes differ by a few bytes; goroutines that wake at the same
// moment of virtual time take turns by chance, and so do the packets' dice. What is seen
// is a third of this.
const (
	nearFrames = 0.03 // frames, and what users wait for, on average
	nearBytes  = 0.12 // packets: QUIC may probe a path's MTU once more
)

// drawn are figures that the seed alone decides, where nothing goes wrong.
var drawn = []string{"accepted", "delivered", "expected", "refused", "lost", "doubled", "reordered", "forged", "diverged", "nodes", "users", "restarts"}

// TestRepeatable runs scenarios twice: what was said and what became of it is the same,
// other figures are near.
func TestRepeatable(t *testing.T) {
	for _, name := range []string{"groups", "partition"} {
		t.Run(name, func(t *testing.T) {
			a, b := figures(t, name, 7), figures(t, name, 7)
			for _, k := range drawn {
				if a[k] != b[k] {
					t.Errorf("%s: %v and %v", k, a[k], b[k])
				}
			}
			for k, near := range map[string]float64{
				"latency_mean": nearFrames, "frames": nearFrames, "frame_bytes": nearFrames, "posts": nearFrames,
				"bytes": nearBytes, "packets": nearBytes,
			} {
				if d := math.Abs(a[k]-b[k]) / math.Max(a[k], b[k]); d > near {
					t.Errorf("%s: %v and %v, %.2f%%", k, a[k], b[k], 100*d)
				} else {
					t.Logf("%s: %.3f%%", k, 100*d)
				}
			}
			if c := figures(t, name, 8); c["latency_mean"] == a["latency_mean"] {
				t.Error("another seed is the same run")
			}
		})
	}
}

func figures(t *testing.T, name string, seed uint64) map[string]float64 {
	t.Helper()
	res := play(t, name, seed)
	if res.Failed() {
		t.Error(strings.Join(res.Examples, "\n"))
	}
	return res.Figures
}
