package rq003

import (
	"context"
	"errors"
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

// A pointer to the soonest of several.
func soonest(all []*object) (ctrl.Result, error) {
	var at *time.Time
	for _, o := range all {
		ends := o.Created.Add(o.TTL)
		if at == nil || ends.Before(*at) {
			at = &ends
		}
	}
	if at == nil || at.Before(time.Now()) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: time.Until(*at)}, nil // want `RQ003`
}

// One function tests, another waits.
func tests(o *object, c clock.Clock) (ctrl.Result, error) {
	wait, err := cleanup(o, c)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: wait}, nil // want `RQ003`
}

func cleanup(o *object, c clock.Clock) (time.Duration, error) {
	expired, err := isExpired(o, c)
	if err != nil {
		return 0, err
	}
	if expired {
		return 0, do(o)
	}
	return rest(o, c.Now())
}

func isExpired(o *object, c clock.Clock) (bool, error) {
	if err := do(o); err != nil {
		return false, err
	}
	now := c.Now()
	left, err := rest(o, now)
	return err == nil && left <= 0, err
}

func rest(o *object, now time.Time) (time.Duration, error) {
	if o.Created.IsZero() {
		return 0, errors.New("not created")
	}
	return o.Created.Add(o.TTL).Sub(now), nil
}

// Clamped to 0, it is dropped as well.
func clampedToZero(o *object) (ctrl.Result, error) {
	if time.Now().Before(o.Created.Add(o.TTL)) {
		return ctrl.Result{RequeueAfter: o.left()}, nil // want `RQ003`
	}
	return ctrl.Result{}, do(o)
}

func (o *object) left() time.Duration {
	if d := time.Until(o.Created.Add(o.TTL)); d >= 0 {
		return d
	}
	return 0
}

// What is left is looked at, and nothing is done if it is nothing.
func testsAndLooks(o *object, c clock.Clock) (ctrl.Result, error) {
	wait, err := cleanup(o, c)
	if err != nil {
		return ctrl.Result{}, err
	}
	if wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return ctrl.Result{}, nil // want `RQ003`
}

// The instant is one of a list, and what is left comes by pointer.
type change struct {
	kind string
	at   metav1.Time
}

func ended(all []change) (*time.Time, error) {
	for _, c := range all {
		if c.kind == "ended" {
			return &c.at.Time, nil
		}
	}
	return nil, errors.New("not ended")
}

func leftOf(all []change, keep time.Duration, now *time.Time) (*time.Duration, error) {
	at, err := ended(all)
	if err != nil {
		return nil, err
	}
	left := at.Add(keep).Sub(*now)
	return &left, nil
}

func listed(all []change, keep time.Duration, c clock.Clock) (ctrl.Result, error) {
	now := c.Now()
	left, err := leftOf(all, keep, &now)
	if err != nil {
		return ctrl.Result{}, err
	}
	if *left <= 0 {
		return ctrl.Result{}, do(nil)
	}
	later := c.Now()
	again, err := leftOf(all, keep, &later)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: *again}, nil // want `RQ003`
}

// Who calls it sees to a least wait.
func atLeast(o *object) (ctrl.Result, error) {
	if o.Created.Before(&metav1.Time{Time: time.Now()}) {
		return ctrl.Result{}, do(o)
	}
	result, err := waits(o)
	if err != nil {
		return ctrl.Result{}, err
	}
	if result.RequeueAfter < time.Second {
		result.RequeueAfter = time.Second
	}
	return result, nil
}

func waits(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Until(o.Created.Time)}, nil
}
