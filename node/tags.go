package node

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"parley/protocol"
	"parley/store"
)

// Bounds of a tag, in characters with its prefix; told in {hi}.
const (
	minTagLength = 2
	maxTagLength = 96
)

// aliasPrefix is the namespace of handles: "alias:ann" is ann@node. A user or
// group has at most one, and nobody else has the same.
const aliasPrefix = "alias"

// maxAlias bounds a handle, in characters.
const maxAlias = 32

// tagRules say which tags users and groups may bear.
type tagRules struct {
	max        int             // of tags that are not restricted
	restricted map[string]bool // prefixes of tags that only the node sets
}

func newTagRules(cfg *Config) tagRules {
	l := tagRules{max: cfg.Limits.MaxTags, restricted: map[string]bool{schemeBasic: true, "email": true, "tel": true}}
	for method := range cfg.Validators {
		l.restricted[method] = true
	}
	for _, p := range cfg.Restricted {
		l.restricted[strings.TrimSuffix(p, ":")] = true
	}
	return l
}

func (l tagRules) isRestricted(tag string) bool { return l.restricted[tagPrefix(tag)] }

// only returns the restricted tags, or the others.
func (l tagRules) only(tags []string, restricted bool) []string {
	var out []string
	for _, t := range tags {
		if l.isRestricted(t) == restricted {
			out = append(out, t)
		}
	}
	return out
}

// normalise makes a sorted set of what a client wrote. What is no tag, and what is
// one too many, is left out without a word, as clients expect.
func (l tagRules) normalise(tags []string) []string {
	var out []string
	seen := map[string]bool{}
	free := 0
	for _, t := range tags {
		t = foldTag(t)
		switch {
		case seen[t]:
			continue
		case l.isRestricted(t):
		case isTag(t) && free < l.max:
			free++
		default:
			continue
		}
		seen[t] = true
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// change gives the tags that follow old when a client asks for next. The
// restricted ones have to be sent back as they are; [protocol.Clear] alone, for
// which the SDK has no way to send none, removes the others. A new alias takes the
// place of the old one; two new ones are Malformed.
func (l tagRules) change(old, next []string) ([]string, error) {
	fixed := l.only(old, true)
	if len(next) == 1 && next[0] == protocol.Clear {
		return fixed, nil
	}
	next = l.normalise(next)
	slices.Sort(fixed)
	if !slices.Equal(l.only(next, true), fixed) {
		return nil, &protocol.Error{Fault: protocol.Denied, What: "tags"}
	}
	var fresh []string
	for _, t := range next {
		if isAliasTag(t) && !slices.Contains(old, t) {
			fresh = append(fresh, t)
		}
	}
	switch len(fresh) {
	case 0:
		return next, nil
	case 1:
		return slices.DeleteFunc(next, func(t string) bool { return isAliasTag(t) && t != fresh[0] }), nil
	}
	return nil, &protocol.Error{Fault: protocol.Malformed, What: "tags"}
}

func isAliasTag(tag string) bool { return tagPrefix(tag) == aliasPrefix }

// tagChange counts what is in one set only.
func tagChange(old, next []string) (added, removed int) {
	for _, t := range next {
		if !slices.Contains(old, t) {
			added++
		}
	}
	return added, len(old) + added - len(next)
}

// aliasFree checks that nobody but owner, the id of a user or group, bears the
// alias among tags. The error is Exists.
func aliasFree(tx store.Tx, tags []string, owner string) error {
	for _, t := range tags {
		if !isAliasTag(t) {
			continue
		}
		for id, err := range tx.Tagged(t) {
			if err != nil {
				return err
			}
			if id != owner {
				return &protocol.Error{Fault: protocol.Exists, What: "tags"}
			}
		}
	}
	return nil
}

// foldTag is the one form of a tag: in lower case, composed (Unicode NFC), with
// single spaces.
func foldTag(s string) string {
	return norm.NFC.String(strings.ToLower(strings.Join(strings.Fields(s), " ")))
}

// tagPrefix is the namespace of "email:ann@example.org", empty if there is none.
func tagPrefix(tag string) string {
	p, _, found := strings.Cut(tag, ":")
	if !found || len(p) < 2 || len(p) > 16 || p[0] < 'a' || p[0] > 'z' {
		return ""
	}
	for _, c := range []byte(p) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return ""
		}
	}
	return p
}

// isTag reports whether s, which is folded, may be a tag.
func isTag(s string) bool {
	if n := utf8.RuneCountInString(s); n < minTagLength || n > maxTagLength {
		return false
	}
	value := s
	if p := tagPrefix(s); p != "" {
		value = s[len(p)+1:]
		if p == aliasPrefix {
			return isAlias(value)
		}
	}
	means := false // has something else than punctuation
	for _, c := range value {
		switch {
		case unicode.IsLetter(c), unicode.IsNumber(c):
			means = true
		case unicode.IsMark(c), c == ' ', strings.ContainsRune("_.+-@#!?", c):
		default:
			return false
		}
	}
	return means
}

// isAlias reports whether s can stand before the @ of a handle: ASCII, so that no
// two handles look alike.
func isAlias(s string) bool {
	if len(s) < 2 || len(s) > maxAlias {
		return false
	}
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}
