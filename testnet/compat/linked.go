package compat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"parley/federation"
	"parley/protocol"
	"parley/testnet"
)

// Linked starts two nodes in folders of dir, a.localhost and b.localhost, which know and
// trust each other, each with the settings config (TOML, without [node] and [s2s]) besides.
func Linked(ctx context.Context, binary, dir, config string) (a, b *testnet.Process, err error) {
	var sides [2]side
	for i, name := range []protocol.Node{"a.localhost", "b.localhost"} {
		if sides[i], err = newSide(filepath.Join(dir, string(name)), name); err != nil {
			return nil, nil, err
		}
	}
	start := func(own, other side) (*testnet.Process, error) {
		return testnet.Start(ctx, testnet.Options{Binary: binary, Data: own.data, Config: fmt.Sprintf("[node]\nname = %q\n", own.name) +
			config + testnet.Peering(own.at, "", other.name, other.at.String(), other.key)})
	}
	if a, err = start(sides[0], sides[1]); err != nil {
		return nil, nil, err
	}
	if b, err = start(sides[1], sides[0]); err != nil {
		return nil, nil, errors.Join(err, a.Stop(ctx))
	}
	return a, b, nil
}

// A side is one of the two: what the other has to know of it, and its folder.
type side struct {
	name protocol.Node
	data string
	key  string // as a pin
	at   netip.AddrPort
}

func newSide(data string, name protocol.Node) (side, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return side{}, err
	}
	key, err := federation.CreateKey(filepath.Join(data, federation.KeyFile))
	if err != nil {
		return side{}, err
	}
	at, err := testnet.FreeUDP()
	return side{name: name, data: data, key: key.Pin(), at: at}, err
}
