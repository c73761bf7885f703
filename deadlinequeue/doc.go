// Package deadlinequeue is a work queue for Kubernetes controllers that hands out
// an object whose deadline has passed before all others.
//
// Under load, an object that is woken on time still waits behind the backlog, so the depth of the
// queue decides how late the controller acts on a deadline. This queue knows the deadlines. Most
// controllers need only three lines:
//
//	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{})
//	ctrl.NewControllerManagedBy(mgr).For(&v1.Promotion{}).
//		WithOptions(controller.Options{NewQueue: dq.NewQueue}).Complete(dq)
//	...
//	deadlinequeue.Tell(ctx, plan) // in the reconciler, where the plan is made
//
// The plan is a [requeue.Plan]. The reconciler returns what it returned before, with or without an
// error. After an error, the queue wakes the object at its deadline even if the rate limiter waits
// longer, and not before the floor of the plan even if the rate limiter is sooner.
//
// Set [Options].Deadline, too, if events change deadlines, or if the queue must know deadlines
// after a restart. Without controller-runtime, use [New] and [Queue.Decide].
//
// # Order
//
// The queue hands out ready objects in this order:
//
//  1. objects whose deadline has passed, the earliest deadline first;
//  2. retries: objects whose reconcile for a passed deadline has failed, at most five times in a
//     row;
//  3. the other objects, by priority, then first come, first served. Every 4th of these hand-outs
//     goes to a retry that has failed more often.
//
// Every 16th hand-out goes to the object that has been ready longest, so no object starves.
//
// A deadline puts its object first once. After that hand-out, the object is a retry or an ordinary
// object until it has another deadline. docs/semantics.md of the repository has all the rules.
//
// # Time
//
// A deadline is an instant of the wall clock; a wait is a span of the monotonic clock. After a
// suspend or a step of the wall clock, the queue hands out passed deadlines within a minute, and no
// deadline early.
//
// # Differences from other queues
//
// The queue implements the TypedRateLimitingInterface of client-go and the PriorityQueue of
// controller-runtime. Add ends a wait, as in controller-runtime; in client-go the key is added
// again when the wait ends. A key that is added while it is processed takes its place at its Done.
// ShutDown drops ready keys, as in controller-runtime; ShutDownWithDrain hands them out and waits
// until they are Done. Done of a key that is not being processed does nothing.
//
// The queue has no goroutine of its own. docs/performance.md has its costs, and the cases in which
// another queue, or a timer beside it, is better.
package deadlinequeue
