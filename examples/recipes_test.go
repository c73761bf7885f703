package examples_test

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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/retry"
)

// The recipes of docs/adopting.md, run as they stand there: in virtual time, where each call
// of an API takes 200 ms and each reading of the clock is another instant. However a deadline falls
// into a reconcile, it is acted on within two looks of it, and nothing loops.

// ticking is a clock that goes on with every reading.
type ticking struct{}

func (ticking) Now() time.Time {
	time.Sleep(time.Microsecond)
	return time.Now()
}

// call is a call of an API.
func call() { time.Sleep(200 * time.Millisecond) }

// object is what the recipes look at.
type object struct {
	clock    ticking
	started  time.Time
	acted    map[string]time.Time // on each deadline
	lastRun  time.Time
	failures int
	lastTry  time.Time
	waits    *retry.Limiter[string]
	limiter  *retry.Limiter[reconcile.Request] // of the controller
	looks    int
}

// act is a change of the object that is written down.
func (o *object) act(what string) {
	call()
	if _, again := o.acted[what]; !again {
		o.acted[what] = time.Now()
	}
}

func (o *object) has(what string) bool { _, ok := o.acted[what]; return ok }

// A recipe is one look at an object that has not timed out. It returns its plan, for Tell, and
// its wait.
type recipe struct {
	name     string
	look     func(o *object) (requeue.Plan, time.Duration)
	deadline map[string]time.Duration // that must be acted on, from started
	looks    int                      // at most, in an hour
	fails    bool                     // its looks end in an error, until the timeout
	loses    bool                     // a wrong one: the test must see that
}

const timeout = 10 * time.Minute

var recipes = []recipe{
	{name: "a poll and a timeout", looks: 20, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		plan := requeue.From(o.clock.Now()).Every(5*time.Minute).Timeout(o.started, timeout)
		if plan.Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call() // the status
		return plan, plan.After()
	}},
	{name: "a plan anew after slow calls", looks: 20, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		if requeue.From(o.clock.Now()).Timeout(o.started, timeout).Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call()
		plan := requeue.From(o.clock.Now()).Every(5*time.Minute).Timeout(o.started, timeout)
		return plan, plan.After()
	}},
	{name: "Expired and NextRequeue", looks: 20, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		if requeue.Expired(o.started, timeout, o.clock) {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call()
		return requeue.From(o.clock.Now()).Timeout(o.started, timeout), requeue.NextRequeue(o.started, timeout, 5*time.Minute, o.clock)
	}},
	{name: "a wait in place of the error", looks: 40, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		plan := requeue.From(o.clock.Now()).Timeout(o.started, timeout)
		if plan.Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call() // fails
		o.failures, o.lastTry = o.failures+1, o.clock.Now()
		again := requeue.Backoff(o.lastTry, o.failures, 5*time.Second, 10*time.Minute)
		plan = requeue.From(o.clock.Now()).At(again).Timeout(o.started, timeout)
		return plan, plan.After()
	}},
	{name: "in place of Requeue: true", looks: 60, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		plan := requeue.From(o.clock.Now()).Timeout(o.started, timeout)
		if plan.Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call() // it is not ready
		return plan, o.waits.Next("object", plan)
	}},
	{name: "an error, and a limiter that knows", looks: 60, fails: true, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		plan := requeue.From(o.clock.Now()).Timeout(o.started, timeout)
		if plan.Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		o.limiter.Tell(reconcile.Request{}, plan)
		call() // fails
		return plan, 0
	}},
	{name: "fields in which 0 is at once and none", looks: 20, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		expireAfter, none := &metav1.Duration{Duration: timeout}, &metav1.Duration{}
		plan := requeue.From(o.clock.Now()).Every(5*time.Minute).Deadline(o.started.Add(expireAfter.Duration)).Timeout(o.started, none.Duration)
		if plan.Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call()
		return plan, plan.After()
	}},
	{name: "paused time", looks: 20, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		const paused = 4 * time.Minute
		plan := requeue.From(o.clock.Now()).Every(5*time.Minute).Timeout(o.started.Add(paused), timeout-paused)
		if plan.Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call()
		return plan, plan.After()
	}},
	{name: "Kargo: a step that fails, counted from now", looks: 40, deadline: map[string]time.Duration{"timeout": timeout}, look: func(o *object) (requeue.Plan, time.Duration) {
		started := requeue.TimeOf(&metav1.Time{Time: o.started})
		if requeue.From(o.clock.Now()).Timeout(started, timeout).Expired() {
			o.act("timeout")
			return requeue.Plan{}, 0
		}
		call() // fails
		o.failures++
		now := o.clock.Now()
		plan := requeue.From(now).At(requeue.Backoff(now, o.failures, time.Second, 5*time.Minute)).Timeout(started, timeout)
		return plan, plan.After()
	}},
	{name: "an interval since the last run", looks: 20, deadline: map[string]time.Duration{"run 10m0s": 10 * time.Minute, "run 20m0s": 20 * time.Minute}, look: func(o *object) (requeue.Plan, time.Duration) {
		last := o.lastRun
		if last.IsZero() || requeue.Expired(last, timeout, o.clock) {
			call()
			last = o.clock.Now()
			o.lastRun = last
			o.act(fmt.Sprint("run ", last.Sub(o.started).Round(5*time.Minute)))
		}
		plan := requeue.From(o.clock.Now()).Due(last.Add(timeout), 100*time.Millisecond)
		return plan, plan.After()
	}},
	{name: "Tekton: the timeout of the tasks until it was handled", looks: 20, deadline: tekton, look: func(o *object) (requeue.Plan, time.Duration) {
		return lookAsTekton(o, func(plan requeue.Plan) requeue.Plan {
			if o.has("tasks") {
				return plan
			}
			return plan.Timeout(o.started, timeout)
		})
	}},
	{name: "Tekton, wrong: a handled timeout as Upcoming", looks: 20, deadline: tekton, loses: true, look: func(o *object) (requeue.Plan, time.Duration) {
		return lookAsTekton(o, func(plan requeue.Plan) requeue.Plan {
			return plan.Upcoming(requeue.DeadlineOf(o.started, timeout))
		})
	}},
}

