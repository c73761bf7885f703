package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

var errStep = errors.New("the step failed")

const (
	stepInterval = 5 * time.Minute
	stepTakes    = 10 * time.Millisecond
)

// failingWays are answers to an error.
var failingWays = []struct {
	name   string
	ours   bool // the queue is deadlinequeue
	answer func(ctx context.Context, start time.Time, timeout time.Duration, failures int) (time.Duration, error)
}{
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

// measureErroring has a step fail at every try, which is to be given up at its timeout: one
// object with just that timeout, and others with it to twice it, which come a minute apart. A
// bare error is late by up to as long as the limiter has waited; a wait that knows of the
// timeout, and Tell, are on time.
func measureErroring(m measuring) {
	type object struct {
		timeout  time.Duration
		started  time.Time
		failures int
	}
	others := sized(20, 100)
	for _, timeout := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour} {
		for i, way := range failingWays {
			objects := make([]object, 1+others)
			for i := range objects {
				objects[i].timeout = timeout
				if i > 0 {
					draws := rand.New(rand.NewPCG(0, uint64(i)))
					objects[i].timeout += time.Duration(draws.Int64N(int64(timeout))).Truncate(time.Second)
				}
			}
			values := map[string]float64{"objects": float64(others)}
			var (
				mu    sync.Mutex // guards all below, the values and the objects
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
			inVirtualTime(m.T, length, 10, queueIf(way.ours), arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
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
						values["late"], values["reconciles"] = after.Seconds(), float64(o.failures)
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
				return way.answer(ctx, started, timeout, failures)
			})
			spread(values, "others", late, 50, 100)
			values["mean"], values["lost"] = float64(looks)/float64(max(len(late), 1)), float64(len(objects)-ended)
			m.tell(values, spanOf(timeout), way.name)
			assert.Zero(m, values["lost"], way.name)
			if i == 0 {
				assert.Greater(m, values["others 100"], 50.0, way.name)
			} else {
				assert.LessOrEqual(m, max(values["late"], values["others 100"]), 0.1, way.name)
			}
		}
	}
}

const (
	firstTimeout, secondTimeout = 10 * time.Minute, time.Hour
	handledTakes                = 50 * time.Millisecond
)

var handledWays = []struct {
	name  string
	wait  func(start time.Time, handled bool) time.Duration
	check func(t testing.TB, reconciles int, lost bool)
}{
	{"by hand, client-go's `AddAfter`", soonerByHand, func(t testing.TB, reconciles int, _ bool) {
		assert.Greater(t, reconciles, 50_000, "a reconcile every 50 ms for 50 minutes")
	}},
	{"by hand, controller-runtime's `RequeueAfter`", soonerByHand, func(t testing.TB, _ int, lost bool) {
		assert.True(t, lost)
	}},
	{"`Timeout` and `Timeout`", func(start time.Time, _ bool) time.Duration {
		return requeue.From(time.Now()).Timeout(start, firstTimeout).Timeout(start, secondTimeout).After()
	}, func(t testing.TB, reconciles int, lost bool) {
		assert.InDelta(t, 60, reconciles, 15, "17 in the first minute, then one a minute")
		assert.False(t, lost)
	}},
	{"`Timeout`, and the first until it was handled", func(start time.Time, handled bool) time.Duration {
		plan := requeue.From(time.Now()).Timeout(start, secondTimeout)
		if !handled {
			plan = plan.Timeout(start, firstTimeout)
		}
		return plan.After()
	}, func(t testing.TB, reconciles int, lost bool) {
		assert.Equal(t, 2, reconciles, "at the first deadline, and at the second")
		assert.False(t, lost)
	}},
}

func soonerByHand(start time.Time, _ bool) time.Duration {
	return min(time.Until(start.Add(firstTimeout)), time.Until(start.Add(secondTimeout)))
}

