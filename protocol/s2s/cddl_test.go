package s2s

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"parley/protocol"
)

// The grammar in spec/link.cddl (RFC 8610) is written so plainly that it can be held
// against the types: one rule for each, one line for each field.
var (
	cddlRule  = regexp.MustCompile(`^([a-z][a-z-]*) = \{$`)
	cddlField = regexp.MustCompile(`^  (\? )?([0-9]+) => ([^;]+?),? *; ([A-Za-z0-9]+)`)
)

type cddlKey struct {
	value    string
	optional bool
	name     string
}

// readCDDL reads the rules that are maps with numbers as keys.
func readCDDL(t *testing.T, text string) map[string]map[int]cddlKey {
	t.Helper()
	rules := map[string]map[int]cddlKey{}
	var rule map[int]cddlKey
	for i, line := range strings.Split(text, "\n") {
		switch m := cddlRule.FindStringSubmatch(line); {
		case m != nil:
			rule = map[int]cddlKey{}
			rules[m[1]] = rule
		case line == "}":
			rule = nil
		case rule != nil && !strings.HasPrefix(line, "  *"):
			f := cddlField.FindStringSubmatch(line)
			if f == nil {
				t.Fatalf("line %d is no field: %s", i+1, line)
			}
			n, _ := strconv.Atoi(f[2])
			if _, twice := rule[n]; twice {
				t.Errorf("line %d: key %d twice", i+1, n)
			}
			rule[n] = cddlKey{f[3], f[1] != "", f[4]}
		}
	}
	return rules
}

// ruleName is that of a type: LaneState is lane-state.
func ruleName(t reflect.Type) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(t.Name(), "$1-$2"))
}

// cddlOf is what stands for a field of a type.
func cddlOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[[]byte]():
		return "bstr"
	case reflect.TypeFor[protocol.UserID]():
		return "user"
	case reflect.TypeFor[protocol.TopicID]():
		return "topic"
	case reflect.TypeFor[protocol.Node]():
		return "node"
	case reflect.TypeFor[protocol.Mode]():
		return "mode-bits"
	case reflect.TypeFor[Span]():
		return "span"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return cddlOf(t.Elem())
	case reflect.Slice:
		return "[* " + cddlOf(t.Elem()) + "]"
	case reflect.Map:
		return "{* tstr => " + cddlOf(t.Elem()) + "}"
	case reflect.String:
		return "tstr"
	case reflect.Bool:
		return "bool"
	case reflect.Uint8, reflect.Uint32, reflect.Uint64, reflect.Int, reflect.Int64:
		return "uint"
	}
	return ruleName(t)
}

func TestCDDL(t *testing.T) {
	text, err := os.ReadFile("../../spec/link.cddl")
	if err != nil {
		t.Fatal(err)
	}
	rules := readCDDL(t, string(text))
	seen := map[string]bool{}
	var look func(reflect.Type)
	look = func(s reflect.Type) {
		for s.Kind() == reflect.Pointer || s.Kind() == reflect.Slice || s.Kind() == reflect.Map {
			s = s.Elem()
		}
		if s.Kind() != reflect.Struct || s == reflect.TypeFor[Span]() || seen[ruleName(s)] {
			return
		}
		seen[ruleName(s)] = true
		rule := rules[ruleName(s)]
		n := 0
		for i := range s.NumField() {
			f := s.Field(i)
			tag, tagged := f.Tag.Lookup("cbor")
			if !tagged {
				continue
			}
			key, _, _ := strings.Cut(tag, ",")
			k, _ := strconv.Atoi(key)
			want := cddlKey{cddlOf(f.Type), strings.Contains(tag, "omitempty"), f.Name}
			if rule[k] != want {
				t.Errorf("%s key %d is %+v in link.cddl, %+v in the code", ruleName(s), k, rule[k], want)
			}
			n++
			look(f.Type)
		}
		if n != len(rule) {
			t.Errorf("%s has %d keys in link.cddl, %d in the code", ruleName(s), len(rule), n)
		}
	}
	for _, f := range frames() {
		look(reflect.TypeOf(f))
	}
	for name := range rules {
		if !seen[name] {
			t.Errorf("link.cddl has %s, the code does not", name)
		}
	}
}

// TestCDDLNames: every name that is used has a rule, or is one of RFC 8610 appendix D.
func TestCDDLNames(t *testing.T) {
	text, err := os.ReadFile("../../spec/link.cddl")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{"uint": true, "bstr": true, "tstr": true, "bool": true, "any": true}
	plain := regexp.MustCompile(`;[^\n]*|"[^"]*"|\.[a-z]+|[a-z]+:`).ReplaceAllString(string(text), "")
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*) =`).FindAllStringSubmatch(plain, -1) {
		if defined[m[1]] {
			t.Errorf("%s has two rules", m[1])
		}
		defined[m[1]] = true
	}
	used := regexp.MustCompile(`[a-z][a-z-]*`).FindAllString(plain, -1)
	for _, name := range used {
		if !defined[name] {
			t.Errorf("%s has no rule", name)
		}
	}
	if len(used) < 100 {
		t.Errorf("%d names", len(used))
	}
}
