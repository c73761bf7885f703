package requeue

import (
	"math"
	"time"
)

// DeadlineOf returns the deadline start + timeout, or zero if there is none
// (timeout <= 0 or a zero start): what [Plan.Timeout] waits for, as an instant. Use it in
// messages, and to answer Options.Deadline of package deadlinequeue. The sum saturates in
// the last second of time.Time; one that is the zero time is no deadline.
func DeadlineOf(start time.Time, timeout time.Duration) time.Time {
	if start.IsZero() || timeout <= 0 {
		return time.Time{}
	}
	return start.Add(timeout)
}

// Between returns the instant at the given fraction of the way from one instant
// to another, to the nearest nanosecond that a float64 can tell: the renewal
// point of a certificate or a lease is Between(notBefore, notAfter, 2.0/3).
//
// A fraction below 0 (or NaN) counts as 0, one above 1 as 1, so the answer never
// lies outside the two. If either instant is zero, so is the answer, and a
// [Plan] ignores it. A lifetime of more than 292 years counts as 292 years, so
// the answer is then too early.
func Between(from, to time.Time, fraction float64) time.Time {
	switch {
	case from.IsZero() || to.IsZero():
		return time.Time{}
	case fraction >= 1:
		return to
	case fraction > 0:
		return from.Add(time.Duration(math.Round(float64(to.Sub(from)) * fraction)))
	}
	return from
}

// TimeOf returns the time of an optional API field, in UTC and without a
// monotonic reading, or zero if the field is nil or zero. It takes a
// *metav1.Time or *metav1.MicroTime, also a nil one, without this package
// importing apimachinery, and a time.Time or *time.Time. Of a metav1.Time that is
// no pointer, give the address: TimeOf(&obj.CreationTimestamp).
//
// Adding to a zero time gives one that is not zero, and long past: TimeOf(t).Add(d)
// of a nil field is a deadline in the year 1. Write [Plan.Timeout] or [DeadlineOf]
// with TimeOf(t) and d, which know that a zero start has none.
//
// The methods IsZero and UTC are called in that order and UTC only if IsZero is
// false, which is what makes a nil pointer safe: metav1's IsZero accepts one.
func TimeOf(t interface {
	IsZero() bool
	UTC() time.Time
}) time.Time {
	// A nil *time.Time is the one nil pointer of note whose IsZero panics.
	if p, ok := t.(*time.Time); t == nil || ok && p == nil || t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
