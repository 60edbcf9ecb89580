package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"parley/cmd/parley/config"
	"parley/node/httpd"
	"parley/store"
)

// operator speaks to a node as its operator: over the admin listener of one that
// runs, or to one made of its data directory for as long as it takes. The words
// are the same, see node/httpd/admin.go.
type operator struct {
	httpd.AdminClient
	running bool // over the listener
	node    string
	end     func() error
}

// reachTimeout is how long a running node may take to say that it is there.
const reachTimeout = 5 * time.Second

// openOperator finds the node of a data directory, running or not.
func openOperator(ctx context.Context, s *config.Settings) (*operator, error) {
	data := dataDir(s.Node.Data)
	if err := data.must(); err != nil {
		return nil, err
	}
	r, reachErr := readRunFile(data.run())
	if reachErr == nil {
		o := &operator{AdminClient: httpd.AdminClient{HTTP: &http.Client{}, Base: r.Admin, Token: r.Token}, running: true, end: func() error { return nil }}
		if reachErr = o.reach(ctx); reachErr == nil {
			return o, nil
		}
	}
	o, err := offline(ctx, s)
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("a node is using %s but does not answer operators (%w); is it starting, or stopping?", data, reachErr)
	}
	return o, err
}

// reach asks the node who it is.
func (o *operator) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	var n httpd.AdminNode
	if err := o.Do(ctx, http.MethodGet, "/admin/node", nil, &n); err != nil {
		return err
	}
	o.node = n.Node
	return nil
}

// offline makes a node of the data, which nobody else may use meanwhile.
func offline(ctx context.Context, s *config.Settings) (*operator, error) {
	p, err := assemble(ctx, s, assembly{log: logTo(io.Discard, &s.Log)})
	if err != nil {
		return nil, err
	}
	const token = "in this process"
	t := &local{handler: p.admin(token).Handler()}
	o := &operator{AdminClient: httpd.AdminClient{HTTP: &http.Client{Transport: t}, Base: "http://node.invalid", Token: token}}
	o.end = func() error {
		t.wg.Wait()
		return p.close()
	}
	if err := o.reach(ctx); err != nil {
		return nil, errors.Join(err, o.end())
	}
	return o, nil
}

// close lets go of the node.
func (o *operator) close() error { return o.end() }

// userPath is the path of a user in the node's interface.
func userPath(who, rest string) string { return "/admin/users/" + url.PathEscape(who) + rest }
