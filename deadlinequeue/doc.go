// Package deadlinequeue is a work queue for Kubernetes controllers that hands out
// a key whose deadline has passed before all others.
//
// When a controller is busy, the depth of its queue decides how late a deadline is
// acted on, however exactly the wake-up was computed: the key is woken on time and
// then waits behind the backlog. This queue knows the deadlines. It is the
// TypedRateLimitingInterface of client-go and the PriorityQueue of
// controller-runtime, so adopting it is one line, and one more to tell it the
// deadline:
//
//	ctrl.NewControllerManagedBy(mgr).For(&v1.Promotion{}).
//		WithOptions(controller.Options{NewQueue: deadlinequeue.NewQueue}).Complete(r)
//	...
//	return deadlinequeue.Result(requeue.From(now).Every(poll).Timeout(start, timeout).Decide()), nil
//
// # What is ready first
//
// A key is ready when it was added, when its wait (a poll, a backoff) is over, or
// when its deadline passes. Of the ready keys the queue hands out
//
//  1. those whose deadline has passed, the earliest deadline first;
//  2. the others, the highest priority first, then first come, first served;
//  3. and, as every 16th of all hand-outs, the key that is ready longest, whatever
//     it is ([Options].OldestEvery), so that nothing starves: a key at position n
//     of the order of arrival is handed out within 16 n hand-outs.
//
// # What a deadline does
//
// A deadline comes with an add, packed into its priority by [Priority], because
// priorities pass through all handlers and wrappers of controller-runtime. Return
// it from every reconcile ([Result]), also when a poll comes sooner: a key that the
// queue takes for a poll waits in the backlog while its deadline passes. Keys that
// come in without one, such as the first list after a restart, are looked up with
// [Options].DeadlineOf.
//
// A key that comes with a deadline, or by [Queue.Requeue], keeps the priority that
// it was last handed out with, as a key that is requeued by controller-runtime
// does.
//
// Each key has one wait and one deadline. An add ends the wait, as in
// controller-runtime; the deadline outlives it and wakes the key by itself. A key
// that is ready before its deadline is an ordinary one until the deadline passes.
// Of two deadlines the sooner counts; but what a reconcile says of its own key,
// before Done, replaces the deadline that the key was handed out with, so that it
// can be moved or held back by a floor. Nothing withdraws a deadline: a key whose
// object is gone is handed out once more when it passes.
//
// A deadline is spent when its key is handed out at or after it: given again, it
// is ignored, so a reconciler that cannot act is not called in a loop. It looks
// again by its wait, which requeue's overdue rule makes as long as the deadline is
// late. There are two exceptions. A deadline that passes while the key is being
// processed is not spent. And a reconcile that failed, which the queue knows by the
// rate-limited add, has not acted: its deadline counts on. All of this needs the
// requeue to come before Done, as in controller-runtime; after Done the queue has
// forgotten the hand-out. A passed deadline that comes with a wait, of a key that
// the queue does not know, does not end the wait.
//
// The rate limiter's wait ends at the deadline if that is sooner.
//
// # What differs from client-go
//
//   - Add ends a wait; client-go hands the key out again when the wait is over.
//   - Waits that end at the same time are handed out in the order of the adds;
//     client-go's heap keeps no order.
//   - Done of a key that is not being processed does nothing; client-go would
//     queue it twice.
//   - Len counts a key that was added again while it is processed, as it will be
//     handed out.
//   - ShutDown drops what is ready, as in controller-runtime; set
//     [Options].DrainOnShutDown for client-go's way.
//   - ShutDownWithDrain waits for what is ready, too, as its documentation says;
//     client-go waits for what is being processed.
//
// # What differs from controller-runtime
//
//   - Deadlines and the 16th hand-out, above. Set OldestEvery to 0 for strict
//     priorities.
//   - Everything happens in the call: AddAfter counts from the call, and
//     NumRequeues is exact at once. There, a background goroutine gets to it.
//   - ShutDownWithDrain drains, and ShutDown may be called twice; there, the first
//     does not wait and the second panics.
//   - A key that was added again while it was processed takes its place in the
//     order when it is Done; there, when it was added.
//
// # Cost
//
// One mutex, no goroutine of its own, one timer, and one for the metrics of what
// is being processed. An add, a get and a done cost about what they do with
// client-go's queue, and a third or less of what they do with
// controller-runtime's; see docs/performance.md of the repository for the
// measurements.
package deadlinequeue
