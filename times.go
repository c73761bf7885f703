package requeue

import (
	"math"
	"time"
)

// Soonest returns the shortest wait that is greater than 0, or 0 if there is
// none. It merges the answers of several sub-reconcilers, where 0 or less means
// "nothing to wait for" and must not win, as it does with min.
func Soonest(waits ...time.Duration) time.Duration {
	var soonest time.Duration
	for _, d := range waits {
		if d > 0 && (soonest == 0 || d < soonest) {
			soonest = d
		}
	}
	return soonest
}

// Backoff returns when to try again after the given number of failed attempts,
// the last of them at last: last + min(base*2^(attempt-1), max). attempt < 1
// counts as 1. A zero last means that nothing was tried: the answer is zero, and
// a [Plan] ignores it.
//
// base <= 0 means no wait: the answer is last. max <= 0 means no ceiling, as in
// the Backoff of k8s.io/apimachinery/pkg/util/wait. The delay saturates at the
// longest time.Duration, about 292 years.
//
// Try again once the clock has reached the answer; until then give it to
// [Plan.Deadline], next to the deadline that the wait must not sleep through.
func Backoff(last time.Time, attempt int, base, max time.Duration) time.Time {
	if last.IsZero() || base <= 0 {
		return last
	}
	if max <= 0 {
		max = math.MaxInt64
	}
	delay := max
	if attempt <= 1 {
		delay = min(base, max)
	} else if shift := attempt - 1; base <= max>>shift {
		delay = base << shift
	}
	return last.Add(delay)
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

// Jitter returns d, moved by up to the given fraction of it either way. The
// same key (an object's namespace/name or UID) is always moved by the same
// share, in every process, so objects that were listed all at once are polled
// at different times and each keeps its own.
//
// It is for polls. A deadline must not be moved.
//
// d <= 0 gives 0: no polling stays no polling. For other d the answer is above
// 0, and at least the smaller of d and [Immediate]. A fraction below 0 (or NaN)
// counts as 0, one above 1 as 1; 0.1 is usual. The answer saturates at the
// longest time.Duration.
func Jitter(d time.Duration, fraction float64, key string) time.Duration {
	if d <= 0 {
		return 0
	}
	if !(fraction > 0) {
		return d
	}
	// From -1 to 1: the top 53 bits of the hash are all that a float64 holds.
	share := float64(hash(key)>>11)/(1<<52) - 1
	moved := math.Round(float64(d) * (1 + min(fraction, 1)*share))
	if moved >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(time.Duration(moved), min(d, Immediate))
}

// hash is FNV-1a with the finalizer of MurmurHash3, as FNV alone leaves the top
// bits of short, similar keys alike. hash/fnv would allocate, hash/maphash
// differs between processes.
func hash(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// TimeOf returns the time of an optional API field, in UTC and without a
// monotonic reading, or zero if the field is nil or zero. It takes a
// *metav1.Time or *metav1.MicroTime, also a nil one, without this package
// importing apimachinery, and a time.Time or *time.Time. Of a metav1.Time that is
// no pointer, give the address: TimeOf(&obj.CreationTimestamp).
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
