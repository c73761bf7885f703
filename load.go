package requeue

import (
	"math"
	"time"
)

// Load describes a controller's work and its workers. It answers how often the
// controller can poll its objects before polling crowds out all other work. For
// example, 10,000 objects, a poll every 5 minutes and 100 ms a reconcile are
// 167 % of the work that 2 workers can do, and the backlog never ends.
type Load struct {
	// Objects is the number of objects that are polled.
	Objects int
	// Workers is the number of reconciles that run at a time
	// (MaxConcurrentReconciles).
	Workers int
	// Service is the mean time of one reconcile.
	Service time.Duration
}

// Stretch returns poll, or a longer interval if polling every object at poll would take more
// than the given share of the workers' time:
//
//	max(poll, Objects * Service / (Workers * utilization))
//
// utilization is between 0 and 1, where 1 leaves nothing for events; 0.8 is a good start. A
// utilization above 1 counts as 1. If utilization or any field is 0 or less (or NaN), it is
// unknown, and the answer is poll. If poll <= 0 (no polling), the answer is 0. The answer
// saturates at the longest time.Duration, about 292 years.
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
