// Package requeue computes how long a Kubernetes controller should wait before
// it looks at an object again, so that it acts on a deadline when the deadline
// passes and not at the next poll.
//
// # The model
//
// A reconcile ends by saying when it wants to be called again. Three kinds of
// instant matter to that answer:
//
//   - a poll: look again after an interval ([Plan.Every]) or at an instant
//     ([Plan.At], [Plan.Due]), whatever happens;
//   - a deadline: an instant that must be acted on when it passes, usually a
//     start and a timeout ([Plan.Timeout], [Plan.Deadline]; [Plan.Upcoming] where
//     it matters only until it passes);
//   - a floor: an instant before which there is no use in looking
//     ([Plan.NotBefore]).
//
// A [Plan] collects them, in any order, tells whether a deadline has come, and
// answers with the soonest wait, held back by the floor. All on one reading of the
// clock:
//
//	plan := requeue.From(now).Every(5 * time.Minute).Timeout(started, timeout)
//	if plan.Expired() {
//		return ctrl.Result{}, r.fail(ctx, obj)
//	}
//	return ctrl.Result{RequeueAfter: plan.After()}, nil
//
// [Plan.Decide] gives a [Decision]: the wait, its [Cause], and the deadlines, for a
// log line and for the work queue of package deadlinequeue. [NextRequeue] and
// [Expired] are the plan with one poll and one timeout, on a [Clock] that a test
// can hold still ([ClockFunc] makes one of a function).
//
// The rest computes what goes into a plan, or comes out of several:
//
//   - instants: [DeadlineOf] a timeout, [Between] two others (a renewal), [Backoff]
//     after a failure, [TimeOf] an optional field of an API object;
//   - intervals: [Jitter] keeps the polls of many objects apart, [Load.Stretch] polls no
//     more often than the workers can keep up with, and [ByAge] less often what takes long;
//   - [Soonest] merges the answers of sub-reconcilers.
//
// # What the answer means
//
// 0 means that there is nothing to wait for, and nothing else: every other
// answer is at least [Immediate]. controller-runtime reads a RequeueAfter of 0
// or less as "do not requeue" and never looks at the object again; client-go's
// AddAfter reads it as "now", which is a hot loop for a deadline that stays in
// the past. A plan gives neither for a deadline that has passed: it waits as
// long again as the deadline is late, from [Immediate] to one minute. That is
// the overdue backing-off. It costs a caller who acts on deadlines nothing, and
// a caller who does not is woken 17 times in the first minute and once a minute
// from then on.
//
// With an interval, the answer is at most the interval: a controller that moves
// from a fixed interval to this package is never woken later than before. Only
// a floor ([Plan.NotBefore]), asked for by the caller, exceeds it.
//
// # Time
//
// Every function is pure but for reading the clock it was given, once. Nothing
// here sleeps, locks, logs or keeps state, so everything may be used from any
// number of goroutines. What computes allocates nothing of its own. Arithmetic
// saturates: no duration and no instant gives a wrong sign, an overflow or a
// panic.
//
// Package retry has the one thing with state: a rate limiter that knows deadlines.
//
// The rules in full, with their sources, are in docs/semantics.md of the
// repository.
package requeue
