package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"
)

// A board says what is going on: in a terminal in a line that is rewritten, with all that
// is measured at the time, and elsewhere by a line for each that ends.
type board struct {
	out      *os.File
	terminal bool

	mu    sync.Mutex
	lines []*line
}

// A line is about one measurement.
type line struct {
	board      *board
	head, text string
}

func newBoard(out *os.File) *board {
	return &board{out: out, terminal: term.IsTerminal(int(out.Fd()))}
}

func (b *board) begin(head string) *line {
	l := &line{board: b, head: head}
	b.mu.Lock()
	b.lines = append(b.lines, l)
	b.mu.Unlock()
	l.say("...")
	return l
}

func (l *line) say(text string) {
	b := l.board
	b.mu.Lock()
	defer b.mu.Unlock()
	l.text = text
	b.draw("")
}

func (l *line) end(text string) {
	b := l.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = slices.DeleteFunc(b.lines, func(other *line) bool { return other == l })
	b.draw(l.head + " " + text + "\n")
}

// clear takes away what is left when something has failed.
func (b *board) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = nil
	b.draw("")
}

// draw writes what has ended, and then what is going on.
func (b *board) draw(ended string) {
	if !b.terminal {
		fmt.Fprint(b.out, ended)
		return
	}
	var going []string
	for _, l := range b.lines {
		going = append(going, l.head+" "+l.text)
	}
	text := []rune(strings.Join(going, "  "))
	if width, _, err := term.GetSize(int(b.out.Fd())); err == nil && len(text) >= width { // a wrapped line could not be rewritten
		text = text[:max(0, width-1)]
	}
	fmt.Fprintf(b.out, "\r\x1b[2K%s%s", ended, string(text))
}
