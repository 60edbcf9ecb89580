package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// Bounds of a random case, at full scale.
const (
	randomSteps = 6
	longestStep = 2 * time.Second
)

// Random is a case with faults that a seed decides: kills of either node, nodes that
// stand still, cuts both ways and one way, new addresses.
func Random(seed uint64) Case {
	return Case{Name: fmt.Sprint("random-", seed), About: fmt.Sprintf("%d faults by chance, seed %d", randomSteps, seed),
		Messages: 3000, Size: 100, Rate: 400,
		fault: func(p *pair, ctx context.Context) error { return p.random(ctx, rand.New(rand.NewPCG(seed, 0))) }}
}

func (p *pair) random(ctx context.Context, r *rand.Rand) error {
	defer p.pass(true, true)
	span := func() time.Duration { return time.Duration(r.Int64N(int64(longestStep))) }
	for range randomSteps {
		n := p.receiver
		if r.IntN(2) == 0 {
			n = p.sender
		}
		kind, before, during := r.IntN(5), span(), span()
		if err := p.wait(ctx, before); err != nil {
			return err
		}
		if err := p.mishap(ctx, kind, n, during); err != nil {
			return err
		}
	}
	return nil
}

// mishap lets one fault last for some time.
func (p *pair) mishap(ctx context.Context, kind int, n *place, d time.Duration) error {
	switch kind {
	case 0, 1:
		if err := n.kill(); err != nil {
			return err
		}
		if err := p.wait(ctx, d); err != nil {
			return err
		}
		return p.start(ctx, n)
	case 2:
		if err := n.process().Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err := p.wait(ctx, d)
		return errors.Join(err, n.process().Signal(syscall.SIGCONT))
	case 3:
		p.pass(n == p.sender, n == p.receiver) // one way
	default:
		p.pass(false, false)
		p.forth.forget()
		p.back.forget()
	}
	err := p.wait(ctx, d)
	p.pass(true, true)
	return err
}
