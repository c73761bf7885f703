// Package faults breaks what a controller with deadlines stands on, and counts what
// became of the deadlines: real processes are killed (kill -9), a real API server goes
// away, requests fail, and the clock is set. The controller is that of
// examples/promotion, and what coordinates several of it is Kubernetes (a Lease, the watch,
// the status with its resourceVersion).
//
// Who counts is an independent watch on the API server (package audit), which goes past
// what is broken. Each scenario has a bound for how late a deadline may be, which is the sum
// of what was broken for so long and of how the clients of Kubernetes come back from it.
// Lost is a deadline on which nobody has acted when that time is over, counted from when it
// passed or from when everything was back, whichever is later.
package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/process"
)

// parts are what this program executes itself for.
var parts = map[string]process.Part{"controller": runController, "server": runServer}

// Child runs what this process was started for and returns true, if it is one that a
// scenario has started. It must be called first of all in main, and in TestMain.
func Child() bool { return process.Main(parts) }

// Scale is how large a scenario is.
type Scale struct {
	// Promotions is how many have a deadline that comes to pass. A fifth more have none,
	// as they finish before.
	Promotions int
	// Spread is from the first deadline to the last.
	Spread time.Duration
	// Times is how often that is killed which is killed.
	Times int
	// Down is for how long the API server is away each time.
	Down time.Duration
	// Cuts is how often the watches are cut.
	Cuts int
}

// Small is the scale of a test: a scenario takes no more than 15 s.
func Small() Scale {
	return Scale{Promotions: 20, Spread: 3 * time.Second, Times: 1, Down: time.Second, Cuts: 1}
}

// Large is the scale of a measurement: a scenario takes no more than a minute.
func Large() Scale {
	return Scale{Promotions: 200, Spread: 24 * time.Second, Times: 3, Down: 3 * time.Second, Cuts: 2}
}

// Scenario is one kind of fault.
type Scenario struct {
	Name, Title string
	// Run injects it and counts. The error says that it could not be run, or what is
	// wrong with the report (Report.Check). Child must have been called in this process.
	// The logs of klog and controller-runtime are discarded from then on.
	Run func(ctx context.Context, s Scale, progress func(string)) (Report, error)
}

// All returns the scenarios.
func All() []Scenario {
	return []Scenario{
		{"leader", "the leading controller is killed (kill -9), a standby takes over", checked(runKilled)},
		{"stopped", "the leading controller is stopped (SIGSTOP), and goes on beside the next", checked(runStopped)},
		{"apiserver", "API server and etcd are killed (kill -9), and started again", checked(runAPIServer)},
		{"network", "requests are delayed by 1 s, dropped, answered with 409 or 500, watches lag and are cut", checked(runNetwork)},
		{"clock", "the wall clock is set back by an hour, forward again, and forward by another", checked(runClock)},
		{"backlog", "a controller is started after 3 h", checked(runBacklog)},
	}
}

type scenario func(ctx context.Context, s Scale, progress func(string)) (Report, error)

// checked is a scenario that fails if its report is a bad one.
func checked(run scenario) scenario {
	return func(ctx context.Context, s Scale, progress func(string)) (Report, error) {
		process.SetLogger(false)
		r, err := run(ctx, s, progress)
		if err != nil {
			return r, err
		}
		return r, r.Check()
	}
}

// Report is what came of a scenario. All times are in seconds.
type Report struct {
	// Faults is how many were injected, of each kind.
	Faults map[string]int `json:"faults"`
	// Due is how many deadlines passed. Each is met, lost, doubled (acted on twice) or
	// early (acted on before it passed).
	Due     int `json:"due"`
	Met     int `json:"met"`
	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	Early   int `json:"early"`
	// Finished is how many promotions finished before their deadline; one that is failed
	// all the same counts as early. Moved is how many had their deadline moved.
	Finished int `json:"finished"`
	Moved    int `json:"moved"`
	// LateP50, LateP99 and LateMax are how late the deadlines were acted on.
	LateP50 float64 `json:"lateP50"`
	LateP99 float64 `json:"lateP99"`
	LateMax float64 `json:"lateMax"`
	// Bound is how late a deadline may be.
	Bound float64 `json:"bound"`
	// Inversions is how many were acted on right after one with a later deadline. It is
	// counted where all are overdue from the start.
	Inversions int `json:"inversions"`
}

func newReport(faults map[string]int, c audit.Count, bound time.Duration) Report {
	return Report{
		Faults: faults, Due: c.Due, Met: c.Met, Lost: c.Lost, Doubled: c.Doubled, Early: c.Early,
		LateP50: c.LateAt(0.5).Seconds(), LateP99: c.LateAt(0.99).Seconds(), LateMax: c.LateAt(1).Seconds(),
		Bound: bound.Seconds(),
	}
}

// Check returns what is wrong: a deadline that was not acted on once and in time, or one
// that is later than the bound.
func (r Report) Check() error {
	var wrong []error
	if r.Due == 0 {
		wrong = append(wrong, errors.New("no deadline was due"))
	}
	if r.Lost > 0 || r.Doubled > 0 || r.Early > 0 || r.Met != r.Due {
		wrong = append(wrong, fmt.Errorf("of %d deadlines %d were met, %d lost, %d doubled, %d early", r.Due, r.Met, r.Lost, r.Doubled, r.Early))
	}
	if r.LateMax > r.Bound {
		wrong = append(wrong, fmt.Errorf("a deadline was %.3f s late; want %.3f s at most", r.LateMax, r.Bound))
	}
	// deadlinequeue hands out every 16th by its age.
	if most := (r.Due+r.Finished)/16 + 1; r.Inversions > most {
		wrong = append(wrong, fmt.Errorf("%d were acted on right after one with a later deadline; want %d at most", r.Inversions, most))
	}
	return errors.Join(wrong...)
}
