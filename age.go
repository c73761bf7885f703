package requeue

import (
	"math"
	"time"
)

// ByAge returns a poll interval that grows with the age of the awaited work: the given
// fraction of the age, at least least and at most most. With a fraction of 0.1, the poll of
// work that has taken 10 minutes is a minute, and the controller notices the end of the work
// at most 10 % late. ByAge keeps no state, so the interval survives a restart, and is short
// again for new work:
//
//	requeue.From(now).Every(requeue.ByAge(now.Sub(started), 0.1, time.Second, 5*time.Minute))
//
// The answer is least if age <= 0, or if fraction is 0 or less (or NaN). A most below least
// counts as least. The answer is never below [Immediate], so it never means "no polling".
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
