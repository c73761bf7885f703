// Command bench measures what requeue and deadlinequeue gain and cost, beside what
// controllers do without them. Run it in the root of a clone:
//
//	go run ./internal/bench              measures all, less than six minutes
//	go run ./internal/bench -run 'race'  measures some
//	go run ./internal/bench -write       measures nothing, and fills the documents
//
// A measurement is a test of this package or of internal/faults, or a benchmark. It is run in
// a process of its own, so that none inherits the heap and the timers of another; by hand it is
//
//	REQUEUE_BENCH=whole go test -run Measure/race -json ./internal/bench
//	REQUEUE_BENCH=whole go test -run '^$' -bench QueueCost -count 6 ./internal/bench
//
// What they tell becomes rows of internal/bench/results.json, and these become the figures of
// docs/figures and what stands between markers in README.md and docs. It reads processor
// times and sends signals as Unix does, so it does not build on Windows.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	only := flags.String("run", "", "measure those whose name matches the `regexp`; of the others the results stay as they are")
	write := flags.Bool("write", false, "measure nothing, and write documents and figures from the results that are there")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if !slices.ContainsFunc(measures, func(m measure) bool { return pattern.MatchString(m.name) }) {
		return fmt.Errorf("-run %s matches no measurement", pattern)
	}
	all, err := readResults()
	if err != nil {
		return err
	}
	if !*write {
		began := time.Now()
		if err := measureAll(ctx, all, pattern); err != nil {
			return err
		}
		if *only == "" {
			all["whole"] = []row{{Measure: "whole", Of: []string{"all"}, Values: map[string]float64{"minutes": time.Since(began).Minutes()}}}
		}
		if err := all.write(); err != nil {
			return err
		}
	}
	files, err := all.files()
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// phase is what a measurement needs of the machine. One phase comes after the other.
type phase int

const (
	alone   phase = iota // speed is what is measured: nothing else may run
	virtual              // all counts in virtual time: it may be slow, so two run at a time
	idle                 // it waits for real time to pass
)

// measureAll measures what matches and writes the results after each, so that none is lost if
// a later one fails.
func measureAll(ctx context.Context, all results, pattern *regexp.Regexp) error {
	var mu sync.Mutex // guards the results
	for p, atATime := range []int{alone: 1, virtual: 2, idle: 2} {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(atATime)
		for _, m := range measures {
			if m.phase != phase(p) || m.command == nil || !pattern.MatchString(m.name) {
				continue
			}
			group.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				began := time.Now()
				rows, err := m.run(ctx)
				if err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
				fmt.Printf("%-12s %4.0f s, %d rows\n", m.name, time.Since(began).Seconds(), len(rows))
				rows = append(rows, row{Of: []string{about}, Text: thisMachine()})
				for i := range rows {
					rows[i].Measure = m.name
				}
				mu.Lock()
				defer mu.Unlock()
				all[m.name] = rows
				return all.write()
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}
