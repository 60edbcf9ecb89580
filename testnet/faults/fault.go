package faults

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Times of faults at full scale.
const (
	reboot = 4 * time.Second
	cut    = 3 * time.Second
)

// wait waits for a share of the full time.
func (p *pair) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(time.Duration(float64(d) * p.scale)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resets cuts the link for some time, and gives it new addresses when it is back.
func resets(p *pair, ctx context.Context) error {
	for range 5 {
		if err := p.wait(ctx, time.Second); err != nil {
			return err
		}
		p.pass(false, false)
		p.forth.forget()
		p.back.forget()
		err := p.wait(ctx, cut)
		p.pass(true, true)
		if err != nil {
			return err
		}
	}
	return nil
}

// pass lets packets through, or not: to the receiver, and to the sender.
func (p *pair) pass(toReceiver, toSender bool) {
	p.forth.noForth.Store(!toReceiver)
	p.back.noBack.Store(!toReceiver)
	p.forth.noBack.Store(!toSender)
	p.back.noForth.Store(!toSender)
}

func peerKilled(p *pair, ctx context.Context) error   { return p.killed(ctx, p.receiver) }
func senderKilled(p *pair, ctx context.Context) error { return p.killed(ctx, p.sender) }

func (p *pair) killed(ctx context.Context, n *place) error {
	if err := p.wait(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	if err := n.kill(); err != nil {
		return err
	}
	if err := p.wait(ctx, reboot); err != nil {
		return err
	}
	return p.start(ctx, n)
}

func peerStalls(p *pair, ctx context.Context) error {
	if err := p.stall(ctx, 20*time.Second); err != nil {
		return err
	}
	return p.receiver.process().Signal(syscall.SIGCONT)
}

func peerStallsAndDies(p *pair, ctx context.Context) error {
	if err := p.stall(ctx, 5*time.Second); err != nil {
		return err
	}
	if err := p.receiver.kill(); err != nil {
		return err
	}
	if err := p.wait(ctx, reboot); err != nil {
		return err
	}
	return p.start(ctx, p.receiver)
}

// stall stops the receiver for some time.
func (p *pair) stall(ctx context.Context, d time.Duration) error {
	if err := p.wait(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	if err := p.receiver.process().Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return p.wait(ctx, d)
}

func oneWay(p *pair, ctx context.Context) error {
	if err := p.wait(ctx, time.Second); err != nil {
		return err
	}
	p.pass(false, true)
	err := p.wait(ctx, 15*time.Second)
	p.pass(true, true)
	return err
}

// peerSetBack stops the receiver, keeps a copy of its database, lets it go on, and puts
// the copy back: what has come meanwhile is gone there.
func peerSetBack(p *pair, ctx context.Context) error {
	db := filepath.Join(p.receiver.data, "parley.db")
	kept := db + ".kept"
	swap := func(from, to string) error {
		if err := p.wait(ctx, time.Second); err != nil {
			return err
		}
		if err := p.receiver.kill(); err != nil {
			return err
		}
		if err := copyFile(from, to); err != nil {
			return err
		}
		return p.start(ctx, p.receiver)
	}
	if err := swap(db, kept); err != nil {
		return err
	}
	return swap(kept, db)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// keysRotated has each node, one after the other, get a successor of its key as its
// operator would do it.
func keysRotated(p *pair, ctx context.Context) error {
	for _, n := range []*place{p.receiver, p.sender} {
		if err := p.wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		for _, step := range [][]string{nil, {"--finish"}} {
			out, err := exec.CommandContext(ctx, p.binary, append([]string{"key", "rotate", "--data", n.data}, step...)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("key rotate: %w: %s", err, out)
			}
		}
		if err := n.kill(); err != nil {
			return err
		}
		if err := p.start(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
