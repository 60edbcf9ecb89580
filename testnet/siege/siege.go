// Package siege sets the misbehaving peer (federation/fedtest/rogue) on a node in a
// process of its own, over QUIC, and measures what each attack costs that.
package siege

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"parley/federation"
	"parley/federation/dht/guest"
	"parley/federation/fedtest/rogue"
	"parley/federation/quic"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/testnet"
	"parley/testnet/names"
)

// Config of a run.
type Config struct {
	Binary string // of parley
	Temp   string // directory for the node's data; "": the system's
	Log    io.Writer
}

// Result of an attack.
type Result struct {
	Name    string  `json:"name"`
	Threat  string  `json:"threat"`
	Refused string  `json:"refused,omitempty"` // how; "": it was not
	Failure string  `json:"failure,omitempty"` // why it was not
	CPU     float64 `json:"cpu_ms"`            // of the victim, in steps of 10
	Sent    int64   `json:"sent_bytes"`        // by the rogue, in UDP datagrams
	Answer  int64   `json:"answer_bytes"`
	RSS     float64 `json:"rss_kib"`    // more than before
	Disk    int64   `json:"disk_bytes"` // more than before
}

const (
	victim protocol.Node = "a.example"
	self   protocol.Node = "b.example"
)

// siege is a run.
type siege struct {
	cfg   Config
	world rogue.World
	data  string // the victim's directory
	proc  *testnet.Process
	users *users
	names *names.Resolver // the DNS that the victim asks
	out   atomic.Int64    // bytes of the rogue
	in    atomic.Int64
}

// Run tries all attacks on one node, one after the other.
func Run(ctx context.Context, cfg Config) (all []Result, err error) {
	dir, err := os.MkdirTemp(cfg.Temp, "siege")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &siege{cfg: cfg, data: filepath.Join(dir, "data")}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	for _, a := range rogue.Attacks() {
		r, err := s.try(ctx, a)
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// start starts the victim, to which the rogue is known by a pin, and its users.
func (s *siege) start(ctx context.Context) error {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // never fails
	key := federation.KeyFromSeed(seed)
	at, err := testnet.FreeUDP()
	if err != nil {
		return err
	}
	asked, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.names = names.NewResolver(asked)
	// Nobody is at the address of the peer: it is always the one who dials.
	s.proc, err = testnet.Start(ctx, testnet.Options{Binary: s.cfg.Binary, Data: s.data, Log: s.cfg.Log,
		Config: fmt.Sprintf("[node]\nname = %q\n", victim) +
			testnet.Peering(at, fmt.Sprintf("resolvers = [%q]\ndht = \"server\"\n", asked.LocalAddr()), self, "127.0.0.1:9", key.Pin())})
	if err != nil {
		return err
	}
	s.world = rogue.World{Victim: victim, At: at, Self: self, Key: key, Transport: s.transport, Offer: s.offer,
		Register: s.register, Asked: s.names.Asked, Member: s.member, Log: s.proc.Output}
	s.users, err = newUsers(ctx, s.proc.WebSocket(), &s.world)
	return err
}

func (s *siege) register(n protocol.Node, at netip.AddrPort, pin string) {
	s.names.Set(n, names.Zone{Addr: at, Pin: pin, TTL: time.Hour})
}

// member joins the victim in the DHT.
func (s *siege) member(ctx context.Context) (rogue.Member, error) {
	id, err := federation.LoadIdentity(s.data)
	if err != nil {
		return nil, err
	}
	return guest.Dial(ctx, s.world.At, id.Key)
}

// offer shakes hands for a protocol, or for none.
func (s *siege) offer(ctx context.Context, alpn string) (err error) {
	tr, err := s.socket(self, s.world.Key, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tr.Close()) }()
	conf := &tls.Config{InsecureSkipVerify: true, ServerName: string(victim)} // it is about the answer
	if alpn != "" {
		conf.NextProtos = []string{alpn}
	}
	c, err := tr.Share().Dial(ctx, net.UDPAddrFromAddrPort(s.world.At), conf, nil)
	if err != nil {
		return err
	}
	return c.CloseWithError(0, "")
}

// counted is a socket whose bytes are. It hides the ways past WriteTo and ReadFrom that a
// *net.UDPConn has.
type counted struct {
	net.PacketConn
	udp *net.UDPConn // the same
	s   *siege
}

// SetReadBuffer lets QUIC have the room that it wants.
func (c counted) SetReadBuffer(n int) error { return c.udp.SetReadBuffer(n) }

// SetWriteBuffer does so, too.
func (c counted) SetWriteBuffer(n int) error { return c.udp.SetWriteBuffer(n) }

// SyscallConn lets it see whether it has got it.
func (c counted) SyscallConn() (syscall.RawConn, error) { return c.udp.SyscallConn() }

func (c counted) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := c.PacketConn.WriteTo(b, to)
	c.s.out.Add(int64(n))
	return n, err
}

