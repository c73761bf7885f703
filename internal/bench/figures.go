package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figure is one picture, of panels side by side. It is drawn once in each theme.
type figure struct {
	Name   string
	Panels []panel
	Width  float64 // of a panel, in panels; 0 is 1
}

// panel has lines, or dots, or bars.
type panel struct {
	Title, X, Y string
	LogX, LogY  bool
	Lines       []series
	Room        bool // for the legend, above the lines
	// Dots are values on a logarithmic axis, a row for each of Rows. What is below
	// Floor is drawn there, and what is below 0 is not: it was not measured.
	Dots  []series
	Rows  []string
	Floor float64
	// Bars are groups, one for each of Rows.
	Bars []series
	Unit string // of X, or of bars
}

// series has a name, by which it is coloured. Of dots and bars there is one Y for each
// row.
type series struct {
	Name string
	X, Y []float64
}

// theme is how a figure is coloured.
type theme struct {
	name       string
	ink, faint color.Color
	colours    []color.Color
}

var themes = []theme{
	{"light", rgb(0x24292f), rgb(0xd0d7de), []color.Color{rgb(0x6e7781), rgb(0xbc4c00), rgb(0x0969da), rgb(0x1a7f37), rgb(0x8250df), rgb(0xbf3989), rgb(0x1b7c83)}},
	{"dark", rgb(0xe6edf3), rgb(0x3d444d), []color.Color{rgb(0x9198a1), rgb(0xf0883e), rgb(0x58a6ff), rgb(0x3fb950), rgb(0xbc8cff), rgb(0xff7bc8), rgb(0x76e3ea)}},
}

// colours are the indices of names in those of a theme: what is ours is the same in all
// figures. Other names are grey.
var colours = map[string]int{
	"p50": 2, "p99": 3, "max": 1, "bound": 5, "objective: p99 below 1 s": 5,
	"by hand": 1, "returned error": 1, "client-go": 1, "client-go, exact": 1,
	"NextRequeue": 2, "a wait in place of the error": 2, "controller-runtime, timer": 2,
	"with deadlinequeue": 3, "deadlinequeue.Tell with the error": 3, "deadlinequeue": 3,
	"controller-runtime, raised": 4, "controller-runtime, kept": 4, "controller-runtime, timer, kept": 4,
	"controller-runtime": 5, "controller-runtime, exact": 5,
	"deadlinequeue, adaptive": 6, "controller-runtime, timer, low": 6,
}

func (t theme) colour(s series) color.Color { return t.colours[colours[s.Name]] }

func rgb(hex uint32) color.Color {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

func (f figure) path(t theme) string { return "docs/figures/" + f.Name + "-" + t.name + ".svg" }

// fingerprint tells of which data a figure was drawn.
func (f figure) fingerprint() string {
	data, err := json.Marshal(f)
	if err != nil {
		panic(err) // numbers and texts; NaN is not drawn
	}
	return fmt.Sprintf("<!-- data %x -->", sha256.Sum256(data))
}

const (
	panelWidth  = vg.Length(400)
	panelHeight = vg.Length(240)
)

func (f figure) svg(t theme) ([]byte, error) {
	width, height := panelWidth*vg.Length(len(f.Panels)), panelHeight
	if f.Width > 0 {
		width *= vg.Length(f.Width)
	}
	for _, p := range f.Panels {
		height = max(height, vg.Length(80+11*(len(p.Dots)+1)*(len(p.Rows)+1)))
	}
	canvas := vgsvg.New(width, height)
	plots := make([]*plot.Plot, len(f.Panels))
	for i, p := range f.Panels {
		var err error
		if plots[i], err = p.plot(t, i == 0); err != nil {
			return nil, err
		}
	}
	tiles := draw.Tiles{Rows: 1, Cols: len(plots), PadX: 16, PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 12}
	for i, c := range plot.Align([][]*plot.Plot{plots}, tiles, draw.New(canvas))[0] {
		plots[i].Draw(c)
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	// The font is on few machines, and the others have one of the same widths.
	svg := strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")
	svg = strings.Replace(svg, "<svg", f.fingerprint()+"\n<svg", 1)
	return []byte(svg), nil
}

func (p panel) plot(t theme, legend bool) (*plot.Plot, error) {
	pl := plot.New()
	pl.BackgroundColor = color.Transparent
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11}
	style := func(s *text.Style) { s.Font, s.Color = sans, t.ink }
	pl.Title.Text, pl.X.Label.Text, pl.Y.Label.Text = p.Title, p.X, p.Y
	style(&pl.Title.TextStyle)
	style(&pl.Legend.TextStyle)
	pl.Title.TextStyle.Font.Size, pl.Title.Padding = 12, 6
	for _, a := range []*plot.Axis{&pl.X, &pl.Y} {
		style(&a.Label.TextStyle)
		style(&a.Tick.Label)
		a.Color, a.Tick.Color = t.ink, t.ink
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = t.faint, t.faint
	pl.Add(grid)
	pl.Legend.Top, pl.Legend.Left, pl.Legend.ThumbnailWidth, pl.Legend.Padding = true, true, 14, 1
	pl.Legend.XOffs, pl.Legend.YOffs = 8, -8

	pl.Y.Tick.Marker = plainTicks{}

	var err error
	switch {
	case p.Lines != nil:
		err = p.drawLines(pl, t)
	case p.Dots != nil:
		err = p.drawDots(pl, t)
	default:
		err = p.drawBars(pl, t)
	}
	if !legend {
		pl.Legend = plot.NewLegend()
	}
	return pl, err
}

func (p panel) drawLines(pl *plot.Plot, t theme) error {
	for _, s := range p.Lines {
		xys := make(plotter.XYs, len(s.X))
		for j := range xys {
			xys[j] = plotter.XY{X: s.X[j], Y: s.Y[j]}
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return err
		}
		line.Color, line.Width = t.colour(s), 2
		pl.Add(line)
		pl.Legend.Add(s.Name, line)
	}
	if p.Floor > 0 {
		pl.X.Min = p.Floor
	}
	if p.LogX {
		pl.X.Scale, pl.X.Tick.Marker = plot.LogScale{}, powers(p.Unit)
	}
	if p.LogY {
		pl.Y.Scale, pl.Y.Tick.Marker = plot.LogScale{}, powers("s")
	}
	if p.Room {
		pl.Y.Min, pl.Y.Max = 0, 1.4*pl.Y.Max
	} else if p.LogX {
		pl.Legend.XOffs = 90 // right of the steep lines
	}
	return nil
}

func (p panel) drawDots(pl *plot.Plot, t theme) error {
	rows := len(p.Rows)
	top := p.Floor
	for i, s := range p.Dots {
		var at plotter.XYLabels
		for j, value := range s.Y {
			if value < 0 { // was not measured
				continue
			}
			top = max(top, value)
			// Side by side within the row, from the top.
			y := float64(rows-1-j) + 0.3 - 0.6*float64(i)/float64(max(len(p.Dots)-1, 1))
			at.XYs = append(at.XYs, plotter.XY{X: max(value, p.Floor), Y: y})
			at.Labels = append(at.Labels, amount(value, p.Unit))
		}
		dots, err := plotter.NewScatter(at.XYs)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: t.colour(s), Radius: 4, Shape: draw.CircleGlyph{}}
		labels, err := plotter.NewLabels(at)
		if err != nil {
			return err
		}
		labels.Offset.X = 6
		for j := range labels.TextStyle {
			labels.TextStyle[j].Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9}
			labels.TextStyle[j].Color, labels.TextStyle[j].YAlign = t.ink, text.YCenter
		}
		pl.Add(dots, labels)
		if len(p.Dots) > 1 {
			pl.Legend.Add(s.Name, dots)
		}
	}
	var ticks plot.ConstantTicks
	for i, name := range p.Rows {
		ticks = append(ticks, plot.Tick{Value: float64(rows - 1 - i), Label: name})
	}
	pl.Y.Tick.Marker, pl.Y.Min = ticks, -0.6
	pl.Y.Max = float64(rows) - 0.4
	if len(p.Dots) > 1 {
		pl.Y.Max += 0.2 + float64(rows)/6 // room for the legend
	}
	pl.X.Scale, pl.X.Tick.Marker, pl.X.Min, pl.X.Max = plot.LogScale{}, powers(p.Unit), p.Floor, top*8
	return nil
}

