package node

import "parley/protocol"

// A roster is the list in an answer to {get sub}. What others say of themselves must
// not make the answer larger than a session may have waiting, or it would cost the
// asker the session, each time anew: where all faces together are too large, the
// largest are left out. Each can still be asked for with {get desc}.
type roster struct {
	list []protocol.SubDesc
	size int // bytes of faces in list
	all  int // that they may take together
	each int // that one may take
}

// answerShare is the part of a session's queue that what others wrote may take in one
// part of an answer: two such parts and all others fit in the half that is free when
// a request is let through, see [session.calm].
const answerShare = 8

// answerSize is how many bytes of what others wrote go into one part of an answer.
func (n *Node) answerSize() int { return n.cfg.Limits.SendQueue / answerShare }

// roster makes an empty list that answers one request.
func (n *Node) roster() *roster {
	return &roster{all: n.answerSize(), each: n.answerSize()}
}

// full reports whether opts asks for no more lines than there are.
func (r *roster) full(opts *protocol.GetOpts) bool {
	return opts != nil && opts.Limit > 0 && len(r.list) >= opts.Limit
}

func (r *roster) add(d protocol.SubDesc) {
	r.list = append(r.list, d)
	r.size += r.fit(len(r.list) - 1)
	for r.size > r.all {
		r.each /= 2
		r.size = 0
		for i := range r.list {
			r.size += r.fit(i)
		}
	}
}

// fit leaves out of one line what is too large, the face before the user's own notes,
// and returns the size of what is left.
func (r *roster) fit(i int) int {
	d := &r.list[i]
	if len(d.Public)+len(d.Trusted)+len(d.Private) > r.each {
		d.Public, d.Trusted = nil, nil
	}
	if len(d.Private) > r.each {
		d.Private = nil
	}
	return len(d.Public) + len(d.Trusted) + len(d.Private)
}
