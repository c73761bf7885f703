package requeue

import (
	"math"
	"time"
)

// Load is what a controller has to do and what it has to do it with. It answers
// how often the objects can be polled before polling crowds out everything
// else: 10,000 objects, polled every 5 minutes at 100 ms a reconcile by 2
// workers, are 167 % of what the workers can do, and the backlog never ends.
type Load struct {
	// Objects is the number of objects that are polled.
	Objects int
	// Workers is the number of reconciles that run at a time
	// (MaxConcurrentReconciles).
	Workers int
	// Service is the mean time of one reconcile.
	Service time.Duration
}

// Interval returns the shortest poll interval at which polling every object
// takes at most the given share of the workers' time:
//
//	Objects * Service / (Workers * utilization)
//
// utilization is between 0 and 1, where 1 leaves nothing for events; 0.8 is a
// good start. One above 1 counts as 1. The answer is 0, meaning unknown, if
// utilization or any field is 0 or less (or NaN); so it can be used as it is in
//
//	requeue.From(now).Every(max(poll, load.Interval(0.8)))
//
// where poll is positive: a poll of 0, no polling, would become one. Other answers
// are positive, and saturate at the longest time.Duration.
func (l Load) Interval(utilization float64) time.Duration {
	if l.Objects <= 0 || l.Workers <= 0 || l.Service <= 0 || !(utilization > 0) {
		return 0
	}
	interval := math.Round(float64(l.Objects) * float64(l.Service) / (float64(l.Workers) * min(utilization, 1)))
	if interval >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(time.Duration(interval), 1)
}
