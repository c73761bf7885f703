package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fleet is promotions that come one after another, each with a step that never ends by
// itself and has to be failed at its timeout.
type fleet struct {
	Name       string
	Promotions int
	Over       time.Duration // in which they come
	Shortest   time.Duration // timeout
	Longest    time.Duration
	Interval   time.Duration // default interval
	Look       time.Duration // how long a reconcile takes before it decides
	Patch      time.Duration // and how long the patch of the status takes after that
	Workers    int
	Ways       []fleetWay
}

// fleetWay is how one way of waiting did.
type fleetWay struct {
	Name       string
	Reconciles int
	Failed     int // promotions, at their timeout
	Lost       int // wake-ups: the promotions that nothing looks at any more
	Late       spread
}

// promotion is one of the fleet.
type promotion struct {
	arrival, timeout time.Duration
	started          time.Time
	failed           bool
}

// afterwards is how long after the last timeout a promotion that has not been failed
// counts as lost: longer than any interval and any backlog here.
const afterwards = time.Hour

func (f *fleet) run(t *testing.T, w waiting) fleetWay {
	way := fleetWay{Name: w.name}
	promotions := make([]promotion, f.Promotions)
	for i := range promotions {
		draws := rand.New(rand.NewPCG(1, uint64(i)))
		promotions[i] = promotion{
			// In order, each within its share of the time.
			arrival: time.Duration((float64(i) + draws.Float64()) / float64(f.Promotions) * float64(f.Over)).Truncate(time.Millisecond),
			timeout: (f.Shortest + time.Duration(draws.Int64N(int64(f.Longest-f.Shortest)))).Truncate(time.Second),
		}
	}
	var late []time.Duration
	var mu sync.Mutex // guards the promotions, way and late
	arrive := func(create func(name string)) {
		begin := time.Now()
		for i := range promotions {
			time.Sleep(time.Until(begin.Add(promotions[i].arrival)))
			create(strconv.Itoa(i))
		}
	}
	inVirtualTime(t, f.Over+f.Longest+afterwards, f.Workers, w.ours, arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
		i, err := strconv.Atoi(name)
		if err != nil {
			return 0, reconcile.TerminalError(err)
		}
		p := &promotions[i]
		time.Sleep(f.Look)
		mu.Lock()
		defer mu.Unlock()
		way.Reconciles++
		if p.started.IsZero() {
			p.started = time.Now().Truncate(time.Second) // as the API server keeps it
		}
		if w.expired(p.started, p.timeout) {
			p.failed = true
			way.Failed++
			late = append(late, time.Since(p.started.Add(p.timeout)))
			if way.Failed == len(promotions) {
				stop()
			}
			return 0, nil
		}
		mu.Unlock()
		time.Sleep(f.Patch)
		mu.Lock()
		return w.after(ctx, p.started, p.timeout, f.Interval), nil
	})
	way.Lost, way.Late = len(promotions)-way.Failed, spreadOf(late)
	return way
}

// fleets are the fleet with workers to spare, and with more to poll than they can do.
type fleets struct{ Idle, Busy fleet }

func measureFleets(m *measuring) fleets {
	both := fleets{
		Idle: fleet{
			Name: "workers idle", Promotions: 4000, Over: 4 * time.Hour, Shortest: time.Minute, Longest: time.Hour,
			Interval: 5 * time.Minute, Look: 50 * time.Millisecond, Patch: 50 * time.Millisecond, Workers: 10,
		},
		Busy: fleet{
			Name: "workers overloaded", Promotions: 40_000, Over: 3 * time.Hour, Shortest: time.Minute, Longest: time.Hour,
			Interval: 5 * time.Minute, Look: 50 * time.Millisecond, Patch: 50 * time.Millisecond, Workers: 2,
		},
	}
	both.Idle.runAll(m, fixedInterval, byHand, nextRequeue, withQueue)
	both.Busy.runAll(m, fixedInterval, byHand, nextRequeue, withQueue)
	return both
}

func (f *fleet) runAll(m *measuring, ways ...waiting) {
	for _, w := range ways {
		m.say("%s, %s", f.Name, w.name)
		f.Ways = append(f.Ways, f.run(m.T, w))
	}
}

// alive is how many promotions there are at a time, on average.
func (f fleet) alive() float64 {
	return float64(f.Promotions) * float64((f.Shortest+f.Longest)/2) / float64(f.Over)
}

// load is the share of the workers' time that polls would take.
func (f fleet) load() float64 {
	return f.alive() * float64(f.Look+f.Patch) / float64(f.Interval) / float64(f.Workers)
}

func (fs fleets) show() shown {
	s := shown{values: map[string]string{}}
	var rows [][]string
	picture := figure{Name: "fleet"}
	for i, f := range []fleet{fs.Idle, fs.Busy} {
		p := panel{
			Title: fmt.Sprintf("%s: polls take %.0f %% of their time", f.Name, 100*f.load()),
			X:     "late by at most", LogX: true, Floor: soonest, Unit: "s", Y: "share of the timeouts",
		}
		for _, w := range f.Ways {
			rows = append(rows, []string{f.Name, w.Name, seconds(w.Late.P50), seconds(w.Late.P99), seconds(w.Late.Max),
				whole(w.Reconciles), fmt.Sprintf("%s of %s", whole(w.Lost), whole(f.Promotions))})
			p.Lines = append(p.Lines, w.line(f.Promotions))
		}
		picture.Panels = append(picture.Panels, p)
		key := []string{"idle", "busy"}[i]
		s.values[key+".promotions"] = whole(f.Promotions)
		s.values[key+".load"] = fmt.Sprintf("%.0f %%", 100*f.load())
		for j, name := range []string{"fixed", "byhand", "nextrequeue", "queue"} {
			s.values[key+"."+name+".p99"] = seconds(f.Ways[j].Late.P99)
			s.values[key+"."+name+".p50"] = seconds(f.Ways[j].Late.P50)
			s.values[key+"."+name+".lost"] = whole(f.Ways[j].Lost)
		}
	}
	var short [][]string
	for i, w := range fs.Idle.Ways {
		busy := fs.Busy.Ways[i]
		short = append(short, []string{w.Name, seconds(w.Late.P50), seconds(w.Late.P99), seconds(busy.Late.P50), seconds(busy.Late.P99),
			fmt.Sprintf("%s of %s", whole(w.Lost+busy.Lost), whole(fs.Idle.Promotions+fs.Busy.Promotions))})
	}
	s.values["short"] = table([]string{"waits", "workers idle: late p50", "p99", "overloaded: late p50", "p99", "never failed"}, short...)
	s.values["table"] = table([]string{"fleet", "waits", "late p50", "p99", "max", "reconciles", "wake-ups lost"}, rows...)
	s.figures = []figure{picture}
	return s
}

// soonest is the left end of a picture of lateness, in seconds.
const soonest = 1e-2

// line is the share of all promotions that had been failed so long after their timeout.
func (w fleetWay) line(all int) series {
	line := series{Name: w.Name}
	for i, q := range shares {
		line.X = append(line.X, math.Max(w.Late.CDF[i], soonest))
		line.Y = append(line.Y, q*float64(w.Failed)/float64(all))
	}
	// Up from the axis, and on to the right.
	line.X = append([]float64{line.X[0]}, append(line.X, 1000)...)
	line.Y = append([]float64{0}, append(line.Y, line.Y[len(line.Y)-1])...)
	return line
}
