package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figure is a picture of panels side by side. Its file has the colours of both themes, and
// whoever shows it chooses.
type figure struct {
	name   string
	panels []panel
}

// panel has lines, or dots, or bars.
type panel struct {
	title, x, y string
	unit        string // of the axis of values: of X of lines and dots, of Y of bars
	lines       []series
	logX        bool
	// dots are values on a logarithmic axis, one for each of the rows. What is below floor
	// is drawn there, and what is negative is not: it was not measured.
	dots  []series
	bars  []series // in groups, one for each of the rows
	rows  []string
	floor float64
}

// series has a name, by which it is coloured. Of dots and bars there is a Y for each row.
type series struct {
	name string
	x, y []float64
}

// colours are those of the names in the light theme and in the dark one: what is ours is the
// same in all figures. Other names are grey.
var colours = [][2]string{
	{"#6e7781", "#9198a1"}, {"#bc4c00", "#f0883e"}, {"#0969da", "#58a6ff"}, {"#1a7f37", "#3fb950"},
	{"#8250df", "#bc8cff"}, {"#bf3989", "#ff7bc8"}, {"#1b7c83", "#76e3ea"}, {"#9a6700", "#d29922"},
}

var colourOf = map[string]int{
	"p50": 2, "p99": 3, "max": 1, "bound": 5,
	"by hand": 1, "returned error": 1, "client-go": 1, "client-go, exact": 1,
	"NextRequeue": 2, "a wait in place of the error": 2, "controller-runtime, timer": 2,
	"with deadlinequeue": 3, "deadlinequeue.Tell with the error": 3, "deadlinequeue": 3,
	"controller-runtime, raised": 4, "controller-runtime, kept": 4, "controller-runtime, timer, kept": 4,
	"controller-runtime": 5, "controller-runtime, exact": 5,
	"deadlinequeue, strict": 7, "deadlinequeue, adaptive": 6, "controller-runtime, timer, low": 6,
}

func (s series) class() string { return fmt.Sprintf("c%d", colourOf[s.name]) }

func (f figure) path() string { return "docs/figures/" + f.name + ".svg" }

// Sizes in pixels.
const (
	wholeWidth = 860.0
	lineHeight = 14.0
	dotHeight  = 11.0
	plotHeight = 170.0
	letter     = 6.2 // the mean width of one
)

// canvas collects the elements of a picture.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, args ...any) {
	_, _ = fmt.Fprintf(&c.Builder, format+"\n", args...)
}

// text writes one that is anchored at its start, middle or end.
func (c *canvas) text(x, y float64, anchor, text string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, &escaped)
}

func (f figure) svg() []byte {
	var c canvas
	legend := slices.Concat(f.panels[0].lines, f.panels[0].dots, f.panels[0].bars)
	top := 6.0
	if len(legend) > 1 {
		x := 10.0
		for _, s := range legend {
			width := 26 + letter*float64(len(s.name))
			if x+width > wholeWidth {
				x, top = 10, top+lineHeight
			}
			c.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, s.class(), x+4, top+8)
			c.text(x+12, top+12, "start", s.name)
			x += width
		}
		top += lineHeight + 8
	}
	width, bottom := wholeWidth/float64(len(f.panels)), 0.0
	for i, p := range f.panels {
		bottom = max(bottom, p.draw(&c, width*float64(i), top, width))
	}
	var head canvas
	head.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]g" height="%.0[2]f" viewBox="0 0 %[1]g %.0[2]f" font-family="Arial,Helvetica,sans-serif" font-size="11">`, wholeWidth, bottom)
	head.add("<style>")
	for theme, ink := range []struct{ text, grid string }{{"#24292f", "#d0d7de"}, {"#e6edf3", "#3d444d"}} {
		if theme == 1 {
			head.add("@media (prefers-color-scheme: dark) {")
		}
		head.add("text { fill: %s } .grid { stroke: %s }", ink.text, ink.grid)
		for i, colour := range colours {
			head.add(".c%d { color: %s }", i, colour[theme])
		}
	}
	head.add("}\ncircle, rect { fill: currentColor } polyline { fill: none; stroke: currentColor; stroke-width: 2 }\n</style>")
	return []byte(head.String() + c.String() + "</svg>\n")
}

// axis puts values between two ends of the picture.
type axis struct {
	least, most float64 // values
	from, to    float64 // pixels
	log         bool
}

func (a axis) at(value float64) float64 {
	least, most := a.least, a.most
	if a.log {
		least, most, value = math.Log(least), math.Log(most), math.Log(value)
	}
	return a.from + (a.to-a.from)*(value-least)/(most-least)
}

// ticks are powers of ten, or a few round numbers.
func (a axis) ticks() (at []float64) {
	if a.log {
		for e := math.Ceil(math.Log10(a.least) - 1e-9); e <= math.Log10(a.most)+1e-9; e++ {
			at = append(at, math.Pow(10, e))
		}
		return at
	}
	base, step := math.Pow(10, math.Floor(math.Log10(a.most))), 0.0
	for _, times := range []float64{0.2, 0.5, 1, 2} {
		if step = base * times; a.most/step <= 6 {
			break
		}
	}
	for i := 0.0; i*step <= a.most*1.001; i++ {
		at = append(at, i*step)
	}
	return at
}

