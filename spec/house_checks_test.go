package spec_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// file is one Go file: pkg is its folder inside the module, with slashes.
type file struct {
	pkg  string
	test bool
	ast  *ast.File
	set  *token.FileSet
}

// finding is something against a rule, and where.
type finding struct{ at, what string }

func (f *file) found(at token.Pos, format string, args ...any) finding {
	return finding{f.set.Position(at).String(), fmt.Sprintf(format, args...)}
}

func (f *file) line(p token.Pos) int { return f.set.Position(p).Line }

// parse makes a file of source text; name is its path inside the module.
func parse(name string, src []byte) (*file, error) {
	set := token.NewFileSet()
	a, err := parser.ParseFile(set, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &file{pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), ast: a, set: set}, nil
}

// walk calls fn for every file below root that belongs to the repository, with its
// path inside of it.
func walk(t *testing.T, root string, fn func(name, at string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		if d.IsDir() {
			n := d.Name()
			if at != root && (n == "node_modules" || n == "testdata" || n == "parley-data" || n[0] == '.' && n != ".ci") {
				return fs.SkipDir
			}
			return nil
		}
		fn(filepath.ToSlash(name), at)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tree parses every Go file of the repository.
func tree(t *testing.T, root string) []*file {
	t.Helper()
	var all []*file
	walk(t, root, func(name, at string) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		src, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse(name, src)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		all = append(all, f)
	})
	if len(all) < 20 {
		t.Fatalf("only %d Go files below %s: the walk went astray", len(all), root)
	}
	return all
}

// imports yields what a file imports.
func (f *file) imports(yield func(at token.Pos, path string)) {
	for _, im := range f.ast.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err == nil {
			yield(im.Pos(), p)
		}
	}
}

func checkRooms(f *file) []finding {
	var all []finding
	if _, ok := rooms[room(f.pkg)]; !ok {
		all = append(all, f.found(f.ast.Package, "there is no room called %q", room(f.pkg)))
	}
	f.imports(func(at token.Pos, p string) {
		if to, ok := strings.CutPrefix(p, module+"/"); ok {
			if err := mayImport(f.pkg, to, forTests(f)); err != nil {
				all = append(all, f.found(at, "%s may not import %s: %v", f.pkg, to, err))
			}
		}
	})
	return all
}

func checkDoors(f *file) []finding {
	var all []finding
	f.imports(func(at token.Pos, p string) {
		if strings.Contains(room(p), ".") && !mayEnter(f, p) {
			all = append(all, f.found(at, "%s is not the door of %s", f.pkg, p))
		}
	})
	return all
}

func checkTestPackages(f *file) []finding {
	if forTests(f) {
		return nil
	}
	var all []finding
	f.imports(func(at token.Pos, p string) {
		in, ours := strings.CutPrefix(p, module+"/")
		if ours && testPackage(in) || room(p) == "testing" && f.pkg != bubbles {
			all = append(all, f.found(at, "%s is for tests only", p))
		}
	})
	return all
}

func checkPackageComments(fs []*file) []finding {
	first, good := map[string]*file{}, map[string]bool{}
	for _, f := range fs {
		if f.test {
			continue
		}
		if first[f.pkg] == nil {
			first[f.pkg] = f
		}
		name := f.ast.Name.Name
		text := f.ast.Doc.Text()
		if strings.HasPrefix(text, "Package "+name+" ") || name == "main" && text != "" {
			good[f.pkg] = true
		}
	}
	var all []finding
	for pkg, f := range first {
		if !good[pkg] {
			all = append(all, f.found(f.ast.Package, "package %s has no comment \"Package %s …\"", pkg, f.ast.Name.Name))
		}
	}
	return all
}

// funcs calls fn for every function of a file that is not a test.
func (f *file) funcs(fn func(d *ast.FuncDecl, lines int)) {
	if f.test {
		return
	}
	for _, d := range f.ast.Decls {
		if d, ok := d.(*ast.FuncDecl); ok {
			fn(d, f.line(d.End())-f.line(d.Pos())+1)
		}
	}
}

func checkInit(f *file) []finding {
	var all []finding
	f.funcs(func(d *ast.FuncDecl, _ int) {
		if d.Recv == nil && d.Name.Name == "init" {
			all = append(all, f.found(d.Pos(), "no init: wire it in cmd or testnet"))
		}
	})
	return all
}

func checkGo(f *file) []finding {
	if f.test {
		return nil
	}
	var all []finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			all = append(all, f.found(g.Pos(), "no bare go: use a WaitGroup's Go whose owner waits"))
		}
		return true
	})
	return all
}

