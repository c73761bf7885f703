// Package helper has what another package computes and hands on.
package helper

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Left can be negative.
func Left(deadline time.Time) time.Duration { return time.Until(deadline) }

// Clamped cannot.
func Clamped(deadline time.Time) time.Duration { return max(time.Until(deadline), time.Second) }

// Half is as its argument.
func Half(d time.Duration) time.Duration { return d / 2 }

// After hands its argument to controller-runtime.
func After(d time.Duration) (ctrl.Result, error) { return ctrl.Result{RequeueAfter: d}, nil }

// Checked does only if it is above 0.
func Checked(d time.Duration) ctrl.Result {
	if d <= 0 {
		return ctrl.Result{Requeue: true}
	}
	return ctrl.Result{RequeueAfter: d}
}

// Add hands its argument to client-go.
func Add(q workqueue.TypedRateLimitingInterface[string], key string, d time.Duration) {
	q.AddAfter(key, d)
}
