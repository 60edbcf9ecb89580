package report

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"parley/testnet/checks"
	"parley/testnet/run"
)

// Names of files in the directory of a run.
const (
	fileScenario = "scenario.toml" // as it was resolved, defaults and seed included
	fileEvents   = "events.ndjson"
	fileMetrics  = "metrics.csv"
	fileSummary  = "summary.json"
	filePage     = "report.html"
	latest       = "latest"
)

// Summary is what a run has come to, for programs.
type Summary struct {
	Name        string             `json:"name"`
	About       string             `json:"about,omitempty"`
	Seed        uint64             `json:"seed"`
	Version     string             `json:"version"`
	Began       string             `json:"began"` // on the wall
	Real        bool               `json:"real_time,omitempty"`
	Interrupted bool               `json:"interrupted,omitempty"`
	Good        bool               `json:"good"`
	Figures     map[string]float64 `json:"figures"`
	Checks      []run.CheckResult  `json:"checks"`
	Invariants  []checks.Invariant `json:"invariants"`
	Wrong       []string           `json:"wrong,omitempty"` // examples
	Frames      []Kind             `json:"frames"`
	Dir         string             `json:"dir,omitempty"`
}

// Kind is what crossed links of one kind of frame.
type Kind struct {
	Kind   string `json:"kind"`
	Frames int    `json:"frames"`
	Bytes  int    `json:"bytes"`
}

// Summarize makes the summary of a result.
func Summarize(res *run.Result) *Summary {
	return &Summary{
		Name: res.Plan.Name, About: res.Plan.About, Seed: res.Plan.Seed, Version: res.Options.Version,
		Began: res.Began.UTC().Format("2006-01-02T15:04:05Z"), Real: res.Options.Real, Interrupted: res.Interrupted,
		Good: !res.Failed(), Figures: res.Figures, Checks: res.Checks, Invariants: res.Invariants, Wrong: res.Examples, Frames: kinds(res),
	}
}

func kinds(res *run.Result) []Kind {
	sum := map[string]*Kind{}
	for _, n := range res.Nodes {
		for flow, c := range n.Sent {
			if c.Frames == 0 {
				continue
			}
			k := sum[flow.Kind]
			if k == nil {
				k = &Kind{Kind: flow.Kind}
				sum[flow.Kind] = k
			}
			k.Frames, k.Bytes = k.Frames+c.Frames, k.Bytes+c.Bytes
		}
	}
	var all []Kind
	for _, k := range sum {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Or(b.Bytes-a.Bytes, strings.Compare(a.Kind, b.Kind)) })
	return all
}

// Write makes a directory for the run below root, root/<name>/<time>, and a link
// "latest" to it. It returns the directory.
func Write(root string, res *run.Result) (dir string, err error) {
	home := filepath.Join(root, res.Plan.Name)
	if dir, err = freshDir(home, res.Began.Format("2006-01-02T15-04-05")); err != nil {
		return "", err
	}
	pictures := map[string][]byte{}
	draw := &charts{res}
	for _, c := range draw.all() {
		if pictures[c.file], err = draw.draw(c); err != nil {
			return dir, err
		}
	}
	files := map[string]func() ([]byte, error){
		fileScenario: res.Plan.Text,
		fileEvents:   func() ([]byte, error) { return events(res) },
		fileMetrics:  func() ([]byte, error) { return metrics(res) },
		fileSummary:  func() ([]byte, error) { return json.MarshalIndent(Summarize(res), "", "  ") },
		filePage:     func() ([]byte, error) { return page(res, draw.all(), pictures) },
	}
	for name, svg := range pictures {
		files[name+".svg"] = func() ([]byte, error) { return svg, nil }
	}
	for name, make := range files {
		content, err := make()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o644)
		}
		if err != nil {
			return dir, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return dir, link(home, filepath.Base(dir))
}

// freshDir makes a directory that was not there.
func freshDir(home, name string) (string, error) {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		dir := filepath.Join(home, name)
		if n > 1 {
			dir += "-" + strconv.Itoa(n)
		}
		if err := os.Mkdir(dir, 0o755); err == nil || !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
}

// link makes "latest" lead to a run.
func link(home, to string) error {
	fresh := filepath.Join(home, "."+latest)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(to, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(home, latest))
}

func events(res *run.Result) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for i := range res.Events {
		if err := e.Encode(&res.Events[i]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func metrics(res *run.Result) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	head := []string{"t", "begun", "accepted", "refused", "expected", "delivered", "latency_p50", "latency_p99", "waiting",
		"nodes_up", "links", "signed_in", "packets", "packets_lost", "bytes", "spam", "strangers_waiting"}
	for _, s := range run.SortNames {
		head = append(head, s+"_frames", s+"_bytes")
	}
	all := [][]string{head}
	for i := range res.Samples {
		s := &res.Samples[i]
		row := []any{s.At, s.Begun, s.Accepted, s.Refused, s.Expected, s.Delivered, s.P50, s.P99, s.Waiting,
			s.Up, s.Links / 2, s.Online, s.Packets, s.PacketsLost, s.Bytes, s.Spam, s.Strangers}
		for _, c := range s.Sent {
			row = append(row, c.Frames, c.Bytes)
		}
		cells := make([]string, len(row))
		for k, v := range row {
			cells[k] = fmt.Sprint(v)
		}
		all = append(all, cells)
	}
	err := w.WriteAll(all)
	return b.Bytes(), err
}

// Read reads the summary of a run: of its directory, or of the file itself.
func Read(path string) (*Summary, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, fileSummary)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var s Summary
	if err := json.NewDecoder(io.LimitReader(f, maxSummary)).Decode(&s); err != nil {
		return nil, fmt.Errorf("%s is no summary of a run: %w", path, err)
	}
	return &s, nil
}

// maxSummary bounds a summary, in bytes.
const maxSummary = 16 << 20
