package bolt_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
	"parley/store/bolt"
)

// The benchmarks write with fsync, as a node does. "cpu-µs/op" is what the process
// spent, of which the wall clock of a shared machine knows nothing.

const (
	benchTopics  = 50
	benchContent = 100 // bytes of a message
)

func benchStore(b *testing.B) *bolt.DB {
	b.Helper()
	db, err := bolt.Open(filepath.Join(b.TempDir(), "parley.db"), bolt.Options{Node: "chat.example.org", Create: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

// pair is a conversation of two.
type pair struct {
	topic protocol.TopicID
	a, b  protocol.UserID
}

func pairs(n int) []pair {
	all := make([]pair, n)
	for i := range all {
		a := protocol.NewUserID(rand.Uint64(), "chat.example.org")
		b := protocol.NewUserID(rand.Uint64(), "chat.example.org")
		all[i] = pair{protocol.P2P(a, b), a, b}
	}
	return all
}

// publish is what a message between two costs: the message, and the author's marks.
func (p pair) publish(tx store.Tx) error {
	m := &store.Message{From: p.a, TS: time.UnixMilli(1_800_000_000_000), Tag: 7, Content: make([]byte, benchContent)}
	if err := tx.Append(p.topic, m); err != nil {
		return err
	}
	return tx.PutMarks(p.topic, p.a, store.Marks{Recv: m.Seq, Read: m.Seq})
}

// cpu is the time that the process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, start time.Duration) {
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// BenchmarkPublish has as many writers as said, each with one message at a time.
func BenchmarkPublish(b *testing.B) {
	for _, writers := range []int{1, 50, 64, 512} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db, all := benchStore(b), pairs(max(benchTopics, writers))
			var next atomic.Int64
			before := db.Stats()
			start := cpu()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if err := db.Update(all[w%len(all)].publish); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			reportCPU(b, start)
			s := db.Stats()
			b.ReportMetric(float64(s.Updates-before.Updates)/float64(s.Commits-before.Commits), "updates/commit")
			b.ReportMetric(float64(s.Size)/float64(b.N), "file-B/op")
		})
	}
}

// BenchmarkHistory reads the last page of topics, in one transaction each.
func BenchmarkHistory(b *testing.B) {
	const perTopic = 1000
	db, all := benchStore(b), pairs(benchTopics)
	for range perTopic {
		err := db.Update(func(tx store.Tx) error {
			for _, p := range all {
				if err := p.publish(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, page := range []int{24, 100} {
		b.Run(fmt.Sprintf("page=%d", page), func(b *testing.B) {
			start := cpu()
			for i := range b.N {
				p := all[i%len(all)]
				err := db.View(func(tx store.Tx) error {
					n := 0
					for _, err := range tx.History(p.topic, 1, perTopic+1) {
						if n++; err != nil || n == page {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, start)
			b.ReportMetric(float64(page)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