func checkFuncs(f *file) []finding {
	var all []finding
	f.funcs(func(d *ast.FuncDecl, lines int) {
		if lines > maxFunc {
			all = append(all, f.found(d.Pos(), "%s has %d lines, at most %d", d.Name.Name, lines, maxFunc))
		}
	})
	return all
}

func checkP90(fs []*file) []finding {
	var all []int
	for _, f := range fs {
		f.funcs(func(_ *ast.FuncDecl, lines int) { all = append(all, lines) })
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	if p90 := all[len(all)*9/10]; p90 > maxFuncP90 {
		return []finding{{module, fmt.Sprintf("a tenth of %d functions have %d lines or more, at most %d", len(all), p90, maxFuncP90)}}
	}
	return nil
}

func checkFile(f *file) []finding {
	if n := f.line(f.ast.FileEnd); !f.test && n > maxFile {
		return []finding{f.found(f.ast.Package, "%d lines, at most %d", n, maxFile)}
	}
	return nil
}

func checkInterfaces(f *file) []finding {
	var all []finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		i, ok := n.(*ast.InterfaceType)
		if !ok {
			return true
		}
		own := 0 // embedded interfaces have no names
		for _, m := range i.Methods.List {
			own += len(m.Names)
		}
		if own > maxMethods {
			all = append(all, f.found(i.Pos(), "%d methods in one interface, at most %d", own, maxMethods))
		}
		return true
	})
	return all
}

var marker = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)

func checkMarkers(f *file) []finding {
	var all []finding
	for _, g := range f.ast.Comments {
		for _, c := range g.List {
			if m := marker.FindString(c.Text); m != "" {
				all = append(all, f.found(c.Pos(), "%s: do it, or put it into the issue", m))
			}
		}
	}
	return all
}

func checkExits(f *file) []finding {
	if f.test || room(f.pkg) == "cmd" {
		return nil
	}
	return f.calls(map[string]string{"os": "^Exit$", "log": "^(Fatal|Panic)", "syscall": "^Exit$"}, "only cmd ends the process")
}

// checkSleep lets tests sleep in testnet, where processes are real, and in bubbles,
// where the clock is not.
func checkSleep(f *file) []finding {
	if f.test {
		if room(f.pkg) == "testnet" {
			return nil
		}
		bubble := false
		f.imports(func(_ token.Pos, p string) { bubble = bubble || p == "testing/synctest" })
		if bubble {
			return nil
		}
	}
	return f.calls(map[string]string{"time": "^Sleep$"}, "wait for what must happen instead")
}

// clocked are the packages whose wall clock is protocol.Clock of the configuration.
var clocked = []string{"node", "federation", "federation/dht", "federation/quic"}

// wallOnly are the methods of a time that pass over its monotonic reading.
var wallOnly = regexp.MustCompile("^(Unix|UTC|Local|In$|Round|Truncate|Format|Append|Date|Marshal)")

// checkClock finds where the machine's clock is read for a date: as a number or text, or to
// be kept in, or told to, another package. What is not seen by that is for the reader.
func checkClock(f *file) []finding {
	if f.test || !slices.Contains(clocked, f.pkg) {
		return nil
	}
	var all []finding
	isNow := func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		return ok && isOf(c.Fun, "time", "Now")
	}
	date := func(n ast.Node) {
		if isNow(n) {
			all = append(all, f.found(n.Pos(), "time.Now for a date: dates are of the node's Clock"))
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if wallOnly.MatchString(n.Sel.Name) {
				date(n.X)
			}
		case *ast.CallExpr:
			if isOf(n.Fun, "protocol", "At") {
				date(n.Args[0])
			}
		case *ast.CompositeLit:
			if _, others := n.Type.(*ast.SelectorExpr); !others {
				break
			}
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					date(kv.Value)
				}
			}
		}
		return true
	})
	return all
}

// isOf reports whether an expression is a name of a package.
func isOf(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// calls finds uses of functions, given by the path of their package and a pattern.
func (f *file) calls(which map[string]string, why string) []finding {
	as := map[string]string{} // by the name under which a package is imported
	for _, im := range f.ast.Imports {
		p, _ := strconv.Unquote(im.Path.Value)
		if pattern, ok := which[p]; ok {
			name := path.Base(p)
			if im.Name != nil {
				name = im.Name.Name
			}
			as[name] = pattern
		}
	}
	var all []finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && as[x.Name] != "" && regexp.MustCompile(as[x.Name]).MatchString(s.Sel.Name) {
			all = append(all, f.found(s.Pos(), "%s.%s: %s", x.Name, s.Sel.Name, why))
		}
		return true
	})
	return all
}
