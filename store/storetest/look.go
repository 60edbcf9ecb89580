package storetest

import (
	"errors"
	"fmt"

	"parley/protocol"
	"parley/store"
)

const everyNumber = 1 << 40

// look collects what can be seen, by the names of what was asked.
type look struct {
	tx   store.Tx
	seen map[string]any
	errs []error
}

// put keeps an answer; ErrNotFound is one, too.
func (l *look) put(what string, v any, err error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		l.seen[what] = "not found"
	case err != nil:
		l.errs = append(l.errs, fmt.Errorf("%s: %w", what, err))
	default:
		l.seen[what] = v
	}
}

func (l *look) user(u protocol.UserID) {
	user, err := l.tx.User(u)
	l.put("user "+string(u), user, err)
	login, err := l.tx.LoginOf("basic", u)
	l.put("login of "+string(u), login, err)
	subs, err := collect(l.tx.SubsOf(u))
	l.put("subscriptions of "+string(u), subs, err)
	files, err := collect(l.tx.FilesOf(u))
	l.put("files of "+string(u), files, err)
	for _, t := range someTopics {
		at := string(t) + " " + string(u)
		sub, err := l.tx.Sub(t, u)
		l.put("sub "+at, sub, err)
		marks, err := l.tx.Marks(t, u)
		l.put("marks "+at, marks, err)
		hidden, err := l.tx.Hidden(t, u)
		l.put("hidden "+at, hidden, err)
	}
}

func (l *look) topic(t protocol.TopicID) {
	at := " " + string(t)
	topic, err := l.tx.Topic(t)
	l.put("topic"+at, topic, err)
	h, err := l.tx.Head(t)
	l.put("head"+at, h, err)
	ms, err := collect(l.tx.History(t, 0, everyNumber))
	l.put("history"+at, ms, err)
	some, err := collect(l.tx.History(t, 100, 200))
	l.put("part of history"+at, some, err)
	ds, err := collect(l.tx.Deletions(t, "", 0, everyNumber))
	l.put("deletions"+at, ds, err)
	es, err := collect(l.tx.EventsAfter(t, 1))
	l.put("events"+at, es, err)
	subs, err := collect(l.tx.SubsTo(t))
	l.put("subscriptions to"+at, subs, err)
	for _, m := range ms[:min(len(ms), 20)] {
		seq, err := l.tx.Named(t, m.From, m.Origin, m.Tag)
		l.put(fmt.Sprint("named", at, m.From, m.Origin, m.Tag), seq, err)
	}
}

func (l *look) rest() {
	for _, tag := range someTags {
		ids, err := collect(l.tx.Tagged(tag))
		l.put("tagged "+tag, ids, err)
	}
	for _, id := range someFiles {
		f, err := l.tx.File(id)
		l.put("file "+id, f, err)
	}
	unused, err := collect(l.tx.Unused(day.AddDate(1, 0, 0)))
	l.put("unused", unused, err)
	for _, n := range someNodes {
		posts, err := collect(l.tx.Posts(n, modelLane, 0))
		l.put("posts to "+string(n), posts, err)
		q, err := l.tx.Queue(n, modelLane)
		l.put("queue to "+string(n), q, err)
		c, err := l.tx.Cursor(n, modelLane)
		l.put("cursor of "+string(n), c, err)
		vs, err := collect(l.tx.Verdicts(n, modelLane, 0))
		l.put("verdicts on "+string(n), vs, err)
	}
	waiting, err := collect(l.tx.Waiting())
	l.put("waiting", waiting, err)
}
