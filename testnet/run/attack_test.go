package run

import "testing"

// An attack on a small federation: what is limited waits, and arrives in the end; the
// operator's own limits hold users who spam.
func TestAttack(t *testing.T) {
	res := play(t, `
duration = "3h"
sample = "10m"
age = "14d"
[[nodes]]
name = "n"
count = 4
[[nodes]]
name = "evil"
[[users]]
count = 3
at = ["n*"]
[[users]]
name = "bad"
at = ["evil"]
count = 6
[contacts]
graph = "ring"
degree = 2
users = ["user*"]
[[work]]
kind = "meet"
users = ["user*"]
every = "3h"
[strangers]
spam-report = 0.5
spam-block = 0.5
spam-reply = 0
after = "1m"
[[attackers]]
kind = "spammer"
nodes = ["evil"]
every = "2m"
[[attackers]]
kind = "mixed"
users = ["user1@n1"]
every = "1m"
[[attackers]]
kind = "slander"
nodes = ["n3"]
targets = ["n4"]
[[event]]
do = "sign-off"
at = "0s"
users = ["*"]
[[check]]
that = "contacts_lost == 0 and spam_tried > 30 and spam > 0 and spam < 30"
[[check]]
that = "closed_bad > 0 and contacts > 3 and restarts == 0"
`)
	if n := res.Nodes; n[4].Role != Bad || n[2].Role != Liar || n[3].Role != Slandered || n[4].Known == 0 || n[0].Role != Good {
		t.Errorf("nodes are %+v", n)
	}
	if last := res.Samples[len(res.Samples)-1]; last.Spam == 0 {
		t.Errorf("the last sample has no spam: %+v", last)
	}
}
