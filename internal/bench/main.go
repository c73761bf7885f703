// Command bench measures what requeue and deadlinequeue gain and cost, beside what
// controllers do without them. Run it in the root of a clone:
//
//	go run ./internal/bench            measures all, about ten minutes
//	go run ./internal/bench -list      says what there is
//	go run ./internal/bench -run race  measures some
//
// It writes internal/bench/results.json, with the raw figures and what they were measured on,
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
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/requeue-go/requeue/internal/faults"
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
		fmt.Fprint(out, "Usage: go run ./internal/bench [flags]\n\nMeasures, and writes internal/bench/results.json, docs/figures, and what is between markers in\nREADME.md and docs.\n\n")
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
	s, err := all.show()
	if err != nil {
		return err
	}
	if err := writeFigures(*root, s.figures); err != nil {
		return err
	}
	return writeDocuments(*root, s.values)
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
	b := newBoard(out)
	defer b.clear()
	var mu sync.Mutex // guards the results
	one := func(ctx context.Context, i int) error {
		m := chosen[i]
		l := b.begin(fmt.Sprintf("[%d/%d] %-12s", i+1, len(chosen), m.name))
		e, err := runInChild(ctx, root, m, l.say)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		l.end(fmt.Sprintf("%.1fs", e.Seconds))
		mu.Lock()
		defer mu.Unlock()
		all[m.name] = e
		return all.write(root)
	}
	in := func(ctx context.Context, l load) error {
		for i, m := range chosen {
			if m.load == l {
				if err := one(ctx, i); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := in(ctx, processor); err != nil {
		return err
	}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return in(ctx, virtual) })
	both.Go(func() error { return in(ctx, idle) })
	if err := both.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(out, "all in %.0fs\n", time.Since(began).Seconds())
	return nil
}

func writeFigures(root string, figures []figure) error {
	for _, f := range figures {
		for _, theme := range themes {
			svg, err := f.svg(theme)
			if err != nil {
				return fmt.Errorf("figure %s: %w", f.Name, err)
			}
			if err := os.WriteFile(filepath.Join(root, f.path(theme)), svg, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
