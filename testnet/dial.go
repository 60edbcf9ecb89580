package testnet

import (
	"context"
	"net/http"

	"parley/protocol/client"
	"parley/protocol/ws"
)

// maxPacket is the largest packet that a client here takes from a node, in bytes.
const maxPacket = 16 << 20

// Dialer opens WebSockets for clients.
func Dialer(ctx context.Context, url string, header http.Header) (client.Conn, error) {
	return ws.Dial(ctx, url, header, maxPacket)
}

// Dial connects a client to a node and says hi.
func Dial(ctx context.Context, url string, cfg client.Config) (*client.Client, error) {
	cfg.Dial = Dialer
	return client.Dial(ctx, url, cfg)
}
