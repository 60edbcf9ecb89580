package node

import (
	"slices"
	"strings"
	"unicode"

	"parley/protocol"
)

// maxTerms bounds a query; terms beyond are ignored. It is meant for the private
// query, which may hold everyone in an address book.
const maxTerms = 4096

// parseQuery reads the query language of fnd: terms joined by spaces (and) or
// commas (or), where a comma on either side makes a term an alternative. Terms
// come back folded as tags are, each once. "Quotes" keep spaces and commas in a
// term. What cannot be parsed asks for nothing.
//
//	flowers travel, puppies      (travel OR puppies) AND flowers
func parseQuery(q string) (and, or []string) {
	words, ok := scanQuery(q)
	if !ok {
		return nil, nil
	}
	type place struct {
		term string
		or   bool
	}
	seen := map[place]bool{}
	for i, w := range words {
		either := i > 0 && words[i-1] == comma || i+1 < len(words) && words[i+1] == comma
		p := place{foldTag(w), either}
		if w == comma || p.term == "" || seen[p] || len(seen) == maxTerms {
			continue
		}
		seen[p] = true
		if either {
			or = append(or, p.term)
		} else {
			and = append(and, p.term)
		}
	}
	return and, or
}

const comma = ","

// scanQuery cuts a query into terms and commas; false if a quote is not closed, is
// inside of a term, or if two commas follow each other.
func scanQuery(q string) (words []string, ok bool) {
	for q = strings.TrimSpace(q); q != ""; q = strings.TrimLeftFunc(q, unicode.IsSpace) {
		switch q[0] {
		case ',':
			if len(words) > 0 && words[len(words)-1] == comma {
				return nil, false
			}
			words, q = append(words, comma), q[1:]
		case '"':
			term, rest, closed := strings.Cut(q[1:], `"`)
			if !closed || strings.Trim(term, " ,") == "" {
				return nil, false
			}
			words, q = append(words, term), rest
		default:
			end := strings.IndexFunc(q, func(c rune) bool { return c == ',' || c == '"' || unicode.IsSpace(c) })
			if end < 0 {
				end = len(q)
			}
			if strings.HasPrefix(q[end:], `"`) {
				return nil, false
			}
			words, q = append(words, q[:end]), q[end:]
		}
	}
	return words, true
}

// rewriter turns what people type into the tags by which they are found.
type rewriter struct {
	home       protocol.Node
	validators map[string]Validator
}

// terms parses and rewrites a query: what is found bears a tag of each set in all
// and, if there are any, one of some. Private queries do not look for the plain
// form of what was rewritten.
func (r rewriter) terms(text, lang string, public bool) (all [][]string, some []string) {
	and, or := parseQuery(text)
	for _, t := range and {
		all = append(all, r.rewrite(t, lang, public))
	}
	seen := map[string]bool{}
	for _, t := range or {
		for _, tag := range r.rewrite(t, lang, public) {
			if !seen[tag] {
				seen[tag] = true
				some = append(some, tag)
			}
		}
	}
	return all, some
}

// rewrite gives the tags that a term stands for, at least one. A bare word stays
// one: that it may be a login is said by "basic:word", a handle by "alias:word",
// which clients put before the word by themselves.
func (r rewriter) rewrite(term, lang string, public bool) []string {
	var tags []string
	prefix := tagPrefix(term)
	value := term
	if prefix != "" {
		value = term[len(prefix)+1:]
	}
	switch email, tel := r.email(value), r.tel(value, lang); {
	case prefix == aliasPrefix, prefix == "" && strings.HasPrefix(term, "@"):
		return []string{aliasPrefix + ":" + r.localPart(strings.TrimPrefix(value, "@"))}
	case email != "" && (prefix == "" || prefix == "email"):
		tags = append(tags, "email:"+email)
		if local := r.localPart(email); public && local != email {
			tags = append(tags, aliasPrefix+":"+local) // a handle of ours looks like an address
		}
	case tel != "" && (prefix == "" || prefix == "tel"):
		tags = append(tags, "tel:"+tel)
	default:
		tags = append(tags, term)
		if spaced := strings.ReplaceAll(term, "_", " "); spaced != term {
			tags = append(tags, spaced) // new_york
		}
	}
	if public && prefix == "" && !slices.Contains(tags, term) {
		tags = append(tags, term)
	}
	return tags
}

// localPart is the handle without this node's name.
func (r rewriter) localPart(handle string) string {
	return strings.TrimSuffix(handle, "@"+string(r.home))
}

// email is the normal form of what looks like an address, else empty.
func (r rewriter) email(s string) string {
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || domain == "" || strings.ContainsAny(domain, "@ ") {
		return ""
	}
	return r.normalise("email", s, "")
}

// tel is E.164 of what looks like a telephone number, else empty.
func (r rewriter) tel(s, lang string) string {
	digits := 0
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case !strings.ContainsRune("+()-. ", c):
			return ""
		}
	}
	const least, most = 7, 15 // ITU-T E.164, 6.2.1; national numbers can be shorter
	if digits < least || digits > most {
		return ""
	}
	return r.normalise("tel", s, lang)
}

// normalise asks the method's validator. Without one, there are no such tags but
// what operators set, in normal form.
func (r rewriter) normalise(method, value, lang string) string {
	v := r.validators[method]
	if v == nil {
		return value
	}
	normal, err := v.Normalise(value, lang)
	if err != nil {
		return ""
	}
	return normal
}
