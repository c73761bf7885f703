package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// measure is one measurement: a command, and the tables of what that tells.
type measure struct {
	name    string
	phase   phase
	command []string // nil: none of its own
	views   []view
}

// tested is a test of a package, which tells a row by an attribute "row" of itself
// (testing.T.Attr).
func tested(pkg, name string) []string {
	return []string{"go", "test", "-json", "-count=1", "-parallel=3", "-run=^TestMeasure$/^" + name + "$", "./internal/" + pkg}
}

// benchmarks are those whose names match, of which a row is the medians.
func benchmarks(pattern string, count int) []string {
	return []string{"go", "test", "-json", "-count=" + strconv.Itoa(count), "-run=^$", "-bench=^Benchmark" + pattern + "$", "-benchtime=40ms", "./internal/bench"}
}

// run returns the rows that the command tells. Of a program that is no test it is what that
// prints.
func (m measure) run(ctx context.Context) (rows []row, err error) {
	cmd := exec.CommandContext(ctx, m.command[0], m.command[1:]...)
	cmd.Env = append(os.Environ(), wholeEnv+"=whole")
	// What it has started is stopped with it, and may clean up: the go command waits for that
	// after an interrupt, and not after SIGTERM.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	output, err := cmd.Output()
	if m.command[1] != "test" {
		return []row{{Of: []string{m.name}, Text: string(output)}}, err
	}
	var says strings.Builder
	for line := range bytes.Lines(output) {
		var event struct{ Action, Key, Value, Output string }
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		if event.Action != "attr" {
			says.WriteString(event.Output)
		} else if event.Key == "row" {
			var r row
			if err := json.Unmarshal([]byte(event.Value), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", event.Value, err)
			}
			rows = append(rows, r)
		}
	}
	if err == nil && rows == nil {
		rows, err = summarized(says.String())
	}
	if err == nil && rows == nil {
		err = errors.New("it tells no row")
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd, err, &says)
	}
	return rows, nil
}

// cores is what package testing appends to the name of a benchmark.
var cores = regexp.MustCompile(`-\d+$`)

// baselines are the last parts of the names of benchmarks that others are compared with.
var baselines = []string{"queue=deadlinequeue", "call=NextRequeue"}

// Of a value that was compared with a baseline, a row has how many times it is, and how
// probable it is that they differ so much by chance alone.
const timesOurs, byChance = " times", " p"

// summarized are the medians of benchmarks, as benchstat computes them, and p, which is that
// of its Mann-Whitney U-test.
func summarized(output string) (rows []row, err error) {
	type key struct{ name, unit string }
	samples := map[key][]float64{}
	var keys []key // in order
	reader := benchfmt.NewReader(strings.NewReader(output), "")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // a line of the configuration
		}
		for _, v := range result.Values {
			k := key{cores.ReplaceAllString(string(result.Name.Full()), ""), v.Unit}
			if samples[k] == nil {
				keys = append(keys, k)
			}
			samples[k] = append(samples[k], v.Value)
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	at := map[string]int{} // by name
	for _, k := range keys {
		i, ok := at[k.name]
		if !ok {
			i = len(rows)
			at[k.name], rows = i, append(rows, row{Of: partsOf(k.name), Values: map[string]float64{"n": float64(len(samples[k]))}})
		}
		sample := benchmath.NewSample(samples[k], &benchmath.DefaultThresholds)
		median, values, title := benchmath.AssumeNothing.Summary(sample, 0.95).Center, rows[i].Values, keyOf(k.unit)
		values[title] = median
		for _, last := range baselines {
			with := key{k.name[:strings.LastIndex(k.name, "/")+1] + last, k.unit}
			if samples[with] == nil || with == k || median == 0 {
				continue
			}
			other := benchmath.NewSample(samples[with], &benchmath.DefaultThresholds)
			values[title+timesOurs] = median / benchmath.AssumeNothing.Summary(other, 0.95).Center
			if len(samples[k]) > 3 { // with fewer, none can be below 0.05
				values[title+byChance] = benchmath.AssumeNothing.Compare(other, sample).P
			}
		}
	}
	return rows, nil
}

// partsOf splits the name of a benchmark, such as "QueueCost/drain/queue=client-go". Package
// testing writes a space as "_".
func partsOf(name string) []string {
	parts := strings.Split(strings.ReplaceAll(name, "_", " "), "/")
	for i, part := range parts {
		if _, value, ok := strings.Cut(part, "="); ok {
			parts[i] = value
		}
	}
	return parts
}

// keyOf is the key of a unit, such as "CPU-sec/key" and "allocs/op".
func keyOf(unit string) string {
	name, _, _ := strings.Cut(unit, "/")
	if what, ok := strings.CutSuffix(name, "sec"); ok {
		return cmp.Or(strings.ReplaceAll(strings.TrimSuffix(what, "-"), "-", " "), "time") + " (s)"
	}
	if what, ok := strings.CutSuffix(name, "-B"); ok {
		return what + " (B)"
	}
	return name
}
