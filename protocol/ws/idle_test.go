package ws

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// BenchmarkIdle measures the heap and stack that an idle connection holds at the
// server; the clients are bare sockets, outside of the Go heap. Run it with
// -benchtime 5000x.
func BenchmarkIdle(b *testing.B) {
	stop := make(chan struct{})
	ready := make(chan struct{})
	url := serve(b, Options{}, func(c *Conn) {
		ready <- struct{}{}
		_, _ = c.Read()
		<-stop
	})
	defer close(stop)
	addr, err := net.ResolveTCPAddr("tcp4", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		b.Fatal(err)
	}
	before := memory()
	for range b.N {
		fd := rawDial(b, addr)
		defer syscall.Close(fd)
		<-ready
	}
	b.StopTimer()
	b.ReportMetric(float64(memory()-before)/float64(b.N)/1024, "KiB/conn")
}

// memory in use by heap and stacks after collection.
func memory() int64 {
	runtime.GC()
	runtime.GC() // empties the pools too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func rawDial(b *testing.B, addr *net.TCPAddr) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		b.Fatal(err)
	}
	const hello = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := syscall.Write(fd, []byte(hello)); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 1024)
	if n, err := syscall.Read(fd, answer); err != nil || !bytes.Contains(answer[:n], []byte(" 101 ")) {
		b.Fatalf("handshake: %v: %q", err, answer[:max(n, 0)])
	}
	return fd
}

// BenchmarkWrite sends batches of 200-byte packets to a client that discards them.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run(map[int]string{1: "alone", 10: "by10", 100: "by100"}[size], func(b *testing.B) {
			conns := make(chan *Conn)
			url := serve(b, Options{}, func(c *Conn) {
				conns <- c
				_, _ = c.Read()
			})
			peer := dial(b, url)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer peer.Abort()
			wg.Go(func() { discard(peer) })
			c := <-conns
			batch := make([][]byte, size)
			for i := range batch {
				batch[i] = bytes.Repeat([]byte("x"), 200)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Write(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/packet")
		})
	}
}

func discard(c *Conn) {
	for {
		if _, err := c.Read(); err != nil {
			return
		}
	}
}
