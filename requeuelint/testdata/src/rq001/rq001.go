package rq001

import (
	"context"
	"math/rand"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"rq001/api"
	"rq001/helper"

	"github.com/rancher/wrangler/v3/pkg/generic"
	"github.com/requeue-go/requeue"
)

type object struct {
	Created  metav1.Time
	Deadline time.Time
	Ends     time.Time // that nothing tests
	Interval time.Duration
	LastRun  metav1.Time
	Next     *metav1.Time
	Timeout  *metav1.Duration
	Limit    *time.Time
	Finished *metav1.Time
}

func do(*object) error { return nil }

// Positive.

func assigned(o *object) (ctrl.Result, error) {
	wait := o.Deadline.Sub(time.Now())
	result := ctrl.Result{}
	result.RequeueAfter = wait // want `RQ001`
	return result, nil
}

func pointer(o *object, res *reconcile.Result) {
	res.RequeueAfter = time.Until(o.Created.Add(o.Interval)) // want `RQ001`
}

func elapsed(o *object, c clock.Clock) (ctrl.Result, error) {
	elapsed := c.Since(o.LastRun.Time)
	remaining := o.Interval - elapsed
	return ctrl.Result{RequeueAfter: remaining}, nil // want `RQ001: RequeueAfter can be zero or negative here \(o.Interval - elapsed, computed at rq001.go:\d+\): controller-runtime drops`
}

func rounded(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Until(o.Deadline).Round(time.Second)}, nil // want `RQ001`
}

func halved(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Until(o.Deadline) / 2}, nil // want `RQ001`
}

func viaFloat(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	return ctrl.Result{RequeueAfter: time.Duration(float64(left) * 0.8)}, nil // want `RQ001`
}

func jittered(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	return ctrl.Result{RequeueAfter: left + time.Duration(rand.Int63n(10))}, nil // want `RQ001`
}

func orPoll(o *object, poll time.Duration) (ctrl.Result, error) {
	wait := poll
	if left := time.Until(o.Deadline); left < poll {
		wait = left
	}
	return ctrl.Result{RequeueAfter: wait}, nil // want `RQ001`
}

func minimum(o *object, poll time.Duration) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: min(poll, time.Until(o.Deadline))}, nil // want `RQ001`
}

func toZero(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(0, time.Until(o.Deadline))}, nil // want `RQ001: RequeueAfter can be zero here`
}

func unix(o *object) (ctrl.Result, error) {
	left := o.Deadline.Unix() - time.Now().Unix()
	return ctrl.Result{RequeueAfter: time.Duration(left) * time.Second}, nil // want `RQ001`
}

func metaNow(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: o.Deadline.Sub(metav1.Now().Time)}, nil // want `RQ001`
}

func named(o *object) (result ctrl.Result, err error) {
	defer func() { err = do(o) }()
	result.RequeueAfter = time.Until(o.Deadline) // want `RQ001`
	return
}

func onePath(o *object, fast bool) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if fast && left <= 0 {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left}, nil // want `RQ001`
}

func closure(o *object) func() ctrl.Result {
	deadline := o.Deadline
	return func() ctrl.Result {
		return ctrl.Result{RequeueAfter: time.Until(deadline)} // want `RQ001`
	}
}

func helped(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: helper.Left(o.Deadline)}, nil // want `RQ001: RequeueAfter can be zero or negative here \(helper.Left\(o.Deadline\): time.Until\(deadline\) at helper/helper.go:\d+\)`
}

func helpedTwice(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: helper.Half(time.Until(o.Deadline))}, nil // want `RQ001`
}

func wrapped(o *object) (ctrl.Result, error) {
	return helper.After(time.Until(o.Deadline)) // want `RQ001: After can be`
}

func wrappedHere(o *object) (ctrl.Result, error) {
	return after(time.Until(o.Deadline)) // want `RQ001: after can be`
}

func after(d time.Duration) (ctrl.Result, error) { return again(d) }

func again(d time.Duration) (ctrl.Result, error) { return ctrl.Result{RequeueAfter: d}, nil }

func twoResults(o *object) (ctrl.Result, error) {
	left, err := leftOf(o)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: left}, nil // want `RQ001`
}

func leftOf(o *object) (time.Duration, error) {
	if err := do(o); err != nil {
		return 0, err
	}
	return time.Until(o.Deadline), nil
}

func negated(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: -time.Since(o.Deadline)}, nil // want `RQ001`
}

