// Package specpeer is a second implementation of what nodes say to one another, written
// from spec/link.md, spec/link.cddl and spec/naming.md alone: it imports nothing of the
// program (its test sees to that), so that what the pages leave out shows.
//
// It is as much of a node as is needed to keep up a link with a real one: streams, Hellos,
// lanes with cursors and verdicts over several links, set-back stores, casts, questions.
// It has one peer, keeps its state in memory and has no clients.
package specpeer