// draw draws a panel and returns where it ends below.
func (p panel) draw(c *canvas, left, top, width float64) (bottom float64) {
	c.text(left+width/2, top+10, "middle", p.title)
	top += 20
	names := 8 // letters of the longest label of the axis on the left
	if p.dots != nil {
		for _, name := range p.rows {
			names = max(names, len(name))
		}
	}
	from, to := left+14+letter*float64(names), left+width-26
	height := plotHeight
	if p.dots != nil {
		height = float64(len(p.rows)) * (dotHeight*float64(len(p.dots)) + 8)
	}
	bottom = top + height
	switch {
	case p.lines != nil:
		p.drawLines(c, axis{from: from, to: to, log: p.logX}, axis{from: bottom, to: top})
	case p.dots != nil:
		p.drawDots(c, axis{from: from, to: to - 50, log: true}, top, height/float64(len(p.rows)))
	default:
		p.drawBars(c, from, to, axis{from: bottom, to: top})
	}
	if p.x != "" {
		c.text((from+to)/2, bottom+28, "middle", p.x)
		bottom += lineHeight
	}
	if p.y != "" {
		c.add(`<g transform="translate(%.1f %.1f) rotate(-90)">`, left+10, top+height/2)
		c.text(0, 0, "middle", p.y)
		c.add("</g>")
	}
	return bottom + 20
}

// upright draws the axis below, with its grid.
func (a axis) upright(c *canvas, unit string, top, bottom float64) {
	for _, v := range a.ticks() {
		c.add(`<path class="grid" d="M%.1f %.1fV%.1f"/>`, a.at(v), top, bottom)
		c.text(a.at(v), bottom+14, "middle", amount(v, unit))
	}
}

// level draws the axis on the left, with its grid.
func (a axis) level(c *canvas, left, right float64) {
	for _, v := range a.ticks() {
		c.add(`<path class="grid" d="M%.1f %.1fH%.1f"/>`, left, a.at(v), right)
		c.text(left-5, a.at(v)+4, "end", digits(v))
	}
}

func (p panel) drawLines(c *canvas, x, y axis) {
	x.least, x.most = math.Inf(1), 0
	for _, s := range p.lines {
		x.least, x.most = min(x.least, slices.Min(s.x)), max(x.most, slices.Max(s.x))
		y.most = max(y.most, slices.Max(s.y))
	}
	x.upright(c, p.unit, y.to, y.from)
	y.level(c, x.from, x.to)
	for _, s := range p.lines {
		var points []string
		for i := range s.x {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(s.x[i]), y.at(s.y[i])))
		}
		c.add(`<polyline class="%s" points="%s"/>`, s.class(), strings.Join(points, " "))
	}
}

func (p panel) drawDots(c *canvas, x axis, top, height float64) {
	x.least, x.most = p.floor, 10*p.floor
	for _, s := range p.dots {
		x.most = max(x.most, slices.Max(s.y))
	}
	x.upright(c, p.unit, top, top+height*float64(len(p.rows)))
	for i, name := range p.rows {
		y := top + height*float64(i)
		c.add(`<path class="grid" d="M%.1f %.1fH%.1f"/>`, x.from, y, x.to)
		c.text(x.from-6, y+height/2+4, "end", name)
		for j, s := range p.dots {
			if i >= len(s.y) || s.y[i] < 0 {
				continue
			}
			at, y := x.at(max(s.y[i], p.floor)), y+4+dotHeight*(float64(j)+0.5)
			c.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, s.class(), at, y)
			c.add(`<g font-size="9">`)
			c.text(at+7, y+3, "start", amount(s.y[i], p.unit))
			c.add("</g>")
		}
	}
}

func (p panel) drawBars(c *canvas, left, right float64, y axis) {
	for _, s := range p.bars {
		y.most = max(y.most, slices.Max(s.y)*1.05)
	}
	y.level(c, left, right)
	group := (right - left) / float64(len(p.rows))
	width := min(group/float64(len(p.bars)+1), 40)
	for i, name := range p.rows {
		middle := left + group*(float64(i)+0.5)
		c.text(middle, y.from+14, "middle", name)
		for j, s := range p.bars {
			x, top := middle+width*(float64(j)-float64(len(p.bars))/2), y.at(s.y[i])
			c.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, s.class(), x, top, width-2, y.from-top)
			c.add(`<g font-size="9">`)
			c.text(x+width/2-1, top-3, "middle", amount(s.y[i], p.unit))
			c.add("</g>")
		}
	}
}

// unquoted is a name of a table for a figure, which has no code in another font.
func unquoted(name string) string { return strings.ReplaceAll(name, "`", "") }

// seconds writes a time for a reader.
func seconds(s float64) string { return amount(s, "s") }

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
