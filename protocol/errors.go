package protocol

import (
	"errors"
	"fmt"
)

// Fault classes an error. Faults are on the wire: append only.
type Fault uint8

// The faults.
const (
	Internal      Fault = iota // our fault
	Malformed                  // cannot be parsed or makes no sense
	Unauthorized               // log in first
	BadLogin                   // secret or token is not good
	Denied                     // not permitted
	NotFound                   // no such thing
	Unsupported                // not possible in this kind of topic
	WrongCode                  // a credential's code is wrong
	OutOfSequence              // the command is not possible now
	Exists                     // already taken
	NotAttached                // attach to the topic first
	TooLarge                   // over a limit of size
	Policy                     // violates a rule of the node
	TooMany                    // over a limit of rate
	NotOffered                 // the node does not offer this
	Busy                       // try again later
	Timeout                    // no answer in time
	OldVersion                 // the client is too old
	Full                       // no disk space
	Gone                       // was there, is not any more
	BusyHere                   // the callee is in another call
)

var faults = [...]struct {
	code int
	text string
}{
	Internal:      {500, "internal error"},
	Malformed:     {400, "malformed"},
	Unauthorized:  {401, "authentication required"},
	BadLogin:      {401, "authentication failed"},
	Denied:        {403, "permission denied"},
	NotFound:      {404, "not found"},
	Unsupported:   {405, "operation or method not allowed"},
	WrongCode:     {406, "invalid response"},
	OutOfSequence: {409, "command out of sequence"},
	Exists:        {409, "already exists"},
	NotAttached:   {409, "must attach first"},
	TooLarge:      {413, "too large"},
	Policy:        {422, "policy violation"},
	TooMany:       {429, "too many requests"},
	NotOffered:    {501, "not implemented"},
	Busy:          {503, "temporarily unavailable"},
	Timeout:       {504, "timeout"},
	OldVersion:    {505, "version not supported"},
	Full:          {507, "insufficient storage"},
	Gone:          {410, "gone"},
	BusyHere:      {486, "busy here"},
}

// known is f, or Internal for a fault that a later release has added.
func (f Fault) known() Fault {
	if int(f) < len(faults) {
		return f
	}
	return Internal
}

// Code is the ctrl code that a client sees (spec/client.md#codes).
func (f Fault) Code() int { return faults[f.known()].code }

// Text is the ctrl text that a client sees.
func (f Fault) Text() string { return faults[f.known()].text }

// Error makes a Fault an error by itself, for errors.Is.
func (f Fault) Error() string { return f.Text() }

// Error says what failed and why. What, if set, names the part of the request at
// fault and reaches the client as params.what; Err is for the log only.
type Error struct {
	Fault Fault
	What  string
	Err   error
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Fault.Text()
	if e.What != "" {
		s += " (" + e.What + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause and the fault.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Fault}
	}
	return []error{e.Fault, e.Err}
}

// Errorf makes an Error with a cause for the log.
func Errorf(f Fault, format string, args ...any) error {
	return &Error{Fault: f, Err: fmt.Errorf(format, args...)}
}

// FaultOf finds the Fault in err; errors without one are Internal.
func FaultOf(err error) Fault {
	var f Fault
	if errors.As(err, &f) {
		return f
	}
	return Internal
}
