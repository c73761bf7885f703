// Command bench measures what requeue and deadlinequeue gain and cost, beside what
// controllers do without them. Run it in the root of a clone:
//
//	go run ./bench            measures all, some minutes
//	go run ./bench -list      says what there is
//	go run ./bench -run race  measures some
//
// It writes bench/results.json, with the raw figures and what they were measured on,
// and from that the figures of docs/figures and all that stands between markers in
// README.md and docs. Each measurement runs in a process of its own. It reads processor
// times and sends signals as Unix does, so it does not build on Windows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/requeue-go/requeue/bench/faults"
)

func main() {
	if faults.Child() {
		return
	}
	if name := os.Getenv(childEnv); name != "" {
		runChild(name)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out *os.File) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	root := flags.String("root", ".", "root `directory` of the clone")
	list := flags.Bool("list", false, "list the measurements, and measure nothing")
	run := flags.String("run", "", "measure those whose name matches the `regexp`; of the others the results stay as they are")
	write := flags.Bool("write", false, "measure nothing, and write documents and figures from the results that are there")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, "Usage: go run ./bench [flags]\n\nMeasures, and writes bench/results.json, docs/figures, and what is between markers in\nREADME.md and docs.\n\n")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("%q is not a flag; -h lists them", flags.Arg(0))
	}
	if *list {
		for _, m := range measures {
			fmt.Fprintf(out, "%-12s %s\n", m.name, m.title)
		}
		return nil
	}
	pattern, err := regexp.Compile(*run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if gomod, err := os.ReadFile(filepath.Join(*root, "go.mod")); err != nil || !strings.HasPrefix(string(gomod), "module github.com/requeue-go/requeue\n") {
		return fmt.Errorf("%s is not the root of a clone of requeue; go there, or use -root", *root)
	}
	all, err := readResults(*root)
	if err != nil {
		return err
	}
	if !*write {
		if err := measureAll(ctx, *root, all, pattern, out); err != nil {
			return err
		}
	}
	return writeDocuments(*root, all)
}

// measureAll measures what matches and writes the results after each, so that none is
// lost if a later one fails.
func measureAll(ctx context.Context, root string, all results, pattern *regexp.Regexp, out *os.File) error {
	var chosen []measure
	for _, m := range measures {
		if pattern.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-run %s matches nothing; -list says what there is", pattern)
	}
	began := time.Now()
	for i, m := range chosen {
		p := newProgress(out, fmt.Sprintf("[%d/%d] %-12s", i+1, len(chosen), m.name))
		e, err := runInChild(ctx, root, m, p.say)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		p.end(fmt.Sprintf("%.1fs", e.Seconds))
		all[m.name] = e
		if err := all.write(root); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "all in %.0fs\n", time.Since(began).Seconds())
	return nil
}

// progress is a line that says what is going on: rewritten in a terminal, and printed
// at the end elsewhere.
type progress struct {
	out      io.Writer
	head     string
	terminal bool
}

func newProgress(out *os.File, head string) *progress {
	p := &progress{out: out, head: head, terminal: term.IsTerminal(int(out.Fd()))}
	p.say("...")
	return p
}

func (p *progress) say(text string) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[2K%s %s", p.head, text)
	}
}

func (p *progress) end(text string) {
	p.say("")
	if p.terminal {
		fmt.Fprint(p.out, "\r")
	}
	fmt.Fprintln(p.out, p.head, text)
}
