package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MergeJSON applies what a client sets to what is there, both JSON or empty: two
// objects are merged key by key, anything else is replaced. [Clear] deletes a key or
// the whole; null and nothing change nothing. merged is nil where nothing is left.
func MergeJSON(old, change []byte) (merged []byte, changed bool, err error) {
	switch {
	case len(change) == 0 || string(change) == "null":
		return old, false, nil
	case isClear(change):
		return nil, len(old) > 0, nil
	}
	to, isObject, err := object(change)
	if err != nil {
		return nil, false, err
	}
	if !isObject {
		return change, !bytes.Equal(old, change), nil
	}
	from, wasObject, err := object(old)
	if err != nil || !wasObject {
		from = map[string]json.RawMessage{}
	}
	changed = !wasObject && len(old) > 0
	for k, v := range to {
		was, there := from[k]
		switch {
		case isClear(v):
			delete(from, k)
			changed = changed || there
		case string(v) == "null" || there && bytes.Equal(was, v):
		default:
			from[k] = v
			changed = true
		}
	}
	if len(from) == 0 {
		return nil, changed || len(old) > 0, nil
	}
	if !changed {
		return old, false, nil
	}
	merged, err = json.Marshal(from)
	return merged, true, err
}

func isClear(v []byte) bool {
	var s string
	return len(v) > 1 && v[0] == '"' && len(v) < 16 && json.Unmarshal(v, &s) == nil && s == Clear
}

// object reads v if it is an object.
func object(v []byte) (m map[string]json.RawMessage, ok bool, err error) {
	v = bytes.TrimSpace(v)
	if len(v) == 0 || v[0] != '{' {
		if len(v) > 0 && !json.Valid(v) {
			return nil, false, fmt.Errorf("protocol: not JSON: %.40q", v)
		}
		return nil, false, nil
	}
	if err := json.Unmarshal(v, &m); err != nil {
		return nil, false, err
	}
	return m, true, nil
}
