package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columns = 80
	margin  = 16                   // of the names
	cells   = columns - margin - 3 // of the time axis; the last time on it needs the rest
)

// The marks of a timeline.
const (
	markLine     = '─'
	markTimeout  = '┊'
	markLook     = '●'
	markConflict = '!'
	markFailed   = '■'
	markLost     = '✗'
)

// The colours, as a terminal takes them.
const (
	dim    = "\x1b[2m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	reset  = "\x1b[0m"
)

// A drawing is what the command prints.
type drawing struct {
	scenario
	colour bool
	out    strings.Builder
	length time.Duration // of the time axis
}

// row is one controller and what it did.
type row struct {
	name  string
	looks []look
}

func (r row) last() look { return r.looks[len(r.looks)-1] }

// String draws the timelines of the three controllers, and says what each did.
func (d *drawing) String() string {
	d.out.Reset()
	rows := []row{
		{"fixed interval", d.run(fixedInterval)},
		{"by hand", d.run(byHand)},
		{"requeue", d.run(withRequeue)},
	}
	d.length = d.timeout
	wide := 0 // of the longest time
	for _, r := range rows {
		d.length = max(d.length, r.last().at)
		for _, l := range r.looks {
			wide = max(wide, len(short(l.at)))
		}
	}
	d.intro()
	d.axis()
	for _, r := range rows {
		d.timeline(r)
	}
	d.out.WriteByte('\n')
	for _, r := range rows {
		d.account(r, wide)
	}
	fmt.Fprintf(&d.out, "\n%c look   %c look with a conflict   %c failed   %c lost   %c timeout\n", markLook, markConflict, markFailed, markLost, markTimeout)
	return d.out.String()
}

func (d *drawing) intro() {
	fmt.Fprintf(&d.out, "A promotion never ends by itself, and times out after %s.\n", short(d.timeout))
	fmt.Fprintf(&d.out, "In virtual time, three controllers look at it at least every %s.\n", short(d.poll))
	switch d.fails {
	case 0:
	case 1:
		fmt.Fprintln(&d.out, "The first try to fail it meets a conflict.")
	default:
		fmt.Fprintf(&d.out, "The first %d tries to fail it meet a conflict.\n", d.fails)
	}
	d.out.WriteByte('\n')
}

// cell is where a time is on the axis, from 0.
func (d *drawing) cell(at time.Duration) int {
	return int(math.Round(float64(at) / float64(d.length) * (cells - 1)))
}

// axis writes the line that names the timeout and the one that names times.
func (d *drawing) axis() {
	above := []rune(strings.Repeat(" ", columns))
	name := fmt.Sprintf("timeout %s", short(d.timeout))
	at := margin + d.cell(d.timeout)
	put(above, min(at, columns-utf8.RuneCountInString(name)), name)
	d.line(string(above))

	names := []rune(strings.Repeat(" ", columns))
	step := d.step()
	for t := time.Duration(0); t <= d.length; t += step {
		if name := short(t); margin+d.cell(t)+len(name) <= columns {
			put(names, margin+d.cell(t), name)
		}
	}
	d.line(string(names))
}

// step is the distance of the names on the axis: the shortest round one that gives at most 7.
func (d *drawing) step() time.Duration {
	const day = 24 * time.Hour
	round := []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day,
	}
	for _, step := range round {
		if d.length/step < 7 {
			return step
		}
	}
	step := 2 * day
	for d.length/step >= 7 {
		step *= 2
	}
	return step
}

// timeline draws one controller.
func (d *drawing) timeline(r row) {
	marks := []rune(strings.Repeat(" ", cells))
	for i := range d.cell(r.last().at) + 1 {
		marks[i] = markLine
	}
	marks[d.cell(d.timeout)] = markTimeout
	var drawn [cells]kind
	for _, l := range r.looks {
		at := d.cell(l.at)
		if l.what <= drawn[at] {
			continue
		}
		drawn[at] = l.what
		marks[at] = map[kind]rune{waiting: markLook, conflict: markConflict, failed: markFailed}[l.what]
	}
	if r.last().lost() {
		marks[d.cell(r.last().at)] = markLost
	}
	var text strings.Builder
	for _, m := range marks {
		text.WriteString(d.paint(d.colourOf(m, r), string(m)))
	}
	d.line(fmt.Sprintf("%-*s%s", margin, r.name, text.String()))
}

func (d *drawing) colourOf(mark rune, r row) string {
	switch mark {
	case markLine, markTimeout:
		return dim
	case markConflict:
		return yellow
	case markLost:
		return red
	case markFailed:
		if r.last().end-d.timeout > time.Second {
			return yellow
		}
		return green
	}
	return ""
}

// told is of how many looks at most account tells, the first and the last ones.
const told = 4

// account says what a controller did from the timeout on, and how that ended. The times
// are so many places wide.
func (d *drawing) account(r row, wide int) {
	from := len(r.looks) - 1
	for from > 0 && r.looks[from-1].what == conflict {
		from--
	}
	looks, skipped := r.looks[from:], 0
	if len(looks) > told {
		skipped = len(looks) - told
		looks = append(slices.Clone(looks[:told/2]), looks[len(looks)-told/2:]...)
	}
	name := r.name
	for i, l := range looks {
		if skipped > 0 && i == told/2 {
			d.line(fmt.Sprintf("%-*s%-*s  %d more", margin, "", wide, "...", skipped))
		}
		d.line(fmt.Sprintf("%-*s%-*s  %s", margin, name, wide, short(l.at), d.says(l)))
		name = ""
	}
}

func (d *drawing) says(l look) string {
	switch {
	case l.what == failed:
		return "failed, " + d.paint(d.colourOf(markFailed, row{looks: []look{l}}), short(l.end-d.timeout)+" late")
	case l.lost():
		return fmt.Sprintf("%v, RequeueAfter: %s is dropped: %s", l.what, short(l.returned), d.paint(red, "lost"))
	}
	return fmt.Sprintf("%v, RequeueAfter: %s", l.what, short(l.returned))
}

// line writes one line without blanks at its end.
func (d *drawing) line(text string) {
	d.out.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (d *drawing) paint(colour, text string) string {
	if !d.colour || colour == "" {
		return text
	}
	return colour + text + reset
}

// put writes text over line from the given place on.
func put(line []rune, at int, text string) {
	copy(line[at:], []rune(text))
}

// short writes a duration in milliseconds at the finest, and without the zeros that
// time.Duration writes: 12m, not 12m0s.
func short(d time.Duration) string {
	text := d.Round(time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
