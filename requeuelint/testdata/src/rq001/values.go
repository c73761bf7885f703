package rq001

import (
	"math/rand"
	"strconv"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"rq001/steps"
)

type answered struct {
	RetryAfter int32  `json:"retryAfter"`
	Unsigned   uint32 `json:"unsigned"`
}

type caller struct {
	hook  func() answered
	every time.Duration
	later func(string, time.Duration)
	any   func(string, time.Duration)
	queue adder
	soon  func(string, time.Duration)
	delay DelayQueue
}

// A queue of one's own that takes a wait.
type DelayQueue interface {
	Add(key string, wait time.Duration)
}

// An interface of one's own, with the method of a queue.
type adder interface {
	AddAfter(key string, wait time.Duration)
}

// Positive.

func stop(s *steps.Steps) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: s.Next()}, nil // want `RQ001: RequeueAfter can be a negative number here`
}

func number(c *caller) (ctrl.Result, error) {
	if a := c.hook(); a.RetryAfter != 0 {
		return ctrl.Result{RequeueAfter: time.Duration(a.RetryAfter) * time.Second}, nil // want `RQ001: RequeueAfter is a number that can be negative`
	}
	return ctrl.Result{}, nil
}

func header(text string) (ctrl.Result, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: time.Duration(n) * time.Second}, nil // want `RQ001`
}

func roundedAfter(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left <= 0 {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left.Round(time.Minute)}, nil // want `RQ001: RequeueAfter can be zero or negative here, as it is rounded`
}

func addRounded(q workqueue.TypedRateLimitingInterface[string], o *object) error {
	if left := time.Until(o.Deadline); left > 0 {
		q.AddAfter("key", left.Truncate(time.Second)) // want `RQ001`
		return nil
	}
	return do(o)
}

func spreadOver(o *object, window time.Duration) (ctrl.Result, error) {
	wait := o.Interval + time.Duration(rand.Int63n(int64(window))) - window/2
	return ctrl.Result{RequeueAfter: wait}, nil // want `RQ001: RequeueAfter can be negative here, because the jitter that is taken off`
}

func since(o *object) (ctrl.Result, error) {
	if time.Now().Before(o.Deadline) {
		return ctrl.Result{RequeueAfter: time.Since(o.Deadline)}, nil // want `RQ001: RequeueAfter is the time since an instant that lies ahead`
	}
	return ctrl.Result{}, do(o)
}

func equal(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left == 0 {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left}, nil // want `RQ001`
}

func zeroByCallee(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: orZero(o)}, nil // want `RQ001: RequeueAfter can be zero here`
}

func orZero(o *object) time.Duration {
	left := time.Until(o.Deadline)
	if left > 0 {
		return left
	}
	return 0
}

func newCaller(q workqueue.TypedRateLimitingInterface[string], hook func(string, time.Duration), late bool) *caller {
	c := &caller{later: q.AddAfter, queue: q}
	c.any = q.AddAfter
	c.soon = func(key string, wait time.Duration) { q.AddAfter(key, wait) }
	if late {
		c.any = hook
	}
	return c
}

func byField(c *caller, o *object) {
	c.later("key", time.Until(o.Ends)) // want `RQ001: AddAfter can be`
}

func byClosure(c *caller, o *object) {
	c.soon("key", time.Until(o.Ends)) // want `RQ001: AddAfter can be`
}

func byOwnQueue(c *caller, o *object) {
	c.delay.Add("key", time.Until(o.Ends)) // want `RQ001: Add can be`
}

func byInterface(c *caller, o *object) {
	c.queue.AddAfter("key", time.Until(o.Ends)) // want `RQ001: AddAfter can be`
}

// Negative.

func stopTested(s *steps.Steps) (ctrl.Result, error) {
	wait := s.Next()
	if wait == steps.Stop {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: wait}, nil
}

func numberTested(c *caller) (ctrl.Result, error) {
	if a := c.hook(); a.RetryAfter > 0 {
		return ctrl.Result{RequeueAfter: time.Duration(a.RetryAfter) * time.Second}, nil
	}
	return ctrl.Result{}, nil
}

func unsigned(c *caller) (ctrl.Result, error) {
	if a := c.hook(); a.Unsigned != 0 {
		return ctrl.Result{RequeueAfter: time.Duration(a.Unsigned) * time.Second}, nil
	}
	return ctrl.Result{}, nil
}

func configured(c *caller) (ctrl.Result, error) {
	if c.every != 0 {
		return ctrl.Result{RequeueAfter: c.every}, nil
	}
	return ctrl.Result{}, nil
}

// More is left than the rounding takes.
func roundedLong(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline)
	if left < time.Minute {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left.Truncate(time.Second)}, nil
}

func roundedBefore(o *object) (ctrl.Result, error) {
	left := time.Until(o.Deadline).Round(time.Second)
	if left <= 0 {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left}, nil
}

func tenth(o *object) (ctrl.Result, error) {
	wait := o.Interval - time.Duration(rand.Int63n(int64(o.Interval/10)))
	return ctrl.Result{RequeueAfter: wait}, nil
}

func ageing(o *object) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: max(time.Second, time.Since(o.LastRun.Time)/10)}, nil
}

func valueOK(o *object) (ctrl.Result, error) {
	left, ok := remaining(o)
	if !ok {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: left}, nil
}

func remaining(o *object) (time.Duration, bool) {
	left := time.Until(o.Deadline)
	return left, left > 0
}

func zeroTested(o *object) (ctrl.Result, error) {
	wait := orZero(o)
	if wait == 0 {
		return ctrl.Result{}, do(o)
	}
	return ctrl.Result{RequeueAfter: wait}, nil
}

func soonestAhead(all []*object, now time.Time) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: untilSoonest(all, now)}, nil
}

func untilSoonest(all []*object, now time.Time) time.Duration {
	var next time.Time
	look := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, o := range all {
		look(o.Deadline)
		look(o.Ends)
	}
	if next.IsZero() {
		return 0
	}
	return next.Sub(now)
}

// The field may be something else.
func byOtherField(c *caller, o *object) { c.any("key", time.Until(o.Ends)) }

// The runs of a schedule, up to one that lies ahead.
func upcoming(o *object, s schedule) (ctrl.Result, error) {
	now := time.Now()
	next := s.Next(o.LastRun.Time)
	for t := s.Next(o.LastRun.Time); !t.After(now); t = s.Next(t) {
		next = s.Next(t)
	}
	return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
}

// One run after the last may have passed as well.
func afterLast(o *object, s schedule) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: s.Next(o.LastRun.Time).Sub(time.Now())}, nil // want `RQ001`
}
