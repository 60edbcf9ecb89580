package scenario

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// WithDuration changes how long a scenario goes on.
func WithDuration(d Duration) Change { return func(s *Scenario) { s.Duration = d } }

// Inject reads an event that is to happen now: the keys of one, as in a scenario.
func (p *Plan) Inject(text string) (*Step, error) {
	if len(text) > maxFile {
		return nil, errors.New("an event is not that large")
	}
	var e Event
	d := toml.NewDecoder(bytes.NewReader([]byte(text))).DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	e.At = Duration{}
	r := &reader{file: "event", p: p}
	s := &Step{Event: e}
	if r.needs("event", &s.Event) {
		r.resolve("event", s)
	}
	if len(r.problems) > 0 {
		return nil, inOrder(r.problems)
	}
	s.Text = s.describe()
	return s, nil
}
