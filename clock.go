package requeue

import (
	"time"

	"k8s.io/utils/clock"
)

// Clock tells the time. It is the smallest interface that every clock of this
// field fits as it is: those of k8s.io/utils/clock (also the fake one in its
// testing package), of jonboulle/clockwork, and the Clock of a
// kubebuilder-style reconciler.
//
// Where this package takes a Clock, nil means the system clock. A nil pointer
// in a Clock is not a nil Clock: it is asked like any other.
type Clock interface {
	Now() time.Time
}

// ClockFunc makes a Clock of a function such as time.Now. A nil ClockFunc is
// the system clock.
type ClockFunc func() time.Time

// Now returns f().
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
