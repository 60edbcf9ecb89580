package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// locate finds where each key and section of a file stands: "http.listen",
// "calls.ice[1].urls". The text is known to be good TOML.
func locate(text []byte) map[string]place {
	places := map[string]place{}
	count := map[string]int{} // of [[section]]
	var section string
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		var name []string
		at := place{}
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
		case unstable.ArrayTable:
			section = fmt.Sprintf("%s[%d]", key, count[key])
			places[key] = at
			count[key]++
		default:
			if section != "" {
				key = section + "." + key
			}
			at.bare = e.Value().Kind != unstable.String
			places[key] = at
			locateInline(places, at, key, e.Value())
			continue
		}
		places[section] = at
	}
	return places
}

// locateInline notes the keys of key = {…}, all at the place of key.
func locateInline(places map[string]place, at place, key string, value *unstable.Node) {
	if value.Kind != unstable.InlineTable {
		return
	}
	for i := value.Children(); i.Next(); {
		sub := key
		for k := i.Node().Key(); k.Next(); {
			sub += "." + string(k.Node().Data)
		}
		places[sub] = at
		locateInline(places, at, sub, i.Node().Value())
	}
}

// lookup finds the value of a key, or an example of it below a list.
func lookup(v reflect.Value, key []string) (reflect.Value, bool) {
	for _, name := range key {
		if v.Kind() == reflect.Slice {
			v = reflect.New(v.Type().Elem()).Elem()
		}
		if v.Kind() != reflect.Struct {
			return v, false
		}
		i := fieldOf(v.Type(), name)
		if i < 0 {
			return v, false
		}
		v = v.Field(i)
	}
	return v, true
}

func fieldOf(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("toml") == name {
			return i
		}
	}
	return -1
}

// kindOf is the type of a value as operators know it.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "time span"
	case reflect.TypeFor[Size]():
		return "size"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.String:
		return "text"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "list of sections"
		}
		return "list of texts"
	}
	return "section"
}

// wanted says how a value of a key is to be written.
func wanted(key []string) string {
	v, ok := lookup(reflect.ValueOf(Config{}), key)
	if !ok {
		return "something else"
	}
	kind := kindOf(v.Type())
	switch kind {
	case "time span":
		return `a time span in quotes ("30s")`
	case "size":
		return `a size in quotes ("32MiB")`
	case "text":
		return `text in quotes ("…")`
	case "list of texts":
		return `a list of texts (["…", "…"])`
	case "list of sections":
		return "a list of sections ([[" + strings.Join(key, ".") + "]])"
	case "section":
		return "a section ([" + strings.Join(key, ".") + "])"
	case "true or false":
		return kind
	}
	return "a " + kind
}

// unknown says that there is no such key, and which may have been meant.
func unknown(key []string) string {
	parent, name := key[:len(key)-1], key[len(key)-1]
	v, ok := lookup(reflect.ValueOf(Config{}), parent)
	if ok && v.Kind() == reflect.Slice {
		v = reflect.New(v.Type().Elem()).Elem()
	}
	text := fmt.Sprintf("there is no setting %q", strings.Join(key, "."))
	if !ok || v.Kind() != reflect.Struct {
		return text
	}
	if near := nearest(name, names(v.Type())); near != "" {
		return fmt.Sprintf("%s; did you mean %q?", text, near)
	}
	if home := sectionWith(name); home != "" {
		return fmt.Sprintf("%s; %s belongs in section [%s]", text, name, home)
	}
	if len(parent) == 0 {
		return fmt.Sprintf("%s; the sections are %s", text, strings.Join(names(v.Type()), ", "))
	}
	return fmt.Sprintf("%s; section [%s] has %s", text, strings.Join(parent, "."), strings.Join(names(v.Type()), ", "))
}

func names(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		all = append(all, t.Field(i).Tag.Get("toml"))
	}
	return all
}

// sectionWith finds the one section that has a key.
func sectionWith(name string) string {
	found := ""
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if fieldOf(t.Field(i).Type, name) < 0 {
			continue
		}
		if found != "" {
			return ""
		}
		found = t.Field(i).Tag.Get("toml")
	}
	return found
}

// nearest is the candidate with the fewest typing errors between it and name,
// at most one in three characters.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)/3+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), c); d < least || d == least && best == "" {
			best, least = c, d
		}
	}
	return best
}

// distance of Levenshtein: insertions, deletions and changes of a character.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
