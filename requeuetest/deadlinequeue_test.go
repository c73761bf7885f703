package requeuetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/requeuetest"
	"github.com/requeue-go/requeue/retry"
)

// The tests of deadlinequeue and of package retry that need a whole controller. They are here, as
// deadlinequeue cannot require this module.

type (
	limiting = workqueue.TypedRateLimitingInterface[reconcile.Request]
	limiter  = workqueue.TypedRateLimiter[reconcile.Request]
	newQueue = func(string, limiter) limiting
	queued   = deadlinequeue.Options[reconcile.Request]
	look     = func(ctx context.Context, name string, first time.Time) (reconcile.Result, error)
	wiring   = func(reconcile.Reconciler) controller.Options
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
}

// ours has a controller take our queue.
func ours(o queued) wiring {
	return func(r reconcile.Reconciler) controller.Options {
		dq := deadlinequeue.For(r, o)
		return controller.Options{Reconciler: dq, NewQueue: dq.NewQueue}
	}
}

// stock has a controller take the queue that it has without us.
func stock(r reconcile.Reconciler) controller.Options {
	return controller.Options{Reconciler: r, UsePriorityQueue: ptr.To(true)}
}

// world runs a controller for ConfigMaps with these names, of which controller-runtime logs no warning.
// A look is given the time of the first of all.
func world(t *testing.T, resync time.Duration, with wiring, one look, names ...string) *requeuetest.World {
	t.Helper()
	var first time.Time
	o := requeuetest.Options{
		Setup: requeuetest.For(&corev1.ConfigMap{}, func(client.Client) controller.Options {
			return with(reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
				if first.IsZero() {
					first = time.Now()
				}
				return one(ctx, r.Name, first)
			}))
		}),
		Manager: manager.Options{
			Cache: cache.Options{SyncPeriod: &resync},
			Logger: logr.New(funcr.New(func(_, args string) {
				assert.NotContains(t, args, "Warning")
			}, funcr.Options{}).GetSink()),
		},
	}
	for _, name := range names {
		o.Objects = append(o.Objects, configMap(name))
	}
	return requeuetest.Start(t, o)
}

// never is a resync that no test lasts for.
const never = 1000 * time.Hour

var errStep = errors.New("not yet")

type end = func(ctx context.Context, looks int, plan requeue.Plan) (reconcile.Result, error)

// failing looks at a step that ends in the same way in every reconcile, from the first one on,
// until its timeout is over. It returns how late that is seen, and in how many reconciles.
func failing(t *testing.T, timeout time.Duration, with wiring, end end) (late time.Duration, looks int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		late = -1
		world(t, never, with, func(ctx context.Context, _ string, started time.Time) (reconcile.Result, error) {
			if late >= 0 {
				return reconcile.Result{}, nil
			}
			looks++
			plan := requeue.From(time.Now()).Every(5*time.Minute).Timeout(started, timeout)
			if plan.Expired() {
				late = time.Since(started.Add(timeout))
				return reconcile.Result{}, nil
			}
			return end(ctx, looks, plan)
		}, "step").Sleep(2*timeout + time.Minute)
		require.GreaterOrEqual(t, late, time.Duration(0), "it was lost")
	})
	return late, looks
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

var timeouts = []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour}

// A step that returns errors is tried again by the rate limiter, which knows no
// deadline: 22 s late on a timeout of a minute, minutes on an hour.
func TestController_aFailingReconcilerKeepsItsDeadline(t *testing.T) {
	for _, timeout := range timeouts {
		late, looks := failing(t, timeout, ours(queued{}), told)
		assert.Zero(t, late, "%v, Tell", timeout)
		theirs, theirLooks := failing(t, timeout, stock, bare)
		assert.LessOrEqual(t, looks, theirLooks, "no more looks than the bare error has")
		assert.Greater(t, theirs, 10*time.Second, "what this is for")
		t.Logf("%v: %v late in %d reconciles; with controller-runtime's queue %v in %d", timeout, late, looks, theirs, theirLooks)
	}
	late, _ := failing(t, time.Hour, ours(queued{}), toldOnce)
	assert.Zero(t, late, "a bare error after a plan")
	late, _ = failing(t, time.Minute, ours(queued{}), bare)
	assert.InDelta(t, 22*time.Second, late, float64(time.Second), "a bare error from the first reconcile on")

	var deadline time.Time
	late, _ = failing(t, time.Minute, ours(queued{Deadline: func(reconcile.Request) (time.Time, bool) {
		return deadline, true
	}}), func(_ context.Context, looks int, _ requeue.Plan) (reconcile.Result, error) {
		if looks == 1 {
			deadline = time.Now().Add(time.Minute)
		}
		return reconcile.Result{}, errStep
	})
	assert.Zero(t, late, "a bare error with Options.Deadline")
}

