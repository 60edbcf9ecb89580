// Package client speaks the client protocol as a client: Tinode's, version 0.25,
// as spec/client.md describes it. It works with this node and with any other
// that follows the protocol.
//
//	c, err := client.Dial(ctx, url, client.Config{Dial: dial})
//	...
//	_, err = c.LoginBasic(ctx, "alice", "secret")
//	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
//	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: bob})
//	seq, err := c.Publish(ctx, bob, "hello")
//	for e := range c.Events() { ... }
//
// A request returns when the node has answered it, when its context ends, or when
// the connection is lost; the latter two leave open whether it was carried out.
// Requests may be made from any goroutine and overtake nothing: the node sees them
// in the order in which they were made. [Client.Send] publishes without waiting.
//
// What the node says by itself ({data}, {pres}, {info}, and answers that nobody
// waits for) comes from [Client.Events] in the order of the wire, or to
// [Config.OnEvent]. The queue in between is bounded. Nothing is dropped: if the
// program does not read its events the connection ends with [ErrOverflow], as a
// node ends that of a client which is too slow.
//
// The package does not reconnect: where a program stood when a connection was
// lost, and what to do about requests without an answer, only the program knows.
package client
