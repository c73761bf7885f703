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
//	plan := requeue.From(now).Every(poll).Timeout(start, timeout)
//	...
//	return deadlinequeue.Result(plan.Decide()), nil
//
// With an error it is [Failed] in place of [Result].
//
// # What is ready first
//
// A key is ready when it was added, when its wait (a poll, a backoff) is over, or
// when its deadline passes. Of the ready keys the queue hands out
//
//  1. those whose deadline has passed and that were not handed out since, the earliest
//     deadline first;
//  2. the retries: those whose deadline had passed at their last hand-out, and that
//     failed then, the one that was handed out longest ago first;
//  3. the others, the highest priority first, then first come, first served, where an
//     add that ends a wait keeps the place of the add which began it;
//  4. and, as every 16th of all hand-outs, the key that is ready longest, whatever
//     it is ([Options].OldestEvery), so that nothing starves: keys that fail for ever
//     do not delay healthy deadlines, and are served all the same. Only where the turn is
//     at its own priority anyway it waits for its place, behind no more than the keys
//     that were added before it.
//
// Where more than 500 keys become ready at one instant, as after a suspend, a Get passes
// over that many, and chooses from those that are ready then.
//
// # Whose word counts
//
// What somebody says of the deadline of a key is his word. These say one:
//
//   - a reconcile, by [Result], [Failed] or [Queue.Requeue];
//   - others: an event handler that adds with [Priority], and [Options].DeadlineOf,
//     which is asked about every key that is added without a word.
//
// "None" is a word, too. Then:
//
//   - The latest word replaces the one before, sooner or later, while the key waits or
//     is ready. So a deadline may be moved, and an object deleted and created again.
//   - A reconcile's word replaces what its key was handed out with. A reconcile that
//     ends without one, with a plain RequeueAfter or with nothing at all, has said
//     "none"; with DeadlineOf that is asked in its place, at Done. So has one that ends
//     in a reconcile.TerminalError, which is not tried again. A finished object
//     is forgotten at Done.
//   - A reconcile that failed, which the queue knows by the rate-limited add, and said
//     nothing keeps what its key was handed out with.
//   - What others have said while the key was processed counts besides, the sooner of
//     the two, until the next hand-out. So a handler that knows less than the
//     reconciler does not delete its deadline.
//
// A word travels packed into the priority of an add, because priorities pass through all
// handlers and wrappers of controller-runtime. A key that comes with one keeps the
// priority that it was last handed out with, as a key does that controller-runtime
// requeues. Return it from every reconcile, also when a poll comes sooner: a key that the
// queue takes for a poll waits in the backlog while its deadline passes.
//
// # What a deadline does
//
// Each key has one wait and one deadline. An add ends the wait, as in
// controller-runtime; the deadline outlives it and wakes the key by itself. A key
// that is ready before its deadline is an ordinary one until the deadline passes.
//
// A deadline is spent when its key is handed out at or after it: given again, it
// is ignored, so a reconciler that cannot act is not called in a loop. It looks
// again by its wait, which requeue's overdue rule makes as long as the deadline is
// late. If the reconcile fails, the key is a retry. A deadline that passes while the
// key is being processed is not spent.
//
// The rate limiter's wait ends at the deadline if that is sooner, and not before a floor
// of the plan ([Failed]).
//
// All of this needs the requeue to come before Done, as in controller-runtime; after
// Done the queue has forgotten the hand-out, and takes what a reconcile says for
// anybody's word. A passed deadline that comes with a wait, of a key that the queue does
// not know, does not end the wait; it counts from its end on.
//
// # Time
//
// A deadline is an instant of the wall clock, a wait a span of the monotonic one. The
// queue looks at both whenever it reads the clock, which it does in every call but a plain
// Add, and at least once a minute while anything waits. When one has moved against the
// other by more than half a second (the clock was set, the machine was suspended), it
// times the waiting deadlines anew, both ways, so that none is off by more than a second.
// It leaves the waits as they are, but for one that ends with the deadline, or within half
// a second after it, which is a wait for that. So after a suspend of hours a deadline that
// has passed meanwhile is handed out within a minute. Deadlines more than 292 years ahead
// are none.
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
//   - Deadlines and the 16th hand-out, above. Set OldestEvery to -1 for strict
//     priorities.
//   - The numbers from 2^62 to 2^63 - 2^59 are words and no priorities.
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
// is being processed. With 10,000 to 1,000,000 keys and 1, 8 or 32 goroutines that add
// and as many that get, an add, a get and a done cost about what they do with client-go's
// queue or less, and less than half of what they do with controller-runtime's; an add of
// a key that is ready costs more than client-go's. docs/performance.md of the repository
// has the measurements, and where a peer is better.
package deadlinequeue
