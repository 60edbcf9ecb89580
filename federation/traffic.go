package federation

import "parley/protocol"

// Traffic is a frame that has crossed a link, for whoever watches.
type Traffic struct {
	From, To protocol.Node
	What     string // "post message", "cast presence", "ask card" …
	Topic    protocol.TopicID
	Bytes    int
}
