package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// board shows the race: in a terminal a table that is drawn again and again,
// elsewhere a line for each promotion that is failed, and at the end a summary.
type board struct {
	out      io.Writer
	size     func() (width, height int) // of the terminal; nil if out is none
	interval time.Duration

	mu         sync.Mutex // guards all below
	begin      time.Time
	rows       []row
	reconciles [len(contenders)]int
	drawn      int // lines of the table on the screen
	open       int // cells that are to fail and have not
	done       chan struct{}
}

type row struct {
	name    string
	timeout time.Duration
	cells   [len(contenders)]cell
}

type cell struct {
	phase string
	late  time.Duration // if phase is Failed
}

func newBoard(out io.Writer, size func() (width, height int), manifests []manifest, interval time.Duration) *board {
	b := &board{out: out, size: size, interval: interval, done: make(chan struct{})}
	for _, m := range manifests {
		b.rows = append(b.rows, row{name: m.name, timeout: m.timeout})
		if m.timeout > 0 {
			b.open += len(contenders)
		}
	}
	slices.SortStableFunc(b.rows, func(x, y row) int { return cmp.Compare(x.timeout, y.timeout) })
	return b
}

// start says what is to come and starts the clock.
func (b *board) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin = time.Now()
	fmt.Fprintf(b.out, "%d promotions for each controller, poll interval %v; this takes up to %v\n\n",
		len(b.rows), b.interval, b.length())
}

// length is how long a run takes at most: until the poll after the last deadline.
func (b *board) length() time.Duration {
	return saturated(b.rows[len(b.rows)-1].timeout + b.interval)
}

// observe takes the end of a reconcile by a contender.
func (b *board) observe(contender int, e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reconciles[contender]++
	i := slices.IndexFunc(b.rows, func(r row) bool { return r.name == e.Name })
	if i < 0 { // another's promotion in our namespace
		return
	}
	cell := &b.rows[i].cells[contender]
	cell.phase = e.Phase
	if !e.Failed {
		return
	}
	cell.late = e.Late
	if b.size == nil {
		fmt.Fprintf(b.out, "%7.3fs  %-20s timeout %-5v %-15s failed %v late\n",
			time.Since(b.begin).Seconds(), e.Name, b.rows[i].timeout, contenders[contender].title, round(e.Late))
	}
	if b.open--; b.open == 0 {
		close(b.done)
	}
}

// watch draws until all is done or ctx ends.
func (b *board) watch(ctx context.Context) {
	if b.size == nil {
		select {
		case <-b.done:
		case <-ctx.Done():
		}
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for done := false; !done; {
		b.draw(b.size())
		select {
		case <-tick.C:
		case <-b.done:
			done = true
		case <-ctx.Done():
			done = true
		}
	}
	width, _ := b.size()
	b.draw(width, math.MaxInt) // all rows, once
}

// draw draws the table in place of the one on the screen.
func (b *board) draw(width, height int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := len("PROMOTION")
	for _, r := range b.rows {
		name = max(name, len(r.name))
	}
	head := fmt.Sprintf("%-*s %-8s", name, "PROMOTION", "TIMEOUT")
	for _, c := range contenders {
		head += fmt.Sprintf("  %-30s", strings.ToUpper(c.title))
	}
	lines := []string{head}
	for _, r := range b.rows {
		line := fmt.Sprintf("%-*s %-8s", name, r.name, timeoutText(r.timeout))
		for _, c := range r.cells {
			line += fmt.Sprintf("  %-30s", b.cellText(c))
		}
		lines = append(lines, line)
	}
	if len(lines) >= height { // the cursor cannot be moved up past the screen's top
		shown := max(height-2, 1)
		lines = append(lines[:shown], fmt.Sprintf("... and %d more", len(lines)-shown))
	}
	var text strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", b.drawn)
	}
	for _, line := range lines {
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		fmt.Fprintf(&text, "\x1b[2K%s\n", line)
	}
	b.drawn = len(lines)
	fmt.Fprint(b.out, text.String())
}

func (b *board) cellText(c cell) string {
	if c.phase != v1alpha1.PhaseFailed {
		return strings.ToLower(c.phase)
	}
	const width = 16 // of a bar as long as the interval
	n := int(min(max(float64(c.late)/float64(b.interval), 0), 1) * width)
	return fmt.Sprintf("%-12s %s", round(c.late).String()+" late", strings.Repeat("█", n)+"▏")
}

// summary prints how the contenders did and returns how many promotions were to
// be failed and were not.
func (b *board) summary() (missed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var due, failed [len(contenders)]int
	var late [len(contenders)][]time.Duration
	for _, r := range b.rows {
		for i, c := range r.cells {
			if r.timeout > 0 {
				due[i]++
			}
			if c.phase == v1alpha1.PhaseFailed {
				failed[i]++
				late[i] = append(late[i], c.late)
			}
		}
	}
	line := func(title string, value func(i int) string) {
		fmt.Fprintf(b.out, "%-24s", title)
		for i := range contenders {
			fmt.Fprintf(b.out, "  %-16s", value(i))
		}
		fmt.Fprintln(b.out)
	}
	fmt.Fprintln(b.out)
	line("", func(i int) string { return contenders[i].title })
	line("failed at their timeout", func(i int) string { return fmt.Sprintf("%d of %d", failed[i], due[i]) })
	line("late, p50", func(i int) string { return quantile(late[i], 0.5) })
	line("late, max", func(i int) string { return quantile(late[i], 1) })
	line("reconciles", func(i int) string { return fmt.Sprint(b.reconciles[i]) })
	return b.open
}

// quantile returns the smallest of ds that is no less than the share q of them.
func quantile(ds []time.Duration, q float64) string {
	if len(ds) == 0 {
		return "-"
	}
	slices.Sort(ds)
	return round(ds[int(math.Ceil(q*float64(len(ds))))-1]).String()
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func timeoutText(timeout time.Duration) string {
	if timeout <= 0 {
		return "none"
	}
	return timeout.String()
}