func addAfter(q workqueue.TypedRateLimitingInterface[string], o *object) {
	q.AddAfter("key", time.Until(o.Ends)) // want `RQ001: AddAfter can be zero or negative here .* added at once`
}

func addWithOpts(q priorityqueue.PriorityQueue[string], o *object) {
	q.AddWithOpts(priorityqueue.AddOpts{After: time.Until(o.Ends)}, "key") // want `RQ001: After can be`
}

func addWrapped(q workqueue.TypedRateLimitingInterface[string], o *object) {
	helper.Add(q, "key", time.Until(o.Ends)) // want `RQ001: Add can be`
}

func knative(c *controller.Impl, o *object, now time.Time) {
	c.EnqueueAfter(o, o.Ends.Sub(now)) // want `RQ001: EnqueueAfter`
}

func rancher(c generic.ControllerInterface, o *object) {
	c.EnqueueAfter("namespace", "name", time.Until(o.Ends)) // want `RQ001: EnqueueAfter`
}

func movedByTooLittle(o *object, now time.Time) (ctrl.Result, error) {
	next := o.LastRun.Add(o.Interval)
	if next.IsZero() {
		next = now.Add(o.Interval)
	}
	return ctrl.Result{RequeueAfter: next.Sub(now)}, nil // want `RQ001`
}

// It is set to now too late.
func setAfterwards(o *object) (ctrl.Result, error) {
	wait := time.Until(o.LastRun.Add(o.Interval))
	o.LastRun = metav1.Now()
	return ctrl.Result{RequeueAfter: wait}, do(o) // want `RQ001`
}

func addOtherTimeout(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r *api.Run, c clock.Clock) {
	if r.Over(ctx, c) {
		return
	}
	q.AddAfter("key", r.Tasks()-c.Since(r.Started.Time)) // want `RQ001`
}

func addOtherRun(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r, other *api.Run, c clock.Clock) {
	if other.Over(ctx, c) {
		return
	}
	q.AddAfter("key", r.Timeout(ctx)-c.Since(r.Started.Time)) // want `RQ001`
}

func addByName(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r *api.Run, c clock.Clock) {
	if r = r.DeepCopy(); r.HasTimedOut() {
		return
	}
	q.AddAfter("key", r.Timeout(ctx)-c.Since(r.Started.Time)) // want `RQ001` `RQ007`
}

func addBefore(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r *api.Run, c clock.Clock) bool {
	q.AddAfter("key", r.Timeout(ctx)-c.Since(r.Started.Time)) // want `RQ001`
	return r.Over(ctx, c)
}

func toZeroByHand(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left < 0 {
		left = 0
	}
	if err := do(o); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: left}, nil // want `RQ001: RequeueAfter can be zero here`
}

// One of several, which nothing tests.
func addSooner(q workqueue.TypedRateLimitingInterface[string], o *object) {
	at := &o.Ends
	if other := o.ends(); other != nil && other.Before(o.Ends) {
		at = other
	}
	q.AddAfter("key", time.Until(*at)) // want `RQ001`
}

// Negative.

func addToZero(q workqueue.TypedRateLimitingInterface[string], o *object) {
	q.AddAfter("key", max(0, time.Until(o.Deadline)))
}

func unixChecked(o *object) (ctrl.Result, error) {
	left := o.Deadline.Unix() - time.Now().Unix()
	if left > 0 {
		return ctrl.Result{RequeueAfter: time.Duration(left) * time.Second}, nil
	}
	return ctrl.Result{}, do(o)
}

func checkedLater(o *object) (ctrl.Result, error) {
	result := ctrl.Result{RequeueAfter: time.Until(o.Deadline)}
	if result.RequeueAfter <= 0 {
		result.RequeueAfter = time.Second
	}
	return result, nil
}

func raised(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left < time.Second {
		left = time.Second
	}
	return ctrl.Result{RequeueAfter: left}, nil
}

func returned(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left <= 0 {
		return ctrl.Result{}, do(o)
	}
	if err := do(o); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: left}, nil
}

func sameNow(o *object) (ctrl.Result, error) {
	now := time.Now()
	if !now.Before(o.Deadline) {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: o.Deadline.Sub(now)}, nil
}

func sameNowOtherForm(o *object, c clock.Clock) (ctrl.Result, error) {
	now := c.Now()
	if now.Sub(o.Created.Time) >= o.Interval {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: o.Created.Add(o.Interval).Sub(now)}, nil
}

// The methods of metav1.Time take its address.
func sameAddress(o *object) (ctrl.Result, error) {
	now := metav1.Now()
	if o.Next != nil && now.Before(o.Next) {
		return ctrl.Result{RequeueAfter: o.Next.Sub(now.Time)}, nil
	}
	o.LastRun = now
	keep(&now)
	return ctrl.Result{}, do(o)
}

