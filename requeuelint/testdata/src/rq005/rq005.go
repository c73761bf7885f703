package rq005

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

type object struct {
	Started metav1.Time
	Spec    struct {
		Timeout  metav1.Duration
		Deadline time.Time
		Interval time.Duration
	}
	LastRun metav1.Time
}

const poll = time.Minute

func fail(*object) error { return nil }
func run(*object) error  { return nil }

// Positive.

func after(o *object, now time.Time) (ctrl.Result, error) {
	if now.After(o.Spec.Deadline) {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil // want `RQ005`
}

func sum(o *object, c clock.Clock) (ctrl.Result, error) {
	deadline := o.Started.Add(o.Spec.Timeout.Duration)
	if c.Now().Before(deadline) {
		return ctrl.Result{RequeueAfter: 30 * time.Second}, nil // want `RQ005`
	}
	return ctrl.Result{}, fail(o)
}

func predicate(o *object) (ctrl.Result, error) {
	if o.timedOut() {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil // want `RQ005`
}

func (o *object) timedOut() bool {
	return o.Spec.Timeout.Duration > 0 && time.Since(o.Started.Time) > o.Spec.Timeout.Duration
}

var interval30 = 30 * time.Second

func variable(o *object) (ctrl.Result, error) {
	if time.Since(o.Started.Time) > o.Spec.Timeout.Duration {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: interval30}, nil // want `RQ005`
}

const startTimeout = 5 * time.Minute

func constant(o *object, c clock.Clock) (ctrl.Result, error) {
	if c.Since(o.Started.Time) > startTimeout {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil // want `RQ005`
}

// Negative.

const resync = 5 * time.Minute

func constantInterval(o *object, c clock.Clock) (ctrl.Result, error) {
	if c.Since(o.LastRun.Time) > resync {
		return ctrl.Result{}, run(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil
}

const endTimeout = time.Hour

// A minute of an hour is not late by much.
func constantLong(o *object, c clock.Clock) (ctrl.Result, error) {
	if c.Since(o.Started.Time) > endTimeout {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil
}

// An interval since the last run is a poll.
func interval(o *object) (ctrl.Result, error) {
	if time.Since(o.LastRun.Time) < o.Spec.Interval {
		return ctrl.Result{RequeueAfter: poll}, nil
	}
	return ctrl.Result{}, run(o)
}

// It has expired.
func expired(o *object) (ctrl.Result, error) {
	if time.Since(o.Started.Time) > o.Spec.Timeout.Duration {
		return ctrl.Result{RequeueAfter: poll}, fail(o)
	}
	return ctrl.Result{}, nil // want `RQ009`
}

// Late by little.
func short(o *object) (ctrl.Result, error) {
	if time.Since(o.Started.Time) > o.Spec.Timeout.Duration {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: time.Second}, nil
}

const timeout = time.Hour

func littleOfAnHour(o *object) (ctrl.Result, error) {
	if time.Since(o.Started.Time) > timeout {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil
}

// Another path than that of the test.
func elsewhere(o *object) (ctrl.Result, error) {
	if o.Spec.Timeout.Duration > 0 {
		if time.Since(o.Started.Time) > o.Spec.Timeout.Duration {
			return ctrl.Result{}, fail(o)
		}
		return ctrl.Result{}, nil // want `RQ009`
	}
	return ctrl.Result{RequeueAfter: poll}, nil
}

// The test is in a function, the wait in one that it calls.
func drain(o *object) (ctrl.Result, error) {
	if time.Since(o.Started.Time) < o.Spec.Timeout.Duration {
		return evict(o)
	}
	return ctrl.Result{}, fail(o)
}

func evict(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: 20 * time.Second}, nil // want `RQ005`
}

type configured struct{ PollInterval time.Duration }

func (c *configured) poll(o *object, now time.Time) (ctrl.Result, error) {
	if now.After(o.Spec.Deadline) {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: c.PollInterval}, nil // want `RQ005`
}

// The shorter of both.
func (c *configured) sooner(o *object, now time.Time) (ctrl.Result, error) {
	left := o.Spec.Deadline.Sub(now)
	if left <= 0 {
		return ctrl.Result{}, fail(o)
	}
	if left < c.PollInterval {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{RequeueAfter: c.PollInterval}, nil
}

func told(ctx context.Context, o *object, now time.Time) (ctrl.Result, error) {
	deadlinequeue.Tell(ctx, requeue.From(now).Deadline(o.Spec.Deadline))
	if now.After(o.Spec.Deadline) {
		return ctrl.Result{}, fail(o)
	}
	return ctrl.Result{RequeueAfter: poll}, nil
}

// A result among others, of which the soonest is taken.
func merged(o *object, now time.Time) (ctrl.Result, error) {
	left := o.Spec.Deadline.Sub(now)
	if left <= 0 {
		return ctrl.Result{}, fail(o)
	}
	return soonest(ctrl.Result{RequeueAfter: poll}, ctrl.Result{RequeueAfter: left}), nil
}

func soonest(all ...ctrl.Result) (out ctrl.Result) {
	for _, r := range all {
		if r.RequeueAfter > 0 && (out.RequeueAfter == 0 || r.RequeueAfter < out.RequeueAfter) {
			out = r
		}
	}
	return out
}
