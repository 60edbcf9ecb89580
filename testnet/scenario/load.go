package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds a scenario file, in bytes.
const maxFile = 1 << 20

// Problem is one thing that is wrong with a scenario.
type Problem struct {
	File         string
	Line, Column int // from 1; 0: the file as a whole
	Text         string
}

// Error is "hello.toml:3:1: text".
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Default is what holds where a file says nothing.
func Default() Scenario {
	latency, jitter := Duration{20 * time.Millisecond}, Duration{5 * time.Millisecond}
	return Scenario{
		Seed: 1, Duration: Duration{time.Minute}, Settle: Duration{5 * time.Minute}, Sample: Duration{time.Second},
		Link:     Link{Latency: &latency, Jitter: &jitter},
		Contacts: Contacts{Graph: "all", Degree: 4, Users: Selection{"*"}}, Strangers: usual,
		DNS: DNS{TTL: Duration{5 * time.Minute}, Latency: Duration{30 * time.Millisecond}},
		DHT: DHT{Bootstrap: 3, Refresh: Duration{10 * time.Minute}, Connections: 48, Grace: Duration{time.Minute}, Spread: Duration{20 * time.Second}},
	}
}

// What one of a list is where it says nothing.
var listDefaults = struct {
	nodes  Nodes
	users  Users
	groups Groups
	work   Work
	attack Attackers
}{
	Nodes{Count: 1}, Users{Name: "user", At: Selection{"*"}, Count: 1}, Groups{Name: "group", Count: 1, Members: Selection{"*"}},
	Work{Users: Selection{"*"}, Every: Duration{time.Second}, Away: Duration{10 * time.Second}, Size: 100},
	Attackers{Every: Duration{time.Minute}, Keep: Duration{time.Hour}},
}

// A Change is made to a scenario before it is resolved.
type Change func(*Scenario)

// WithSeed changes the seed.
func WithSeed(seed uint64) Change { return func(s *Scenario) { s.Seed = seed } }

// WithNodes changes how many nodes there are, by the largest of the [[nodes]].
func WithNodes(n int) Change {
	return func(s *Scenario) {
		if len(s.Nodes) == 0 {
			return
		}
		largest, rest := 0, 0
		for i := range s.Nodes {
			rest += s.Nodes[i].Count
			if s.Nodes[i].Count > s.Nodes[largest].Count {
				largest = i
			}
		}
		s.Nodes[largest].Count += n - rest
	}
}

// Load reads and checks a scenario file. The error joins a [Problem] for each thing that
// is wrong.
func Load(file string, changes ...Change) (*Plan, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, &Problem{File: file, Text: "is no scenario: it must be a regular file of at most 1 MiB"}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, text, changes...)
}

// Parse reads and checks the text of a file; file is its name, also in errors.
func Parse(file string, text []byte, changes ...Change) (*Plan, error) {
	s := Default()
	s.Name = strings.TrimSuffix(filepath.Base(file), ".toml")
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, explain(file, text, err)
	}
	s.fill()
	for _, change := range changes {
		change(&s)
	}
	return (&reader{file: file, places: locate(text)}).plan(&s)
}

// fill puts defaults into lists.
func (s *Scenario) fill() {
	for i := range s.Nodes {
		fillIn(&s.Nodes[i], &listDefaults.nodes)
	}
	for i := range s.Users {
		fillIn(&s.Users[i], &listDefaults.users)
	}
	for i := range s.Groups {
		fillIn(&s.Groups[i], &listDefaults.groups)
	}
	for i := range s.Work {
		fillIn(&s.Work[i], &listDefaults.work)
	}
	for i := range s.Attackers {
		fillIn(&s.Attackers[i], &listDefaults.attack)
	}
}

// fillIn sets the fields that are zero to those of d.
func fillIn[T any](v, d *T) {
	to, from := reflect.ValueOf(v).Elem(), reflect.ValueOf(d).Elem()
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// explain says what the decoder has found.
func explain(file string, text []byte, err error) error {
	if strict := new(toml.StrictMissingError); errors.As(err, &strict) {
		all := make([]error, len(strict.Errors))
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, column := e.Position()
			all[i] = &Problem{File: file, Line: line, Column: column, Text: unknown(e.Key())}
		}
		return errors.Join(all...)
	}
	e := new(toml.DecodeError)
	if !errors.As(err, &e) {
		at := bareSpan(locate(text))
		return &Problem{File: file, Line: at.line, Column: at.column, Text: strings.TrimPrefix(err.Error(), "toml: ") + ", in quotes"}
	}
	line, column := e.Position()
	what := strings.TrimPrefix(e.Error(), "toml: ")
	if kind, found := strings.CutPrefix(what, "cannot decode TOML "); found {
		kind, _, _ = strings.Cut(kind, " into ")
		what = fmt.Sprintf("%s must not be a %s", strings.Join(e.Key(), "."), kind)
	}
	return &Problem{File: file, Line: line, Column: column, Text: what}
}

// bareSpan finds the first time span that is not in quotes, of which the decoder does not
// say where it is.
func bareSpan(places map[string]place) (first place) {
	for key, at := range places {
		t := reflect.TypeFor[Scenario]()
		for _, k := range strings.Split(key, ".") {
			k, _, _ = strings.Cut(k, "[")
			f, _ := fieldOf(t, k)
			if t = f.Type; t == nil {
				break
			}
			if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
		}
		if t == reflect.TypeFor[Duration]() && at.bare && (first.line == 0 || at.line < first.line) {
			first = at
		}
	}
	return first
}

// unknown says that there is no such key, and which there are.
func unknown(key []string) string {
	t := reflect.TypeFor[Scenario]()
	for _, k := range key[:len(key)-1] {
		f, ok := fieldOf(t, k)
		if !ok {
			break
		}
		if t = f.Type; t.Kind() == reflect.Slice {
			t = t.Elem()
		}
	}
	return fmt.Sprintf("there is no key %q here; there are %s", key[len(key)-1], strings.Join(keysOf(t), ", "))
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	if t == nil || t.Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("toml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) []string {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var all []string
	for _, f := range reflect.VisibleFields(t) {
		if k := f.Tag.Get("toml"); k != "" {
			all = append(all, k)
		}
	}
	return all
}

// inOrder joins problems as they stand in the file.
func inOrder(all []*Problem) error {
	slices.SortStableFunc(all, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(all))
	for i, p := range all {
		errs[i] = p
	}
	return errors.Join(errs...)
}
