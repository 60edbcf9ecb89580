// Package model simulates the reputation of whole federations, up to 100,000 nodes,
// without links, stores and clients: first contacts, conversations, reactions of users,
// and attackers, as events in virtual time. What decides is package reputation itself,
// one engine for each node, asked and fed as package node does it; beside it stand
// baselines: no reputation, each node on its own, and EigenTrust.
//
// A run depends on its Config only: the same seed gives the same figures.
package model