// An error that is nil after all, as that of a patch is, loses nothing.
func TestController_anErrorThatIsNil(t *testing.T) {
	late, looks := failing(t, time.Hour, ours(queued{}), func(ctx context.Context, _ int, plan requeue.Plan) (reconcile.Result, error) {
		deadlinequeue.Tell(ctx, plan)
		patch := func() error { return nil }
		return reconcile.Result{}, patch()
	})
	assert.Zero(t, late)
	assert.Equal(t, 2, looks)
}

// A queue of the user's own may wrap the one that NewQueue makes.
func TestController_aQueueThatIsWrapped(t *testing.T) {
	type wrapped struct{ limiting }
	late, _ := failing(t, time.Hour, func(r reconcile.Reconciler) controller.Options {
		dq := deadlinequeue.For(r, queued{})
		return controller.Options{Reconciler: dq, NewQueue: func(name string, l limiter) limiting { return wrapped{dq.NewQueue(name, l)} }}
	}, told)
	assert.Zero(t, late)
}

// since returns when an object was looked at, from the first look on.
func since(looks requeuetest.Timeline) (after []time.Duration) {
	for _, l := range looks {
		after = append(after, l.At.Sub(looks[0].At))
	}
	return after
}

// A floor of 7 h holds with errors, and the deadline behind it is met.
func TestController_aFloorHolds(t *testing.T) {
	for _, end := range []error{nil, errStep} {
		synctest.Test(t, func(t *testing.T) {
			w := world(t, never, ours(queued{}), func(ctx context.Context, _ string, first time.Time) (reconcile.Result, error) {
				now, deadline := time.Now(), first.Add(7*time.Hour+time.Millisecond)
				if !now.Before(deadline) {
					return reconcile.Result{}, nil
				}
				plan := requeue.From(now).Every(time.Minute).Deadline(deadline).NotBefore(first.Add(7 * time.Hour))
				deadlinequeue.Tell(ctx, plan)
				if end != nil {
					return reconcile.Result{}, end
				}
				return reconcile.Result{RequeueAfter: plan.After()}, nil
			}, "limited")
			w.Sleep(7*time.Hour + time.Second)
			assert.Equal(t, []time.Duration{0, 7 * time.Hour, 7*time.Hour + time.Millisecond}, since(w.Timeline(configMap("limited"))), "%v", end)
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
				var causes []string
				w := world(t, never, ours(queued{}), func(ctx context.Context, _ string, first time.Time) (reconcile.Result, error) {
					if causes = append(causes, deadlinequeue.Cause(ctx)); time.Since(first) >= time.Hour {
						return reconcile.Result{}, nil
					}
					for _, in := range plans {
						deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(first.Add(in)))
					}
					return end()
				}, "a")
				w.Sleep(time.Hour + time.Second)
				looks := since(w.Timeline(configMap("a")))
				assert.Equal(t, time.Hour, looks[len(looks)-1], name)
				assert.Equal(t, "resync", causes[0], name)
				assert.Equal(t, "deadline", causes[len(causes)-1], name)
			})
		}
	}
}

// Without a plan a terminal error ends the deadline: it is not tried again.
func TestController_aTerminalErrorWithoutAPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, never, ours(queued{}), func(ctx context.Context, _ string, first time.Time) (reconcile.Result, error) {
			now := time.Now()
			if now.After(first) {
				return reconcile.Result{}, reconcile.TerminalError(errors.New("cannot be mended"))
			}
			plan := requeue.From(now).Every(time.Minute).Deadline(now.Add(time.Hour))
			deadlinequeue.Tell(ctx, plan)
			return reconcile.Result{RequeueAfter: plan.After()}, nil
		}, "broken")
		w.Sleep(2 * time.Hour)
		assert.Equal(t, []time.Duration{0, time.Minute}, since(w.Timeline(configMap("broken"))))
	})
}

