package run

import "testing"

// Real nodes and the model of them, in a small federation: what comes of a few dozens of
// first contacts differs by chance.
func TestTwin(t *testing.T) {
	res := play(t, `
duration = "6h"
sample = "10m"
age = "14d"
model = true
[[nodes]]
name = "n"
count = 8
[[nodes]]
name = "evil"
count = 2
[[users]]
count = 3
at = ["n*"]
[[users]]
name = "bad"
at = ["evil*"]
count = 6
[contacts]
graph = "ring"
degree = 3
users = ["user*"]
[[work]]
kind = "meet"
users = ["user*"]
every = "4h"
[[attackers]]
kind = "spammer"
nodes = ["evil*"]
every = "3m"
[[event]]
do = "sign-off"
at = "0s"
users = ["*"]
[[check]]
that = "contacts_lost == 0 and spam > 0.4 * model_spam and spam < 2.5 * model_spam"
[[check]]
that = "contacts_late > model_late - 0.25 and contacts_late < model_late + 0.25"
`)
	if res.Figures["model_spam"] == 0 {
		t.Errorf("the model has no spam: %v", res.Figures)
	}
}
