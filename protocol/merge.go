package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MergeJSON applies what a client sets (public, private, aux) to what is stored,
// as spec/client.md#merge says: null and nothing change nothing, [Clear] deletes,
// an object is merged key by key by the same two rules, anything else replaces.
// Only the outermost keys are merged: what is nested deeper replaces, and keeps
// a Clear, by which clients prune their caches. The result is compact, with keys
// in byte order, and nil if nothing is left; its size is the caller's to bound.
// The error says which side is not JSON; merged is then old.
func MergeJSON(old, change []byte) (merged []byte, changed bool, err error) {
	was, err := compact(old)
	if err != nil {
		return old, false, fmt.Errorf("stored value: %w", err)
	}
	next, err := compact(change)
	if err != nil {
		return old, false, err
	}
	switch {
	case isNull(next):
		return old, false, nil
	case isClear(next):
		next = nil
	case next[0] == '{':
		if next, err = mergeKeys(was, next); err != nil {
			return old, false, err
		}
	}
	if isNull(was) {
		was = nil
	}
	return next, !bytes.Equal(was, next), nil
}

// mergeKeys merges the object change into old, which counts as empty if it is
// something else. Both are compact.
func mergeKeys(old, change []byte) ([]byte, error) {
	keys, add := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(old) > 0 && old[0] == '{' {
		if err := json.Unmarshal(old, &keys); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(change, &add); err != nil {
		return nil, err
	}
	for k, v := range add {
		switch {
		case isClear(v):
			delete(keys, k)
		case !isNull(v):
			keys[k] = v
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(keys)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}

func isNull(compacted []byte) bool {
	return len(compacted) == 0 || string(compacted) == "null"
}

// isClear reports whether a JSON value is the string Clear, in any spelling.
func isClear(compacted []byte) bool {
	if len(compacted) > len(`"\u2421"`) || len(compacted) == 0 || compacted[0] != '"' {
		return false
	}
	var s string
	return json.Unmarshal(compacted, &s) == nil && s == Clear
}

// compact strips white space; what is empty stays so.
func compact(j []byte) ([]byte, error) {
	if len(j) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	b.Grow(len(j))
	err := json.Compact(&b, j)
	return b.Bytes(), err
}
