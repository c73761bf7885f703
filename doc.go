// Package requeue computes how long a Kubernetes controller waits before it looks at an object
// again, so that it acts on a deadline when the deadline passes.
//
// Most callers need [From], [Plan.Every], [Plan.Timeout], [Plan.Expired] and [Plan.After]:
//
//	plan := requeue.From(now).Every(5 * time.Minute).Timeout(started, timeout)
//	if plan.Expired() {
//		return ctrl.Result{}, r.fail(ctx, obj)
//	}
//	return ctrl.Result{RequeueAfter: plan.After()}, nil
//
// A [Plan] collects what an object waits for, in any order, on one reading of the clock:
//
//   - a poll, after an interval or at an instant ([Plan.Every], [Plan.At], [Plan.Due]);
//   - a deadline, which must be acted on when it passes ([Plan.Timeout], [Plan.Deadline]), or
//     which matters only until then ([Plan.Upcoming]);
//   - a floor, before which there is no use in looking ([Plan.NotBefore]).
//
// [NextRequeue] and [Expired] are the plan with one poll and one timeout, on a [Clock] that a
// test can hold still. [Plan.Decide] also says what the wait is for.
//
// [DeadlineOf], [Between], [Backoff] and [TimeOf] compute instants for a plan, [Jitter], [ByAge]
// and [Load.Stretch] intervals. [Soonest] merges the answers of sub-reconcilers.
//
// # The answer
//
// 0 means that there is nothing to wait for. Every other answer is at least [Immediate].
// controller-runtime drops a RequeueAfter of 0 or less; client-go's AddAfter takes it for now.
// A plan gives neither for a deadline that has passed: it waits as long again as the deadline is
// late, from [Immediate] to one minute. So the deadline is not lost, and a caller who does not
// act on it is woken 17 times in the first minute, and once a minute from then on.
//
// With an interval the answer is at most the interval, but for a floor.
//
// Every function is pure but for one reading of the clock that it was given, and may be called
// from any number of goroutines. Arithmetic saturates: nothing overflows or panics. Package
// retry has a rate limiter that knows deadlines. The rules in full are in docs/semantics.md.
package requeue
