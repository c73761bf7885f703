package deadlinequeue_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// A controller of controller-runtime: the queue is one line of its options, the Controller takes
// the place of the reconciler, and the reconciler tells its plan. What it returns stays.
func Example_controllerRuntime() {
	started := time.Now()
	const timeout, poll = 2 * time.Minute, 5 * time.Minute

	reconciler := reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		plan := requeue.From(time.Now()).Every(poll).Timeout(started, timeout)
		if plan.Expired() {
			return reconcile.Result{}, nil // fail the step here
		}
		deadlinequeue.Tell(ctx, plan)
		if err := runStep(); err != nil {
			return reconcile.Result{}, err // tried again by the rate limiter, and at the deadline
		}
		return reconcile.Result{RequeueAfter: plan.After()}, nil
	})
	dq := deadlinequeue.For(reconciler, deadlinequeue.Options[reconcile.Request]{})
	options := controller.Options{NewQueue: dq.NewQueue, Reconciler: dq}

	fmt.Println(options.NewQueue != nil, options.Reconciler == dq)
	// Output: true true
}

func runStep() error { return nil }

// An event shortens a timeout. Options.Deadline looks into the cache at every add, so the queue
// knows it at once. A finished object has no deadline.
func ExampleOptions() {
	type job struct {
		started  time.Time
		timeout  time.Duration
		finished bool
	}
	started := time.Now().Add(-time.Hour)
	cache := map[string]*job{
		"default/finished": {started, time.Minute, true},
		"default/long":     {started, 24 * time.Hour, false},
		"default/late":     {started, 59 * time.Minute, false},
	}
	q := deadlinequeue.New("", deadlinequeue.Options[string]{
		Deadline: func(key string) (time.Time, bool) {
			j, ok := cache[key]
			if !ok || j.finished {
				return time.Time{}, false
			}
			return requeue.DeadlineOf(j.started, j.timeout), true
		},
	})
	defer q.ShutDown()

	for _, key := range []string{"default/finished", "default/long", "default/late"} {
		q.Add(key)
	}
	cache["default/long"].timeout = 30 * time.Minute
	q.Add("default/long")

	for range 3 {
		key, _ := q.Get()
		fmt.Println(key)
		q.Done(key)
	}
	// Output:
	// default/long
	// default/late
	// default/finished
}

// A client-go controller decides before it adds again.
func ExampleQueue_Decide() {
	queue := deadlinequeue.New("", deadlinequeue.Options[string]{})
	var _ workqueue.TypedRateLimitingInterface[string] = queue // what the informers' handlers need

	started := time.Now()
	looks := 0
	sync := func(string) requeue.Decision {
		looks++
		plan := requeue.From(time.Now()).Every(time.Minute).Timeout(started, 20*time.Millisecond)
		if plan.Expired() {
			return requeue.Decision{} // acted on, nothing to wait for
		}
		return plan.Decide()
	}

	queue.Add("default/job")
	for {
		key, shutdown := queue.Get()
		if shutdown {
			break
		}
		decision := sync(key)
		queue.Decide(key, decision)
		queue.Forget(key)
		if decision.After > 0 {
			queue.AddAfter(key, decision.After)
		} else {
			queue.ShutDown()
		}
		queue.Done(key)
	}
	fmt.Println(looks, "looks")
	// Output: 2 looks
}

// The last plan of a reconcile counts, whether that succeeds or fails. In a test of the
// reconciler alone Tell does nothing.
func ExampleTell() {
	reconciler := func(ctx context.Context) error {
		plan := requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour))
		deadlinequeue.Tell(ctx, plan)
		return errors.New("not ready")
	}
	fmt.Println(reconciler(context.Background()))
	// Output: not ready
}

// What woke the object, for a log line.
func ExampleCause() {
	dq := deadlinequeue.For(reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		fmt.Println("reconciling for:", deadlinequeue.Cause(ctx))
		return reconcile.Result{}, nil
	}), deadlinequeue.Options[reconcile.Request]{})

	queue := dq.NewQueue("promotion", nil) // a controller does this
	defer queue.ShutDown()
	queue.Add(reconcile.Request{})
	key, _ := queue.Get()
	_, _ = dq.Reconcile(context.Background(), key)
	// Output: reconciling for: event
}

// Polling slows down before it takes more than 80 % of the workers.
func ExampleController_Load() {
	dq := deadlinequeue.For(reconcile.Func(nil), deadlinequeue.Options[reconcile.Request]{})

	const poll = 5 * time.Minute
	interval := dq.Load().Stretch(poll, 0.8) // no reconcile measured yet
	fmt.Println(interval)
	// Output: 5m0s
}
