package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"parley/protocol"
)

// page is how many messages are asked for at once.
const page = 100

// observe reads all that users see. low tells from which seq of a room messages are
// read.
func (w *world) observe(ctx context.Context, low func(room string) int) ([]*View, map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, waitAnswer)
	defer cancel()
	var views []*View
	values := map[string]string{}
	for _, u := range w.users {
		for _, r := range u.rooms {
			v, err := u.view(ctx, r, low(r.name), values)
			if err != nil {
				return nil, nil, fmt.Errorf("%s looking at %s: %w", u.name, r.name, err)
			}
			views = append(views, v)
		}
		d, err := u.c.GetDesc(ctx, "me")
		if err != nil {
			return nil, nil, fmt.Errorf("%s looking at me: %w", u.name, err)
		}
		values["public "+u.name] = name(d.Public)
	}
	return views, values, w.membership(ctx, values)
}

// view reads a room, and its values.
func (u *user) view(ctx context.Context, r *room, low int, values map[string]string) (*View, error) {
	topic := r.call(u)
	d, err := u.c.GetDesc(ctx, topic)
	if err != nil {
		return nil, err
	}
	v := &View{Topic: r.name, User: u.id, Seq: d.Seq, Read: d.Read, Recv: d.Recv, Low: low}
	if d.Acs != nil {
		values[valueName("want", r, u)] = d.Acs.Want
		values[valueName("given", r, u)] = d.Acs.Given
	}
	values[valueName("private", r, u)] = name(d.Private)
	if r.owner == u {
		values[valueName("public", r, nil)] = name(d.Public)
	}
	if v.Lines, err = u.history(ctx, topic, low, d.Seq); err != nil {
		return nil, err
	}
	v.Deleted, err = u.deletions(ctx, topic)
	return v, err
}

// history reads messages from low to seq, page by page.
func (u *user) history(ctx context.Context, topic string, low, seq int) ([]Line, error) {
	var lines []Line
	for before := seq + 1; before > low; {
		data, err := u.c.GetData(ctx, topic, protocol.GetRanges{Since: low, Before: before, Limit: page})
		if err != nil {
			return nil, err
		}
		if len(data) == 0 {
			break
		}
		for _, d := range data {
			before = min(before, d.Seq)
			lines = append(lines, Line{d.Seq, d.From, contentOf(d)})
		}
	}
	return lines, nil
}

// contentOf is the text of a message; what is no string is shown as it is.
func contentOf(d *protocol.Data) string {
	var s string
	if json.Unmarshal(d.Content, &s) != nil {
		return string(d.Content)
	}
	return s
}

// deletions reads the whole log of deletions that concern the user.
func (u *user) deletions(ctx context.Context, topic string) (protocol.Ranges, error) {
	var all protocol.Ranges
	for since := 1; ; {
		d, err := u.c.GetDel(ctx, topic, protocol.GetRanges{Since: since})
		if err != nil || d == nil {
			return all, err
		}
		if d.Clear < since {
			return nil, fmt.Errorf("deletions from %d on: clear is %d", since, d.Clear)
		}
		since = d.Clear + 1
		rs, err := protocol.NewRanges(d.DelSeq)
		if err != nil {
			return nil, err
		}
		all = all.Union(rs)
	}
}

// membership reads who is in the drift group, as the drifters and as its owner see it.
func (w *world) membership(ctx context.Context, values map[string]string) error {
	members, err := w.drift.owner.c.GetSubs(ctx, w.drift.grp)
	if err != nil {
		return err
	}
	for _, u := range w.drifters() {
		mine, err := u.c.GetSubs(ctx, "me")
		if err != nil {
			return err
		}
		inside := slices.ContainsFunc(members, func(s protocol.SubDesc) bool { return s.User == u.id && s.Deleted == nil })
		own := slices.ContainsFunc(mine, func(s protocol.SubDesc) bool { return s.Topic == w.drift.grp && s.Deleted == nil })
		state := "out"
		switch {
		case inside && own:
			state = "in"
		case inside != own:
			state = fmt.Sprintf("half: in the group %v, on me %v", inside, own)
		}
		values[valueName("member", w.drift, u)] = state
	}
	return nil
}
