package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// wholeEnv is set where the measurements are to be made at their whole size. Without it
// they are small, and tests like all others.
const wholeEnv = "REQUEUE_BENCH"

// tested measures by a test of a package, which tells a row by an attribute "row" of
// itself (testing.T.Attr).
func tested(pkg string) measurer {
	return func(ctx context.Context, in place, name string) (rows []row, err error) {
		output, err := in.run(ctx, "internal/"+pkg, "go", "tool", "test2json", filepath.Join(in.tests, pkg+".test"),
			"-test.v=test2json", "-test.timeout=10m", "-test.parallel=3", "-test.run=^TestMeasure$/^"+name+"$")
		var says strings.Builder
		for line := range bytes.Lines(output) {
			var event struct{ Action, Key, Value, Output string }
			if err := json.Unmarshal(line, &event); err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			if !strings.HasPrefix(event.Output, "=== ATTR") {
				says.WriteString(event.Output)
			}
			if event.Action != "attr" || event.Key != "row" {
				continue
			}
			var r row
			if err := json.Unmarshal([]byte(event.Value), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", event.Value, err)
			}
			rows = append(rows, r)
		}
		if err == nil && rows == nil {
			err = errors.New("it tells no row")
		}
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, &says)
		}
		return rows, nil
	}
}

// benchmarks measures by benchmarks, in so many processes, each so many times.
func benchmarks(pattern string, processes, count int) measurer {
	return func(ctx context.Context, in place, _ string) ([]row, error) {
		var all []byte
		for range processes {
			output, err := in.run(ctx, "internal/bench", filepath.Join(in.tests, "bench.test"),
				"-test.run=^$", "-test.bench=^Benchmark"+pattern+"$", "-test.benchtime=40ms", "-test.timeout=10m", "-test.count="+strconv.Itoa(count))
			if err != nil {
				return nil, fmt.Errorf("%w\n%s", err, output)
			}
			all = append(all, output...)
		}
		return summarized(all)
	}
}

// printed measures by a program: what is measured is what it prints.
func printed(program string) measurer {
	return func(ctx context.Context, in place, _ string) ([]row, error) {
		output, err := in.run(ctx, "", "go", "run", program)
		return []row{{Text: string(output)}}, err
	}
}

// run runs a command and returns what it prints. One that is stopped may clean up.
func (in place) run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = filepath.Join(in.root, dir), append(os.Environ(), wholeEnv+"=whole")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	output, err := cmd.Output()
	if err != nil {
		return output, fmt.Errorf("%v: %w", cmd, err)
	}
	return output, nil
}

// cores is what package testing appends to the name of a benchmark.
var cores = regexp.MustCompile(`-\d+$`)

// baselines are the last parts of the names of benchmarks that others are compared with.
var baselines = []string{"queue=" + oursName, "call=nextrequeue"}

// summarized are the medians of benchmarks as benchstat computes them, with the ends of
// their confidence interval, and how probable it is that one differs from ours by chance
// alone, p: that of benchstat, of the Mann-Whitney U-test.
func summarized(output []byte) (rows []row, err error) {
	type key struct{ name, unit string }
	samples := map[key][]float64{}
	var names []string
	units := map[string][]string{}
	reader := benchfmt.NewReader(bytes.NewReader(output), "")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // a line of the configuration
		}
		name := cores.ReplaceAllString(string(result.Name.Full()), "")
		if units[name] == nil {
			names = append(names, name)
		}
		for _, v := range result.Values {
			k := key{name, v.Unit}
			if samples[k] == nil {
				units[name] = append(units[name], v.Unit)
			}
			samples[k] = append(samples[k], v.Value)
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	for _, name := range names {
		r := row{Of: strings.Split(name, "/"), Values: map[string]float64{}}
		for _, unit := range units[name] {
			sample := benchmath.NewSample(samples[key{name, unit}], &benchmath.DefaultThresholds)
			s := benchmath.AssumeNothing.Summary(sample, 0.95)
			r.Values["n"], r.Values[unit] = float64(len(sample.Values)), s.Center
			r.Values[unit+" low"], r.Values[unit+" high"] = sample.Values[0], sample.Values[len(sample.Values)-1]
			for _, last := range baselines {
				with := strings.Join(append(r.Of[:len(r.Of)-1:len(r.Of)-1], last), "/")
				if other := samples[key{with, unit}]; other != nil && with != name {
					r.Values[unit+" p"] = benchmath.AssumeNothing.Compare(benchmath.NewSample(other, &benchmath.DefaultThresholds), sample).P
				}
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}