// measureHandled is an object with two deadlines, such as a pipeline's timeout and one of its
// tasks. The first has passed and been acted on, and still stands in the object; what happens
// until the second?
func measureHandled(m measuring) {
	for i, way := range handledWays {
		var mu sync.Mutex // guards all below
		var start time.Time
		reconciles, lost, late := 0, true, time.Duration(0)
		one := func(stop func()) time.Duration {
			time.Sleep(handledTakes)
			mu.Lock()
			defer mu.Unlock()
			if start.IsZero() {
				start = time.Now()
			}
			handled := requeue.Expired(start, firstTimeout, nil)
			if handled {
				reconciles++
			}
			if requeue.Expired(start, secondTimeout, nil) {
				lost, late = false, time.Since(start.Add(secondTimeout))
				stop()
				return 0
			}
			return way.wait(start, handled)
		}
		const length = secondTimeout + afterwards
		if i == 0 {
			onClientGo(m.T, length, one)
		} else {
			inVirtualTime(m.T, length, 1, nil, func(create func(name string)) { create("pipeline") },
				func(_ context.Context, _ string, stop func()) (time.Duration, error) { return one(stop), nil })
		}
		values := map[string]float64{"reconciles": float64(reconciles), "late": late.Seconds()}
		if lost {
			values["lost"] = 1
		}
		m.tell(values, way.name)
		way.check(m, reconciles, lost)
		assert.LessOrEqual(m, late, 100*time.Millisecond)
	}
}

// onClientGo is [inVirtualTime] with a worker as a controller on client-go has it, and
// one object.
func onClientGo(t *testing.T, length time.Duration, one func(stop func()) time.Duration) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		q := workqueue.NewTypedDelayingQueue[string]()
		time.AfterFunc(length, q.ShutDown)
		q.Add("pipeline")
		for {
			key, shutdown := q.Get()
			if shutdown {
				return
			}
			stopped := false
			if wait := one(func() { stopped = true }); stopped {
				q.ShutDown()
			} else {
				q.AddAfter(key, wait) // requeue:ok as it is written by hand
			}
			q.Done(key)
		}
	})
}

// knownName is our queue with Options.Deadline, so that it knows the overdue ones from their
// adds on.
const knownName = oursName + ", known"

// measureAway has overdue objects fail as what they need is away, and as many healthy ones
// come at once, some time after. There is one worker, and the rate limiter is the default one.
// No retry starves the healthy ones.
func measureAway(m measuring, queue string, after time.Duration) {
	const takes = 100 * time.Millisecond
	objects := sized(100, 1000)
	var mu sync.Mutex // guards all below
	var came, overdue time.Time
	var waited []time.Duration
	reconciles := 0 // of the overdue ones until the healthy ones are served
	arrive := func(create func(name string)) {
		mu.Lock()
		overdue = time.Now().Add(-time.Minute)
		mu.Unlock()
		for i := range objects {
			create(fmt.Sprint("overdue-", i))
		}
		time.Sleep(after)
		mu.Lock()
		came = time.Now()
		mu.Unlock()
		for i := range objects {
			create(fmt.Sprint("healthy-", i))
		}
	}
	dq := queueIf(queue != controllerRuntimeName)
	if queue == knownName {
		dq.Deadline = func(r reconcile.Request) (time.Time, bool) {
			mu.Lock()
			defer mu.Unlock()
			return overdue, strings.HasPrefix(r.Name, "overdue")
		}
	}
	inVirtualTime(m.T, 24*time.Hour, 1, dq, arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		healthy := strings.HasPrefix(name, "healthy")
		if healthy {
			if waited = append(waited, time.Since(came)); len(waited) == objects {
				stop()
			}
		}
		mu.Unlock()
		time.Sleep(takes)
		mu.Lock()
		if healthy {
			return 0, nil
		}
		reconciles++
		deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(overdue))
		return 0, errStep
	})
	values := map[string]float64{"reconciles": float64(reconciles)}
	spread(values, "late", waited, 50, 100)
	m.tell(values, "away", spanOf(after), queue)
	themselves := (time.Duration(objects) * takes).Seconds()
	assert.GreaterOrEqual(m, values["late 100"], themselves-0.1, "they take so long themselves")
	assert.LessOrEqual(m, values["late 100"], 4*themselves)
	assert.GreaterOrEqual(m, reconciles, objects)
}
