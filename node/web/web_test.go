package web_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"parley/node/web"
	"parley/protocol"
)

var scripts = []string{"app.js", "chat.js", "dom.js", "drafty.js", "topic.js", "wire.js"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(web.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Everything that the page names is in it: nothing comes from elsewhere.
func TestSelfContained(t *testing.T) {
	named := regexp.MustCompile(`(?:src|href)="([^"#][^"]*)"|from '\./([^']+)'`)
	for _, file := range append(scripts, "index.html") {
		for _, m := range named.FindAllStringSubmatch(read(t, file), -1) {
			if name := m[1] + m[2]; read(t, name) == "" {
				t.Errorf("%s names %s, which is empty", file, name)
			}
		}
	}
}

// The page forbids itself what an attacker would use: scripts and styles in the
// document, and anything from other places.
func TestStrictPolicy(t *testing.T) {
	page := read(t, "index.html")
	_, rest, ok := strings.Cut(page, `http-equiv="Content-Security-Policy" content="`)
	policy, _, _ := strings.Cut(rest, `"`)
	if !ok || !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if found := regexp.MustCompile(`<script>|<style|\son\w+="|\sstyle="`).FindString(page); found != "" {
		t.Errorf("index.html has %q, which its policy forbids", found)
	}
	for _, file := range scripts {
		if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`).FindString(read(t, file)); found != "" {
			t.Errorf("%s uses %s", file, found)
		}
	}
}

// The page finds every element that it asks for by name.
func TestElements(t *testing.T) {
	page := read(t, "index.html")
	for _, m := range regexp.MustCompile(`\$\('([\w-]+)'\)`).FindAllStringSubmatch(read(t, "app.js"), -1) {
		if !strings.Contains(page, `id="`+m[1]+`"`) {
			t.Errorf("app.js asks for #%s, which index.html does not have", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:icon|tool)\('([\w-]+)'`).FindAllStringSubmatch(read(t, "app.js"), -1) {
		if !strings.Contains(page, `id="i-`+m[1]+`"`) {
			t.Errorf("app.js draws the icon %s, which index.html does not have", m[1])
		}
	}
}

func TestAPIKey(t *testing.T) {
	if !strings.Contains(read(t, "wire.js"), "'"+protocol.DefaultAPIKey+"'") {
		t.Error("the page does not carry the default API key")
	}
}
