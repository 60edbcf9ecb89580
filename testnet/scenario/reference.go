package scenario

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// comments are those of the types and fields of scenario.go, by "Type" and "Type.Field".
func comments() map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "scenario.go", source, parser.ParseComments)
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
		if s, ok := t.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					all[t.Name.Name+"."+name.Name] = strings.TrimSpace(f.Doc.Text())
				}
			}
		}
		return false
	})
	return all
}

const referenceHead = `# Scenarios

` + "`parley testnet run FILE`" + ` runs an experiment with real nodes on an emulated network,
in virtual time. This page is what a scenario file can say; ` + "`parley testnet list`" + ` names
those that ship, ` + "`parley testnet show NAME`" + ` prints one. It is a [TOML](https://toml.io)
file; an unknown key is an error.

A *time span* is written "250ms", "30s", "2h" or "14d", a *size* "512", "64KiB" or "2MB",
a *rate* "64kbit" or "10Mbit". A *selection* is a list of patterns: nodes as ["a", "eu*",
"region:eu", "!eu3"], users as ["alice", "alice@a", "*@eu*"].

With ` + "`--processes`" + ` each node is a process of the real program on a real disk, in real time, and
users are clients over WebSocket; packets still pass the emulated network, so delays, losses
and cuts are the same, "kill" is SIGKILL, and disks are slow and full as the kernel tells the
node (needs Linux). What such nodes cannot be made to do is refused:
other clocks and ages, attackers, and being found by DNS or DHT. Kinds of frames are not counted then.

A smallest scenario:

` + "```toml" + `
duration = "10s"
[[nodes]]
name = "a"
[[nodes]]
name = "b"
[[users]]
[[work]]
kind = "chat"
[[check]]
that = "lost == 0 and latency_p99 < 500ms"
` + "```" + `

This page is printed by ` + "`parley testnet reference`" + ` from the comments in
testnet/scenario/scenario.go.
`

// Reference is the document of the language, in Markdown.
func Reference() string {
	docs := comments()
	var b strings.Builder
	b.WriteString(referenceHead)
	top := reflect.ValueOf(Default())
	b.WriteString("\n## At the top\n")
	describe(&b, docs, top)
	for _, f := range reflect.VisibleFields(top.Type()) {
		name := f.Tag.Get("toml")
		switch v := top.FieldByIndex(f.Index); {
		case f.Type.Kind() == reflect.Slice:
			d := reflect.New(f.Type.Elem()).Elem()
			for _, known := range []any{listDefaults.nodes, listDefaults.users, listDefaults.groups, listDefaults.work, listDefaults.attack} {
				if reflect.TypeOf(known) == d.Type() {
					d = reflect.ValueOf(known)
				}
			}
			fmt.Fprintf(&b, "\n## [[%s]]\n\n%s\n", name, docs[d.Type().Name()])
			describe(&b, docs, d)
		case section(f.Type):
			fmt.Fprintf(&b, "\n## [%s]\n\n%s\n", name, docs[f.Type.Name()])
			describe(&b, docs, v)
		}
	}
	b.WriteString("\n## Figures\n\nWhat checks can be about, counted from the moment on at which everybody has met. Times\nare in seconds.\n\n| figure | is |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(Figures)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, Figures[name])
	}
	return b.String()
}

// section reports whether a type is one of a section's.
func section(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Duration]()
}

// describe writes the keys of a section. Sections in it have their own place.
func describe(b *strings.Builder, docs map[string]string, v reflect.Value) {
	b.WriteString("\n| key | is | default |\n|---|---|---|\n")
	for _, f := range reflect.VisibleFields(v.Type()) {
		name := f.Tag.Get("toml")
		list := f.Type.Kind() == reflect.Slice && section(f.Type.Elem())
		if name == "" || list || section(f.Type) && v.Type() == reflect.TypeFor[Scenario]() {
			continue
		}
		if v.Type() == reflect.TypeFor[Links]() && len(f.Index) > 1 {
			continue // as in [link]
		}
		doc := strings.ReplaceAll(docs[v.Type().Name()+"."+f.Name], "\n", " ")
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, doc, inTOML(v.FieldByIndex(f.Index)))
	}
	if v.Type() == reflect.TypeFor[Links]() {
		b.WriteString("| … | all keys of [link] | as there |\n")
	}
}

// inTOML writes a default as it stands in a file.
func inTOML(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if section(v.Type()) || v.IsZero() {
		return ""
	}
	switch x := v.Interface().(type) {
	case Duration:
		return fmt.Sprintf("`\"%v\"`", x.Duration)
	case string:
		return fmt.Sprintf("`%q`", x)
	case Selection:
		return "`[\"" + strings.Join(x, `", "`) + "\"]`"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
