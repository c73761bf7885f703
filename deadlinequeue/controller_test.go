package deadlinequeue_test

import (
	"context"
	"errors"
	"fmt"
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
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

type (
	limiting      = workqueue.TypedRateLimitingInterface[request]
	newQueue      = func(string, workqueue.TypedRateLimiter[request]) limiting
	reconcileFunc = func(ctx context.Context, name string, stop func()) (reconcile.Result, error)
	events        = func(*handler.EnqueueRequestForObject, limiting)
)

// stock has a controller take the queue that it has without us.
var stock newQueue

// run is a controller of controller-runtime, which runs until its reconciler has called stop.
// The events are sent before the first reconcile, as the informers of a starting
// controller send their initial list.
type run struct {
	options deadlinequeue.Options[request]
	events  events
	log     logr.LogSink
	// queue takes the place of the NewQueue of the Controller, which it is given.
	queue func(*deadlinequeue.Controller[request]) newQueue
}

func (r run) until(t *testing.T, one reconcileFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	dq := deadlinequeue.For(reconcile.Func(func(ctx context.Context, r request) (reconcile.Result, error) {
		return one(ctx, r.Name, stop)
	}), r.options)
	if r.queue == nil {
		r.queue = func(dq *deadlinequeue.Controller[request]) newQueue { return dq.NewQueue }
	}
	start(ctx, t, dq, r.queue(dq), r.events, r.log)
	synctest.Wait()
}

// start runs a controller until the context is done.
func start(ctx context.Context, t *testing.T, r reconcile.Reconciler, queue newQueue, events events, log logr.LogSink) {
	t.Helper()
	if log == nil {
		log = logr.Discard().GetSink()
	}
	c, err := controller.NewTypedUnmanaged("test", controller.Options{
		NewQueue:           queue,
		RateLimiter:        workqueue.DefaultTypedControllerRateLimiter[request](),
		SkipNameValidation: ptr.To(true),
		UsePriorityQueue:   ptr.To(true),
		LogConstructor:     func(*request) logr.Logger { return logr.New(log) },
		Reconciler:         r,
	})
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, q limiting) error {
		events(&handler.EnqueueRequestForObject{}, q)
		return nil
	})))
	require.NoError(t, c.Start(ctx))
}

func object(name string) client.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "1"}}
}

// list sends the events of an initial list.
func list(names ...string) events {
	return func(h *handler.EnqueueRequestForObject, q limiting) {
		for _, name := range names {
			h.Create(context.Background(), event.CreateEvent{Object: object(name), IsInInitialList: true}, q)
		}
	}
}

var errStep = errors.New("not yet")

// failing is a step that fails in every reconcile, from the first one on, until its
// timeout is over.
type failing struct {
	timeout time.Duration
	queue   func(*deadlinequeue.Controller[request]) newQueue
	options deadlinequeue.Options[request]
	end     func(ctx context.Context, looks int, plan requeue.Plan) (reconcile.Result, error)
}

// run returns how late the step is called after its timeout, and in how many reconciles.
func (f failing) run(t *testing.T) (late time.Duration, looks int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		r := run{options: f.options, queue: f.queue, events: list("step"), log: failOnWarnings(t)}
		r.until(t, func(ctx context.Context, _ string, stop func()) (reconcile.Result, error) {
			looks++
			plan := requeue.From(time.Now()).Every(5*time.Minute).Timeout(started, f.timeout)
			if plan.Expired() {
				late = time.Since(started.Add(f.timeout))
				stop()
				return reconcile.Result{}, nil
			}
			return f.end(ctx, looks, plan)
		})
	})
	return late, looks
}

// failOnWarnings is a log in which controller-runtime complains of nothing but errors.
func failOnWarnings(t *testing.T) logr.LogSink {
	return funcr.New(func(_, args string) {
		assert.NotContains(t, args, "Warning")
	}, funcr.Options{}).GetSink()
}

func bare(context.Context, int, requeue.Plan) (reconcile.Result, error) {
	return reconcile.Result{}, errStep
}

func told(ctx context.Context, _ int, plan requeue.Plan) (reconcile.Result, error) {
	deadlinequeue.Tell(ctx, plan)
	return reconcile.Result{}, errStep
}

func toldOnce(ctx context.Context, looks int, plan requeue.Plan) (reconcile.Result, error) {
	if looks > 1 {
		return reconcile.Result{}, errStep
	}
	deadlinequeue.Tell(ctx, plan)
	return reconcile.Result{RequeueAfter: time.Millisecond}, nil
}

func stockQueue(*deadlinequeue.Controller[request]) newQueue { return stock }

