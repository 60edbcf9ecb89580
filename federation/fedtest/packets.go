package fedtest

import "parley/federation/vnet"

// Packets is the emulated network of tests of links, and Path what happens on one way.
type (
	Packets = vnet.Network
	Path    = vnet.Link
)

// NewPackets makes a network whose ways are all like usual.
func NewPackets(seed uint64, usual Path) *Packets { return vnet.New(seed, usual) }
