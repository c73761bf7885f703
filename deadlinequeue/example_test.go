package deadlinequeue_test

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// A controller of controller-runtime: the queue is one line of its options, and
// the reconciler returns the decision of its plan.
func Example_controllerRuntime() {
	started := time.Now()
	const timeout, poll = 2 * time.Minute, 5 * time.Minute

	options := controller.Options{
		NewQueue: deadlinequeue.NewQueue,
		Reconciler: reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			plan := requeue.From(time.Now()).Every(poll).Timeout(started, timeout)
			if plan.Expired() {
				return reconcile.Result{}, nil // fail the step here
			}
			if err := runStep(); err != nil {
				return deadlinequeue.Failed(plan.Decide()), err
			}
			return deadlinequeue.Result(plan.Decide()), nil
		}),
	}

	result, err := options.Reconciler.Reconcile(context.Background(), reconcile.Request{})
	fmt.Println(result.RequeueAfter.Round(time.Second), err)
	// Output: 2m0s <nil>
}

func runStep() error { return nil }

// A step that has failed: the rate limiter says when to try again, and the step's
// deadline ends that wait.
func ExampleFailed() {
	now := time.Now()
	plan := requeue.From(now).Every(5*time.Minute).Timeout(now, time.Minute)

	result := deadlinequeue.Failed(plan.Decide())
	fmt.Println(result.RequeueAfter, result.Priority != nil)
	// Output: 0s true
}

// An event handler tells a deadline that was moved. The latest word counts.
func ExamplePriority() {
	q := deadlinequeue.New("", deadlinequeue.Options[string]{})
	defer q.ShutDown()
	tell := func(key string, deadline time.Time) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(deadlinequeue.Priority(deadline))}, key)
	}
	tell("default/moved", time.Now().Add(-time.Hour))
	tell("default/late", time.Now().Add(-time.Minute))
	tell("default/moved", time.Now().Add(time.Hour))

	first, _ := q.Get()
	fmt.Println(first)
	// Output: default/late
}

// The deadlines of the first list after a restart are known to nobody but the
// objects: DeadlineOf looks there, in the cache.
func ExampleOptions_deadlineOf() {
	deadlines := map[string]time.Time{
		"default/late":  time.Now().Add(-time.Minute),
		"default/later": time.Now().Add(-time.Hour),
	}
	q := deadlinequeue.New("", deadlinequeue.Options[string]{
		DeadlineOf: func(key string) (time.Time, bool) {
			deadline, ok := deadlines[key]
			return deadline, ok
		},
	})
	defer q.ShutDown()

	for _, key := range []string{"default/other", "default/late", "default/later"} {
		q.Add(key)
	}
	for range 3 {
		key, _ := q.Get()
		fmt.Println(key)
		q.Done(key)
	}
	// Output:
	// default/later
	// default/late
	// default/other
}

// A plain client-go controller uses Requeue in place of AddAfter.
func ExampleQueue_Requeue() {
	queue := deadlinequeue.New("", deadlinequeue.Options[string]{DrainOnShutDown: true})
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
		queue.Forget(key)
		queue.Requeue(key, decision)
		queue.Done(key)
		if decision.After == 0 {
			queue.ShutDown()
		}
	}
	fmt.Println(looks, "looks")
	// Output: 2 looks
}

// Polling slows down before it takes more than 80 % of the workers.
func ExampleQueue_Load() {
	q := deadlinequeue.New("", deadlinequeue.Options[string]{Workers: 2})
	defer q.ShutDown()

	const poll = 5 * time.Minute
	interval := max(poll, q.Load().Interval(0.8)) // no reconcile measured yet
	fmt.Println(interval)
	// Output: 5m0s
}
