package sites

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	ctrl "sigs.k8s.io/controller-runtime"
)

// RQ001: the deadline can pass between check and subtraction; 0 or less is dropped.
func untilAfterCheck(o *Obj) (ctrl.Result, error) {
	if time.Now().After(o.Spec.Deadline.Time) {
		return ctrl.Result{}, finish(o)
	}
	if err := patch(o); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: time.Until(o.Spec.Deadline.Time)}, nil // want `RQ001: RequeueAfter can be zero or negative here \(time.Until\(o.Spec.Deadline.Time\)\)`
}

// none: clamped.
func clamped(o *Obj) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Until(o.Spec.Deadline.Time), time.Second)}, nil
}

// none: checked on every path.
func checked(o *Obj) (ctrl.Result, error) {
	if left := time.Until(o.Spec.Deadline.Time); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{}, finish(o)
}

// RQ001 through a helper of the same package; the wait is "timeout minus elapsed".
func viaHelper(o *Obj, now time.Time) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: rest(o, now)}, nil // want `RQ001`
}

func rest(o *Obj, now time.Time) time.Duration {
	return o.Spec.Timeout.Duration - now.Sub(o.Status.StartedAt.Time)
}

// RQ001 (knative shape): a passed tasks timeout is added at once, over and over.
func enqueue(pr *Run, now time.Time) error {
	return controller.NewRequeueAfter(pr.TasksTimeout() - now.Sub(pr.Status.StartTime.Time)) // want `RQ001: NewRequeueAfter can be zero or negative here .*added at once`
}

// RQ002: dropped, the rate limiter decides.
func withError(err error) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: 10 * time.Second}, err // want `RQ002`
}

// none: err is nil on this path.
func withNilError(ok bool, err error) (ctrl.Result, error) {
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: 10 * time.Second}, err
}

// RQ003: two readings.
func twoClocks(c clock.Clock, o *Obj) (ctrl.Result, error) {
	if c.Since(o.CreationTimestamp.Time) >= o.Spec.TTL.Duration {
		return ctrl.Result{}, del(o)
	}
	return ctrl.Result{RequeueAfter: o.CreationTimestamp.Add(o.Spec.TTL.Duration).Sub(c.Now())}, nil // want `RQ003`
}

// RQ004: -3 ms wins.
func lowest(a, b ctrl.Result) ctrl.Result {
	switch {
	case a.RequeueAfter == 0:
		return b
	case b.RequeueAfter == 0:
		return a
	case a.RequeueAfter < b.RequeueAfter: // want `RQ004`
		return a
	}
	return b
}

// RQ005: up to 5 minutes late.
func fixed(o *Obj) (ctrl.Result, error) {
	if time.Since(o.Status.StartedAt.Time) > o.Spec.Timeout.Duration {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil // want `RQ005: .* fixed 5m0s`
}

// none: a plain poll, no deadline in sight.
func poll() (ctrl.Result, error) { return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil }

// RQ006: overflows above 2.9 years; and 2^n from n = 34.
func eighty(d time.Duration) time.Duration {
	return d * 80 / 100 * 1e2 // want `RQ006`
}

func exp(n int) time.Duration {
	return time.Second << n // want `RQ006`
}

type Optional struct {
	Spec   struct{ Timeout metav1.Duration }
	Status struct{ StartedAt *metav1.Time }
}

// RQ007: nil StartedAt panics.
func nilStart(o *Optional, now time.Time) time.Duration {
	return o.Status.StartedAt.Add(o.Spec.Timeout.Duration).Sub(now) // want `RQ007: StartedAt`
}
