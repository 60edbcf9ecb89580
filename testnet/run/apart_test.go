package run

import (
	"os"
	"strings"
	"testing"

	"parley/testnet"
	"parley/testnet/diskfault"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// The same scenario with nodes that are processes: packets go through the emulated network
// with its delays, losses and cuts, kills are SIGKILL, and what is acknowledged is there.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	text := `
duration = "4s"
[link]
latency = "20ms"
loss = 0.02
[[nodes]]
name = "n"
count = 3
[[users]]
count = 2
[[work]]
kind = "chat"
every = "300ms"
[[event]]
do = "kill"
at = "1s"
for = "1s"
nodes = ["n1"]
[[check]]
that = "lost + doubled + reordered + diverged == 0 and accepted > 20 and restarts == 1 and packets_lost > 0"
`
	processes(t, text)
}

// processes runs a scenario with nodes that are processes; all must hold.
func processes(t *testing.T, text string) {
	t.Helper()
	p, err := scenario.Parse("test.toml", []byte(text), scenario.Apart())
	if err != nil {
		t.Fatal(err)
	}
	bin, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Real: true, Binary: bin, Dir: t.TempDir()}
	res, err := Run(p, vtime.NewClock(vtime.Options{Real: true}), o)
	if err != nil && strings.Contains(err.Error(), diskfault.ErrUnsupported.Error()) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	holds(t, res)
	if keys, err := os.ReadDir(o.Dir); err != nil || len(keys) < 3 {
		t.Errorf("data of the nodes: %v, %v", keys, err)
	}
}

// A disk that is full refuses what is written, and nothing is lost; one that is slow takes
// its time.
func TestProcessesDisks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	text := `
duration = "6s"
[link]
latency = "5ms"
[[nodes]]
name = "n"
count = 3
[[users]]
count = 2
[[work]]
kind = "chat"
every = "200ms"
[[event]]
do = "full-disk"
at = "1s"
for = "2s"
nodes = ["n1"]
[[event]]
do = "slow-disk"
at = "3s"
for = "2s"
nodes = ["n2"]
delay = "150ms"
[[check]]
that = "lost + doubled + reordered + diverged == 0 and refused > 3 and accepted > 40 and restarts == 0 and accept_p99 > 150ms"
`
	processes(t, text)
}

// What processes cannot do is refused, with the line.
func TestNotForProcesses(t *testing.T) {
	for wrong, text := range map[string]string{
		"test.toml:9:3: only nodes inside of one process can be made to have a clock": "[[nodes]]\nname = \"c\"\nahead = \"1h\"\n",
		`test.toml:10:1: "jump" is not possible`:                                      "[[event]]\ndo = \"jump\"\nat = \"1s\"\nnodes = [\"a\"]\nahead = \"1h\"\n",
		"test.toml:9:3: only nodes inside":                                            "[[attackers]]\nkind = \"spammer\"\nnodes = [\"a\"]\nevery = \"1s\"\n",
	} {
		_, err := scenario.Parse("test.toml", []byte("duration = \"5s\"\n[[nodes]]\nname = \"a\"\n[[nodes]]\nname = \"b\"\n[[users]]\n\n\n"+text), scenario.Apart())
		if err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("want %q: %v", wrong, err)
		}
	}
}