// A leader that is lost stops its controllers while they reconcile. What is told then is
// for nobody, and no error; the next leader learns it anew.
func TestController_aLostLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dq *deadlinequeue.Controller[reconcile.Request]
		w := world(t, never, func(r reconcile.Reconciler) controller.Options {
			if dq == nil { // the next leader is in this process
				dq = deadlinequeue.For(r, queued{})
			}
			return controller.Options{Reconciler: dq, NewQueue: dq.NewQueue}
		}, func(ctx context.Context, _ string, _ time.Time) (reconcile.Result, error) {
			time.Sleep(time.Minute)
			deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour)))
			return reconcile.Result{}, nil
		}, "a")
		for range 2 {
			w.Sleep(40 * time.Second)
			assert.Equal(t, 1, dq.Load().Objects, "it is under way")
			w.Restart(0)
			assert.Zero(t, dq.Load().Objects, "nothing is left of it")
		}
		w.Sleep(2*time.Hour + 10*time.Minute)
		for _, l := range w.Timeline(configMap("a")) {
			require.NoError(t, l.Err)
		}
		second := time.Minute + time.Hour // each reconcile takes a minute
		assert.Equal(t, []time.Duration{0, second, 2 * second}, since(w.Timeline(configMap("a"))[2:]))
	})
}

// A Controller whose queue is another says so, and does not reconcile.
func TestController_anotherQueue(t *testing.T) {
	for want, queue := range map[string]func(*deadlinequeue.Controller[reconcile.Request]) newQueue{
		`the controller of reconcile.TypedFunc[sigs.k8s.io/controller-runtime/pkg/reconcile.Request] has another queue`: func(*deadlinequeue.Controller[reconcile.Request]) newQueue { return nil },
		`default/a was not handed out by the queue of controller "configmap"`: func(dq *deadlinequeue.Controller[reconcile.Request]) newQueue {
			return func(name string, l limiter) limiting {
				dq.NewQueue(name, l)
				return deadlinequeue.New(name, queued{})
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := world(t, never, func(r reconcile.Reconciler) controller.Options {
				dq := deadlinequeue.For(r, queued{})
				return controller.Options{Reconciler: dq, NewQueue: queue(dq)}
			}, func(context.Context, string, time.Time) (reconcile.Result, error) {
				t.Error("it reconciles")
				return reconcile.Result{}, nil
			}, "a")
			w.Sleep(time.Hour)
			looks := w.Timeline(configMap("a"))
			require.Len(t, looks, 1)
			require.ErrorContains(t, looks[0].Err, want)
			assert.ErrorContains(t, looks[0].Err, "set NewQueue")
		})
	}
}

// What controller-runtime marks as less urgent, the initial list or a resync, stays
// behind an update.
func TestController_resyncsKeepTheirPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := strings.Split("abcdefghij", "")
		var mu sync.Mutex // for the test reads while the controller goes on
		var order, causes []string
		began := time.Now()
		w := world(t, time.Hour, ours(queued{}), func(ctx context.Context, name string, _ time.Time) (reconcile.Result, error) {
			mu.Lock()
			order, causes = append(order, name), append(causes, deadlinequeue.Cause(ctx))
			mu.Unlock()
			time.Sleep(time.Minute) // the others wait
			return reconcile.Result{}, nil
		}, names...)
		for i, list := range []time.Duration{0, 2 * time.Hour} { // the initial list and the first resync
			w.Sleep(time.Until(began.Add(list + 30*time.Second)))
			begin := i * len(names)
			mu.Lock()
			require.Len(t, order, begin+1)
			waiting := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == order[begin] })
			mu.Unlock()
			for _, name := range waiting[5:] {
				updated := configMap(name)
				updated.Data = map[string]string{"at": time.Now().String()}
				require.NoError(t, w.Client.Update(t.Context(), updated))
			}
			w.Sleep(20 * time.Minute)
			mu.Lock()
			assert.Equal(t, strings.Fields("resync  event event event event  resync resync resync resync resync"), causes[begin:])
			assert.Subset(t, waiting[5:], order[begin+1:begin+5], "the updated ones")
			mu.Unlock()
		}
	})
}

