package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// waiting is a way to wait for a timeout.
type waiting struct {
	name string
	ours bool // the queue is deadlinequeue; else it is controller-runtime's
	// expired and after are what the reconciler asks, one after the other, with what
	// takes time in between.
	expired func(start time.Time, timeout time.Duration) bool
	after   func(ctx context.Context, start time.Time, timeout, interval time.Duration) time.Duration
}

func passed(start time.Time, timeout time.Duration) bool {
	return time.Now().After(start.Add(timeout))
}

func expired(start time.Time, timeout time.Duration) bool {
	return requeue.Expired(start, timeout, nil)
}

// The ways that are compared. Those by hand are written as the controllers do that they
// come from.
var (
	fixedInterval = waiting{"fixed interval", false, passed, func(_ context.Context, _ time.Time, _, interval time.Duration) time.Duration {
		return interval
	}}
	byHand = waiting{"by hand", false, passed, func(_ context.Context, start time.Time, timeout, interval time.Duration) time.Duration {
		if deadline := start.Add(timeout); deadline.Before(time.Now().Add(interval)) {
			return time.Until(deadline) // requeue:ok as it is written by hand
		}
		return interval
	}}
	nextRequeue = waiting{"NextRequeue", false, expired, func(_ context.Context, start time.Time, timeout, interval time.Duration) time.Duration {
		return requeue.NextRequeue(start, timeout, interval, nil)
	}}
	withQueue = waiting{"with deadlinequeue", true, expired, func(ctx context.Context, start time.Time, timeout, interval time.Duration) time.Duration {
		plan := requeue.From(time.Now()).Every(interval).Timeout(start, timeout)
		deadlinequeue.Tell(ctx, plan)
		return plan.After()
	}}
)

// look is a reconcile of an object. It may end the whole run.
type look = func(ctx context.Context, name string, stop func()) (time.Duration, error)

// inVirtualTime runs a controller of controller-runtime, with the name of the test, until
// stop is called or the time is over. The options are those of our queue, nil for
// controller-runtime's; arrive sends the events of a watch. requeuetest, which runs a manager
// with its cache and a client, takes fifty times as long for a fleet: 9.6 s of processor time
// for 4,000 promotions, and 0.2 s here.
func inVirtualTime(t *testing.T, length time.Duration, workers int, dq *deadlinequeue.Options[reconcile.Request], arrive func(create func(name string)), look look) {
	t.Helper()
	name := t.Name()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), length)
		defer stop()
		options := controller.Options{
			MaxConcurrentReconciles: workers, SkipNameValidation: new(true),
			LogConstructor: func(*reconcile.Request) logr.Logger { return logr.Discard() },
			Reconciler: reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
				after, err := look(ctx, r.Name, stop)
				return reconcile.Result{RequeueAfter: after}, err
			}),
		}
		if dq != nil {
			told := deadlinequeue.For(options.Reconciler, *dq)
			options.Reconciler, options.NewQueue = told, told.NewQueue
		}
		c, err := controller.NewTypedUnmanaged(name, options)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Watch(source.Func(func(_ context.Context, q typedQueue) error {
			go arrive(func(name string) {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "1"}}
				(&handler.EnqueueRequestForObject{}).Create(ctx, event.CreateEvent{Object: object}, q)
			})
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// queueIf are the options of our queue, if it is that.
func queueIf(ours bool) *deadlinequeue.Options[reconcile.Request] {
	if !ours {
		return nil
	}
	return &deadlinequeue.Options[reconcile.Request]{}
}

// fleet is promotions that come one after another, each with a step that never ends by
// itself and has to be failed at its timeout.
type fleet struct {
	name              string
	promotions        int
	over              time.Duration // in which they come
	shortest, longest time.Duration // timeout
	interval          time.Duration // default interval
	look              time.Duration // how long a reconcile takes before it decides
	patch             time.Duration // and how long the patch of the status takes after that
	workers           int
}

// promotion is one of the fleet.
type promotion struct {
	arrival, timeout time.Duration
	started          time.Time
}

// afterwards is how long after the last timeout a promotion that has not been failed
// counts as lost: longer than any interval and any backlog here.
const afterwards = time.Hour

// load is the share of the workers' time that polls would take.
func (f fleet) load() float64 {
	alive := float64(f.promotions) * float64((f.shortest+f.longest)/2) / float64(f.over)
	return alive * float64(f.look+f.patch) / float64(f.interval) / float64(f.workers)
}

// run waits in one way and tells what came of it.
func (f fleet) run(m measuring, w waiting) map[string]float64 {
	promotions := make([]promotion, f.promotions)
	for i := range promotions {
		draws := rand.New(rand.NewPCG(1, uint64(i)))
		promotions[i] = promotion{
			// In order, each within its share of the time.
			arrival: time.Duration((float64(i) + draws.Float64()) / float64(f.promotions) * float64(f.over)).Truncate(time.Millisecond),
			timeout: (f.shortest + time.Duration(draws.Int64N(int64(f.longest-f.shortest)))).Truncate(time.Second),
		}
	}
	var late []time.Duration // of those that were failed
	reconciles := 0
	var mu sync.Mutex // guards the promotions and these
	arrive := func(create func(name string)) {
		begin := time.Now()
		for i := range promotions {
			time.Sleep(time.Until(begin.Add(promotions[i].arrival)))
			create(strconv.Itoa(i))
		}
	}
	inVirtualTime(m.T, f.over+f.longest+afterwards, f.workers, queueIf(w.ours), arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
		i, err := strconv.Atoi(name)
		if err != nil {
			return 0, reconcile.TerminalError(err)
		}
		p := &promotions[i]
		time.Sleep(f.look)
		mu.Lock()
		defer mu.Unlock()
		reconciles++
		if p.started.IsZero() {
			p.started = time.Now().Truncate(time.Second) // as the API server keeps it
		}
		if w.expired(p.started, p.timeout) {
			if late = append(late, time.Since(p.started.Add(p.timeout))); len(late) == len(promotions) {
				stop()
			}
			return 0, nil
		}
		mu.Unlock()
		time.Sleep(f.patch)
		mu.Lock()
		return w.after(ctx, p.started, p.timeout, f.interval), nil
	})
	values := map[string]float64{
		"promotions": float64(f.promotions), "failed": float64(len(late)), "lost": float64(f.promotions - len(late)),
		"reconciles": float64(reconciles), "load": f.load(),
	}
	spread(values, "late", late, quantiles...)
	return values
}

