package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// FileName is the name of the settings file in a data directory.
const FileName = "parley.toml"

// maxFile bounds the settings file, in bytes.
const maxFile = 1 << 20

// Settings are a Config and where each of its values was set.
type Settings struct {
	Config
	File   string // "" without one
	places map[string]place
}

// place is where a key was set: in the file or by a flag.
type place struct {
	line, column int
	bare         bool // the value is not in quotes
	flag         string
}

// Problem is one thing that is wrong with the settings and what to do about it.
type Problem struct {
	File   string // "" if it was not a file
	Line   int    // from 1; 0: the file as a whole
	Column int    // from 1, in bytes
	Flag   string // "--http" if it was a flag
	Text   string
}

// Error is "parley.toml:3:1: text" or "--http: text".
func (p *Problem) Error() string {
	switch {
	case p.Flag != "":
		return p.Flag + ": " + p.Text
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// New is what holds without a file.
func New() *Settings {
	return &Settings{Config: Default(), places: map[string]place{}}
}

// Load reads a file over the defaults. Its error joins a [Problem] for each key
// that is unknown, or is the first other thing that is wrong. Values are not
// judged yet: see Check.
func Load(file string) (*Settings, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, &Problem{File: file, Text: "is no settings file: it must be a regular file of at most 1 MiB"}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := Parse(file, text)
	if err != nil {
		return nil, err
	}
	for _, path := range s.paths() {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(file), *path)
		}
	}
	return s, nil
}

// paths are the settings that are relative to the directory of the file, if
// they were set by the file.
func (s *Settings) paths() []*string {
	var set []*string
	for key, path := range map[string]*string{
		"node.data":                &s.Node.Data,
		"http.tls_cert":            &s.HTTP.TLSCert,
		"http.tls_key":             &s.HTTP.TLSKey,
		"http.web":                 &s.HTTP.Web,
		"email.smtp_password_file": &s.Email.SMTPPasswordFile,
	} {
		if s.Set(key) {
			set = append(set, path)
		}
	}
	return set
}

// Parse reads the text of a file; file is its name in errors.
func Parse(file string, text []byte) (*Settings, error) {
	s := New()
	s.File = file
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&s.Config); err != nil {
		return nil, s.explain(err, text)
	}
	s.places = locate(text)
	return s, nil
}

// explain says what the decoder found in words that help.
func (s *Settings) explain(err error, text []byte) error {
	if strict := new(toml.StrictMissingError); errors.As(err, &strict) {
		all := make([]error, len(strict.Errors))
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, column := e.Position()
			all[i] = &Problem{File: s.File, Line: line, Column: column, Text: unknown(e.Key())}
		}
		return errors.Join(all...)
	}
	e := new(toml.DecodeError)
	if !errors.As(err, &e) {
		s.places = locate(text)
		return cmp.Or[error](s.bareSpan(), &Problem{File: s.File, Text: err.Error()})
	}
	line, column := e.Position()
	return &Problem{File: s.File, Line: line, Column: column, Text: reword(e)}
}

// reword says what is wrong in the words of the reference.
func reword(e *toml.DecodeError) string {
	key := strings.Join(e.Key(), ".")
	text := strings.TrimPrefix(e.Error(), "toml: ")
	if kind, found := strings.CutPrefix(text, "cannot decode TOML "); found {
		kind, _, _ = strings.Cut(kind, " into ")
		return fmt.Sprintf("%s must be %s, not %s %s", key, wanted(e.Key()), article(kind), kind)
	}
	if strings.HasPrefix(text, "cannot store a table") {
		return fmt.Sprintf("%s must be %s, not a section", key, wanted(e.Key()))
	}
	if strings.Contains(text, "at start of value") {
		return text + `; write text in quotes: "…", and true or false without`
	}
	return text
}

// bareSpan finds the time span without quotes, which the decoder refuses
// without saying where.
func (s *Settings) bareSpan() error {
	for _, key := range slices.Sorted(maps.Keys(s.places)) {
		at, path := s.places[key], strings.Split(key, ".")
		v, ok := lookup(reflect.ValueOf(Config{}), path)
		if _, span := v.Interface().(Duration); ok && span && at.bare {
			return &Problem{File: s.File, Line: at.line, Column: at.column, Text: key + " must be " + wanted(path) + ", not a bare number"}
		}
	}
	return nil
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// Set reports whether a key was set, rather than left at its default.
func (s *Settings) Set(key string) bool {
	_, set := s.places[key]
	return set
}

// Override sets a key from a flag; the text is read as in the file.
func (s *Settings) Override(key, flag, text string) error {
	v, ok := lookup(reflect.ValueOf(&s.Config).Elem(), strings.Split(key, "."))
	if !ok || v.Kind() != reflect.String {
		return fmt.Errorf("config: flag %s for %s, which is no text", flag, key)
	}
	v.SetString(text)
	s.places[key] = place{flag: flag}
	return nil
}

// problem is about the value of key.
func (s *Settings) problem(key, format string, args ...any) *Problem {
	text := key + ": " + fmt.Sprintf(format, args...)
	at, ok := s.places[key]
	for short := key; !ok && strings.Contains(short, "."); at, ok = s.places[short] {
		short = short[:strings.LastIndexByte(short, '.')]
	}
	if at.flag != "" {
		return &Problem{Flag: at.flag, Text: strings.TrimPrefix(text, key+": ")}
	}
	return &Problem{File: s.File, Line: at.line, Column: at.column, Text: text}
}

// inOrder sorts problems as they stand in the file.
func inOrder(all []*Problem) error {
	slices.SortStableFunc(all, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(all))
	for i, p := range all {
		errs[i] = p
	}
	return errors.Join(errs...)
}