func (p panel) drawBars(pl *plot.Plot, t theme) error {
	const width = 30
	for i, s := range p.Bars {
		bars, err := plotter.NewBarChart(plotter.Values(s.Y), vg.Points(width))
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = t.colour(s), 0
		offset := width * (float64(i) - float64(len(p.Bars)-1)/2)
		bars.Offset = vg.Points(offset)
		at := plotter.XYLabels{}
		for j, value := range s.Y {
			at.XYs = append(at.XYs, plotter.XY{X: float64(j), Y: value})
			at.Labels = append(at.Labels, amount(value, p.Unit))
		}
		labels, err := plotter.NewLabels(at)
		if err != nil {
			return err
		}
		labels.Offset = vg.Point{X: vg.Points(offset), Y: 3}
		for j := range labels.TextStyle {
			labels.TextStyle[j].Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9}
			labels.TextStyle[j].Color, labels.TextStyle[j].XAlign = t.ink, text.XCenter
		}
		pl.Add(bars, labels)
		pl.Legend.Add(s.Name, bars)
		pl.Y.Max = max(pl.Y.Max, 1.4*slices.Max(s.Y)) // room for the legend
	}
	pl.Y.Min = 0
	pl.NominalX(p.Rows...)
	return nil
}

// plainTicks writes the numbers as the tables do.
type plainTicks struct{ plot.DefaultTicks }

func (d plainTicks) Ticks(low, high float64) []plot.Tick {
	ticks := d.DefaultTicks.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = digits(ticks[i].Value)
		}
	}
	return ticks
}

// powers marks the powers of ten.
func powers(unit string) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) (ticks []plot.Tick) {
		for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
			if v := math.Pow(10, e); v >= low*0.999 && v <= high*1.001 {
				ticks = append(ticks, plot.Tick{Value: v, Label: amount(v, unit)})
			}
		}
		return ticks
	})
}

// notRun stands for what was not measured.
const notRun = -1

// unquoted is a text for a figure of one in Markdown.
func unquoted(text string) string { return strings.ReplaceAll(text, "`", "") }

// spanOf writes 1m0s as 1m.
func spanOf(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// amount writes a value for a reader, to two or three digits.
func amount(value float64, unit string) string {
	if value == 0 {
		return "0"
	}
	if unit == "s" {
		switch {
		case value < 1e-3:
			return digits(value*1e6) + " µs"
		case value < 0.9995:
			return digits(value*1e3) + " ms"
		}
	}
	if unit == "%" {
		return digits(value) + " %"
	}
	return strings.TrimSpace(digits(value) + " " + unit)
}

// digits writes 1234567 as 1,234,567 and 0.01234 as 0.012.
func digits(value float64) string {
	if math.Abs(value) < 99.5 { // two digits
		return strconv.FormatFloat(value, 'g', 2, 64)
	}
	whole := strconv.FormatFloat(value, 'f', 0, 64)
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole
}