var tekton = map[string]time.Duration{"tasks": timeout, "pipeline": 40 * time.Minute}

// lookAsTekton checks by itself what has timed out, writes the status, and then computes the wait.
func lookAsTekton(o *object, tasks func(requeue.Plan) requeue.Plan) (requeue.Plan, time.Duration) {
	if requeue.Expired(o.started, 40*time.Minute, o.clock) {
		o.act("pipeline")
		return requeue.Plan{}, 0
	}
	if !o.has("tasks") && requeue.Expired(o.started, timeout, o.clock) {
		o.act("tasks")
	}
	call() // the status
	plan := tasks(requeue.From(o.clock.Now()).Timeout(o.started, 40*time.Minute))
	return plan, plan.After()
}

// controllers are the ways in which a look is called, until the context is done: the object is
// added once, and at each instant of pokes.
var controllers = map[string]func(ctx context.Context, t *testing.T, l limiter, pokes []time.Time, look reconcile.Reconciler){
	"client-go": func(ctx context.Context, _ *testing.T, l limiter, pokes []time.Time, look reconcile.Reconciler) {
		q := workqueue.NewTypedRateLimitingQueue(l)
		poke(ctx, pokes, func() { q.Add(reconcile.Request{}) })
		go func() {
			<-ctx.Done()
			q.ShutDown()
		}()
		for {
			key, down := q.Get()
			if down {
				return
			}
			result, err := look.Reconcile(ctx, key)
			if err != nil {
				q.AddRateLimited(key)
			} else if q.Forget(key); result.RequeueAfter > 0 {
				q.AddAfter(key, result.RequeueAfter)
			}
			q.Done(key)
		}
	},
	"controller-runtime": func(ctx context.Context, t *testing.T, l limiter, pokes []time.Time, look reconcile.Reconciler) {
		runController(ctx, t, pokes, controller.Options{Reconciler: look, RateLimiter: l})
	},
	"deadlinequeue": func(ctx context.Context, t *testing.T, l limiter, pokes []time.Time, look reconcile.Reconciler) {
		dq := deadlinequeue.For(look, deadlinequeue.Options[reconcile.Request]{})
		runController(ctx, t, pokes, controller.Options{Reconciler: dq, NewQueue: dq.NewQueue, RateLimiter: l})
	},
}

