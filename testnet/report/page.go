package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"parley/testnet/run"
	"parley/testnet/scenario"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// tile is a figure that is shown large.
type tile struct{ Value, Name, Note string }

// picture is a chart in the page.
type picture struct {
	Title string
	SVG   template.HTML
}

// row is a figure in the table of all.
type row struct{ Name, Value, About string }

// page makes the page for people: one file, without anything from elsewhere.
func page(res *run.Result, all []chart, svgs map[string][]byte) ([]byte, error) {
	s := Summarize(res)
	text, err := res.Plan.Text()
	if err != nil {
		return nil, err
	}
	view := struct {
		*Summary
		Tiles    []tile
		Pictures []picture
		Topology template.HTML
		Rows     []row
		Faults   []row
		Scenario string
		Length   string
		Judged   bool
	}{
		Judged: judged(res), Summary: s, Tiles: tiles(res), Topology: template.HTML(topology(res)), Rows: rows(s), Faults: faults(res),
		Scenario: string(text), Length: res.Plan.Duration.String(),
	}
	for _, c := range all {
		title := c.title
		if c.unit != "" {
			title += ", " + c.unit
		}
		view.Pictures = append(view.Pictures, picture{title, inline(svgs[c.file])})
	}
	var out bytes.Buffer
	err = pageTemplate.Execute(&out, view)
	return out.Bytes(), err
}

// inline is an SVG without its prologue: it is ours, and goes into the page as it is.
func inline(svg []byte) template.HTML {
	if i := bytes.Index(svg, []byte("<svg")); i > 0 {
		svg = svg[i:]
	}
	return template.HTML(svg)
}

func tiles(res *run.Result) []tile {
	f := res.Figures
	var of []tile
	if judged(res) {
		of = []tile{
			{number(f["spam"]), "messages of spammers arrived", "of " + number(f["spam_tried"]) + " tried; " + number(f["spam_user_day"]) + " a user and day"},
			{number(100*f["contacts_late"]) + " %", "of honest first contacts waited over a minute", "of " + number(f["contacts"]) + "; " + number(f["contacts_lost"]) + " lost"},
		}
	}
	return append(of, []tile{
		{number(f["accepted"]), "messages accepted", number(f["delivered"]) + " of " + number(f["expected"]) + " copies delivered"},
		{seconds(f["latency_p50"]), "to reach half of the readers", seconds(f["latency_p99"]) + " for 99 of 100"},
		{number(f["lost"] + f["doubled"] + f["reordered"]), "lost, doubled or out of order", number(f["bounced"]) + " bounced, " + number(f["unconfirmed"]) + " unconfirmed"},
		{number(f["bytes_message"]), "bytes on the wire for a copy", number(f["packets"]) + " packets, " + number(f["packets_lost"]) + " lost"},
		{number(f["nodes"]), "nodes", number(f["users"]) + " users, " + number(f["restarts"]) + " restarts"},
		{seconds(f["machine_cpu"]), "of CPU time", speed(f) + ", " + number(f["machine_rss"]/(1<<20)) + " MiB"},
	}...)
}

func speed(f map[string]float64) string {
	if f["machine_seconds"] <= 0 {
		return ""
	}
	return number(f["seconds"]/f["machine_seconds"]) + " times real time"
}

func rows(s *Summary) []row {
	var all []row
	for name, v := range s.Figures {
		all = append(all, row{name, value(name, v), scenario.Figures[name]})
	}
	slices.SortFunc(all, func(a, b row) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Value writes a figure for people at a terminal.
func Value(name string, v float64) string {
	return strings.ReplaceAll(value(name, v), thin, ",")
}

// value writes a figure for the page.
func value(name string, v float64) string {
	switch {
	case strings.HasPrefix(name, "latency_"), strings.HasPrefix(name, "accept_"), name == "seconds", name == "machine_cpu", name == "machine_seconds":
		return seconds(v)
	case name == "machine_rss":
		return number(v/(1<<20)) + " MiB"
	}
	return number(v)
}

// seconds as people write them.
func seconds(v float64) string {
	d := time.Duration(v * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return strconv.FormatFloat(v, 'f', 2, 64) + " s"
	case d == 0:
		return "0"
	}
	return strconv.FormatFloat(v*1000, 'f', 1, 64) + " ms"
}

// thin is the space between thousands.
const thin = "\u202f"

// number with its thousands apart.
func number(v float64) string {
	if v != math.Trunc(v) && math.Abs(v) < 100 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	s := strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + thin + s[i:]
	}
	return s
}

// faults is the table of what went wrong.
func faults(res *run.Result) []row {
	at := func(s float64) string {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
	}
	var all []row
	for _, f := range res.Faults {
		all = append(all, row{f.Kind, at(f.From) + " – " + at(f.To), f.Text})
	}
	return all
}
