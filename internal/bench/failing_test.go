package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/util/workqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// measureHandled is an object with two deadlines, such as a pipeline's timeout and one of its
// tasks. The first has passed and been acted on, and still stands in the object; what happens
// until the second?
func measureHandled(m measuring) {
	const firstTimeout, secondTimeout, takes = 10 * time.Minute, time.Hour, 50 * time.Millisecond
	sooner := func(start time.Time, _ bool) time.Duration {
		return min(time.Until(start.Add(firstTimeout)), time.Until(start.Add(secondTimeout)))
	}
	for _, way := range []struct {
		name        string
		run         func(t *testing.T, length time.Duration, look look)
		wait        func(start time.Time, handled bool) time.Duration
		least, most int // reconciles
		lost        bool
	}{
		{"by hand, client-go's `AddAfter`", onClientGo, sooner, 50_000, 70_000, false}, // one every 50 ms for 50 minutes
		{"by hand, controller-runtime's `RequeueAfter`", onControllerRuntime, sooner, 1, 1, true},
		{"`Timeout` and `Timeout`", onControllerRuntime, func(start time.Time, _ bool) time.Duration {
			return requeue.From(time.Now()).Timeout(start, firstTimeout).Timeout(start, secondTimeout).After()
		}, 45, 75, false}, // 17 in the first minute, then one a minute
		{"`Timeout`, and the first until it was handled", onControllerRuntime, func(start time.Time, handled bool) time.Duration {
			plan := requeue.From(time.Now()).Timeout(start, secondTimeout)
			if !handled {
				plan = plan.Timeout(start, firstTimeout)
			}
			return plan.After()
		}, 2, 2, false}, // at the first deadline, and at the second
	} {
		var mu sync.Mutex // guards all below
		var start time.Time
		reconciles, lost, late := 0, 1.0, time.Duration(0)
		way.run(m.T, secondTimeout+afterwards, func(_ context.Context, _ string, stop func()) (time.Duration, error) {
			time.Sleep(takes)
			mu.Lock()
			defer mu.Unlock()
			if start.IsZero() {
				start = time.Now()
			}
			handled := expired(start, firstTimeout)
			if handled {
				reconciles++
			}
			if expired(start, secondTimeout) {
				lost, late = 0, time.Since(start.Add(secondTimeout))
				stop()
				return 0, nil
			}
			return way.wait(start, handled), nil
		})
		m.tell(map[string]float64{"reconciles": float64(reconciles), "second deadline late (s)": late.Seconds(), "never acted on": lost}, way.name)
		assert.GreaterOrEqual(m, reconciles, way.least, way.name)
		assert.LessOrEqual(m, reconciles, way.most, way.name)
		assert.Equal(m, way.lost, lost > 0, way.name)
		assert.LessOrEqual(m, late, 100*time.Millisecond, way.name)
	}
}

func onControllerRuntime(t *testing.T, length time.Duration, look look) {
	t.Helper()
	inVirtualTime(t, length, 1, nil, func(create func(name string)) { create("pipeline") }, look)
}

// onClientGo has a worker as a controller on client-go has it.
func onClientGo(t *testing.T, length time.Duration, look look) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.NewTypedDelayingQueue[string]()
		time.AfterFunc(length, q.ShutDown)
		q.Add("pipeline")
		for {
			key, shutdown := q.Get()
			if shutdown {
				return
			}
			if wait, _ := look(t.Context(), key, q.ShutDown); !q.ShuttingDown() {
				q.AddAfter(key, wait) // requeue:ok as it is written by hand
			}
			q.Done(key)
		}
	})
}

// measureAway has overdue objects fail as what they need is away, and as many healthy ones
// come at once, some time after. There is one worker, and the rate limiter is the default one.
// No retry starves the healthy ones. The known queue has Options.Deadline, so that it knows the
// overdue ones from their adds on.
func measureAway(m measuring) {
	const takes, known = 100 * time.Millisecond, oursName + ", known"
	objects := sized(100, 1000)
	away := func(queue string, after time.Duration) {
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
		if queue == known {
			dq.Deadline = func(r request) (time.Time, bool) {
				mu.Lock()
				defer mu.Unlock()
				return overdue, strings.HasPrefix(r.Name, "overdue")
			}
		}
		inVirtualTime(m.T, 24*time.Hour, 1, dq, arrive, func(ctx context.Context, name string, stop func()) (time.Duration, error) {
			mu.Lock()
			healthy := strings.HasPrefix(name, "healthy")
			if !healthy {
				reconciles++
			} else if waited = append(waited, time.Since(came)); len(waited) == objects {
				stop()
			}
			mu.Unlock()
			time.Sleep(takes)
			if healthy {
				return 0, nil
			}
			deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(overdue))
			return 0, errStep
		})
		values := map[string]float64{"reconciles of the overdue": float64(reconciles)}
		spread(values, "served", waited)
		m.tell(values, fmt.Sprintf("%v min", after.Minutes()), queue)
		themselves := (time.Duration(objects) * takes).Seconds()
		assert.GreaterOrEqual(m, values["served max (s)"], themselves-0.1, "they take so long themselves")
		assert.LessOrEqual(m, values["served max (s)"], 4*themselves)
		assert.GreaterOrEqual(m, reconciles, objects)
	}
	for _, after := range []time.Duration{0, 2 * time.Minute, 10 * time.Minute} {
		for _, queue := range []string{controllerRuntimeName, oursName, known} {
			away(queue, after)
		}
	}
}
