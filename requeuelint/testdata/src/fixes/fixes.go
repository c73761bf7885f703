package fixes

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
)

type object struct {
	Started  metav1.Time
	Timeout  time.Duration
	Deadline time.Time
	Ends     metav1.Time
}

func fail(*object) error { return nil }

func until(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Until(o.Deadline)}, nil // want `RQ001`
}

func sub(o *object, now time.Time) (ctrl.Result, error) {
	wait := o.Ends.Sub(now)
	return ctrl.Result{RequeueAfter: wait}, nil // want `RQ001`
}

func elapsed(o *object, c clock.Clock) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: o.Timeout - c.Since(o.Started.Time)}, nil // want `RQ001`
}

func orPoll(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: min(time.Minute, time.Until(o.Deadline))}, nil // want `RQ001`
}

func twice(o *object, c clock.Clock) (ctrl.Result, error) {
	if c.Now().Before(o.Deadline) {
		return ctrl.Result{RequeueAfter: o.Deadline.Sub(c.Now())}, nil // want `RQ003`
	}
	return ctrl.Result{}, fail(o)
}

func merged(a, b ctrl.Result) ctrl.Result {
	return ctrl.Result{RequeueAfter: min(a.RequeueAfter, b.RequeueAfter)} // want `RQ004`
}

func least(a, b time.Duration) time.Duration {
	if b < a {
		return b
	}
	return a
}

func mergedByHelper(a, b ctrl.Result) ctrl.Result {
	return ctrl.Result{RequeueAfter: least(a.RequeueAfter, b.RequeueAfter)} // want `RQ004`
}

func lowest(a, b ctrl.Result) ctrl.Result {
	if a.RequeueAfter > b.RequeueAfter { // want `RQ004`
		return b
	}
	return a
}

func fixed(o *object) (ctrl.Result, error) {
	if time.Since(o.Started.Time) > o.Timeout {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil // want `RQ005`
}

func fixedDeadline(o *object, now time.Time) (ctrl.Result, error) {
	if now.After(o.Deadline) {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil // want `RQ005`
}

// Without a fix: the wait is used for something else, too.
func used(o *object) (ctrl.Result, time.Duration) {
	wait := time.Until(o.Deadline)
	return ctrl.Result{RequeueAfter: wait}, wait // want `RQ001`
}
