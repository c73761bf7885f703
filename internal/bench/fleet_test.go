package main

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// look is a reconcile of an object. It may end the whole run.
type look = func(ctx context.Context, name string, stop func()) (time.Duration, error)

// inVirtualTime runs a controller of controller-runtime, with the name of the test, until
// stop is called or the time is over. The options are those of our queue, nil for
// controller-runtime's; arrive sends the events of a watch. requeuetest, which runs a manager
// with its cache and a client, takes fifty times as long for a fleet: 9.6 s of processor time
// for 4,000 promotions, and 0.2 s here.
func inVirtualTime(t *testing.T, length time.Duration, workers int, dq *deadlinequeue.Options[request], arrive func(create func(name string)), look look) {
	t.Helper()
	name := t.Name()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), length)
		defer stop()
		options := controller.Options{
			MaxConcurrentReconciles: workers, SkipNameValidation: new(true),
			LogConstructor: func(*request) logr.Logger { return logr.Discard() },
			Reconciler: reconcile.Func(func(ctx context.Context, r request) (reconcile.Result, error) {
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
func queueIf(ours bool) *deadlinequeue.Options[request] {
	if !ours {
		return nil
	}
	return &deadlinequeue.Options[request]{}
}

// object has a step that never ends by itself and has to be failed at its timeout.
type object struct {
	arrival, timeout time.Duration
	started          time.Time
	reconciles       int
	failed           bool
	late             time.Duration
}

// way is a way to wait for a timeout.
type way struct {
	name string
	ours bool // the queue is deadlinequeue; else it is controller-runtime's
	// expired and answer are what the reconciler asks, one after the other, with what
	// takes time in between.
	expired func(start time.Time, timeout time.Duration) bool
	answer  func(ctx context.Context, o object, interval time.Duration) (time.Duration, error)
}

func passed(start time.Time, timeout time.Duration) bool {
	return time.Now().After(start.Add(timeout))
}

func expired(start time.Time, timeout time.Duration) bool {
	return requeue.Expired(start, timeout, nil)
}

func tell(ctx context.Context, o object, interval time.Duration) time.Duration {
	plan := requeue.From(time.Now()).Every(interval).Timeout(o.started, o.timeout)
	deadlinequeue.Tell(ctx, plan)
	return plan.After()
}

var errStep = errors.New("the step failed")

// The ways that are compared. Those by hand are written as the controllers do that they
// come from.
var (
	fixedInterval = way{"fixed interval", false, passed, func(_ context.Context, _ object, interval time.Duration) (time.Duration, error) {
		return interval, nil
	}}
	byHand = way{"by hand", false, passed, func(_ context.Context, o object, interval time.Duration) (time.Duration, error) {
		if deadline := o.started.Add(o.timeout); deadline.Before(time.Now().Add(interval)) {
			return time.Until(deadline), nil // requeue:ok as it is written by hand
		}
		return interval, nil
	}}
	nextRequeue = way{"NextRequeue", false, expired, func(_ context.Context, o object, interval time.Duration) (time.Duration, error) {
		return requeue.NextRequeue(o.started, o.timeout, interval, nil), nil
	}}
	withQueue = way{"with deadlinequeue", true, expired, func(ctx context.Context, o object, interval time.Duration) (time.Duration, error) {
		return tell(ctx, o, interval), nil
	}}

	// These are answers to an error.
	returned = way{"returned error", false, expired, func(context.Context, object, time.Duration) (time.Duration, error) {
		return 0, errStep
	}}
	inPlace = way{"a wait in place of the error", false, expired, func(_ context.Context, o object, interval time.Duration) (time.Duration, error) {
		now := time.Now()
		retry := requeue.Backoff(now, o.reconciles, time.Second, interval)
		return requeue.From(now).At(retry).Timeout(o.started, o.timeout).After(), nil
	}}
	told = way{"`deadlinequeue.Tell` with the error", true, expired, func(ctx context.Context, o object, interval time.Duration) (time.Duration, error) {
		tell(ctx, o, interval)
		return 0, errStep
	}}
)

// fleet is objects that come one after another.
type fleet struct {
	objects  []object
	interval time.Duration // default interval
	look     time.Duration // how long a reconcile takes before it decides
	patch    time.Duration // and how long the patch of the status takes after that
	workers  int
}

// comeWithin draws objects that come within a time, with timeouts from shortest to longest.
func comeWithin(n int, within, shortest, longest time.Duration) []object {
	objects := make([]object, n)
	for i := range objects {
		draws := rand.New(rand.NewPCG(1, uint64(i)))
		objects[i] = object{
			// In order, each within its share of the time.
			arrival: time.Duration((float64(i) + draws.Float64()) / float64(n) * float64(within)).Truncate(time.Millisecond),
			timeout: (shortest + time.Duration(draws.Int64N(int64(longest-shortest)))).Truncate(time.Second),
		}
	}
	return objects
}

// afterwards is how long after the last timeout an object that has not been failed
// counts as lost: longer than any interval and any backlog here.
const afterwards = time.Hour

// run waits in one way and tells what came of the objects.
func (f fleet) run(m measuring, w way) []object {
	objects := slices.Clone(f.objects)
	var mu sync.Mutex // guards the objects and ended
	ended := 0
	arrive := func(create func(name string)) {
		begin := time.Now()
		for i := range objects {
			time.Sleep(time.Until(begin.Add(objects[i].arrival)))
			create(strconv.Itoa(i))
		}
	}
	longest := slices.MaxFunc(objects, func(a, b object) int { return cmp.Compare(a.timeout, b.timeout) }).timeout
	length := objects[len(objects)-1].arrival + longest + afterwards
	inVirtualTime(m.T, length, f.workers, queueIf(w.ours), arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
		i, err := strconv.Atoi(name)
		if err != nil {
			return 0, reconcile.TerminalError(err)
		}
		time.Sleep(f.look)
		mu.Lock()
		o := &objects[i]
		o.reconciles++
		if o.started.IsZero() {
			o.started = time.Now().Truncate(time.Second) // as the API server keeps it
		}
		if w.expired(o.started, o.timeout) {
			o.failed, o.late = true, time.Since(o.started.Add(o.timeout))
			if ended++; ended == len(objects) {
				stop()
			}
		}
		seen := *o
		mu.Unlock()
		if seen.failed {
			return 0, nil
		}
		time.Sleep(f.patch)
		return w.answer(ctx, seen, f.interval)
	})
	return objects
}

// summed are the lateness of those that were failed, the number of the others and of
// reconciles.
func summed(objects []object) (late []time.Duration, lost, reconciles float64) {
	for _, o := range objects {
		if o.failed {
			late = append(late, o.late)
		} else {
			lost++
		}
		reconciles += float64(o.reconciles)
	}
	return late, lost, reconciles
}

// measureFleets is a fleet with workers to spare, and one with more to poll than they can do.
func measureFleets(m measuring) {
	const shortest, longest, interval, step = time.Minute, time.Hour, 5 * time.Minute, 50 * time.Millisecond
	for _, c := range []struct {
		name             string
		objects, workers int
		over             time.Duration // in which they come
	}{
		{"workers idle", sized(200, 4000), 10, sized(time.Hour, 4*time.Hour)},
		{"workers overloaded", sized(8000, 40_000), sized(1, 2), sized(time.Hour, 3*time.Hour)},
	} {
		f := fleet{comeWithin(c.objects, c.over, shortest, longest), interval, step, step, c.workers}
		// The share of the workers' time that polls would take.
		alive := float64(c.objects) * float64((shortest+longest)/2) / float64(c.over)
		load := 100 * alive * float64(2*step) / float64(interval) / float64(c.workers)
		all := map[string]map[string]float64{}
		for _, w := range []way{fixedInterval, byHand, nextRequeue, withQueue} {
			values := map[string]float64{"promotions": float64(c.objects), "load (%)": load}
			var late []time.Duration
			late, values["wake-ups lost"], values["reconciles"] = summed(f.run(m, w))
			spread(values, "late", late)
			m.tell(values, c.name, w.name)
			all[w.name] = values
			if w.name == nextRequeue.name || w.name == withQueue.name {
				assert.Zero(m, values["wake-ups lost"], w.name)
			}
			if load < 100 && w.name != fixedInterval.name {
				assert.LessOrEqual(m, values["late max (s)"], 0.2, w.name)
				assert.InEpsilon(m, all[fixedInterval.name]["reconciles"], values["reconciles"], 0.1, w.name)
			}
		}
		if load < 100 {
			assert.InDelta(m, 150, all[fixedInterval.name]["late p50 (s)"], 40, "half of the interval")
			assert.LessOrEqual(m, all[fixedInterval.name]["late max (s)"], 300.1)
		} else {
			assert.Greater(m, load, 110.0)
			assert.Greater(m, all[nextRequeue.name]["late p99 (s)"], 10.0, "behind the backlog")
			assert.Less(m, all[withQueue.name]["late p99 (s)"], 1.0)
		}
	}
}

// measureRaces are fleets whose status patch takes longer and longer. A deadline that passes
// in that time has been tested for, and not been waited for yet. By hand these are lost: of
// promotions that are looked at each interval and each patch, the share that the patch is of
// both.
func measureRaces(m measuring) {
	const (
		interval = 10 * time.Second // the shortest that a step of Kargo suggests
		// look is what it takes to see the object: with none at all, an object that is
		// woken at its deadline tests for it at that very instant, which no clock but a
		// simulated one ever shows.
		look = 5 * time.Millisecond
	)
	objects := comeWithin(sized(2000, 20_000), time.Hour, time.Minute, 3*time.Minute)
	for _, patch := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		f := fleet{objects, interval, look, patch, 2000} // a worker for each promotion, and to spare
		expected := 100 * float64(patch) / float64(interval+look+patch)
		for _, w := range []way{byHand, nextRequeue} {
			late, lost, _ := summed(f.run(m, w))
			values := map[string]float64{"promotions": float64(len(objects)), "lost (%)": 100 * lost / float64(len(objects)), "expected (%)": expected}
			spread(values, "late", late)
			if w.name == byHand.name {
				assert.InDelta(m, expected, values["lost (%)"], 2)
			} else {
				values["expected (%)"] = 0
				assert.Zero(m, values["lost (%)"])
				assert.LessOrEqual(m, values["late max (s)"], 2.1*patch.Seconds()+0.01, "the patch, and as long again")
			}
			m.tell(values, patch.String(), w.name)
		}
	}
}

// measureErroring has a step fail at every try, which is to be given up at its timeout: one
// object with just that timeout, and others with it to twice it, which come a minute apart. A
// bare error is late by up to as long as the limiter has waited; a wait that knows of the
// timeout, and Tell, are on time.
func measureErroring(m measuring) {
	for _, timeout := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour} {
		f := fleet{make([]object, 1+sized(20, 100)), 5 * time.Minute, 0, 10 * time.Millisecond, 10}
		for i := range f.objects {
			draws := rand.New(rand.NewPCG(0, uint64(i)))
			f.objects[i] = object{arrival: time.Duration(i) * time.Minute, timeout: timeout}
			if i > 0 {
				f.objects[i].timeout += time.Duration(draws.Int64N(int64(timeout))).Truncate(time.Second)
			}
		}
		for _, w := range []way{returned, inPlace, told} {
			objects := f.run(m, w)
			one, others := objects[0], objects[1:]
			late, lost, reconciles := summed(others)
			values := map[string]float64{
				"late (s)": one.late.Seconds(), "reconciles": float64(one.reconciles),
				"objects": float64(len(others)), "reconciles, mean": reconciles / float64(len(others)), "never given up": lost,
			}
			spread(values, "T to 2T: late", late)
			m.tell(values, strings.NewReplacer("m0s", "m", "h0m0s", "h").Replace(timeout.String()), w.name)
			assert.True(m, one.failed, w.name)
			assert.Zero(m, lost, w.name)
			if w.name == returned.name {
				assert.Greater(m, values["T to 2T: late max (s)"], 50.0, w.name)
			} else {
				assert.LessOrEqual(m, max(values["late (s)"], values["T to 2T: late max (s)"]), 0.1, w.name)
			}
		}
	}
}
