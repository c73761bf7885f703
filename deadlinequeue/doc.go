// Package deadlinequeue is a work queue for Kubernetes controllers that hands out
// an object whose deadline has passed before all others.
//
// Under load the depth of the queue decides how late a deadline is acted on: the object is
// woken on time, and then waits behind the backlog. This queue knows the deadlines. Three
// lines are all that most controllers need:
//
//	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{})
//	ctrl.NewControllerManagedBy(mgr).For(&v1.Promotion{}).
//		WithOptions(controller.Options{NewQueue: dq.NewQueue}).Complete(dq)
//	...
//	deadlinequeue.Tell(ctx, plan) // in the reconciler, where the plan is made
//
// The plan is a [requeue.Plan]. What the reconciler returns stays as it is, with an error and
// without: the queue wakes the object at its deadline although the rate limiter waits
// longer, and the floor of the plan holds although the rate limiter is sooner.
//
// Set [Options].Deadline as well if deadlines change by events, or must be known after a
// restart. Without controller-runtime, use [New] and [Queue.Decide].
//
// # Order
//
// Of the objects that are ready the queue hands out
//
//  1. those whose deadline has passed, the earliest first;
//  2. those whose reconcile for a passed deadline has failed, at most five times in a row;
//  3. the others, by priority, then first come, first served; every 4th goes to one that
//     has failed more often;
//  4. and every 16th of all to the one that has been ready longest, so nothing starves.
//
// A deadline puts an object first once. After a hand-out for it the object is an ordinary
// one, or a retry, until it has another deadline. The rules, with what happens in an outage, are in docs/semantics.md
// of the repository.
//
// # Time
//
// A deadline is an instant of the wall clock, a wait a span of the monotonic one. After a
// suspend, or when the clock was set, passed deadlines are handed out within a minute, and
// none is handed out early.
//
// # What differs from the queues that it replaces
//
// It is the TypedRateLimitingInterface of client-go and the PriorityQueue of
// controller-runtime. Add ends a wait, as in controller-runtime; in client-go the key comes again
// when the wait is over. A key that is added while it is processed takes its place at
// its Done. ShutDown drops what is ready, as in controller-runtime; ShutDownWithDrain hands it
// out and waits for it. Done of a key that is not being processed does nothing.
//
// It has no goroutine of its own. docs/performance.md has what it costs, and where another
// queue, or a timer beside it, is better.
package deadlinequeue