// theirs runs a step with the queue of controller-runtime and without a Controller.
func (f failing) theirs(t *testing.T) (late time.Duration, looks int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		started := time.Now()
		start(ctx, t, reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
			looks++
			if requeue.From(time.Now()).Timeout(started, f.timeout).Expired() {
				late = time.Since(started.Add(f.timeout))
				stop()
				return reconcile.Result{}, nil
			}
			return reconcile.Result{}, errStep
		}), stock, list("step"), nil)
	})
	return late, looks
}

// A step that returns errors is tried again by the rate limiter, which knows no
// deadline: 22 s late on a timeout of a minute, minutes on an hour.
func TestController_aFailingReconcilerKeepsItsDeadline(t *testing.T) {
	for _, timeout := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour} {
		late, looks := failing{timeout: timeout, end: told}.run(t)
		assert.Zero(t, late, "%v, Tell", timeout)
		theirs, theirLooks := failing{timeout: timeout}.theirs(t)
		assert.LessOrEqual(t, looks, theirLooks, "no more looks than the bare error has")
		assert.Greater(t, theirs, 10*time.Second, "what this is for")
		t.Logf("%v: %v late in %d reconciles; with controller-runtime's queue %v in %d", timeout, late, looks, theirs, theirLooks)
	}
	late, _ := failing{timeout: time.Hour, end: toldOnce}.run(t)
	assert.Zero(t, late, "a bare error after a plan")
	late, _ = failing{timeout: time.Minute, end: bare}.run(t)
	assert.InDelta(t, 22*time.Second, late, float64(time.Second), "a bare error from the first reconcile on")

	var deadline time.Time
	late, _ = failing{timeout: time.Minute, end: bare, options: deadlinequeue.Options[request]{
		Deadline: func(request) (time.Time, bool) {
			if deadline.IsZero() {
				deadline = time.Now().Add(time.Minute)
			}
			return deadline, true
		},
	}}.run(t)
	assert.Zero(t, late, "a bare error with Options.Deadline")
}

// An error that is nil after all, as that of a patch is, loses nothing.
func TestController_anErrorThatIsNil(t *testing.T) {
	late, looks := failing{timeout: time.Hour, end: func(ctx context.Context, _ int, plan requeue.Plan) (reconcile.Result, error) {
		deadlinequeue.Tell(ctx, plan)
		patch := func() error { return nil }
		return reconcile.Result{}, patch()
	}}.run(t)
	assert.Zero(t, late)
	assert.Equal(t, 2, looks)
}

// A queue of the user's own may wrap the one that NewQueue makes.
func TestController_aQueueThatIsWrapped(t *testing.T) {
	type wrapped struct{ limiting }
	late, _ := failing{timeout: time.Hour, end: told, queue: func(dq *deadlinequeue.Controller[request]) newQueue {
		return func(name string, l workqueue.TypedRateLimiter[request]) limiting {
			return wrapped{dq.NewQueue(name, l)}
		}
	}}.run(t)
	assert.Zero(t, late)
}

// A floor of 7 h holds with errors, and the deadline behind it is met.
func TestController_aFloorHolds(t *testing.T) {
	for _, end := range []error{nil, errStep} {
		synctest.Test(t, func(t *testing.T) {
			var looks []time.Duration
			start := time.Now()
			run{events: list("limited")}.until(t, func(ctx context.Context, _ string, stop func()) (reconcile.Result, error) {
				now := time.Now()
				if looks = append(looks, now.Sub(start)); len(looks) == 3 {
					stop()
				}
				plan := requeue.From(now).Every(time.Minute).Deadline(start.Add(7*time.Hour + time.Millisecond))
				if plan = plan.NotBefore(start.Add(7 * time.Hour)); end == nil {
					deadlinequeue.Tell(ctx, plan)
					return reconcile.Result{RequeueAfter: plan.After()}, nil
				}
				deadlinequeue.Tell(ctx, plan)
				return reconcile.Result{}, end
			})
			assert.Equal(t, []time.Duration{0, 7 * time.Hour, 7*time.Hour + time.Millisecond}, looks, "%v", end)
		})
	}
}

