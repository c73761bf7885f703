package requeue

import (
	"time"

	"k8s.io/utils/clock"
)

// Clock tells the time. The usual clocks fit it: the clocks of k8s.io/utils/clock
// (with the fake clock of its testing package), the clocks of
// jonboulle/clockwork, and the Clock of a kubebuilder-style reconciler.
//
// Where this package takes a Clock, nil means the system clock. A nil pointer
// in a Clock is not a nil Clock: its Now is called like any other.
type Clock interface {
	Now() time.Time
}

// ClockFunc makes a Clock of a function, for example time.Now. A nil ClockFunc is
// the system clock.
type ClockFunc func() time.Time

// Now returns f(), or the system time if f is nil.
func (f ClockFunc) Now() time.Time {
	if f == nil {
		return clock.RealClock{}.Now()
	}
	return f()
}

// read returns c's time, or the system's where c is nil.
func read(c Clock) time.Time {
	if c == nil {
		return clock.RealClock{}.Now()
	}
	return c.Now()
}
