// Package bench measures a node, or any server of the same client protocol, from
// the outside: it knows the server only by what clients see and by what the
// operating system counts. Numbers are worth nothing if the work was not done, so
// every scenario also checks the promises that it relies on.
//
// # Scenarios
//
//	connect   sessions are opened (dial, hi, token, sub me) and left idle
//	p2p       pairs of users; each sender keeps Inflight messages unacknowledged
//	fanout    one group, every member online; a sender's slot is free again only
//	          when every member has the message
//	history   readers page backwards through a topic with {get data}, over and over
//	login     dial, hi, login, close: with passwords, then with tokens
//	presence  a user comes online and goes; every contact has to notice
//
// All sessions attach to me, as real clients do. With a Rate, p2p and fanout are an
// open load: latency counts from when a message was due, so that a server which
// falls behind cannot hide it. [Cases] lists what is measured by default.
//
// # Figures
//
// "acked", "published" are {ctrl 202} with a seq, in the measured window, a second;
// "delivered" is {data} at receivers other than the sender. "ack" and "delivery"
// are times from sending to {ctrl} and to {data} at the receiver: p50, p99 by
// nearest rank, max, including the work of this package. "cpu per …" is the user
// and system time of the server's processes divided by the operations in the
// window; on a noisy machine compare this and not the rates. "memory per session"
// is the growth of resident memory divided by the sessions. "host busy" and "other
// load" tell how far to trust rates and latencies.
//
// # Promises that are checked
//
// p2p and fanout: every message is answered (unanswered); every acknowledged one
// reaches every online receiver (lost), once (duplicate), in order (delivered seq
// not increasing), with the seq that was acknowledged (seq of ack and delivery
// differ); acknowledged seqs grow (acked seq not increasing); no connection drops
// (connection lost); the load never stops (sender stalled). history: every page has
// exactly the messages asked for (wrong page). presence: every contact gets every
// notice ('on' not seen), and the user sees every online contact ('online' not
// shown). Refusals are no violations; they are counted as notes.
//
// Durability is not checked here but in testnet/crash.
package bench
