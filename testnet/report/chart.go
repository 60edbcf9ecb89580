// Package report writes what a run has come to: a directory with the scenario, events,
// samples and figures for programs, charts, and one page for people.
package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"parley/testnet/run"
	"parley/testnet/scenario"
)

// line is one of a chart.
type line struct {
	name string
	y    func(*run.Sample) float64
	// gaps leaves out samples that are 0: nothing was measured.
	gaps bool
}

// chart is a figure over time.
type chart struct {
	file, title, unit string
	log               bool // a logarithmic scale
	rate              bool // y is counted since the beginning: show it by the second
	lines             []line
}

// Sizes and colours of charts.
const (
	chartWidth  = 760 * vg.Inch / 96
	chartHeight = 250 * vg.Inch / 96
)

var (
	ink    = color.NRGBA{0x55, 0x5b, 0x66, 0xff}
	faint  = color.NRGBA{0x88, 0x90, 0x9c, 0x30}
	shade  = color.NRGBA{0xe0, 0x5a, 0x3a, 0x1c}
	colors = []color.NRGBA{{0x2f, 0x6f, 0xde, 0xff}, {0xe0, 0x5a, 0x3a, 0xff}, {0x2a, 0x9d, 0x6f, 0xff}, {0x9b, 0x59, 0xb6, 0xff}}
)

func (s *charts) all() []chart {
	count := func(f func(*run.Sample) int) func(*run.Sample) float64 {
		return func(x *run.Sample) float64 { return float64(f(x)) }
	}
	sent := make([]line, run.Sorts)
	for k := range sent {
		sent[k] = line{run.SortNames[k], func(x *run.Sample) float64 { return float64(x.Sent[k].Bytes) }, false}
	}
	all := []chart{
		{"latency", "How long messages took to reach readers", "seconds", true, false, []line{
			{"half", func(x *run.Sample) float64 { return x.P50 }, true},
			{"99 of 100", func(x *run.Sample) float64 { return x.P99 }, true}}},
		{"messages", "Messages", "a second", false, true, []line{
			{"accepted", count(func(x *run.Sample) int { return x.Accepted }), false},
			{"delivered", count(func(x *run.Sample) int { return x.Delivered }), false}}},
		{"queues", "What waits", "", false, false, []line{
			{"posts in outboxes", count(func(x *run.Sample) int { return x.Waiting }), false},
			{"copies on their way", count(func(x *run.Sample) int { return x.Expected - x.Delivered }), false}}},
		{"frames", "Bytes of frames between nodes", "bytes a second", false, true, sent},
		{"nodes", "Who is there", "", false, false, []line{
			{"nodes", count(func(x *run.Sample) int { return x.Up }), false},
			{"links", count(func(x *run.Sample) int { return x.Links / 2 }), false},
			{"users signed in", count(func(x *run.Sample) int { return x.Online }), false}}},
	}
	if judged(s.res) {
		all = append(all, chart{"spam", "Spam that has arrived, and first contacts of others that wait", "", false, false, []line{
			{"spam", count(func(x *run.Sample) int { return x.Spam }), false},
			{"others that wait", count(func(x *run.Sample) int { return x.Strangers }), false}}})
	}
	return all
}

// charts draws those of one run.
type charts struct{ res *run.Result }

// draw makes a chart as SVG.
func (s *charts) draw(c chart) ([]byte, error) {
	p := plot.New()
	style(p, c)
	top, low := 0.0, math.Inf(1)
	for i, l := range c.lines {
		pts := s.points(c, l)
		for _, pt := range pts {
			top, low = math.Max(top, pt.Y), math.Min(low, pt.Y)
		}
		if len(pts) == 0 {
			continue
		}
		drawn, err := plotter.NewLine(pts)
		if err != nil {
			return nil, fmt.Errorf("chart %s: %w", c.file, err)
		}
		drawn.Color, drawn.Width = colors[i%len(colors)], vg.Points(1.3)
		p.Add(drawn)
		p.Legend.Add(l.name, drawn)
	}
	if c.log {
		p.Y.Min = math.Pow(10, math.Floor(math.Log10(math.Min(math.Max(low, 1e-4), 1))))
		p.Y.Max = math.Max(top*1.5, 10*p.Y.Min)
	} else {
		p.Y.Min, p.Y.Max = 0, math.Max(top*1.08, 1)
	}
	if len(s.res.Samples) > 0 {
		p.X.Min, p.X.Max = 0, math.Max(s.res.Samples[len(s.res.Samples)-1].At, 1)
	}
	s.faults(p)
	canvas := vgsvg.New(chartWidth, chartHeight)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	_, err := canvas.WriteTo(&out)
	return out.Bytes(), err
}

// style makes a plot look as all do.
func style(p *plot.Plot, c chart) {
	p.BackgroundColor = color.Transparent
	p.Title.Text, p.Y.Label.Text = "", c.unit
	p.X.Tick.Marker = clock{}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Label.TextStyle.Color, a.Tick.Label.Color, a.Tick.Color = ink, ink, ink, ink
		a.LineStyle.Color = ink
		sans(&a.Label.TextStyle.Font)
		sans(&a.Tick.Label.Font)
	}
	sans(&p.Legend.TextStyle.Font)
	p.Legend.TextStyle.Color = ink
	p.Legend.Top = true
	p.Legend.ThumbnailWidth = vg.Points(14)
	if c.log {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = faint, color.Transparent
	p.Add(grid)
}

// sans makes a font as small and plain as those of the page.
func sans(f *font.Font) { f.Variant, f.Size = "Sans", vg.Points(8.5) }

// clock marks times as people write them.
type clock struct{}

// steps between two marks, in seconds.
var steps = []float64{.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400}

const marks = 12 // at most, of a time axis

// Ticks implements plot.Ticker.
func (clock) Ticks(low, high float64) []plot.Tick {
	step := steps[len(steps)-1]
	for _, s := range steps {
		if (high-low)/s <= marks {
			step = s
			break
		}
	}
	var all []plot.Tick
	for t := math.Ceil(low/step) * step; t <= high; t += step {
		all = append(all, plot.Tick{Value: t, Label: scenario.Short(time.Duration(t * float64(time.Second)))})
	}
	return all
}

// points of a line.
func (s *charts) points(c chart, l line) plotter.XYs {
	var pts plotter.XYs
	for i := range s.res.Samples {
		x := &s.res.Samples[i]
		y := l.y(x)
		if c.rate {
			if i == 0 || x.At <= s.res.Samples[i-1].At {
				continue
			}
			y = (y - l.y(&s.res.Samples[i-1])) / (x.At - s.res.Samples[i-1].At)
		}
		if l.gaps && y <= 0 {
			continue
		}
		pts = append(pts, plotter.XY{X: x.At, Y: y})
	}
	return pts
}

// faults shades the times in which something was wrong.
func (s *charts) faults(p *plot.Plot) {
	for _, f := range s.res.Faults {
		if f.Kind == "sign-off" { // nothing fails
			continue
		}
		area, err := plotter.NewPolygon(plotter.XYs{{X: f.From, Y: p.Y.Min}, {X: f.To, Y: p.Y.Min}, {X: f.To, Y: p.Y.Max}, {X: f.From, Y: p.Y.Max}})
		if err != nil || f.To <= f.From {
			continue // nothing to be seen
		}
		area.Color, area.LineStyle.Width = shade, 0
		p.Add(area)
	}
}
