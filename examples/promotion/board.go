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

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// board shows the race: in a terminal a table that is drawn again and again,
// elsewhere a line for each promotion that is failed, and at the end a summary.
type board struct {
	out        io.Writer
	size       func() (width, height int) // of the terminal; nil if out is none
	interval   time.Duration
	contenders []contender

	mu         sync.Mutex // guards all below
	begin      time.Time
	rows       []row
	reconciles []int // of each contender
	drawn      int   // lines of the table on the screen
	open       int   // cells that are to fail and have not
	done       chan struct{}
}

type row struct {
	name    string
	timeout time.Duration
	cells   []cell // of each contender
}

type cell struct {
	phase string
	late  time.Duration // if phase is Failed
}

func newBoard(out io.Writer, size func() (width, height int), interval time.Duration, contenders []contender) *board {
	return &board{
		out: out, size: size, interval: interval, contenders: contenders,
		reconciles: make([]int, len(contenders)), done: make(chan struct{}),
	}
}

// start says what is to come and starts the clock.
func (b *board) start(manifests []manifest, load bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.contenders)
	for _, m := range manifests {
		b.rows = append(b.rows, row{name: m.name, timeout: m.timeout, cells: make([]cell, n)})
		if m.timeout > 0 {
			b.open += n
		}
	}
	slices.SortStableFunc(b.rows, func(x, y row) int { return cmp.Compare(x.timeout, y.timeout) })
	b.begin = time.Now()
	fmt.Fprintf(b.out, "%s for each controller, poll interval %v; this takes up to %v\n",
		promotions(len(b.rows)), b.interval, b.length(load))
	if load {
		extra := ballastFor(b.interval)
		fmt.Fprintf(b.out, "and %d more to keep its %d workers busy: %v a look, 167 %% of what they can do\n",
			extra.promotions, workersAtLoad, round(extra.look))
	}
	fmt.Fprintln(b.out, notes(manifests))
}

// notes says what the timeouts are counted from, and names the promotions without one.
func notes(manifests []manifest) string {
	text := "startedAt has whole seconds, so a timeout may seem to end up to 1s early\n"
	var none []string
	for _, m := range manifests {
		if m.timeout <= 0 {
			none = append(none, m.name)
		}
	}
	if none != nil {
		text += "without a timeout: " + strings.Join(none, ", ") + "\n"
	}
	return text
}

func promotions(n int) string {
	if n == 1 {
		return "1 promotion"
	}
	return fmt.Sprintf("%d promotions", n)
}

// length is how long a run takes at most: until the poll after the last deadline,
// and at load until the backlog of two rounds is worked off.
func (b *board) length(load bool) time.Duration {
	length := b.rows[len(b.rows)-1].timeout + b.interval
	if load {
		length += 2 * 2 * b.interval
	}
	if length < 0 { // overflow: of two positive durations
		length = math.MaxInt64 - grace
	}
	return length
}

// observe takes the end of a reconcile by a contender.
func (b *board) observe(contender int, e controller.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.rows, func(r row) bool { return r.name == e.Name })
	if i < 0 { // ballast
		return
	}
	b.reconciles[contender]++
	cell := &b.rows[i].cells[contender]
	cell.phase = e.Phase
	if !e.Failed {
		return
	}
	cell.late = e.Late
	if b.size == nil {
		fmt.Fprintf(b.out, "%7.3fs  %-18s timeout %-5v %-14s timed out %v late\n",
			time.Since(b.begin).Seconds(), e.Name, b.rows[i].timeout, b.contenders[contender].title, round(e.Late))
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

// draw draws the table in place of the one on the screen. What does not fit ends in "…".
func (b *board) draw(width, height int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const timeout, text = 8, 14 // the widths of a timeout, and of a cell without its bar
	n := len(b.contenders)
	name := len("PROMOTION")
	for _, r := range b.rows {
		name = max(name, len(r.name))
	}
	name = max(min(name, width-timeout-n*(text+2)-1), len("PROMOTION"))
	// Of a bar as long as the interval; none where there is hardly any room.
	bar := min((width-name-timeout-1)/n-2-text, 16)
	if bar < 4 {
		bar = 0
	}
	head := fmt.Sprintf("%-*s %-*s", name, "PROMOTION", timeout, "TIMEOUT")
	for _, c := range b.contenders {
		head += fmt.Sprintf("  %-*s", text+bar, strings.ToUpper(c.title))
	}
	lines := []string{head}
	for _, r := range b.rows {
		line := fmt.Sprintf("%-*s %-*s", name, cut(r.name, name), timeout, timeoutText(r.timeout))
		for _, c := range r.cells {
			line += fmt.Sprintf("  %-*s", text+bar, b.cellText(c, bar))
		}
		lines = append(lines, line)
	}
	if len(lines) >= height { // the cursor cannot be moved up past the screen's top
		shown := max(height-2, 1)
		lines = append(lines[:shown], fmt.Sprintf("... and %d more", len(lines)-shown))
	}
	var screen strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&screen, "\x1b[%dA", b.drawn)
	}
	for _, line := range lines {
		fmt.Fprintf(&screen, "\x1b[2K%s\n", cut(strings.TrimRight(line, " "), width))
	}
	b.drawn = len(lines)
	fmt.Fprint(b.out, screen.String())
}

// cut shortens a text that is wider, and shows that it did.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:max(width-1, 0)]) + "…"
	}
	return text
}

func (b *board) cellText(c cell, bar int) string {
	if c.phase != v1alpha1.PhaseFailed {
		return strings.ToLower(c.phase)
	}
	late := round(c.late).String() + " late"
	if bar == 0 {
		return late
	}
	n := int(min(max(float64(c.late)/float64(b.interval), 0), 1) * float64(bar-1))
	return fmt.Sprintf("%-13s %s", late, strings.Repeat("█", n)+"▏")
}

// summary prints how the contenders did and returns how many promotions were to
// be failed and were not.
func (b *board) summary() (missed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.contenders)
	due, failed, late := make([]int, n), make([]int, n), make([][]time.Duration, n)
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
		text := fmt.Sprintf("%-12s", title)
		for i := range b.contenders {
			text += fmt.Sprintf("  %-16s", value(i))
		}
		fmt.Fprintln(b.out, strings.TrimRight(text, " "))
	}
	fmt.Fprintln(b.out)
	line("", func(i int) string { return b.contenders[i].title })
	line("timed out", func(i int) string { return fmt.Sprintf("%d of %d", failed[i], due[i]) })
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