// What a reconcile has told counts, whatever way it ends.
func TestController_thePlanCountsInEachEnd(t *testing.T) {
	for name, end := range map[string]func() (reconcile.Result, error){
		"a result":         func() (reconcile.Result, error) { return reconcile.Result{RequeueAfter: 5 * time.Hour}, nil },
		"nothing":          func() (reconcile.Result, error) { return reconcile.Result{}, nil },
		"a terminal error": func() (reconcile.Result, error) { return reconcile.Result{}, reconcile.TerminalError(errStep) },
		"a panic":          func() (reconcile.Result, error) { panic("broken") },
		"an error":         func() (reconcile.Result, error) { return reconcile.Result{}, errStep },
	} {
		for _, plans := range [][]time.Duration{{time.Hour}, {time.Minute, time.Hour}} {
			synctest.Test(t, func(t *testing.T) {
				start, causes := time.Now(), []string(nil)
				run{events: list("a")}.until(t, func(ctx context.Context, _ string, stop func()) (reconcile.Result, error) {
					causes = append(causes, deadlinequeue.Cause(ctx))
					if time.Since(start) >= time.Hour {
						stop()
						return reconcile.Result{}, nil
					}
					for _, in := range plans {
						deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(start.Add(in)))
					}
					return end()
				})
				assert.Equal(t, time.Hour, time.Since(start), name)
				assert.Equal(t, "resync", causes[0], name)
				assert.Equal(t, "deadline", causes[len(causes)-1], name)
			})
		}
	}
}

// Without a plan a terminal error ends the deadline: it is not tried again.
func TestController_aTerminalErrorWithoutAPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := map[string]int{}
		run{events: list("broken", "other")}.until(t, func(ctx context.Context, name string, stop func()) (reconcile.Result, error) {
			looks[name]++
			if name == "other" {
				if looks[name] == 2 {
					stop()
				}
				return reconcile.Result{RequeueAfter: 2 * time.Hour}, nil
			}
			if looks[name] == 1 {
				plan := requeue.From(time.Now()).Every(time.Minute).Deadline(time.Now().Add(time.Hour))
				deadlinequeue.Tell(ctx, plan)
				return reconcile.Result{RequeueAfter: plan.After()}, nil
			}
			return reconcile.Result{}, reconcile.TerminalError(errors.New("cannot be mended"))
		})
		assert.Equal(t, map[string]int{"broken": 2, "other": 2}, looks)
	})
}

// A leader that is lost stops its controllers while they reconcile. What is told then is
// for nobody, and no error; the next leader learns it anew.
func TestController_aLostLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		dq := deadlinequeue.For(reconcile.Func(func(ctx context.Context, _ request) (reconcile.Result, error) {
			time.Sleep(time.Minute)
			deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour)))
			return reconcile.Result{}, nil
		}), deadlinequeue.Options[request]{})
		observed := reconcile.Func(func(ctx context.Context, r request) (reconcile.Result, error) {
			result, err := dq.Reconcile(ctx, r)
			ended = err
			return result, err
		})
		for range 2 { // the second is the next leader, in this process
			ctx, lost := context.WithCancel(t.Context())
			go func() {
				time.Sleep(30 * time.Second)
				lost()
			}()
			start(ctx, t, observed, dq.NewQueue, list("a"), nil)
			require.NoError(t, ended)
			assert.Zero(t, dq.Load().Objects, "nothing is left of it")
		}
	})
}

// The retries of a key that panics are counted like errors.
func TestController_aPanicGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := deadlinequeue.For(reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
			panic("broken")
		}), deadlinequeue.Options[request]{})
		queue := q.NewQueue("test", nil)
		defer queue.ShutDown()
		queue.Add(request{})
		key, _ := queue.Get()
		assert.PanicsWithValue(t, "broken", func() { _, _ = q.Reconcile(t.Context(), key) })
	})
}

// A wrapper gives up on a reconcile that goes on. What that tells at its end is not for the
// hand-out of then.
func TestController_aReconcileThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plans := make(chan requeue.Plan)
		dq := deadlinequeue.For(reconcile.Func(func(ctx context.Context, _ request) (reconcile.Result, error) {
			deadlinequeue.Tell(ctx, <-plans)
			return reconcile.Result{}, nil
		}), deadlinequeue.Options[request]{})
		q := dq.NewQueue("test", nil)
		defer q.ShutDown()
		begin := func() {
			q.Add(request{})
			key, _ := q.Get()
			go func() { _, _ = dq.Reconcile(t.Context(), key) }()
			synctest.Wait()
		}
		begin()
		q.Done(request{}) // it is given up
		begin()
		now := time.Now()
		plans <- requeue.From(now) // to the first, as goroutines take in turn
		synctest.Wait()
		plans <- requeue.From(now).Deadline(now.Add(time.Minute))
		synctest.Wait()
		q.Done(request{})
		time.Sleep(time.Minute)
		assert.Equal(t, 1, q.Len())
	})
}

