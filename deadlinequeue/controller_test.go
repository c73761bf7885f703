package deadlinequeue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

type newQueue = func(string, workqueue.TypedRateLimiter[request]) workqueue.TypedRateLimitingInterface[request]

// runController runs a controller of controller-runtime with a queue, until the
// reconciler has returned stop. events are sent before the first reconcile, as
// the informers of a starting controller send their first list.
func runController(t *testing.T, queue newQueue, events func(*handler.EnqueueRequestForObject, workqueue.TypedRateLimitingInterface[request]),
	reconcileOne func(name string, stop func()) (reconcile.Result, error),
) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c, err := controller.NewTypedUnmanaged("test", controller.Options{
		NewQueue:           queue,
		RateLimiter:        workqueue.DefaultTypedControllerRateLimiter[request](),
		SkipNameValidation: ptr.To(true),
		UsePriorityQueue:   ptr.To(true),
		LogConstructor:     func(*request) logr.Logger { return logr.Discard() },
		Reconciler: reconcile.Func(func(_ context.Context, r request) (reconcile.Result, error) {
			return reconcileOne(r.Name, stop)
		}),
	})
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[request]) error {
		events(&handler.EnqueueRequestForObject{}, q)
		return nil
	})))
	require.NoError(t, c.Start(ctx))
	synctest.Wait()
}

func object(name string) client.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "1"}}
}

// list sends the events of a first list.
func list(names ...string) func(*handler.EnqueueRequestForObject, workqueue.TypedRateLimitingInterface[request]) {
	return func(h *handler.EnqueueRequestForObject, q workqueue.TypedRateLimitingInterface[request]) {
		for _, name := range names {
			h.Create(context.Background(), event.CreateEvent{Object: object(name), IsInInitialList: true}, q)
		}
	}
}

// lateness runs a reconciler that fails all the time and returns how long after
// its deadline it is called.
func lateness(t *testing.T, queue newQueue, timeout time.Duration, fail func(requeue.Decision) (reconcile.Result, error)) (late time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		first := true
		runController(t, queue, list("step"), func(_ string, stop func()) (reconcile.Result, error) {
			now := time.Now()
			if requeue.Expired(started, timeout, nil) {
				late = now.Sub(started.Add(timeout))
				stop()
				return reconcile.Result{}, nil
			}
			d := requeue.From(now).Every(5*time.Minute).Timeout(started, timeout).Decide()
			if first { // it has been seen well once
				first = false
				d.After = time.Millisecond
				return deadlinequeue.Result(d), nil
			}
			return fail(d)
		})
	})
	return late
}

// A step that returns errors is tried again by the rate limiter, which knows no
// deadline: 22 s late on a timeout of a minute, minutes on an hour.
func TestController_aFailingReconcilerKeepsItsDeadline(t *testing.T) {
	failure := errors.New("not yet")
	plain := func(requeue.Decision) (reconcile.Result, error) { return reconcile.Result{}, failure }
	told := func(d requeue.Decision) (reconcile.Result, error) { return deadlinequeue.Result(d), failure }

	for _, timeout := range []time.Duration{time.Minute, time.Hour} {
		assert.Zero(t, lateness(t, deadlinequeue.NewQueue, timeout, plain), "%v, a plain error", timeout)
		assert.Zero(t, lateness(t, deadlinequeue.NewQueue, timeout, told), "%v, an error with a Result", timeout)
	}
	theirs := lateness(t, nil, time.Minute, plain)
	assert.InDelta(t, 22*time.Second, theirs, float64(time.Second), "what this is for")
	t.Logf("controller-runtime's queue: %v late on 1m, %v on 1h", theirs, lateness(t, nil, time.Hour, plain))
}

// What controller-runtime marks as less urgent, a resync or the first list, stays
// behind an update.
func TestController_resyncsKeepTheirPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		runController(t, deadlinequeue.NewQueue,
			func(h *handler.EnqueueRequestForObject, q workqueue.TypedRateLimitingInterface[request]) {
				list("listed")(h, q)
				same := object("resynced")
				h.Update(t.Context(), event.UpdateEvent{ObjectOld: same, ObjectNew: same}, q)
				updated := object("updated")
				updated.SetResourceVersion("2")
				h.Update(t.Context(), event.UpdateEvent{ObjectOld: object("updated"), ObjectNew: updated}, q)
			},
			func(name string, stop func()) (reconcile.Result, error) {
				if order = append(order, name); len(order) == 3 {
					stop()
				}
				return reconcile.Result{}, nil
			})
		assert.Equal(t, []string{"updated", "listed", "resynced"}, order)
	})
}