func (c counted) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	c.s.in.Add(int64(n))
	return n, from, err
}

func (s *siege) transport(name protocol.Node, key *federation.Key, st *s2s.Statement) (federation.Transport, error) {
	return s.socket(name, key, st)
}

func (s *siege) socket(name protocol.Node, key *federation.Key, st *s2s.Statement) (*quic.Transport, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	return quic.New(quic.Config{Key: key, Name: name, Succession: st, Conn: counted{conn, conn, s}})
}

func (s *siege) close() error {
	var all []error
	all = append(all, s.world.Close())
	if s.users != nil {
		all = append(all, s.users.close())
	}
	if s.proc != nil {
		all = append(all, s.proc.Stop(context.Background()))
	}
	if s.names != nil {
		all = append(all, s.names.Close())
	}
	return errors.Join(all...)
}

// cost is what has been used so far.
type cost struct {
	testnet.Usage
	disk, in, out int64
}

func (s *siege) cost() (c cost, err error) {
	if c.Usage, err = testnet.ReadUsage(s.proc.PID()); err != nil {
		return c, err
	}
	c.in, c.out = s.in.Load(), s.out.Load()
	err = filepath.WalkDir(s.data, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file that was only there for a moment
		}
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		if err == nil {
			c.disk += i.Size()
		}
		return nil
	})
	return c, err
}

// attackTime bounds an attack: a victim that does not answer has not refused it.
const attackTime = 30 * time.Second

// try tries an attack. Whatever it was, the victim must live after it.
func (s *siege) try(ctx context.Context, a rogue.Attack) (Result, error) {
	r := Result{Name: a.Name, Threat: a.Threat}
	before, err := s.cost()
	if err != nil {
		return r, err
	}
	limited, stop := context.WithTimeout(ctx, attackTime)
	defer stop()
	how, err := a.Do(limited, &s.world)
	if err != nil {
		r.Failure = err.Error()
	}
	r.Refused = how
	select {
	case <-s.proc.Ended():
		return r, fmt.Errorf("%s has ended the node:\n%s", a.Name, s.proc.Output())
	default:
	}
	after, err := s.cost()
	r.CPU, r.RSS = 1000*(after.CPU-before.CPU), after.RSS-before.RSS
	r.Sent, r.Answer, r.Disk = after.out-before.out, after.in-before.in, after.disk-before.disk
	return r, err
}

// Table prints results.
func Table(w io.Writer, all []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "attack\tCPU ms\tsent B\tanswer B\tRSS KiB\tdisk B\twhat became of it")
	for _, r := range all {
		what := r.Refused
		if r.Failure != "" {
			what = "NOT REFUSED: " + r.Failure
		}
		fmt.Fprintf(t, "%s\t%.0f\t%d\t%d\t%+.0f\t%+d\t%s\n", r.Name, r.CPU, r.Sent, r.Answer, r.RSS, r.Disk, what)
	}
	return t.Flush()
}
