package deadlinequeue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
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
func runController(t *testing.T, queue newQueue, log logr.Logger, events func(*handler.EnqueueRequestForObject, workqueue.TypedRateLimitingInterface[request]),
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
		LogConstructor:     func(*request) logr.Logger { return log },
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

// failing is a step that fails in every reconcile, from the first one on, until its
// timeout is over.
type failing struct {
	timeout time.Duration
	answer  func(looks int, d requeue.Decision) (reconcile.Result, error)
}

// run returns how late the step is called after its timeout, in how many reconciles,
// and how often controller-runtime has logged a warning.
func (f failing) run(t *testing.T, queue newQueue) (late time.Duration, looks, warnings int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		log := funcr.New(func(_, args string) {
			if strings.Contains(args, "Warning") {
				warnings++
			}
		}, funcr.Options{})
		runController(t, queue, log, list("step"), func(_ string, stop func()) (reconcile.Result, error) {
			looks++
			plan := requeue.From(time.Now()).Every(5*time.Minute).Timeout(started, f.timeout)
			if plan.Expired() {
				late = time.Since(started.Add(f.timeout))
				stop()
				return reconcile.Result{}, nil
			}
			return f.answer(looks, plan.Decide())
		})
	})
	return late, looks, warnings
}

// A step that returns errors is tried again by the rate limiter, which knows no
// deadline: 22 s late on a timeout of a minute, minutes on an hour.
func TestController_aFailingReconcilerKeepsItsDeadline(t *testing.T) {
	failure := errors.New("not yet")
	bare := func(int, requeue.Decision) (reconcile.Result, error) { return reconcile.Result{}, failure }
	told := func(_ int, d requeue.Decision) (reconcile.Result, error) { return deadlinequeue.Failed(d), failure }
	onceWell := func(looks int, d requeue.Decision) (reconcile.Result, error) {
		if looks == 1 {
			d.After = time.Millisecond
			return deadlinequeue.Result(d), nil
		}
		return reconcile.Result{}, failure
	}
	// requeue:ok a test of what Result does with an error
	withResult := func(_ int, d requeue.Decision) (reconcile.Result, error) { return deadlinequeue.Result(d), failure }

	for _, timeout := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour} {
		late, looks, warnings := failing{timeout, told}.run(t, deadlinequeue.NewQueue)
		assert.Zero(t, late, "%v, Failed", timeout)
		assert.Zero(t, warnings, "%v, Failed", timeout)
		theirs, theirLooks, _ := failing{timeout, bare}.run(t, nil)
		assert.LessOrEqual(t, looks, theirLooks+1, "no more looks than with controller-runtime's queue, but the one on time")
		t.Logf("%v: %v late in %d reconciles; with controller-runtime's queue %v in %d", timeout, late, looks, theirs, theirLooks)
	}
	late, _, _ := failing{time.Hour, onceWell}.run(t, deadlinequeue.NewQueue)
	assert.Zero(t, late, "a bare error after an earlier word")
	late, _, _ = failing{time.Minute, bare}.run(t, deadlinequeue.NewQueue)
	assert.InDelta(t, 22*time.Second, late, float64(time.Second), "a bare error from the first reconcile on")
	late, _, _ = failing{time.Minute, bare}.run(t, func(name string, l workqueue.TypedRateLimiter[request]) workqueue.TypedRateLimitingInterface[request] {
		deadline := time.Now().Add(time.Minute)
		return deadlinequeue.New(name, deadlinequeue.Options[request]{
			RateLimiter: l, DeadlineOf: func(request) (time.Time, bool) { return deadline, true },
		})
	})
	assert.Zero(t, late, "a bare error with DeadlineOf")
	late, _, warnings := failing{time.Minute, withResult}.run(t, deadlinequeue.NewQueue)
	assert.Zero(t, late, "Result with an error")
	assert.Equal(t, 14, warnings, "what Failed is for")
	late, _, _ = failing{time.Minute, bare}.run(t, nil)
	assert.InDelta(t, 22*time.Second, late, float64(time.Second), "what this is for")
}

