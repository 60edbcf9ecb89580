package spec_test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// citation matches "spec/client.md#anchor" in any text of the repository; links of
// the documents to one another are "naming.md#anchor" or "#anchor" in parentheses.
var (
	citation = regexp.MustCompile(`\bspec/([a-z0-9/_-]+\.(?:md|cddl|json))(#[a-zA-Z0-9_-]+)?`)
	docLink  = regexp.MustCompile(`\]\(([a-zA-Z0-9/._-]*)(#[a-zA-Z0-9_-]+)?\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	named    = regexp.MustCompile(`<a id="([^"]+)"></a>`)
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
)

// anchors are what can be cited of a document: headings as GitHub names them, and
// <a id>.
func anchors(doc string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(doc, ""), -1) {
		all[slug(m[1])] = true
	}
	for _, m := range named.FindAllStringSubmatch(doc, -1) {
		all[m[1]] = true
	}
	return all
}

func slug(h string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.TrimSpace(named.ReplaceAllString(h, "")))
}

// resolve reports what is wrong with a citation of anchor (with #, or empty) in
// the document doc of the folder spec.
func resolve(read func(string) ([]byte, error), doc, anchor string) error {
	text, err := read(doc)
	if err != nil {
		return fmt.Errorf("there is no spec/%s", doc)
	}
	if anchor != "" && !anchors(string(text))[anchor[1:]] {
		return fmt.Errorf("spec/%s has no anchor %s", doc, anchor)
	}
	return nil
}

// TestCitations resolves every citation of a document or anchor of spec in code,
// tests, scripts and documents.
func TestCitations(t *testing.T) {
	n := 0
	walk(t, "..", func(name, at string) {
		if !isText(name) || name == "spec/cite_test.go" {
			return
		}
		text, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		report := func(pos int, doc, anchor string) {
			n++
			if err := resolve(os.ReadFile, doc, anchor); err != nil {
				t.Errorf("%s:%d: %v", name, 1+strings.Count(string(text[:pos]), "\n"), err)
			}
		}
		for _, m := range citation.FindAllSubmatchIndex(text, -1) {
			report(m[0], string(text[m[2]:m[3]]), group(text, m, 2))
		}
		if path.Dir(name) == "spec" && path.Ext(name) == ".md" {
			for _, m := range docLink.FindAllSubmatchIndex(text, -1) {
				doc := group(text, m, 1)
				if doc == "" {
					doc = path.Base(name)
				}
				report(m[0], doc, group(text, m, 2))
			}
		}
	})
	if n == 0 {
		t.Error("nothing cites the specification")
	}
}

// isText reports whether a file is one that people write, by its name.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".mjs", ".js", ".html", ".css", ".toml":
		return true
	}
	return name == ".ci/run"
}

func group(text []byte, m []int, i int) string {
	if m[2*i] < 0 {
		return ""
	}
	return string(text[m[2*i]:m[2*i+1]])
}

func TestCitationsCanFail(t *testing.T) {
	docs := map[string]string{"a.md": "# The `{pub}` request\n<a id=\"x-1\"></a>\n```\n# code\n```\n"}
	read := func(name string) ([]byte, error) {
		if d, ok := docs[name]; ok {
			return []byte(d), nil
		}
		return nil, os.ErrNotExist
	}
	for _, c := range []struct {
		doc, anchor string
		ok          bool
	}{
		{"a.md", "", true}, {"a.md", "#the-pub-request", true}, {"a.md", "#x-1", true},
		{"b.md", "", false}, {"a.md", "#code", false}, {"a.md", "#pub", false},
	} {
		if err := resolve(read, c.doc, c.anchor); (err == nil) != c.ok {
			t.Errorf("resolve(%s%s) = %v", c.doc, c.anchor, err)
		}
	}
	if m := citation.FindAllString("see spec/client.md#pub, spec/link.md.", -1); len(m) != 2 || m[1] != "spec/link.md" {
		t.Errorf("found %q", m)
	}
}

// cited matches a test that a document names, `pkg.TestX`, or `TestX` of the package that
// was named last in the line.
var (
	cited   = regexp.MustCompile("`(?:([a-z0-9]+)\\.)?(Test[A-Za-z0-9]+)`")
	defined = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
)

// missing are the tests that a document names and that there are not.
func missing(doc string, tests map[string]bool) (all []string) {
	for line := range strings.Lines(doc) {
		pkg := ""
		for _, m := range cited.FindAllStringSubmatch(line, -1) {
			if m[1] != "" {
				pkg = m[1]
			}
			if !tests[pkg+"."+m[2]] {
				all = append(all, pkg+"."+m[2])
			}
		}
	}
	return all
}

// TestCitedTests finds every test that a document says holds a rule.
func TestCitedTests(t *testing.T) {
	tests, docs := map[string]bool{}, map[string]string{}
	walk(t, "..", func(name, at string) {
		isTest, isDoc := strings.HasSuffix(name, "_test.go"), path.Dir(name) == "spec" && path.Ext(name) == ".md"
		if !isTest && !isDoc {
			return
		}
		text, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		if isDoc {
			docs[name] = string(text)
			return
		}
		for _, m := range defined.FindAllStringSubmatch(string(text), -1) {
			tests[path.Base(path.Dir(name))+"."+m[1]] = true
		}
	})
	for name, text := range docs {
		for _, test := range missing(text, tests) {
			t.Errorf("%s names %s, which is not there", name, test)
		}
	}
	if got := missing("| `a.TestX`, `TestY` |\n`TestX`", map[string]bool{"a.TestX": true}); len(got) != 2 || got[0] != "a.TestY" {
		t.Errorf("found %q", got)
	}
}

// TestNothingLeftToDo holds what is not Go to the rule that Go is held to.
func TestNothingLeftToDo(t *testing.T) {
	walk(t, "..", func(name, at string) {
		if !isText(name) || path.Ext(name) == ".go" {
			return
		}
		text, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		if m := marker.FindIndex(text); m != nil {
			t.Errorf("%s:%d: %s", name, 1+strings.Count(string(text[:m[0]]), "\n"), text[m[0]:m[1]])
		}
	})
}
