package requeue

import (
	"math"
	"time"
)

// ByAge returns a poll interval that grows with the age of what is waited for: the given
// fraction of the age, at least least and at most most. With a fraction of 0.1 something that
// has taken 10 minutes is looked at every minute, and is noticed at most 10 % late. It keeps
// no state, so it survives a restart, and it is short again when something new is waited for:
//
//	requeue.From(now).Every(requeue.ByAge(now.Sub(started), 0.1, time.Second, 5*time.Minute))
//
// age <= 0, and a fraction of 0 or less (or NaN), give least. A most below least counts as
// least. The answer is never below [Immediate], so it is never "no polling".
func ByAge(age time.Duration, fraction float64, least, most time.Duration) time.Duration {
	least = max(least, Immediate)
	if age <= 0 || !(fraction > 0) {
		return least
	}
	share := math.Round(float64(age) * fraction)
	if share >= float64(most) {
		return max(most, least)
	}
	return max(time.Duration(share), least)
}
