package protocol

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestFaults(t *testing.T) {
	for i := range faults {
		f := Fault(i)
		if f.Code() < 400 || f.Code() > 599 || f.Text() == "" {
			t.Errorf("fault %d: %d %q", f, f.Code(), f.Text())
		}
	}
	if f := Fault(len(faults)); f.Code() != 500 || f.Error() != Internal.Error() {
		t.Errorf("a fault of a later release: %d %q", f.Code(), f.Error())
	}
	// On the wire between nodes: append only.
	if Internal != 0 || Malformed != 1 || Exists != 9 || TooMany != 13 || BusyHere != 20 {
		t.Error("faults were renumbered")
	}
}

func TestErrors(t *testing.T) {
	wrapped := fmt.Errorf("saving: %w", &Error{Fault: Policy, What: "auth", Err: io.ErrUnexpectedEOF})
	for _, c := range []struct {
		err   error
		fault Fault
		text  string
	}{
		{Denied, Denied, "permission denied"},
		{Errorf(NotFound, "topic %q: %w", "x", io.EOF), NotFound, `not found: topic "x": EOF`},
		{&Error{Fault: Exists, What: "auth"}, Exists, "already exists (auth)"},
		{wrapped, Policy, "saving: policy violation (auth): unexpected EOF"},
		{io.EOF, Internal, "EOF"},
		{fmt.Errorf("twice: %w", &Error{Fault: Busy, Err: Full}), Busy, "twice: temporarily unavailable: insufficient storage"},
	} {
		if FaultOf(c.err) != c.fault || c.err.Error() != c.text {
			t.Errorf("%v: fault %v; want %s, fault %v", c.err, FaultOf(c.err), c.text, c.fault)
		}
	}
	if !errors.Is(wrapped, Policy) || !errors.Is(wrapped, io.ErrUnexpectedEOF) || errors.Is(wrapped, Denied) {
		t.Error("causes are lost")
	}
	var e *Error
	if !errors.As(wrapped, &e) || e.What != "auth" {
		t.Error("the part at fault is lost")
	}
}
