package requeue

import (
	"math"
	"time"
)

// Backoff returns when to try again after the given number of failed attempts:
// last + min(base*2^(attempt-1), ceiling), where last is the time of the last attempt.
// attempt < 1 counts as 1. A zero last means that there was no attempt: the answer is
// zero, and a [Plan] ignores it.
//
// base <= 0 means no wait: the answer is last. ceiling <= 0 means no ceiling, as in
// the Backoff of k8s.io/apimachinery/pkg/util/wait. If base is above the ceiling, the
// ceiling wins, even for the first attempt; cert-manager's exponential backoff raises
// the ceiling to base instead. The delay saturates at the longest time.Duration, about
// 292 years, and the answer in the last second of time.Time.
//
// Try again once the clock has reached the answer. Until then, give the answer to
// [Plan.At], next to the deadline that the wait must not sleep through.
func Backoff(last time.Time, attempt int, base, ceiling time.Duration) time.Time {
	if last.IsZero() || base <= 0 {
		return last
	}
	if ceiling <= 0 {
		ceiling = math.MaxInt64
	}
	delay := ceiling
	if attempt <= 1 {
		delay = min(base, ceiling)
	} else if shift := attempt - 1; base <= ceiling>>shift {
		delay = base << shift
	}
	return last.Add(delay)
}
