package tour

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"parley/protocol"
	"parley/protocol/client"
)

// A visitor is a guest who is signed in.
type visitor struct {
	guest Guest
	c     *client.Client
	token []byte
	seen  []*protocol.Response // events that no step has asked for yet
}

// arrive signs a guest in.
func (w *walk) arrive(ctx context.Context, g Guest) (*visitor, error) {
	u, err := url.Parse(g.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		u.Scheme = "wss"
	} else {
		u.Scheme = "ws"
	}
	c, err := client.Dial(ctx, u.JoinPath("v0/channels").String(), client.Config{Dial: w.cfg.Dial, UserAgent: "parley-tour/1.0"})
	if err != nil {
		return nil, err
	}
	v := &visitor{guest: g, c: c}
	s, err := c.LoginBasic(ctx, g.Login, g.Password)
	if err != nil {
		v.close()
		return nil, err
	}
	v.token = s.Token
	if _, err := c.Subscribe(ctx, &protocol.Sub{Topic: "me", Get: &protocol.GetQuery{What: "sub desc"}}); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *visitor) close() { _ = v.c.Close() }

// expect waits for an event that passes; what comes before it is kept for later.
func (v *visitor) expect(ctx context.Context, what string, pass func(*protocol.Response) bool) (*protocol.Response, error) {
	for i, r := range v.seen {
		if pass(r) {
			v.seen = append(v.seen[:i], v.seen[i+1:]...)
			return r, nil
		}
	}
	for {
		select {
		case r, ok := <-v.c.Events():
			if !ok {
				return nil, fmt.Errorf("%s's connection ended: %w", v.guest.Login, v.c.Err())
			}
			if pass(r) {
				return r, nil
			}
			v.seen = append(v.seen, r)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s did not get %s in time", v.guest.Login, what)
		}
	}
}

// data waits for a message in a topic.
func (v *visitor) data(ctx context.Context, topic, content string) (*protocol.Data, error) {
	r, err := v.expect(ctx, fmt.Sprintf("the message %q", content), func(r *protocol.Response) bool {
		return r.Data != nil && r.Data.Topic == topic && text(r.Data) == content
	})
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}

// text is the content of a message that is a plain text, or has one in Drafty.
func text(d *protocol.Data) string {
	var s string
	if json.Unmarshal(d.Content, &s) == nil {
		return s
	}
	var drafty struct {
		Txt string `json:"txt"`
	}
	_ = json.Unmarshal(d.Content, &drafty) // no text: ""
	return drafty.Txt
}

// pres waits for a notice on a topic.
func (v *visitor) pres(ctx context.Context, topic, src, what string) error {
	_, err := v.expect(ctx, fmt.Sprintf("{pres what=%s} of %s", what, src), func(r *protocol.Response) bool {
		return r.Pres != nil && r.Pres.Topic == topic && r.Pres.Src == src && r.Pres.What == what
	})
	return err
}

// info waits for a note that another has made in a topic.
func (v *visitor) info(ctx context.Context, topic, what string, seq int) error {
	_, err := v.expect(ctx, fmt.Sprintf("{info what=%s}", what), func(r *protocol.Response) bool {
		return r.Info != nil && r.Info.Topic == topic && r.Info.What == what && r.Info.Seq == seq
	})
	return err
}
