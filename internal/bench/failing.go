package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/internal/bench/queuesim"
)

// outage is what becomes of deadlines and of others when reconciles fail.
type outage struct {
	Away      []away
	Outages   simulated
	Conflicts simulated
}

// away is overdue objects that fail as what they need is away, and as many healthy ones
// that come at once, some time after. There is one worker, and the rate limiter is the
// default one.
type away struct {
	Queue      string
	After      time.Duration
	Objects    int
	P50, Last  float64 // seconds from then until the healthy ones were served
	Reconciles int     // of the overdue ones until then
}

const awayTakes = 100 * time.Millisecond

// knownName is our queue with Options.Deadline, so that it knows the overdue ones from their
// adds on.
const knownName = oursName + ", known"

func measureOutage(m *measuring) (o outage) {
	for _, after := range []time.Duration{0, 2 * time.Minute, 10 * time.Minute} {
		for _, queue := range []string{controllerRuntimeName, oursName, knownName} {
			a := away{Queue: queue, After: after, Objects: 1000}
			m.say("dependency away, healthy ones after %v, %s", after, a.Queue)
			a.run(m.T)
			o.Away = append(o.Away, a)
		}
	}
	o.Outages = simulate(m, simulation{queuesim.Outages(), timers})
	o.Conflicts = simulate(m, simulation{queuesim.Conflicting(), timers})
	return o
}

func (a *away) run(t *testing.T) {
	t.Helper()
	var mu sync.Mutex // guards all below, and a
	var came, overdue time.Time
	var waited []time.Duration
	arrive := func(create func(name string)) {
		overdue = time.Now().Add(-time.Minute)
		for i := range a.Objects {
			create(fmt.Sprint("overdue-", i))
		}
		time.Sleep(a.After)
		mu.Lock()
		came = time.Now()
		mu.Unlock()
		for i := range a.Objects {
			create(fmt.Sprint("healthy-", i))
		}
	}
	var dq *deadlinequeue.Options[reconcile.Request]
	switch a.Queue {
	case oursName:
		dq = &deadlinequeue.Options[reconcile.Request]{}
	case knownName:
		dq = &deadlinequeue.Options[reconcile.Request]{Deadline: func(r reconcile.Request) (time.Time, bool) {
			return overdue, strings.HasPrefix(r.Name, "overdue")
		}}
	}
	withQueueOf(t, 24*time.Hour, 1, dq, arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(name, "healthy") {
			if waited = append(waited, time.Since(came)); len(waited) == a.Objects {
				stop()
			}
		}
		mu.Unlock()
		time.Sleep(awayTakes)
		mu.Lock()
		if strings.HasPrefix(name, "healthy") {
			return 0, nil
		}
		a.Reconciles++
		deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(overdue))
		return 0, errStep
	})
	s := spreadOf(waited)
	a.P50, a.Last = s.P50, s.Max
}

func (o outage) show() shown {
	s := shown{values: map[string]string{}}
	var rows [][]string
	for _, a := range o.Away {
		rows = append(rows, []string{spanOf(a.After), a.Queue, seconds(a.P50), seconds(a.Last), whole(a.Reconciles)})
	}
	s.values["away"] = table([]string{"they come after", "queue", "served after, p50", "the last", "reconciles of the overdue ones"}, rows...)
	rows = nil
	for _, r := range o.Outages {
		rows = append(rows, slices.Concat([]string{r.Policy}, cells(r.AfterOutage), cells(r.Limiter)))
	}
	s.values["outages"] = table([]string{"queue", "acted on after the outage, p50", "p99", "max", "of that the rate limiter's wait: p50", "p99", "max"}, rows...)
	rows = nil
	for _, r := range o.Conflicts {
		rows = append(rows, append([]string{r.Policy}, cells(r.Lateness)...))
	}
	s.values["conflicts"] = table([]string{"queue", "late p50", "p99", "max"}, rows...)
	return s
}