// measureFleets is a fleet with workers to spare, and one with more to poll than they can do.
func measureFleets(m measuring) {
	f := fleet{
		name: "workers idle", promotions: sized(200, 4000), over: sized(time.Hour, 4*time.Hour), shortest: time.Minute, longest: time.Hour,
		interval: 5 * time.Minute, look: 50 * time.Millisecond, patch: 50 * time.Millisecond, workers: 10,
	}
	all := map[string]map[string]float64{}
	run := func() {
		for _, w := range []waiting{fixedInterval, byHand, nextRequeue, withQueue} {
			all[w.name] = f.run(m, w)
			m.tell(all[w.name], f.name, w.name)
		}
		assert.Zero(m, all[nextRequeue.name]["lost"])
		assert.Zero(m, all[withQueue.name]["lost"])
	}
	run()
	assert.InDelta(m, 150, all[fixedInterval.name]["late 50"], 40, "half of the interval")
	assert.LessOrEqual(m, all[fixedInterval.name]["late 100"], 300.1)
	for _, w := range []waiting{nextRequeue, withQueue} {
		assert.LessOrEqual(m, all[w.name]["late 100"], 0.2, w.name)
		assert.InEpsilon(m, all[fixedInterval.name]["reconciles"], all[w.name]["reconciles"], 0.1, w.name)
	}
	f.name, f.workers = "workers overloaded", sized(1, 2)
	f.promotions, f.over = sized(8000, 40_000), sized(time.Hour, 3*time.Hour)
	run()
	assert.Greater(m, f.load(), 1.1)
	assert.Greater(m, all[nextRequeue.name]["late 99"], 10.0, "behind the backlog")
	assert.Less(m, all[withQueue.name]["late 99"], 1.0)
}

const (
	raceInterval = 10 * time.Second // the shortest that a step of Kargo suggests
	// raceLook is what it takes to see the object: with none at all, an object that is
	// woken at its deadline tests for it at that very instant, which no clock but a
	// simulated one ever shows.
	raceLook = 5 * time.Millisecond
)

// measureRaces are fleets whose status patch takes longer and longer. A deadline that passes
// in that time has been tested for, and not been waited for yet. By hand these are lost: of
// promotions that are looked at each interval and each patch, the share that the patch is of
// both.
func measureRaces(m measuring) {
	for _, patch := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		f := fleet{
			promotions: sized(2000, 20_000), over: time.Hour, shortest: time.Minute, longest: 3 * time.Minute,
			interval: raceInterval, look: raceLook, patch: patch, workers: 2000, // one for each promotion, and to spare
		}
		expected := float64(patch) / float64(raceInterval+raceLook+patch)
		for _, w := range []waiting{byHand, nextRequeue} {
			values := f.run(m, w)
			values["expected"] = expected
			m.tell(values, patch.String(), w.name)
			if w.name == byHand.name {
				assert.InDelta(m, expected, values["lost"]/values["promotions"], 0.02)
				continue
			}
			assert.Zero(m, values["lost"])
			assert.LessOrEqual(m, values["late 100"], 2.1*patch.Seconds()+0.01, "the patch, and as long again")
		}
	}
}
