package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// figure is a picture of values on a logarithmic axis, with a line of dots for each name of
// rows. Its file has the colours of both themes, and whoever shows it chooses.
type figure struct {
	title string
	// keys are the values that are drawn: a colour each if there are several. Else there is
	// a colour for each last part of the names.
	keys  []string
	floor float64 // the left end, at which a smaller value is drawn
}

// colours are those of the light theme and of the dark one, by the names of what is drawn:
// the first whose words the name begins with. The rest is grey.
var colours = []struct{ words, light, dark string }{
	{"deadlinequeue, adaptive", "#1b7c83", "#76e3ea"}, {"deadlinequeue, strict", "#9a6700", "#d29922"},
	{"deadlinequeue", "#1a7f37", "#3fb950"}, {"with deadlinequeue", "#1a7f37", "#3fb950"}, {"late p99", "#1a7f37", "#3fb950"},
	{"controller-runtime, timer, low", "#1b7c83", "#76e3ea"}, {"controller-runtime, timer, kept", "#8250df", "#bc8cff"},
	{"controller-runtime, timer", "#0969da", "#58a6ff"}, {"NextRequeue", "#0969da", "#58a6ff"}, {"a wait in", "#0969da", "#58a6ff"}, {"late p50", "#0969da", "#58a6ff"},
	{"controller-runtime, raised", "#8250df", "#bc8cff"}, {"controller-runtime, kept", "#8250df", "#bc8cff"},
	{"controller-runtime", "#bf3989", "#ff7bc8"}, {"bound", "#bf3989", "#ff7bc8"},
	{"client-go, fixed", "#6e7781", "#9198a1"}, {"client-go", "#bc4c00", "#f0883e"}, {"by hand", "#bc4c00", "#f0883e"},
	{"returned error", "#bc4c00", "#f0883e"}, {"late max", "#bc4c00", "#f0883e"}, {"", "#6e7781", "#9198a1"},
}

func colourOf(name string) int {
	for i, c := range colours {
		if strings.HasPrefix(name, c.words) {
			return i
		}
	}
	panic("the last colour is for all")
}

// Sizes in pixels.
const (
	width      = 860.0
	lineHeight = 14.0
	dotHeight  = 11.0
	letter     = 6.2 // the mean width of one
)

type dot struct {
	name  string // of its colour
	value float64
}

// canvas collects the elements of a picture.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, args ...any) {
	_, _ = fmt.Fprintf(&c.Builder, format+"\n", args...)
}

// text writes a text that is anchored at its start, middle or end.
func (c *canvas) text(x, y float64, anchor, text string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, &escaped)
}

func (f figure) svg(rows []row) string {
	var lines, names []string
	dots := map[string][]dot{} // by line
	most, unit := 10*f.floor, ""
	for _, r := range rows {
		for _, key := range f.keys {
			line, name := r.Of[0], strings.ReplaceAll(r.Of[len(r.Of)-1], "`", "")
			if len(f.keys) > 1 {
				name, unit = titleOf(key)
			} else {
				line = strings.Join(r.Of[:len(r.Of)-1], ", ")
				_, unit = titleOf(key)
			}
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			dots[line] = append(dots[line], dot{name, r.Values[key]})
			most = max(most, r.Values[key])
		}
	}

	var grid, c canvas
	left, top := 10.0, 6.0
	for _, name := range names {
		long := 26 + letter*float64(len(name))
		if left+long > width {
			left, top = 10, top+lineHeight
		}
		c.add(`<circle class="c%d" cx="%.1f" cy="%.1f" r="4"/>`, colourOf(name), left+4, top+8)
		c.text(left+12, top+12, "start", name)
		left += long
	}
	top += 2*lineHeight + 8
	c.text(width/2, top-4, "middle", f.title)
	from, to := 14+letter*float64(len(slices.MaxFunc(lines, func(a, b string) int { return len(a) - len(b) }))), width-76
	at := func(value float64) float64 {
		return from + (to-from)*math.Log(max(value, f.floor)/f.floor)/math.Log(most/f.floor)
	}
	y := top + 4
	for _, line := range lines {
		height := dotHeight*float64(len(dots[line])) + 8
		grid.add(`<path class="grid" d="M%.1f %.1fH%.1f"/>`, from, y, to)
		c.text(from-6, y+height/2+4, "end", line)
		for i, d := range dots[line] {
			y := y + 4 + dotHeight*(float64(i)+0.5)
			c.add(`<circle class="c%d" cx="%.1f" cy="%.1f" r="4"/><g font-size="9">`, colourOf(d.name), at(d.value), y)
			c.text(at(d.value)+7, y+3, "start", amount(d.value, unit))
			c.add("</g>")
		}
		y += height
	}
	for tick := f.floor; tick <= most*1.001; tick *= 10 {
		grid.add(`<path class="grid" d="M%.1f %.1fV%.1f"/>`, at(tick), top+4, y)
		c.text(at(tick), y+14, "middle", amount(tick, unit))
	}

	var head canvas
	head.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]g" height="%.0[2]f" viewBox="0 0 %[1]g %.0[2]f" font-family="Arial,Helvetica,sans-serif" font-size="11">`, width, y+20)
	head.add("<style>\ncircle { fill: currentColor }\ntext { fill: #24292f } .grid { stroke: #d0d7de }")
	for i, colour := range colours {
		head.add(".c%d { color: %s }", i, colour.light)
	}
	head.add("@media (prefers-color-scheme: dark) {\ntext { fill: #e6edf3 } .grid { stroke: #3d444d }")
	for i, colour := range colours {
		head.add(".c%d { color: %s }", i, colour.dark)
	}
	head.add("}\n</style>")
	return head.String() + grid.String() + c.String() + "</svg>\n"
}