// After a restart nobody has told the queue of a deadline; DeadlineOf does.
func TestController_theFirstListIsServedByDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		queue := func(name string, l workqueue.TypedRateLimiter[request]) workqueue.TypedRateLimitingInterface[request] {
			return deadlinequeue.New(name, deadlinequeue.Options[request]{
				RateLimiter: l,
				DeadlineOf: func(r request) (time.Time, bool) {
					var late int
					_, err := fmt.Sscanf(r.Name, "late-%d", &late)
					return now.Add(-time.Duration(late) * time.Second), err == nil
				},
			})
		}
		var order []string
		runController(t, queue, list("none", "late-1", "late-30", "late-3", "late-22"), func(name string, stop func()) (reconcile.Result, error) {
			if order = append(order, name); len(order) == 5 {
				stop()
			}
			return reconcile.Result{}, nil
		})
		assert.Equal(t, []string{"late-30", "late-22", "late-3", "late-1", "none"}, order)
	})
}

// A requeue keeps the priority that the object came with, with a deadline and
// without: the part of a long first list that was served is not put before the
// rest of it.
func TestController_aRequeueKeepsThePriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		runController(t, deadlinequeue.NewQueue, list("a", "b", "c", "d"), func(name string, stop func()) (reconcile.Result, error) {
			if order = append(order, name); len(order) == 6 {
				stop()
			}
			now := time.Now()
			time.Sleep(time.Second)
			plan := requeue.From(now).Every(time.Millisecond)
			if name == "a" {
				plan = plan.Deadline(now.Add(time.Hour))
			}
			return deadlinequeue.Result(plan.Decide()), nil
		})
		assert.Equal(t, []string{"a", "b", "c", "d", "a", "b"}, order)
	})
}

// A floor is not undercut by the deadline that it holds back.
func TestController_floorIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks []time.Duration
		start := time.Now()
		runController(t, deadlinequeue.NewQueue, list("limited"), func(_ string, stop func()) (reconcile.Result, error) {
			now := time.Now()
			if looks = append(looks, now.Sub(start)); len(looks) == 2 {
				stop()
				return reconcile.Result{}, nil
			}
			return deadlinequeue.Result(requeue.From(now).Deadline(now.Add(time.Second)).NotBefore(now.Add(time.Minute)).Decide()), nil
		})
		assert.Equal(t, []time.Duration{0, time.Minute}, looks)
	})
}

func TestResult(t *testing.T) {
	now := time.Now().Truncate(time.Microsecond)
	plan := requeue.From(now).Every(5 * time.Minute)
	assert.Equal(t, reconcile.Result{RequeueAfter: 5 * time.Minute}, deadlinequeue.Result(plan.Decide()),
		"the priority is the one that it was handed out with")
	at := now.Add(time.Hour)
	assert.Equal(t, reconcile.Result{RequeueAfter: 5 * time.Minute, Priority: ptr.To(deadlinequeue.Priority(at))},
		deadlinequeue.Result(plan.Deadline(at).Decide()), "also when the poll comes sooner")
	assert.Equal(t, ptr.To(deadlinequeue.Priority(at)), deadlinequeue.Result(plan.Deadline(at).NotBefore(now.Add(10*time.Minute)).Decide()).Priority,
		"a floor before the deadline")
	assert.Equal(t, reconcile.Result{}, deadlinequeue.Result(requeue.Decision{}))
}

func TestPriority(t *testing.T) {
	assert.Zero(t, deadlinequeue.Priority(time.Time{}))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Greater(t, deadlinequeue.Priority(now), deadlinequeue.Priority(now.Add(time.Microsecond)), "the earlier goes first")
	assert.Equal(t, deadlinequeue.Priority(now.Add(1)), deadlinequeue.Priority(now.Add(time.Microsecond)), "rounded up")
}
