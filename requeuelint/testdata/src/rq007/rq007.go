package rq007

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"rq007/api"

	"github.com/requeue-go/requeue"
)

type status struct {
	StartedAt  *metav1.Time
	EndsAt     *metav1.Time
	CheckedAt  *metav1.Time
	GuardedAt  *metav1.Time
	SetAt      *metav1.Time
	LookedAt   *metav1.Time
	Registered metav1.Time
}

type object struct {
	Timeout time.Duration
	Status  status
}

// Positive.

func (o *object) left(now time.Time) time.Duration {
	return o.Timeout - now.Sub(o.Status.StartedAt.Time) // want `RQ007: StartedAt`
}

func until(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Status.EndsAt.Time))}, nil // want `RQ007: EndsAt`
}

func (o *object) over() bool {
	return time.Now().After(o.Status.StartedAt.Add(o.Timeout)) // want `RQ007: StartedAt`
}

type spec struct {
	Interval *metav1.Duration
	Grace    *metav1.Duration
	Required *metav1.Duration `json:"required"`
	Optional *metav1.Duration `json:"optional,omitempty"`
}

func refresh(s spec, last time.Time) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, s.Interval.Duration-time.Since(last))}, nil // want `RQ007: Interval is a pointer to a duration`
}

func optional(s spec) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, s.Optional.Duration)}, nil // want `RQ007: Optional`
}

func startOf(o *object) *metav1.Time {
	if o.Timeout == 0 {
		return nil
	}
	return &o.Status.Registered
}

func ofCall(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(startOf(o).Time))}, nil // want `RQ007: startOf`
}

func planned(o *object, now time.Time) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: requeue.From(now).Timeout(o.Status.StartedAt.Time, o.Timeout).After()}, nil // want `RQ007`
}

type kept struct{ ends time.Time }

func keeps(o *object, k *kept) {
	k.ends = o.Status.EndsAt.Add(o.Timeout) // want `RQ007`
}

// Negative.

func required(s spec) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, s.Required.Duration)}, nil
}

func graceOf(s spec) (ctrl.Result, error) {
	if s.Grace == nil {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(time.Second, s.Grace.Duration)}, nil
}

func ofCallTested(o *object) (ctrl.Result, error) {
	start := startOf(o)
	if start == nil {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(start.Time))}, nil
}

func checked(o *object) (ctrl.Result, error) {
	if o.Status.CheckedAt == nil {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Status.CheckedAt.Time))}, nil
}

func guard(o *object) (ctrl.Result, error) {
	if o.Status.GuardedAt.IsZero() {
		return ctrl.Result{}, nil
	}
	return guarded(o)
}

func guarded(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Status.GuardedAt.Time))}, nil
}

func set(o *object) (ctrl.Result, error) {
	now := metav1.Now()
	o.Status.SetAt = &now
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Status.SetAt.Add(o.Timeout)))}, nil
}

func (o *object) looked() bool { return o.Status.LookedAt != nil }

func lookedAt(o *object) (ctrl.Result, error) {
	if !o.looked() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Status.LookedAt.Time))}, nil
}

func notOptional(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Status.Registered.Add(o.Timeout)))}, nil
}

// No wait.
func age(o *object) string { return o.Status.StartedAt.String() }

func defaulted(c *api.Config) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, c.SyncPeriod.Duration)}, nil
}

func withoutDefault(c *api.Config) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, c.Grace.Duration)}, nil // want `RQ007`
}
