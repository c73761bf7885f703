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

// Stretch returns the poll interval, or a longer one if polling every object so often would
// take more than the given share of the workers' time:
//
//	max(poll, Objects * Service / (Workers * utilization))
//
// utilization is between 0 and 1, where 1 leaves nothing for events; 0.8 is a
// good start. One above 1 counts as 1. The answer is poll if utilization or any field is 0
// or less (or NaN), which is unknown. poll <= 0, no polling, stays no polling: the answer is 0.
// It saturates at the longest time.Duration, about 292 years.
//
//	requeue.From(now).Every(load.Stretch(poll, 0.8))
func (l Load) Stretch(poll time.Duration, utilization float64) time.Duration {
	if poll <= 0 {
		return 0
	}
	if l.Objects <= 0 || l.Workers <= 0 || l.Service <= 0 || !(utilization > 0) {
		return poll
	}
	interval := math.Round(float64(l.Objects) * float64(l.Service) / (float64(l.Workers) * min(utilization, 1)))
	if interval >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(poll, time.Duration(interval))
}
