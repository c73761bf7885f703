package rq003

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"rq001/api"
)

type object struct {
	Created  metav1.Time
	Deadline *metav1.Time
	TTL      time.Duration
}

func do(*object) error { return nil }

// Positive.

func before(o *object, c clock.Clock) (ctrl.Result, error) {
	expires := o.Created.Add(o.TTL)
	if c.Now().Before(expires) {
		return ctrl.Result{RequeueAfter: expires.Sub(c.Now())}, nil // want `RQ003`
	}
	return ctrl.Result{}, do(o)
}

func twice(o *object) (ctrl.Result, error) {
	if o.Deadline == nil {
		return ctrl.Result{}, nil
	}
	if time.Until(o.Deadline.Time) > 0 {
		return ctrl.Result{RequeueAfter: time.Until(o.Deadline.Time)}, nil // want `RQ003`
	}
	return ctrl.Result{}, do(o)
}

func ownPredicate(o *object) (ctrl.Result, error) {
	if o.expired() {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: time.Until(o.Created.Add(o.TTL))}, nil // want `RQ003`
}

func (o *object) expired() bool { return time.Since(o.Created.Time) > o.TTL }

// The package of the type tests the deadline, by a reading of its own.
func predicateElsewhere(ctx context.Context, r *api.Run, c clock.Clock) (ctrl.Result, error) {
	if r.Over(ctx, c) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: r.Started.Add(r.Timeout(ctx)).Sub(c.Now())}, nil // want `RQ003`
}

type schedule interface{ Next(time.Time) time.Time }

func scheduled(s schedule, c clock.Clock) (ctrl.Result, error) {
	next := s.Next(c.Now())
	return ctrl.Result{RequeueAfter: next.Sub(c.Now())}, nil // want `RQ003`
}

// Negative.

func once(o *object, c clock.Clock) (ctrl.Result, error) {
	now, expires := c.Now(), o.Created.Add(o.TTL)
	if now.Before(expires) {
		return ctrl.Result{RequeueAfter: expires.Sub(now)}, nil
	}
	return ctrl.Result{}, do(o)
}

func harmless(o *object) (ctrl.Result, error) {
	if time.Since(o.Created.Time) > o.TTL {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: max(time.Second, time.Until(o.Created.Add(o.TTL)))}, nil
}

// Two readings of two decisions.
func logged(o *object, now time.Time) (ctrl.Result, error) {
	age := time.Since(o.Created.Time)
	left := o.TTL - now.Sub(o.Created.Time)
	if left > 0 && age > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{}, nil
}

// A second is more than what passes between two readings.
func rounded(o *object) (ctrl.Result, error) {
	if o.Created.After(time.Now()) {
		left := time.Until(o.Created.Time)
		return ctrl.Result{RequeueAfter: time.Duration(1+int(left.Seconds())) * time.Second}, nil
	}
	return ctrl.Result{}, do(o)
}

func padded(o *object) (ctrl.Result, error) {
	if o.Created.After(time.Now()) {
		return ctrl.Result{RequeueAfter: time.Until(o.Created.Add(time.Second))}, nil
	}
	return ctrl.Result{}, do(o)
}

// The earliest that has not come, and a little more.
func earliest(all []*object, now time.Time) (ctrl.Result, error) {
	var next *time.Time
	for _, o := range all {
		ends := o.Created.Add(o.TTL)
		if now.Before(ends) {
			if next == nil || ends.Before(*next) {
				next = &ends
			}
			continue
		}
		if err := do(o); err != nil {
			return ctrl.Result{}, err
		}
	}
	if next != nil {
		return ctrl.Result{RequeueAfter: delay(*next)}, nil
	}
	return ctrl.Result{}, nil
}

func delay(t time.Time) time.Duration { return time.Until(t) + 2*time.Second }
