package federation

import (
	"context"
	"time"
)

// Step is one thing that was done to reach or prove a node, told to whoever watches.
type Step struct {
	What string // "DNS", "well-known", "DHT", "dial", "proof" …
	Text string // the outcome, in words
	Err  error
	Took time.Duration
}

type traceKey struct{}

// WithTrace makes what is done under the context tell each step. tell may be called at
// once from several goroutines.
func WithTrace(ctx context.Context, tell func(Step)) context.Context {
	return context.WithValue(ctx, traceKey{}, tell)
}

// Tell tells a step that began at start, if anybody watches.
func Tell(ctx context.Context, start time.Time, what, text string, err error) {
	if tell, ok := ctx.Value(traceKey{}).(func(Step)); ok {
		tell(Step{What: what, Text: text, Err: err, Took: time.Since(start)})
	}
}

// Pass makes ctx go on in what outlives it: the trace and the cause of from.
func Pass(from, to context.Context) context.Context {
	if tell, ok := from.Value(traceKey{}).(func(Step)); ok {
		to = WithTrace(to, tell)
	}
	if a, ok := causeOf(from); ok {
		to = CausedBy(to, a)
	}
	return to
}
