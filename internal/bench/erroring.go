package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// erroring is a step that fails at every try, and is to be given up at its timeout.
type erroring []erroringCase

// erroringCase is one timeout.
type erroringCase struct {
	Timeout time.Duration
	Ways    []erroringWay
}

// erroringWay is what one answer to an error led to.
type erroringWay struct {
	Name string
	// Of one object with just that timeout.
	Late       float64 // seconds
	Reconciles int
	// Of Objects with timeouts from it to twice it.
	Objects int
	Spread  spread
	Mean    float64 // reconciles an object
	Lost    int
}

var errStep = errors.New("the step failed")

// failing is an answer to an error.
type failing struct {
	name   string
	ours   bool // the queue is deadlinequeue
	answer func(ctx context.Context, start time.Time, timeout time.Duration, failures int) (time.Duration, error)
}

const (
	stepInterval = 5 * time.Minute
	stepTakes    = 10 * time.Millisecond
)

var failingWays = []failing{
	{"returned error", false, func(context.Context, time.Time, time.Duration, int) (time.Duration, error) {
		return 0, errStep
	}},
	{"a wait in place of the error", false, func(_ context.Context, start time.Time, timeout time.Duration, failures int) (time.Duration, error) {
		now := time.Now()
		retry := requeue.Backoff(now, failures, time.Second, stepInterval)
		return requeue.From(now).At(retry).Timeout(start, timeout).After(), nil
	}},
	{"`deadlinequeue.Tell` with the error", true, func(ctx context.Context, start time.Time, timeout time.Duration, _ int) (time.Duration, error) {
		deadlinequeue.Tell(ctx, requeue.From(time.Now()).Every(stepInterval).Timeout(start, timeout))
		return 0, errStep
	}},
}

func measureErroring(m *measuring) (e erroring) {
	for _, timeout := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour} {
		c := erroringCase{Timeout: timeout}
		for _, way := range failingWays {
			m.say("timeout %v, %s", timeout, way.name)
			c.Ways = append(c.Ways, way.run(m.T, timeout, 100))
		}
		e = append(e, c)
	}
	return e
}

// run has an object with the timeout and so many others fail for ever, which come a
// minute apart.
func (f failing) run(t *testing.T, timeout time.Duration, others int) erroringWay {
	t.Helper()
	type object struct {
		timeout  time.Duration
		started  time.Time
		failures int
	}
	objects := make([]object, 1+others)
	for i := range objects {
		objects[i].timeout = timeout
		if i > 0 {
			draws := rand.New(rand.NewPCG(0, uint64(i)))
			objects[i].timeout += time.Duration(draws.Int64N(int64(timeout))).Truncate(time.Second)
		}
	}
	way := erroringWay{Name: f.name, Objects: others}
	var (
		mu    sync.Mutex // guards all below, and the objects
		late  []time.Duration
		looks int
		ended int
	)
	arrive := func(create func(name string)) {
		for i := range objects {
			create(strconv.Itoa(i))
			time.Sleep(time.Minute)
		}
	}
	length := time.Duration(len(objects))*time.Minute + 2*timeout + afterwards
	inVirtualTime(t, length, 10, f.ours, arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
		i, err := strconv.Atoi(name)
		if err != nil {
			return 0, reconcile.TerminalError(err)
		}
		mu.Lock()
		defer mu.Unlock()
		o := &objects[i]
		if o.started.IsZero() {
			o.started = time.Now().Truncate(time.Second)
		}
		o.failures++
		if requeue.Expired(o.started, o.timeout, nil) {
			after := time.Since(o.started.Add(o.timeout))
			if i == 0 {
				way.Late, way.Reconciles = after.Seconds(), o.failures
			} else {
				late, looks = append(late, after), looks+o.failures
			}
			if ended++; ended == len(objects) {
				stop()
			}
			return 0, nil
		}
		started, timeout, failures := o.started, o.timeout, o.failures
		mu.Unlock()
		time.Sleep(stepTakes)
		mu.Lock()
		return f.answer(ctx, started, timeout, failures)
	})
	way.Spread, way.Mean, way.Lost = spreadOf(late), float64(looks)/float64(max(len(late), 1)), len(objects)-ended
	way.Spread.CDF = nil
	return way
}

func (e erroring) show() shown {
	s := shown{values: map[string]string{}}
	p := panel{Title: "a step that fails until its timeout: how late it is given up, at most", Unit: "s", Floor: 1e-3}
	var rows [][]string
	for i, c := range e {
		p.Rows = append(p.Rows, spanOf(c.Timeout)+" to "+spanOf(2*c.Timeout))
		for j, w := range c.Ways {
			if i == 0 {
				p.Dots = append(p.Dots, series{Name: unquoted(w.Name)})
			}
			p.Dots[j].Y = append(p.Dots[j].Y, w.Spread.Max)
			rows = append(rows, []string{spanOf(c.Timeout), w.Name, seconds(w.Late), whole(w.Reconciles),
				seconds(w.Spread.P50), seconds(w.Spread.Max), digits(w.Mean), whole(w.Lost)})
			key := spanOf(c.Timeout) + "." + []string{"error", "wait", "failed"}[j]
			s.values[key+".late"], s.values[key+".reconciles"] = seconds(w.Late), whole(w.Reconciles)
		}
	}
	s.values["objects"] = fmt.Sprint(e[0].Ways[0].Objects)
	s.values["table"] = table([]string{"timeout T", "answer", "late", "reconciles", "T to 2T: late p50", "max", "reconciles, mean", "never given up"}, rows...)
	s.figures = []figure{{Name: "erroring", Panels: []panel{p}, Width: 2}}
	return s
}
