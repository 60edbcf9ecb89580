// Package guest is one of the DHT that is no member: it puts and asks what it likes, past
// all checks of its own.
package guest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"parley/federation"
	"parley/federation/dht"
)

// protocolID is what members of the DHT speak (spec/discovery.md#dht).
const protocolID = "/parley/kad/1.0.0"

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// Guest is connected with one member.
type Guest struct {
	host host.Host
	to   peer.ID
}

// Dial connects with the member at an address whose node has a key.
func Dial(ctx context.Context, at netip.AddrPort, of *federation.Key) (*Guest, error) {
	to, err := dht.HostID(of)
	if err != nil {
		return nil, err
	}
	where, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", at.Addr(), at.Port()))
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.NoTransports, libp2p.Transport(libp2pquic.NewTransport), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		return nil, err
	}
	if err := h.Connect(ctx, peer.AddrInfo{ID: to, Addrs: []ma.Multiaddr{where}}); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &Guest{h, to}, nil
}

// Close ends it.
func (g *Guest) Close() error { return g.host.Close() }

// Put has the member keep a value; an error: it has not.
func (g *Guest) Put(ctx context.Context, key string, value []byte) error {
	m, err := g.ask(ctx, &pb.Message{Type: pb.Message_PUT_VALUE, Key: []byte(key), Record: &recpb.Record{Key: []byte(key), Value: value}})
	if err == nil && string(m.GetRecord().GetValue()) != string(value) {
		err = errors.New("another value is answered")
	}
	return err
}

// Get asks the member for a value; nil: it has none.
func (g *Guest) Get(ctx context.Context, key string) ([]byte, error) {
	m, err := g.ask(ctx, &pb.Message{Type: pb.Message_GET_VALUE, Key: []byte(key)})
	return m.GetRecord().GetValue(), err
}

func (g *Guest) ask(ctx context.Context, m *pb.Message) (*pb.Message, error) {
	s, err := g.host.NewStream(ctx, g.to, protocolID)
	if err != nil {
		return nil, err
	}
	defer s.Reset() // no answer is waited for any more
	if d, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(d); err != nil {
			return nil, err
		}
	}
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(s)
	size, err := binary.ReadUvarint(in)
	if err != nil || size > maxAnswer {
		return nil, errors.Join(err, fmt.Errorf("an answer of %d bytes", size))
	}
	b = make([]byte, size)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	answer := new(pb.Message)
	return answer, proto.Unmarshal(b, answer)
}
