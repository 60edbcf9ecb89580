package federation_test

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPosts measures messages of 100 bytes from one node to another over real QUIC,
// durable at both ends, written by many at once: CPU is that of both.
func BenchmarkPosts(b *testing.B) {
	w := newWorld(b, two, nil)
	w.overLoopback()
	defer w.end()
	from, to := w.ab()
	from.write(to, 0, 1)
	to.has(from, 0, 1, 10*time.Second)
	const writers = 64
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	for i := range writers {
		wg.Go(func() {
			for k := i; k < b.N; k += writers {
				begin := time.Now()
				from.write(to, i+1, k/writers+1)
				mu.Lock()
				took = append(took, time.Since(begin))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	from.settled(to, time.Minute)
	b.StopTimer()
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	s := from.stats(to)
	slices.Sort(took)
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(s.Posts.Out+s.Control.In)/float64(b.N), "frame-B/op")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "commit-p50-µs")
}
