package client

import (
	"encoding/json"
	"fmt"
	"time"

	"parley/protocol"
)

// Error is a request that the node refused: a ctrl of code 400 or more.
//
// errors.Is(err, protocol.NotFound) and so on tell refusals apart by their code,
// so faults that share a code (401, 409) are alike; Text tells more.
type Error struct {
	Code   int
	Text   string
	Topic  string         // the request's, empty where there was none
	Params map[string]any // as in the packet; "what" often names the part at fault
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s", e.Code, e.Text)
	if what, ok := e.Params["what"].(string); ok {
		s += " (" + what + ")"
	}
	if e.Topic != "" {
		s = e.Topic + ": " + s
	}
	return s
}

// Is implements errors.Is for every protocol.Fault of the same code.
func (e *Error) Is(target error) bool {
	f, ok := target.(protocol.Fault)
	return ok && f.Code() == e.Code
}

func asError(c *protocol.Ctrl) error {
	if c.Code < 400 {
		return nil
	}
	return &Error{Code: c.Code, Text: c.Text, Topic: c.Topic, Params: c.Params}
}

// params are the fields that ctrl.params can have in answers to requests that
// this package makes. Times are strings in the packet.
type params struct {
	Acs       *protocol.Acs `json:"acs"`
	AuthLevel string        `json:"authlvl"`
	Cred      []string      `json:"cred"`
	Del       int           `json:"del"`
	Expires   time.Time     `json:"expires"`
	Seq       int           `json:"seq"`
	TmpName   string        `json:"tmpname"`
	Token     []byte        `json:"token"`
	User      string        `json:"user"`
}

// decodeParams fits ctrl.params into v, a struct of the fields looked for.
func decodeParams(c *protocol.Ctrl, v any) error {
	b, err := json.Marshal(c.Params)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("client: unexpected params in %d %s: %w", c.Code, c.Text, err)
	}
	return nil
}
