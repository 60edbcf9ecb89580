package scenario

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a key stands.
type place struct {
	line, column int
	bare         bool // the value is not in quotes
}

// locate finds where each key and section stands: "link.loss", "event[1].at". The text is
// known to be good TOML.
func locate(text []byte) map[string]place {
	places := map[string]place{}
	count := map[string]int{} // of [[section]]
	var section string
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		var name []string
		var at place
		for k := e.Key(); k.Next(); {
			if at.line == 0 {
				start := p.Shape(k.Node().Raw).Start
				at = place{line: start.Line, column: start.Column}
			}
			name = append(name, string(k.Node().Data))
		}
		key := strings.Join(name, ".")
		switch e.Kind {
		case unstable.Table:
			section = key
			if outer, inner, ok := strings.Cut(key, "."); ok && count[outer] > 0 { // [event.link] is of the last event
				section = fmt.Sprintf("%s[%d].%s", outer, count[outer]-1, inner)
			}
			places[section] = at
		case unstable.ArrayTable:
			section = fmt.Sprintf("%s[%d]", key, count[key])
			places[section] = at
			count[key]++
		case unstable.KeyValue:
			if section != "" {
				key = section + "." + key
			}
			at.bare = e.Value().Kind != unstable.String
			places[key] = at
		}
	}
	return places
}
