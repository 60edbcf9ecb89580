package compat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"parley/protocol"
	"parley/testnet"
)

// Linked starts two nodes in folders of dir, a.localhost and b.localhost, which know and
// trust each other, each with the settings config (TOML, without [node] and [s2s]) besides.
func Linked(ctx context.Context, binary, dir, config string) (a, b *testnet.Process, err error) {
	var sides [2]side
	for i, name := range []protocol.Node{"a.localhost", "b.localhost"} {
		s := side{name: name, data: filepath.Join(dir, string(name))}
		if s.at, s.key, err = testnet.Found(s.data); err != nil {
			return nil, nil, err
		}
		sides[i] = s
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