// A Controller whose queue is another says so, and does not reconcile.
func TestController_anotherQueue(t *testing.T) {
	one := deadlinequeue.Options[request]{}
	for name, queue := range map[string]func(*deadlinequeue.Controller[request]) newQueue{
		`the controller of reconcile.TypedFunc[sigs.k8s.io/controller-runtime/pkg/reconcile.Request] has another queue`: stockQueue,
		`default/a was not handed out by the queue of controller "test"`: func(dq *deadlinequeue.Controller[request]) newQueue {
			return func(name string, l workqueue.TypedRateLimiter[request]) limiting {
				dq.NewQueue(name, l)
				return deadlinequeue.New(name, one)
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			dq := deadlinequeue.For(reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
				t.Error("it reconciles")
				return reconcile.Result{}, nil
			}), one)
			var failed error
			start(ctx, t, reconcile.Func(func(ctx context.Context, r request) (reconcile.Result, error) {
				defer stop()
				result, err := dq.Reconcile(ctx, r)
				failed = err
				return result, err
			}), queue(dq), list("a"), nil)
			assert.ErrorContains(t, failed, name)
			assert.ErrorContains(t, failed, "set NewQueue")
		})
	}
	assert.Zero(t, deadlinequeue.For[request](nil, one).Load())
}

// A Controller that was given to two controllers says so, by their names.
func TestController_twoControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dq := deadlinequeue.For(reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
			t.Error("it reconciles")
			return reconcile.Result{}, nil
		}), deadlinequeue.Options[request]{})
		for _, name := range []string{"first", "second"} {
			q := dq.NewQueue(name, nil)
			defer q.ShutDown()
			q.Add(request{})
			_, _ = q.Get()
		}
		_, err := dq.Reconcile(t.Context(), request{})
		assert.ErrorContains(t, err, `the controllers "first" and "second" were given one Controller`)
		assert.ErrorIs(t, err, reconcile.TerminalError(nil))
	})
}

// Without a Controller, as in a unit test of the reconciler, nothing is told and nothing
// goes wrong.
func TestTell_withoutAController(t *testing.T) {
	deadlinequeue.Tell(t.Context(), requeue.From(time.Now()))
	assert.Empty(t, deadlinequeue.Cause(t.Context()))
}

// What controller-runtime marks as less urgent, a resync or the initial list, stays
// behind an update.
func TestController_resyncsKeepTheirPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		run{events: func(h *handler.EnqueueRequestForObject, q limiting) {
			list("listed")(h, q)
			same := object("resynced")
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: same, ObjectNew: same}, q)
			updated := object("updated")
			updated.SetResourceVersion("2")
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: object("updated"), ObjectNew: updated}, q)
		}}.until(t, func(ctx context.Context, name string, stop func()) (reconcile.Result, error) {
			if order = append(order, name+", "+deadlinequeue.Cause(ctx)); len(order) == 3 {
				stop()
			}
			return reconcile.Result{}, nil
		})
		assert.Equal(t, []string{"updated, event", "listed, resync", "resynced, resync"}, order)
	})
}

// After a restart nobody has told the queue of a deadline; Options.Deadline does. A
// finished object has none.
func TestController_theInitialListIsServedByDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		o := deadlinequeue.Options[request]{Deadline: func(r request) (time.Time, bool) {
			var late int
			_, err := fmt.Sscanf(r.Name, "late-%d", &late)
			return now.Add(-time.Duration(late) * time.Second), err == nil
		}}
		var order []string
		run{options: o, events: list("finished", "late-1", "late-30", "late-3", "late-22")}.until(t, func(_ context.Context, name string, stop func()) (reconcile.Result, error) {
			if order = append(order, name); len(order) == 5 {
				stop()
			}
			return reconcile.Result{}, nil
		})
		assert.Equal(t, []string{"late-30", "late-22", "late-3", "late-1", "finished"}, order)
	})
}

// A requeue keeps the priority that the object came with, with a deadline and
// without: the part of a long initial list that was served is not put before the
// rest of it.
func TestController_aRequeueKeepsThePriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		run{events: list("a", "b", "c", "d")}.until(t, func(ctx context.Context, name string, stop func()) (reconcile.Result, error) {
			if order = append(order, name); len(order) == 6 {
				stop()
			}
			now := time.Now()
			time.Sleep(time.Second)
			plan := requeue.From(now).Every(time.Millisecond)
			if name == "a" {
				plan = plan.Deadline(now.Add(time.Hour))
			}
			deadlinequeue.Tell(ctx, plan)
			return reconcile.Result{RequeueAfter: plan.After()}, nil
		})
		assert.Equal(t, []string{"a", "b", "c", "d", "a", "b"}, order)
	})
}
