package retry_test

import (
	"fmt"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/retry"
)

// A step that fails is tried again by the backoff, and at its timeout.
func Example() {
	clock := &clock{t0}
	limiter := retry.New[string](retry.Options{Base: 10 * time.Second, Clock: clock}) // into the options of the controller

	started := clock.now
	for range 5 {
		plan := requeue.From(clock.now).Every(5*time.Minute).Timeout(started, time.Minute)
		if plan.Expired() {
			fmt.Println("timed out after", clock.now.Sub(started))
			break
		}
		limiter.Tell("default/step", plan) // in the reconciler, which returns an error
		wait := limiter.When("default/step")
		fmt.Println("failed, next try in", wait)
		clock.now = clock.now.Add(wait)
	}
	// Output:
	// failed, next try in 10s
	// failed, next try in 20s
	// failed, next try in 30s
	// timed out after 1m0s
}

// In place of the deprecated Requeue: true. The limiter is the reconciler's own.
func ExampleLimiter_Next() {
	clock := &clock{t0}
	waits := retry.New[string](retry.Options{Base: time.Second, Ceiling: time.Minute, Clock: clock})

	plan := requeue.From(clock.now).Timeout(clock.now, 10*time.Minute)
	fmt.Println("RequeueAfter", waits.Next("default/volume", plan))
	fmt.Println("RequeueAfter", waits.Next("default/volume", plan))
	waits.Forget("default/volume") // it is attached
	fmt.Println("RequeueAfter", waits.Next("default/volume", plan))
	// Output:
	// RequeueAfter 1s
	// RequeueAfter 2s
	// RequeueAfter 1s
}
