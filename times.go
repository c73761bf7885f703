package requeue

import (
	"math"
	"time"
)

// DeadlineOf returns the deadline start + timeout for which [Plan.Timeout] waits, or zero if
// there is none (timeout <= 0 or a zero start). Use it in messages, and to answer
// Options.Deadline of package deadlinequeue. The sum saturates in the last second of
// time.Time. A sum that is the zero time is no deadline.
func DeadlineOf(start time.Time, timeout time.Duration) time.Time {
	if start.IsZero() || timeout <= 0 {
		return time.Time{}
	}
	return start.Add(timeout)
}

// Between returns the instant at the given fraction of the way between two
// instants, to the precision of a float64. For example, a certificate or a lease
// is renewed at Between(notBefore, notAfter, 2.0/3).
//
// A fraction below 0 (or NaN) counts as 0, and a fraction above 1 as 1, so the
// answer is never outside the two instants. If either instant is zero, the answer is
// zero, and a [Plan] ignores it. A lifetime of more than 292 years counts as 292 years,
// so the answer is then too early.
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
// *metav1.Time or *metav1.MicroTime, which may be nil, and a time.Time or
// *time.Time. Pass the address of a metav1.Time that is not a pointer:
// TimeOf(&obj.CreationTimestamp).
//
// Do not add to the answer: for a nil field, TimeOf(t).Add(d) is a deadline in
// the year 1. Pass TimeOf(t) and d to [Plan.Timeout] or [DeadlineOf]; for them a
// zero start has no deadline.
//
// TimeOf calls IsZero first, and UTC only if IsZero is false. So a nil pointer is
// safe: metav1's IsZero accepts it.
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
