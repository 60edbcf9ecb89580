package client_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"parley/protocol"
	"parley/protocol/client"
)

var nodes sync.WaitGroup // ends when the client closes its connection

// bob is a stand-in for a node with a user who answers every message. A program
// would dial a WebSocket with parley/protocol/ws.
func bob(context.Context, string, http.Header) (client.Conn, error) {
	near, far := newPipe()
	n := &node{conn: far, on: func(r *protocol.Request) []string {
		switch {
		case r.Login != nil:
			return []string{ctrl(r.Login.ID, 200, `,"params":{"user":"usrAAAAAAAAAAA@localhost"}`)}
		case r.Sub != nil:
			return []string{ctrl(r.Sub.ID, 200, `,"topic":"usrBBBBBBBBBBB@localhost"`)}
		default:
			return []string{ctrl(r.Pub.ID, 202, `,"params":{"seq":1}`),
				`{"data":{"topic":"usrBBBBBBBBBBB@localhost","from":"usrBBBBBBBBBBB@localhost","seq":2,"content":"hello Alice"}}`}
		}
	}}
	nodes.Go(n.serve)
	return near, nil
}

func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "ws://127.0.0.1:6060/v0/channels", client.Config{Dial: bob})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nodes.Wait()
	defer c.Close()
	if _, err = c.LoginBasic(ctx, "alice", "secret"); err != nil {
		fmt.Println(err)
		return
	}
	chat, err := c.Subscribe(ctx, &protocol.Sub{Topic: "usrBBBBBBBBBBB"})
	if err != nil {
		fmt.Println(err)
		return
	}
	seq, err := c.Publish(ctx, chat.Topic, "hello Bob")
	fmt.Println(seq, err)
	e := <-c.Events()
	fmt.Println(e.Data.Seq, string(e.Data.Content))
	// Output:
	// 1 <nil>
	// 2 "hello Alice"
}
