package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A measure is one entry of the list: how it is measured, and how its data are shown.
type measure struct {
	name  string
	load  load
	title string
	run   func(m *measuring) any
	show  func(data json.RawMessage) (shown, error)
}

// A load is what a measurement needs of the machine.
type load int

const (
	processor load = iota // speed is what is measured: nothing else may run
	virtual               // all counts in virtual time: it may be slow
	idle                  // it waits for real time to pass: something virtual may run beside it
)

// shown is what goes into documents and figures.
type shown struct {
	values  map[string]string // of the markers: a text, or a table
	figures []figure
}

// newMeasure ties a measure to the type of its data, D.
func newMeasure[D any](name string, load load, title string, run func(m *measuring) D, show func(D) shown) measure {
	return measure{
		name: name, load: load, title: title,
		run: func(m *measuring) any { return run(m) },
		show: func(data json.RawMessage) (shown, error) {
			var d D
			if err := json.Unmarshal(data, &d); err != nil {
				return shown{}, fmt.Errorf("%s: %s: %w", resultsFile, name, err)
			}
			return show(d), nil
		},
	}
}

// measuring is what a measurement has: a test, as virtual time is to be had in tests
// only, and somebody to tell how far it is.
type measuring struct {
	*testing.T
	messages *json.Encoder
}

// say tells how far the measurement is.
func (m *measuring) say(format string, args ...any) {
	_ = m.messages.Encode(message{Say: fmt.Sprintf(format, args...)})
}

// message is a line that the process of a measurement writes.
type message struct {
	Say  string          `json:",omitempty"`
	Data json.RawMessage `json:",omitempty"`
}

// childEnv names the measurement that a process is for.
const childEnv = "REQUEUE_BENCH_MEASURE"

// rootEnv names the root of the clone.
const rootEnv = "REQUEUE_BENCH_ROOT"

// runInChild measures in a process of its own, so that no measurement inherits the
// heap and the timers of another.
func runInChild(ctx context.Context, root string, m measure, say func(string)) (*result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+m.name, rootEnv+"="+root)
	cmd.ExtraFiles = []*os.File{write}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	began := time.Now()
	err = cmd.Start()
	write.Close()
	if err != nil {
		return nil, err
	}
	var data json.RawMessage
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var msg message
		if err := json.Unmarshal(lines.Bytes(), &msg); err != nil {
			return nil, errors.Join(err, cmd.Wait())
		}
		if msg.Say != "" {
			say(msg.Say)
		}
		if msg.Data != nil {
			data = msg.Data
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil || data == nil {
		return nil, fmt.Errorf("no result: %w\n%s", err, &output)
	}
	return &result{
		Measured: began.UTC().Truncate(time.Second), Seconds: time.Since(began).Seconds(),
		Machine: thisMachine(), Versions: versions(), Data: data,
	}, nil
}

// runChild is the process of a measurement. It does not return.
func runChild(name string) {
	os.Args = os.Args[:1] // package testing reads flags
	write := os.NewFile(3, "messages")
	for _, m := range measures {
		if m.name != name {
			continue
		}
		testing.Main(matchAll, []testing.InternalTest{{Name: name, F: func(t *testing.T) {
			messages := json.NewEncoder(write)
			data, err := json.Marshal(m.run(&measuring{t, messages}))
			if err != nil {
				t.Fatal(err)
			}
			if t.Failed() {
				return
			}
			if err := messages.Encode(message{Data: data}); err != nil {
				t.Fatal(err)
			}
		}}}, nil, nil)
	}
	fmt.Fprintf(os.Stderr, "%s is %q, which is no measurement\n", childEnv, name)
	os.Exit(2)
}

func matchAll(string, string) (bool, error) { return true, nil }

// machine is what was measured on.
type machine struct {
	CPU   string
	Cores int
	OS    string
	Arch  string
}

func thisMachine() machine {
	return machine{CPU: cpuModel(), Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}

// cpuModel is what Linux calls the processor; unknown elsewhere.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
