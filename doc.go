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
//   - a deadline, at which the controller must act ([Plan.Timeout], [Plan.Deadline]), or which
//     matters only until it passes ([Plan.Upcoming]);
//   - a floor, before which the plan does not wake the object ([Plan.NotBefore]).
//
// [NextRequeue] and [Expired] are short for a plan with one poll and one timeout, on a [Clock]
// that a test can hold still. [Plan.Decide] also says what the wait is for.
//
// [DeadlineOf], [Between], [Backoff] and [TimeOf] compute instants for a plan; [Jitter], [ByAge]
// and [Load.Stretch] compute intervals. [Soonest] merges the answers of sub-reconcilers.
//
// # The answer
//
// 0 means that there is nothing to wait for. Every other answer is at least [Immediate], and at
// most the interval, unless a floor is later. controller-runtime drops a RequeueAfter of 0 or
// less; client-go's AddAfter takes it for now. A plan never answers a passed deadline with 0 or
// less: the wait is as long as the deadline is late, from [Immediate] to one minute. So the
// deadline is not lost, and a caller that does not act on it is woken 17 times in the first
// minute, and then once a minute.
//
// Every function is pure, except that it may read its clock once. Any number of goroutines may
// call it. Arithmetic saturates: nothing overflows or panics. Package retry has a rate limiter
// that knows deadlines. The file docs/semantics.md has all the rules.
package requeue
