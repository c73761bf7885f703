package deadlinequeue

import (
	"math"
	"time"
)

// A wait is a span of the monotonic clock, a deadline an instant of the wall clock.
// The entries have both as times of the monotonic clock since the epoch, and when
// the wall clock has moved against it, the deadlines are moved.

const (
	// wallSlack is by how much the wall clock may move before the deadlines are
	// timed anew. A deadline that was told when it had moved by less is off by that
	// then, so none is ever off by more than twice as much: a second.
	wallSlack = int64(time.Second / 2)
	// wallPeriod is how often the queue looks at it at least, while anything waits.
	wallPeriod = int64(time.Minute)
)

// observe returns a reading of the clock as a time since the epoch. If the wall
// clock was stepped, or the machine suspended, it times the deadlines anew. A reading
// that was overtaken by a later one on its way to the lock says nothing of that.
func (q *Queue[T]) observe(t time.Time) (now int64) {
	now = int64(t.Sub(q.epoch))
	if now < q.latest {
		return now
	}
	q.latest = now
	ahead, wall := int64(0), int64(t.Round(0).Sub(q.epoch))
	if wall != now { // they are the same for a clock with one reading
		ahead = saturatingAdd(wall, -now)
	}
	if by := ahead - q.ahead; by > wallSlack || by < -wallSlack {
		q.ahead = ahead
		q.retime(by)
		q.arm(now)
	}
	return now
}

// retime is called when the wall clock has moved ahead by so much. A wait that ends
// with the deadline, as it does where requeue.Plan waits for that, is moved along; other
// waits stay.
func (q *Queue[T]) retime(by int64) {
	for e := range q.entries.all {
		if after := saturatingAdd(e.soft, -e.deadline); e.state == waiting && after >= 0 && after <= wallSlack {
			e.soft = sooner(e.soft, by)
		}
		e.deadline, e.besides = sooner(e.deadline, by), sooner(e.besides, by)
		if by > 0 && e.handed != neverHanded {
			e.handed = sooner(e.handed, by)
		}
	}
	q.waiting.fixAll()
	// Those in the order have all moved alike, and keep theirs.
}

// sooner is a time that comes sooner by so much, or later if that is negative.
func sooner(at, by int64) int64 {
	if at == never {
		return never
	}
	return max(min(saturatingAdd(at, -by), never-1), neverHanded+1)
}

// timeOf is a deadline as a time since the epoch, given a reading of the clock and
// that as such a time. It is never if t is zero or too far.
func timeOf(deadline, t time.Time, now int64) int64 {
	if deadline.IsZero() {
		return never
	}
	switch left := int64(deadline.Round(0).Sub(t)); left { // by the wall clock
	case math.MaxInt64:
		return never
	case math.MinInt64: // all that passed so long ago are alike
		return neverHanded + 1
	default:
		return max(saturatingAdd(now, left), neverHanded+1)
	}
}

// at is what was said as it comes to an entry.
func (w said) at(t time.Time, now int64) word {
	if w.wait > 0 && w.kind != floorFirst && w.kind != floor {
		return word{w.kind, min(saturatingAdd(now, int64(w.wait)), never-1)}
	}
	return word{w.kind, timeOf(w.deadline, t, now)}
}

// arm sets the timer for the entry that wakes first, and for a look at the wall
// clock before. An earlier time gets a new timer: moving one that is set costs more
// where there are many.
func (q *Queue[T]) arm(now int64) {
	e := q.waiting.min()
	if e == nil {
		return
	}
	at := min(e.wake(), saturatingAdd(now, wallPeriod))
	if at >= q.timerAt {
		return
	}
	if q.timer != nil {
		q.timer.Stop()
	}
	q.timerAt = at
	// In a goroutine of its own: a fake clock calls it while holding a lock
	// that Now needs.
	q.timer = q.clock.AfterFunc(time.Duration(saturatingAdd(at, -now)), func() { go q.fire(at) })
}

// fire is called when the timer set for at fires.
func (q *Queue[T]) fire(at int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timerAt != at {
		return // another timer has taken its place, or the queue is shut down
	}
	now := q.wakeUpAll()
	if q.timerAt == at {
		q.timer, q.timerAt = nil, never
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
