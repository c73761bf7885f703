// Package docs has the wrong code that README.md and the pages of docs show, between the
// comments "doc" and "end". What they show in its place is in examples/snippets.
package docs

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
)

type Reconciler struct{ Clock clock.PassiveClock }

func (r *Reconciler) fail(ctx context.Context, obj any) error { return nil }
func (r *Reconciler) step(ctx context.Context, obj any) error { return nil }

func (r *Reconciler) pollsOnly(ctx context.Context, obj struct {
	Spec   struct{ Timeout metav1.Duration }
	Status struct{ StartedAt metav1.Time }
}) (ctrl.Result, error) {
	// doc: before
	if time.Since(obj.Status.StartedAt.Time) > obj.Spec.Timeout.Duration {
		return ctrl.Result{}, r.fail(ctx, obj)
	}
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil // want `RQ005`
	// end
}

func polls() (ctrl.Result, error) {
	// doc: polls
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil // late by up to 5 minutes
	// end
}

func byHand(deadline time.Time) (ctrl.Result, error) {
	// doc: by-hand
	return ctrl.Result{RequeueAfter: time.Until(deadline)}, nil // lost if 0 or less // want `RQ001`
	// end
}

func accepted(deadline time.Time) (ctrl.Result, error) {
	// doc: accepted
	return ctrl.Result{RequeueAfter: time.Until(deadline)}, nil // requeue:ok a watch wakes the object as well
	// end
}

func lost(deadline time.Time) (ctrl.Result, error) {
	// doc: rq001
	return ctrl.Result{RequeueAfter: time.Until(deadline)}, nil // lost if it has passed // want `RQ001`
	// end
}

func (r *Reconciler) dropped(ctx context.Context, obj any) (ctrl.Result, error) {
	// doc: rq002
	if err := r.step(ctx, obj); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // the minute is dropped // want `RQ002`
	}
	// end
	return ctrl.Result{}, nil
}

func (r *Reconciler) twice(deadline time.Time) (ctrl.Result, error) {
	// doc: rq003
	if r.Clock.Now().Before(deadline) {
		return ctrl.Result{RequeueAfter: deadline.Sub(r.Clock.Now())}, nil // want `RQ003`
	}
	// end
	return ctrl.Result{}, nil
}

func both(a, b ctrl.Result) (ctrl.Result, error) {
	// doc: rq004
	merged := ctrl.Result{RequeueAfter: min(a.RequeueAfter, b.RequeueAfter)} // want `RQ004`
	// end
	return merged, nil
}

func (r *Reconciler) fixed(ctx context.Context, obj any, started time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: rq005
	if time.Since(started) > timeout {
		return ctrl.Result{}, r.fail(ctx, obj)
	}
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil // want `RQ005`
	// end
}

func overflows(failures int) (ctrl.Result, error) {
	// doc: rq006
	wait := time.Second << failures // want `RQ006`
	// end
	return ctrl.Result{RequeueAfter: max(wait, time.Second)}, nil
}

type object struct {
	Status struct {
		StartedAt *metav1.Time `json:"startedAt,omitempty"`
	}
}

func panics(obj *object, now time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: rq007
	wait := obj.Status.StartedAt.Add(timeout).Sub(now) // want `RQ007`
	// end
	return ctrl.Result{RequeueAfter: max(wait, time.Second)}, nil
}

func (r *Reconciler) forgets(ctx context.Context, obj any, lastTry time.Time, interval time.Duration) (ctrl.Result, error) {
	// doc: rq009
	if time.Since(lastTry) < interval {
		return ctrl.Result{}, nil // nobody comes back // want `RQ009`
	}
	// end
	return ctrl.Result{}, r.step(ctx, obj)
}

// RQ010 is advice, which is off.
func asks() (ctrl.Result, error) {
	// doc: rq010
	return ctrl.Result{Requeue: true}, nil
	// end
}

func nanoseconds() (ctrl.Result, error) {
	// doc: rq011
	return ctrl.Result{RequeueAfter: time.Duration(30)}, nil // want `RQ011`
	// end
}

type Promotion struct {
	Spec struct {
		Steps []struct{ Retry *Retry }
	}
	Status struct {
		CurrentStep           int64
		StepExecutionMetadata []struct {
			StartedAt *metav1.Time `json:"startedAt,omitempty"`
		}
	}
}

type Retry struct{}

func (*Retry) GetTimeout(byDefault time.Duration) time.Duration { return byDefault }

func promote(p *Promotion) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: before(p, nil, time.Hour)}, nil // want `RQ001`
}

// doc: kargo
func before(p *Promotion, suggested *time.Duration, byDefault time.Duration) time.Duration {
	interval := 5 * time.Minute
	if suggested != nil {
		interval = *suggested
	}
	i := int(p.Status.CurrentStep)
	if i >= len(p.Spec.Steps) {
		return interval
	}
	timeout := p.Spec.Steps[i].Retry.GetTimeout(byDefault)
	if timeout == 0 || i >= len(p.Status.StepExecutionMetadata) {
		return interval
	}
	deadline := p.Status.StepExecutionMetadata[i].StartedAt.Add(timeout) // want `RQ007`
	if deadline.Before(time.Now().Add(interval)) {
		return time.Until(deadline)
	}
	return interval
}

// end
