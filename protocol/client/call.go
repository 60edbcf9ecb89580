package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"parley/protocol"
)

// A call is a request that its caller waits for. Its answers are complete when
// want of them have come, or the first is a refusal.
type call struct {
	id      string
	unsent  error // why the request was not sent
	want    int
	answers []*protocol.Response
	done    chan struct{}
	err     error // set before done is closed, if no more answers will come

	// Where {data} is part of the answer: of which topic, in which range. Messages of
	// the range that others publish meanwhile are collected too; nothing comes twice.
	topic string
	query *protocol.GetRanges
	data  []*protocol.Data
}

// ErrUnexpected is wrapped by errors about answers that make no sense.
var ErrUnexpected = errors.New("client: unexpected answer")

func (k *call) answer(r *protocol.Response) bool {
	first := len(k.answers) == 0
	k.answers = append(k.answers, r)
	if first && r.Ctrl != nil {
		if r.Ctrl.Code >= 400 {
			k.want = 1
		}
		if k.topic != "" && r.Ctrl.Topic != "" {
			k.topic = r.Ctrl.Topic // {sub new} gets its name only now
		}
	}
	if len(k.answers) < k.want {
		return false
	}
	close(k.done)
	return true
}

func (k *call) fail(err error) {
	k.err = err
	close(k.done)
}

// collect takes d if it is of the history that was asked for.
func (k *call) collect(d *protocol.Data) bool {
	if len(k.answers) >= k.want || !sameTopic(k.topic, d.Topic) || !inQuery(k.query, d.Seq) {
		return false
	}
	k.data = append(k.data, d)
	return true
}

func inQuery(q *protocol.GetRanges, seq int) bool {
	if q == nil {
		return true
	}
	if len(q.Ranges) > 0 {
		return slices.ContainsFunc(q.Ranges, func(r protocol.Range) bool { return r.Low <= seq && seq < r.End() })
	}
	return seq >= q.Since && (q.Before == 0 || seq < q.Before)
}

// begin sends a request. Whether it fails or not, finish must follow.
func (c *Client) begin(ctx context.Context, k *call, fill func(id string) *protocol.Request) {
	k.done = make(chan struct{})
	k.want = max(k.want, 1)
	if k.topic != "" {
		c.mu.Lock()
		c.pages[k] = struct{}{}
		c.mu.Unlock()
	}
	k.id, k.unsent = c.start(ctx, "", k, fill)
}

// finish waits for the answers.
func (c *Client) finish(ctx context.Context, k *call) error {
	defer c.forget(k)
	if k.unsent != nil {
		return k.unsent
	}
	select {
	case <-k.done:
		return k.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// do sends a request and waits for its answers.
func (c *Client) do(ctx context.Context, k *call, fill func(id string) *protocol.Request) error {
	c.begin(ctx, k, fill)
	return c.finish(ctx, k)
}

// forget stops waiting for answers.
func (c *Client) forget(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, k.id)
	delete(c.pages, k)
}

// ctrl sends a request that one ctrl answers. Codes of 400 and more are errors.
func (c *Client) ctrl(ctx context.Context, fill func(id string) *protocol.Request) (*protocol.Ctrl, error) {
	k := &call{}
	if err := c.do(ctx, k, fill); err != nil {
		return nil, err
	}
	r := k.answers[0].Ctrl
	if r == nil {
		return nil, fmt.Errorf("%w: meta instead of ctrl", ErrUnexpected)
	}
	return r, asError(r)
}

// Do sends any request but {note} and returns the first ctrl or meta that answers
// it. A refusal is not an error here. It sets the request's id.
func (c *Client) Do(ctx context.Context, r *protocol.Request) (*protocol.Response, error) {
	k := &call{}
	if err := c.do(ctx, k, func(id string) *protocol.Request { setID(r, id); return r }); err != nil {
		return nil, err
	}
	return k.answers[0], nil
}

func setID(r *protocol.Request, id string) {
	switch {
	case r.Hi != nil:
		r.Hi.ID = id
	case r.Acc != nil:
		r.Acc.ID = id
	case r.Login != nil:
		r.Login.ID = id
	case r.Sub != nil:
		r.Sub.ID = id
	case r.Leave != nil:
		r.Leave.ID = id
	case r.Pub != nil:
		r.Pub.ID = id
	case r.Get != nil:
		r.Get.ID = id
	case r.Set != nil:
		r.Set.ID = id
	case r.Del != nil:
		r.Del.ID = id
	}
}

// View is what a node told of a topic in answer to get: the parts that were asked
// for and are not empty.
type View struct {
	Desc *protocol.Desc
	Subs []protocol.SubDesc
	Data []*protocol.Data // in the order of the wire: newest first
	Del  *protocol.DelDesc
	Tags []string
	Cred []protocol.Credential
	Aux  map[string]json.RawMessage
}

// parts are the words of a get that nodes understand, each answered once.
var parts = []string{"desc", "sub", "data", "del", "tags", "cred", "aux"}

func splitWhat(what string) []string {
	return slices.DeleteFunc(strings.Fields(what), func(w string) bool { return !slices.Contains(parts, w) })
}

// add puts the answers of a call into the view and returns its refusals.
func (v *View) add(answers []*protocol.Response, data []*protocol.Data) error {
	var errs []error
	for _, r := range answers {
		if r.Ctrl != nil {
			errs = append(errs, asError(r.Ctrl))
			continue
		}
		v.addMeta(r.Meta)
	}
	v.Data = append(v.Data, data...)
	return errors.Join(errs...)
}

func (v *View) addMeta(m *protocol.Meta) {
	if m.Desc != nil {
		v.Desc = m.Desc
	}
	if m.Del != nil {
		v.Del = m.Del
	}
	v.Subs = append(v.Subs, m.Sub...)
	v.Tags = append(v.Tags, m.Tags...)
	v.Cred = append(v.Cred, m.Cred...)
	if m.Aux != nil {
		v.Aux = m.Aux
	}
}
