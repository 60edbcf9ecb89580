package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	client  *http.Client
	base    string // "http://127.0.0.1:6061"
	token   string
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
		o := &operator{client: &http.Client{}, base: r.Admin, token: r.Token, running: true, end: func() error { return nil }}
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
	if err := o.do(ctx, http.MethodGet, "/admin/node", nil, &n); err != nil {
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
	o := &operator{client: &http.Client{Transport: t}, base: "http://node.invalid", token: token}
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

// do sends a request; in and out are JSON unless nil. What the node refuses is an
// *httpd.AdminError.
func (o *operator) do(ctx context.Context, method, path string, in, out any) error {
	body, err := o.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(body).Decode(out)
}

// send returns the body of a good answer, to be closed.
func (o *operator) send(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, o.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	refusal := new(httpd.AdminError)
	if err := json.NewDecoder(resp.Body).Decode(refusal); err != nil || refusal.Text == "" {
		return nil, fmt.Errorf("the node answers %s", resp.Status)
	}
	return nil, refusal
}

// userPath is the path of a user in the node's interface.
func userPath(who, rest string) string { return "/admin/users/" + url.PathEscape(who) + rest }
