// Package spec holds no code: its documents say what a node does, its vectors
// show it as JSON, and its tests keep both and the rules of the house true.
//
// client.md is the client protocol, naming.md what things are called, link.md what nodes
// say to each other, faults.md what holds when something breaks, security.md what is
// defended, config.md every setting.
package spec
