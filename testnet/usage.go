package testnet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The kernel counts CPU time in ticks: 100 a second on every Linux that Go runs on.
const ticksPerSecond = 100

// Usage is what processes have used so far.
type Usage struct {
	CPU float64 // seconds, user and system, of ended children too
	RSS float64 // KiB, resident memory of the root processes
}

// ReadUsage adds up the usage of processes and their descendants. Ended children
// are counted so that the figure only grows when a database recycles its backends.
func ReadUsage(pids ...int) (Usage, error) {
	var u Usage
	for _, root := range pids {
		tree, err := procTree(root)
		if err != nil {
			return u, err
		}
		for _, p := range tree {
			t, err := cpuTicks(p)
			if err != nil && p == root {
				return u, err
			}
			u.CPU += float64(t) / ticksPerSecond
		}
		u.RSS += kibField(fmt.Sprintf("/proc/%d/status", root), "VmRSS:")
	}
	return u, nil
}

// statFields splits /proc/PID/stat after the command name; field 0 is the state.
func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return nil, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	return f, nil
}

// cpuTicks is utime + stime + cutime + cstime.
func cpuTicks(pid int) (int64, error) {
	f, err := statFields(pid)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, s := range f[11:15] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// procTree lists pid and its descendants.
func procTree(pid int) ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, n := range names {
		p, err := strconv.Atoi(filepath.Base(n))
		if err != nil {
			continue
		}
		if f, err := statFields(p); err == nil {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], p)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// kibField returns a "Name:   123 kB" line of a /proc file, 0 when absent.
func kibField(path, name string) float64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return v
		}
	}
	return 0
}

// OwnUsage is that of this process, without its children and its memory.
func OwnUsage() (Usage, error) {
	t, err := cpuTicks(os.Getpid())
	return Usage{CPU: float64(t) / ticksPerSecond}, err
}
