// Package compat is the acceptance suite of unmodified npm clients: cases in
// JavaScript (sdk, web) that drive any server of the client protocol, and Run,
// which runs them from Go. Its tests run them against a real node.
package compat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A Suite says what to run, and against whom.
type Suite struct {
	Dir   string   // this folder, with its node_modules
	Cases []string // as arguments of run.mjs: "sdk", "sdk/05"
	Name  string   // regular expression on the names of cases; "": all
	Base  string   // URL of the server: "http://127.0.0.1:6060"
	Code  string   // that confirms e-mail addresses there; "": 123456
	Files int      // files that run side by side; 0: one
	Env   []string // more environment
}

// A Case is how one case ended.
type Case struct {
	Suite  string `json:"suite"`  // "sdk" or "web"
	Name   string `json:"name"`   // "group: a late joiner reads the history from before"
	Result Result `json:"result"` // of it
	MS     int    `json:"ms"`     // it took, in milliseconds
	Err    string `json:"err"`    // why it failed
	Why    string `json:"why"`    // why it was skipped
}

// Result is how a case ended.
type Result string

// The results.
const (
	Pass Result = "PASS"
	Fail Result = "FAIL"
	Skip Result = "SKIP"
)

// ErrMissing is wrapped by the error that says what is not installed.
var ErrMissing = errors.New("compat: not installed")

// Installed returns nil if the suite in dir can run, else an error that wraps
// ErrMissing and says what to do.
func Installed(dir string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("%w: node (Node.js 20 or later)", ErrMissing)
	}
	for _, pkg := range []string{"tinode-sdk", "ws", "fake-indexeddb"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", pkg, "package.json")); err != nil {
			return fmt.Errorf("%w: npm package %s (run `npm ci --ignore-scripts` in testnet/compat)", ErrMissing, pkg)
		}
	}
	return nil
}

// killGrace is how long the runner may take to end its children when ctx ends.
const killGrace = 5 * time.Second

// Run runs the cases and returns how each ended, in the order of their files. A
// failed case is no error; that nothing could be run is one, and then the
// runner's output is in it.
func Run(ctx context.Context, s Suite) ([]Case, error) {
	results, err := os.CreateTemp("", "parley-compat-*.jsonl")
	if err != nil {
		return nil, err
	}
	defer os.Remove(results.Name())
	defer results.Close()

	var out bytes.Buffer
	cmd := command(ctx, s, results.Name())
	cmd.Stdout, cmd.Stderr = &out, &out
	runErr := cmd.Run()
	cases, err := readCases(results)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil || len(cases) == 0 {
		return cases, fmt.Errorf("compat: the cases did not run to their end: %w\n%s", errors.Join(ctx.Err(), runErr), &out)
	}
	return cases, nil
}

// command is run.mjs with what it needs to know.
func command(ctx context.Context, s Suite, results string) *exec.Cmd {
	args := append([]string{filepath.Join(s.Dir, "run.mjs")}, s.Cases...)
	if s.Name != "" {
		args = append(args, "--", s.Name)
	}
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "BASE="+s.Base, "RESULTS="+results, "CONCURRENCY="+strconv.Itoa(max(s.Files, 1)))
	if s.Code != "" {
		cmd.Env = append(cmd.Env, "CRED_CODE="+s.Code)
	}
	cmd.Env = append(cmd.Env, s.Env...)
	killTogether(cmd)
	cmd.WaitDelay = killGrace
	return cmd
}

// maxLine bounds a line of results; a case's error is at most 2,000 characters.
const maxLine = 64 << 10

func readCases(f *os.File) ([]Case, error) {
	var cases []Case
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxLine)
	for sc.Scan() {
		var c Case
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("compat: reading the results: %w", err)
		}
		cases = append(cases, c)
	}
	return cases, sc.Err()
}
