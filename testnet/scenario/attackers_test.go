package scenario

import (
	"strings"
	"testing"
	"time"
)

const attacked = `duration = "1h"
[[nodes]]
name = "n"
count = 3
[[nodes]]
name = "evil"
count = 2
parent = "farm"
[[users]]
count = 2
`

func TestAttackers(t *testing.T) {
	p, err := Parse("x.toml", []byte(attacked+`[contacts]
users = ["*@n*"]
[[attackers]]
kind = "spammer"
nodes = ["evil1"]
from = "10m"
[[attackers]]
kind = "mixed"
users = ["user1@n1"]
to = ["user2"]
[[attackers]]
kind = "slander"
nodes = ["n2"]
targets = ["n3"]
`))
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Net[3].Domain; d != "evil1.farm.example" {
		t.Errorf("a node below a parent domain is %s", d)
	}
	for _, pair := range p.Pairs {
		if p.People[pair[0]].Node > 2 || p.People[pair[1]].Node > 2 {
			t.Errorf("%v know each other", pair)
		}
	}
	a := p.Assaults
	if len(a) != 3 || len(a[0].Who) != 2 || len(a[0].To) != 8 || a[0].Until.Duration != time.Hour || a[0].Every.Duration != time.Minute {
		t.Fatalf("the spammer: %+v", a)
	}
	if len(a[1].Who) != 1 || len(a[1].To) != 5 || a[2].Spam() || len(a[2].Targets) != 1 || a[2].Targets[0] != 2 {
		t.Errorf("the others: %+v", a[1:])
	}
}

func TestAttackersWrong(t *testing.T) {
	for text, want := range map[string]string{
		"[[attackers]]\nkind = \"thief\"\n":                                             "x.toml:12:1: \"thief\" is no kind of attackers; there are flood, mixed",
		"[[attackers]]\nkind = \"spammer\"\n":                                           "x.toml:11:3: \"spammer\" needs nodes",
		"[[attackers]]\nkind = \"spammer\"\nnodes = [\"n1\"]\nusers = [\"*\"]\n":        "x.toml:14:1: \"spammer\" has no users",
		"[[attackers]]\nkind = \"slander\"\nnodes = [\"n1\"]\n":                         "needs targets",
		"[[attackers]]\nkind = \"traitor\"\nnodes = [\"nobody\"]\n":                     "x.toml:13:1: \"nobody\" is none of the nodes",
		"[[attackers]]\nkind = \"traitor\"\nnodes = [\"n1\"]\nuntil = \"2h\"\n":         "not after the scenario's end",
		"[[attackers]]\nkind = \"traitor\"\nnodes = [\"n1\"]\nevery = \"1us\"\n":        "x.toml:14:1: every must be",
		"[[attackers]]\nkind = \"traitor\"\nnodes = [\"n1\"]\nloudness = 3\n":           "x.toml:14:1: there is no key \"loudness\"",
		"[strangers]\nreply = 1.5\n":                                                    "x.toml:12:1: reply is a chance",
		"[strangers]\nreply = 0.9\nblock = 0.2\n":                                       "add up to more than 1",
		"[contacts]\nusers = [\"nobody\"]\n":                                            "x.toml:12:1: \"nobody\" is none of the users",
		"[[nodes]]\nname = \"x\"\nparent = \"a.b\"\n":                                   "x.toml:13:1: \"a.b\" is no parent domain",
		"[[work]]\nkind = \"presence\"\nto = [\"*\"]\n":                                 "\"presence\" has no to",
		"[[check]]\nthat = \"spam_user_day < 1 and closed_good == 0 and spammy < 3\"\n": "there is no figure \"spammy\"",
	} {
		if _, err := Parse("x.toml", []byte(attacked+text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