func keep(*metav1.Time) {}

// What has just been set to now lies not in the past.
func justFinished(o *object) (ctrl.Result, error) {
	now := metav1.Now()
	o.Finished = &now
	return ctrl.Result{RequeueAfter: o.cleanup().Sub(now.Time)}, nil
}

func (o *object) cleanup() time.Time {
	if o.Interval == 0 {
		return o.Finished.Add(time.Hour)
	}
	return o.Finished.Add(o.Interval)
}

func sameElapsed(o *object) (ctrl.Result, error) {
	if elapsed := time.Since(o.LastRun.Time); elapsed < o.Interval {
		return ctrl.Result{RequeueAfter: o.Interval - elapsed}, nil
	}
	return ctrl.Result{}, do(o)
}

func inSeconds(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left.Seconds() > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{}, do(o)
}

func predicate(o *object, now time.Time) (ctrl.Result, error) {
	if o.expired(now) {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: o.Deadline.Sub(now)}, nil
}

func (o *object) expired(now time.Time) bool { return !now.Before(o.Deadline) }

func both(o *object, now time.Time) (ctrl.Result, error) {
	due := !o.Deadline.IsZero() && now.Before(o.Deadline)
	if !due {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: o.Deadline.Sub(now)}, nil
}

func fresh(o *object) (ctrl.Result, error) {
	next := time.Now().Add(o.Interval)
	if err := do(o); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: time.Until(next)}, nil
}

type schedule interface{ Next(time.Time) time.Time }

func scheduled(s schedule) (ctrl.Result, error) {
	now := time.Now()
	next := s.Next(now)
	return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
}

func scheduledElsewhere(o *object, s schedule) (ctrl.Result, error) {
	now := time.Now()
	return advance(o, now, s.Next(now))
}

func advance(o *object, now, next time.Time) (ctrl.Result, error) {
	if err := do(o); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
}

func firstOf(all []schedule) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: next(all, time.Now())}, nil
}

func next(all []schedule, now time.Time) time.Duration {
	times := make([]time.Time, 0, len(all))
	for _, s := range all {
		times = append(times, s.Next(now))
	}
	return times[0].Add(time.Second).Sub(now)
}

func rechecked(o *object, last time.Time, unreachable bool) (ctrl.Result, error) {
	delay := o.Interval - time.Since(last)
	needed := unreachable || delay <= 0
	if !needed {
		return ctrl.Result{RequeueAfter: delay}, nil
	}
	return ctrl.Result{}, do(o)
}

// Of two, each on its own reading; the sooner is checked.
func sooner(o *object, c clock.Clock) (ctrl.Result, error) {
	left := o.Created.Add(o.Interval).Sub(c.Now())
	if !o.Deadline.IsZero() {
		if expires := o.Deadline.Sub(c.Now()); expires < left {
			left = expires
		}
	}
	if left <= 0 {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left}, nil
}

func moved(o *object, now time.Time) (ctrl.Result, error) {
	next := o.LastRun.Add(o.Interval)
	if !next.After(now) {
		next = now.Add(o.Interval)
	}
	return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
}

func movedByHelper(o *object, now time.Time) (ctrl.Result, error) {
	next, err := o.next(now)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
}

func (o *object) next(now time.Time) (time.Time, error) {
	if err := do(o); err != nil {
		return time.Time{}, err
	}
	if next := o.LastRun.Add(o.Interval); next.After(now) {
		return next, nil
	}
	return now.Add(o.Interval), nil
}

func ok(o *object) (ctrl.Result, error) {
	if left, ok := pending(o); ok {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{}, do(o)
}

func pending(o *object) (time.Duration, bool) {
	left := time.Until(o.Deadline)
	if left <= 0 {
		return left, false
	}
	return left, true
}

func rateLimited(o *object) (ctrl.Result, error) {
	return ctrl.Result{Requeue: true, RequeueAfter: time.Until(o.Deadline)}, nil
}

func helperClamped(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: helper.Clamped(o.Deadline)}, nil
}

func helperChecked(o *object) (ctrl.Result, error) {
	return helper.Checked(time.Until(o.Deadline)), nil
}

func ours(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: requeue.From(time.Now()).Deadline(o.Deadline).After()}, nil
}

// An age is not a wait, and what is not known is not reported.
func unknown(o *object, a, b time.Time) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: a.Sub(b)}, nil
}