type limiter = workqueue.TypedRateLimiter[reconcile.Request]

func runController(ctx context.Context, t *testing.T, pokes []time.Time, o controller.Options) {
	o.SkipNameValidation, o.UsePriorityQueue = ptr.To(true), ptr.To(true)
	o.LogConstructor = func(*reconcile.Request) logr.Logger { return logr.Discard() }
	c, err := controller.NewTypedUnmanaged("test", o)
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		poke(ctx, pokes, func() { q.Add(reconcile.Request{}) })
		return nil
	})))
	require.NoError(t, c.Start(ctx))
}

// poke adds an object at once and at each instant that is ahead.
func poke(ctx context.Context, pokes []time.Time, add func()) {
	add()
	for _, at := range pokes {
		if wait := time.Until(at); wait > 0 {
			timer := time.AfterFunc(wait, add)
			context.AfterFunc(ctx, func() { timer.Stop() })
		}
	}
}

// run looks at an object for an hour. An event comes so long before each deadline; or, with
// restart, another process takes over so long before the first one.
func (r recipe) run(t *testing.T, kind string, before time.Duration, restart bool) (o *object) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o = &object{started: time.Now(), acted: map[string]time.Time{}, waits: retry.New[string](retry.Options{Base: time.Second})}
		var pokes []time.Time
		spans := []time.Duration{time.Hour}
		if restart {
			spans = []time.Duration{timeout - before, 50 * time.Minute}
		} else {
			for _, deadline := range r.deadline {
				pokes = append(pokes, o.started.Add(deadline-before))
			}
		}
		for _, span := range spans {
			ctx, stop := context.WithTimeout(t.Context(), span)
			o.limiter = retry.New[reconcile.Request](retry.Options{}) // nothing in memory stays
			controllers[kind](ctx, t, o.limiter, pokes, reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
				o.looks++
				if o.has("timeout") || o.has("pipeline") {
					return reconcile.Result{}, nil
				}
				plan, after := r.look(o)
				deadlinequeue.Tell(ctx, plan)
				if r.fails && !o.has("timeout") {
					return reconcile.Result{}, errors.New("not yet")
				}
				return reconcile.Result{RequeueAfter: after}, nil
			}))
			stop()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
	})
	return o
}

// check returns what is wrong with a run.
func (r recipe) check(o *object) error {
	for what, deadline := range r.deadline {
		at, ok := o.acted[what]
		if !ok {
			return fmt.Errorf("%s is never acted on", what)
		}
		// An interval counts from the run before, so it is late by all of them.
		if late := at.Sub(o.started.Add(deadline)); late < 0 || late > 3*time.Second {
			return fmt.Errorf("%s is acted on %v late", what, late)
		}
	}
	if o.looks > r.looks {
		return errors.New(fmt.Sprint(o.looks, " looks"))
	}
	return nil
}

func TestRecipes(t *testing.T) {
	for _, r := range recipes {
		for kind := range controllers {
			var wrong []error
			for _, restart := range []bool{false, true} {
				for before := time.Duration(0); before <= time.Second; before += 25 * time.Millisecond {
					if err := r.check(r.run(t, kind, before, restart)); err != nil {
						wrong = append(wrong, fmt.Errorf("%v before, restart %v: %w", before, restart, err))
					}
				}
			}
			if r.loses {
				assert.NotEmpty(t, wrong, "%s, %s", r.name, kind)
			} else {
				assert.Empty(t, wrong, "%s, %s", r.name, kind)
			}
		}
	}
}
