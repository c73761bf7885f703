package deadlinequeue

import (
	"math"
	"time"
)

// A wait is a span of the monotonic clock, a deadline an instant of the wall clock.
// Entries keep each by its own clock, so a step of the wall clock moves no deadline:
// it only has to be noticed.

const (
	// wallPeriod is how often the queue looks at the wall clock at least, while
	// anything waits.
	wallPeriod = int64(time.Minute)
	// jitter is by how much two readings of both clocks may differ although neither
	// was stepped. A timer is not set anew for less.
	jitter = int64(time.Microsecond)
)

// observe returns a reading of the clock. One that was overtaken by a later one on its
// way to the lock may be from before a step of the wall clock: it counts by the wall
// clock as that is known now.
func (q *queue[T]) observe(t time.Time) instant {
	now := instant{mono: int64(t.Sub(q.epoch)), wall: q.wall(t)}
	if now.mono < q.latest.mono {
		now.wall = saturatingAdd(now.mono, saturatingSub(q.latest.wall, q.latest.mono))
	} else {
		q.latest = now
	}
	return now
}

// wall returns an instant of the wall clock. Differences of more than 292 years are
// cut to that.
func (q *queue[T]) wall(t time.Time) int64 { return int64(t.Round(0).Sub(q.wallEpoch)) }

// deadlineOf is an instant as a deadline: never if it is zero or too far.
func (q *queue[T]) deadlineOf(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return q.wall(t)
}

// floorOf is an instant as a floor.
func (q *queue[T]) floorOf(t time.Time) int64 {
	if t.IsZero() {
		return always
	}
	return q.wall(t)
}

// arm sets the timer for what wakes first, and for a look at the wall clock before. An
// earlier time gets a new timer: moving one that is set costs more where there are many.
func (q *queue[T]) arm(now instant) {
	wait, deadline := q.waits.min(), q.ahead.min()
	if wait == nil && deadline == nil || q.shuttingDown {
		return
	}
	at := now.after(wallPeriod)
	if wait != nil {
		at = min(at, wait.soft)
	}
	if deadline != nil {
		at = min(at, now.after(now.until(deadline.due())))
	}
	if q.timer != nil && at >= q.timerAt-jitter {
		return
	}
	if q.timer != nil {
		q.timer.Stop()
	}
	q.timerAt = at
	// In a goroutine of its own: a fake clock calls it while holding a lock
	// that Now needs.
	q.timer = q.clock.AfterFunc(time.Duration(saturatingSub(at, now.mono)), func() { go q.fire(at) })
}

// fire is called when the timer set for at fires.
func (q *queue[T]) fire(at int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer == nil || q.timerAt != at {
		return // another timer has taken its place, or the queue is shut down
	}
	now := q.wakeUpAll()
	if q.timer != nil && q.timerAt == at {
		q.timer = nil
		q.arm(now)
	}
}

func saturatingAdd(a, b int64) int64 {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

func saturatingSub(a, b int64) int64 {
	difference := a - b
	switch {
	case a >= 0 && b < 0 && difference < 0:
		return math.MaxInt64
	case a < 0 && b > 0 && difference >= 0:
		return math.MinInt64
	}
	return difference
}