// After a restart nobody has told the queue of a deadline; Options.Deadline does. A
// finished object has none.
func TestController_theInitialListIsServedByDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		o := queued{Deadline: func(r reconcile.Request) (time.Time, bool) {
			var late int
			_, err := fmt.Sscanf(r.Name, "late-%d", &late)
			return now.Add(-time.Duration(late) * time.Second), err == nil
		}}
		var order []string
		world(t, never, ours(o), func(_ context.Context, name string, _ time.Time) (reconcile.Result, error) {
			order = append(order, name)
			return reconcile.Result{}, nil
		}, "finished", "late-1", "late-30", "late-3", "late-22").Sleep(time.Second)
		assert.Equal(t, []string{"late-30", "late-22", "late-3", "late-1", "finished"}, order)
	})
}

// A requeue keeps the priority that the object came with, with a deadline and
// without: the part of a long initial list that was served is not put before the
// rest of it.
func TestController_aRequeueKeepsThePriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		world(t, never, ours(queued{}), func(ctx context.Context, name string, _ time.Time) (reconcile.Result, error) {
			order = append(order, name)
			now := time.Now()
			time.Sleep(time.Second)
			plan := requeue.From(now).Every(time.Millisecond)
			if name == order[0] {
				plan = plan.Deadline(now.Add(time.Hour))
			}
			deadlinequeue.Tell(ctx, plan)
			return reconcile.Result{RequeueAfter: plan.After()}, nil
		}, "a", "b", "c", "d").Sleep(6 * time.Second)
		assert.ElementsMatch(t, []string{"a", "b", "c", "d"}, order[:4])
		assert.Equal(t, order[:2], order[4:])
	})
}

// limited has a controller that keeps its queue take a rate limiter. Each look takes a millisecond.
func limited(l limiter, priorities bool) wiring {
	return func(r reconcile.Reconciler) controller.Options {
		return controller.Options{RateLimiter: l, UsePriorityQueue: &priorities, Reconciler: reconcile.Func(func(ctx context.Context, key reconcile.Request) (reconcile.Result, error) {
			time.Sleep(time.Millisecond)
			return r.Reconcile(ctx, key)
		})}
	}
}

var stepKey = reconcile.Request{NamespacedName: client.ObjectKeyFromObject(configMap("step"))}

func TestRetryLimiter_aFailingStepIsLookedAtWhenItsTimeoutPasses(t *testing.T) {
	for _, priorities := range []bool{true, false} {
		for _, timeout := range timeouts {
			knows := retry.New[reconcile.Request](retry.Options{})
			late, looks := failing(t, timeout, limited(knows, priorities), func(_ context.Context, _ int, plan requeue.Plan) (reconcile.Result, error) {
				knows.Tell(stepKey, plan)
				return reconcile.Result{}, errStep
			})
			theirs, theirLooks := failing(t, timeout, limited(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request](), priorities), bare)
			t.Logf("%v, priorities %v: %v late in %d looks; without %v in %d", timeout, priorities, late, looks, theirs, theirLooks)
			assert.LessOrEqual(t, late, 5*time.Millisecond)
			assert.LessOrEqual(t, looks, theirLooks+10)
			assert.Greater(t, theirs, 10*time.Second, "what this is for")
		}
	}
}

// The limiter of Next is not that of the controller's options: controller-runtime forgets an
// object there whenever a reconcile ends without an error, so it would never back off.
func TestRetryLimiter_nextNeedsOneOfItsOwn(t *testing.T) {
	for _, priorities := range []bool{true, false} {
		for _, own := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				options := retry.New[reconcile.Request](retry.Options{Base: time.Second})
				next := options
				if own {
					next = retry.New[reconcile.Request](retry.Options{Base: time.Second})
				}
				var waits []time.Duration
				world(t, never, limited(options, priorities), func(context.Context, string, time.Time) (reconcile.Result, error) {
					if len(waits) == 4 {
						return reconcile.Result{}, nil
					}
					waits = append(waits, next.Next(stepKey, requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour))))
					return reconcile.Result{RequeueAfter: waits[len(waits)-1]}, nil
				}, "step").Sleep(time.Minute)
				want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
				if !own {
					want = []time.Duration{time.Second, time.Second, time.Second, time.Second}
				}
				assert.Equal(t, want, waits)
			})
		}
	}
}