// A terminal error is not tried again, so it ends in no word: the deadline is
// withdrawn.
func TestController_aTerminalErrorWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := map[string]int{}
		runController(t, deadlinequeue.NewQueue, logr.Discard(), list("broken", "other"), func(name string, stop func()) (reconcile.Result, error) {
			looks[name]++
			if name == "other" {
				if looks[name] == 2 {
					stop()
				}
				return reconcile.Result{RequeueAfter: 2 * time.Hour}, nil
			}
			if looks[name] == 1 {
				return deadlinequeue.Result(requeue.From(time.Now()).Every(time.Minute).Deadline(time.Now().Add(time.Hour)).Decide()), nil
			}
			return reconcile.Result{}, reconcile.TerminalError(errors.New("cannot be mended"))
		})
		assert.Equal(t, map[string]int{"broken": 2, "other": 2}, looks)
	})
}

// What controller-runtime marks as less urgent, a resync or the first list, stays
// behind an update.
func TestController_resyncsKeepTheirPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		runController(t, deadlinequeue.NewQueue, logr.Discard(),
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
		runController(t, queue, logr.Discard(), list("none", "late-1", "late-30", "late-3", "late-22"), func(name string, stop func()) (reconcile.Result, error) {
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
		runController(t, deadlinequeue.NewQueue, logr.Discard(), list("a", "b", "c", "d"), func(name string, stop func()) (reconcile.Result, error) {
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
		runController(t, deadlinequeue.NewQueue, logr.Discard(), list("limited"), func(_ string, stop func()) (reconcile.Result, error) {
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

// What a result tells the queue, seen by when the queue wakes a key that has nothing
// else to wait for.
func TestResult(t *testing.T) {
	assert.Equal(t, reconcile.Result{}, deadlinequeue.Result(requeue.Decision{}))
	const second, minute, hour, day = time.Second, time.Minute, time.Hour, 24 * time.Hour
	for _, tt := range []struct {
		why    string
		plan   func(in func(time.Duration) time.Time) requeue.Plan
		result time.Duration // when the key wakes after the reconcile
		failed time.Duration // when it wakes if that failed and the limiter waits a day
	}{
		{"no deadline", func(func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Every(5 * minute)
		}, 2 * day, day},
		{"a deadline, also when the poll comes sooner", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Every(5 * minute).Deadline(in(hour))
		}, hour, hour},
		{"the sooner of two", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Deadline(in(hour)).Upcoming(in(minute))
		}, minute, minute},
		{"the one ahead of an overdue one", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Deadline(in(-hour)).Deadline(in(minute))
		}, minute, minute},
		{"a floor in place of the deadline before it", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Deadline(in(second)).NotBefore(in(10 * minute))
		}, 10 * minute, 10 * minute},
		{"a deadline behind a floor", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Every(second).Deadline(in(hour)).NotBefore(in(10 * minute))
		}, hour, hour},
		{"a floor without a deadline", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).Every(second).NotBefore(in(10 * minute))
		}, 2 * day, day},
		{"an instant to look again is no deadline", func(in func(time.Duration) time.Time) requeue.Plan {
			return requeue.From(time.Now()).At(in(minute))
		}, 2 * day, day},
	} {
		wakes := func(o func(requeue.Decision) priorityqueue.AddOpts) (after time.Duration) {
			synctest.Test(t, func(*testing.T) {
				limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](day, day)
				q := deadlinequeue.New("", deadlinequeue.Options[string]{RateLimiter: limiter})
				defer q.ShutDown()
				start := time.Now()
				q.Add("a")
				_, _ = q.Get()
				q.AddWithOpts(o(tt.plan(start.Add).Decide()), "a")
				q.Done("a")
				_, _ = q.Get()
				after = time.Since(start)
			})
			return after
		}
		assert.Equal(t, tt.result, wakes(func(d requeue.Decision) priorityqueue.AddOpts {
			assert.Equal(t, d.After, deadlinequeue.Result(d).RequeueAfter)
			return priorityqueue.AddOpts{After: 2 * day, Priority: deadlinequeue.Result(d).Priority}
		}), tt.why)
		assert.Equal(t, tt.failed, wakes(func(d requeue.Decision) priorityqueue.AddOpts {
			assert.Zero(t, deadlinequeue.Failed(d).RequeueAfter)
			return priorityqueue.AddOpts{RateLimited: true, Priority: deadlinequeue.Failed(d).Priority}
		}), "%s, failed", tt.why)
	}
}

func TestPriority(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Greater(t, deadlinequeue.Priority(now), deadlinequeue.Priority(now.Add(time.Microsecond)), "the earlier goes first")
	assert.Equal(t, deadlinequeue.Priority(now.Add(1)), deadlinequeue.Priority(now.Add(time.Microsecond)), "rounded up")
}
