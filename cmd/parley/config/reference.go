package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

// section is what the reference says of one section.
type section struct {
	name string // "http"
	list bool   // [[name]]
	doc  string
	keys []key
}

// key is what the reference says of one setting.
type key struct {
	name, doc, kind string
	value           string // the default in TOML
	list            bool   // of sections
}

// comments are those of the types and fields in config.go, by "Type" and "Type.Field".
func comments() map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		panic(err) // it has been compiled
	}
	all := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.TYPE {
			return true
		}
		t := d.Specs[0].(*ast.TypeSpec)
		all[t.Name.Name] = strings.TrimSpace(d.Doc.Text())
		for _, f := range t.Type.(*ast.StructType).Fields.List {
			all[t.Name.Name+"."+f.Names[0].Name] = strings.TrimSpace(f.Doc.Text())
		}
		return false
	})
	return all
}

// sections are all of them in the order of Config; a list of sections follows
// the one that it belongs to.
func sections(values Config) []section {
	docs := comments()
	var all []section
	v := reflect.ValueOf(values)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("toml")
		all = append(all, describe(docs, name, v.Field(i)))
		for _, f := range reflect.VisibleFields(v.Field(i).Type()) {
			if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				sub := describe(docs, name+"."+f.Tag.Get("toml"), reflect.New(f.Type.Elem()).Elem())
				sub.list = true
				all = append(all, sub)
			}
		}
	}
	return all
}

func describe(docs map[string]string, name string, v reflect.Value) section {
	t := v.Type()
	s := section{name: name, doc: docs[t.Name()]}
	for i := range t.NumField() {
		f := t.Field(i)
		s.keys = append(s.keys, key{
			name:  f.Tag.Get("toml"),
			doc:   docs[t.Name()+"."+f.Name],
			kind:  kindOf(f.Type),
			value: inTOML(v.Field(i)),
			list:  f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct,
		})
	}
	return s
}

// inTOML writes a value as it stands in a file.
func inTOML(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return quote(x)
	case []string:
		all := make([]string, len(x))
		for i := range x {
			all[i] = quote(x[i])
		}
		return "[" + strings.Join(all, ", ") + "]"
	case fmt.Stringer: // Size, Duration
		return quote(x.String())
	}
	return fmt.Sprint(v.Interface())
}

// quote writes a TOML basic string. Go's other escapes are not TOML's.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

const referenceHead = `# Settings

A node needs none: everything here has a default. Settings are read from the file
named by ` + "`--config`" + `, else from ` + "`" + FileName + "`" + ` in the data directory if there is one
(` + "`parley init`" + ` writes one with every setting and its default). It is a
[TOML](https://toml.io) file; an unknown key is an error. Flags go before the file.
` + "`parley config check`" + ` tells what is wrong with a file, with line and column.

A *time span* is written "30s", "5m", "2h" or "14d", a *size* "64KiB", "32MiB" or "2GB".

This page is printed by ` + "`parley config reference`" + ` from the comments in
cmd/parley/config/config.go.
`

// Reference is the document of all settings, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, s := range sections(Default()) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.title(), s.doc)
		for _, k := range s.keys {
			if k.list {
				continue
			}
			fmt.Fprintf(&b, "\n### %s.%s\n\n%s. Default: `%s`\n\n%s\n", s.name, k.name, capital(k.kind), k.value, k.doc)
		}
	}
	return b.String()
}

func (s *section) title() string {
	if s.list {
		return "[[" + s.name + "]]"
	}
	return "[" + s.name + "]"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

const templateHead = `# The settings of a parley node. Lines that begin with "#" and a key show the
# default: take the "#" away to change it. "parley config check" tells whether
# the file is good; the node reads it when it starts.
`

// Template is a file with every setting, its comment, and its default commented
// out; set has those that are not, as text values: {"node.name": "localhost"}.
func Template(set map[string]string) string {
	var b strings.Builder
	b.WriteString(templateHead)
	for _, s := range sections(Default()) {
		off := ""
		if s.list {
			off = "#"
		}
		fmt.Fprintf(&b, "\n%s\n%s%s\n", indent(s.doc), off, s.title())
		for _, k := range s.keys {
			if k.list {
				continue
			}
			line := "#" + k.name + " = " + k.value
			if value, ok := set[s.name+"."+k.name]; ok {
				line = k.name + " = " + quote(value)
			}
			fmt.Fprintf(&b, "\n%s\n%s\n", indent(k.doc), line)
		}
	}
	return b.String()
}

// indent makes text a TOML comment.
func indent(text string) string {
	return "# " + strings.ReplaceAll(text, "\n", "\n# ")
}
