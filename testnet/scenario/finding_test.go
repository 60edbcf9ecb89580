package scenario

import (
	"strings"
	"testing"
)

func TestFinding(t *testing.T) {
	p, err := Parse("x.toml", []byte(base+"[dns]\nnodes = [\"a\", \"b1\"]\nunsigned = [\"b1\"]\n[dht]\nnodes = [\"b2\"]\n"+
		"[[event]]\nat = \"1s\"\ndo = \"dns-failure\"\nnodes = [\"a\"]\nanswer = \"silent\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Finding{ByDNS, ByWeb, ByKey, BySettings} {
		if got := p.Net[i].Find; got != want {
			t.Errorf("%s is found by %d, want %d", p.Net[i].Name, got, want)
		}
	}
	for text, want := range map[string]string{
		"[dns]\nunsigned = [\"a\"]\n":                                                              "nodes is missing",
		"[dns]\nnodes = [\"a\"]\nunsigned = [\"b1\"]\n":                                            "has no zone",
		"[dns]\nnodes = [\"*\"]\n[dht]\nnodes = [\"b1\"]\n":                                        "in another way already",
		"[dht]\nnodes = [\"*\"]\nbootstrap = 99\n":                                                 "x.toml:12:1: 1 to 16",
		"[[event]]\ndo = \"dns-failure\"\nnodes = [\"a\"]\nanswer = \"silent\"":                    "is not in the DNS",
		"[dns]\nnodes = [\"a\"]\n[[event]]\ndo = \"dns-failure\"\nnodes = [\"a\"]\nanswer = \"x\"": "silent, servfail, nxdomain",
	} {
		if _, err := Parse("x.toml", []byte(base+text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
