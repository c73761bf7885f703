package requeue

import "time"

// Immediate is the shortest wait that this package returns, except 0. A caller
// that wants to look again at once uses Immediate, because 0 would mean "never".
const Immediate = time.Millisecond

// NextRequeue returns how long to wait before looking again at an object that
// is polled every defaultInterval and whose deadline is start + timeout.
//
//   - The deadline is ahead: the time left until it, or defaultInterval if that
//     is shorter.
//   - The deadline is now or has passed: as long as it is late, at least
//     [Immediate], at most one minute, and at most defaultInterval. Check
//     [Expired] first and act. This wait covers a deadline that passes between
//     that check and this call, and a caller that cannot act.
//   - timeout <= 0 or a zero start: there is no deadline, and the answer is
//     defaultInterval.
//   - defaultInterval <= 0: there is no polling, and only the deadline counts.
//
// The answer is never negative. It is 0 only if there is neither a deadline nor
// an interval. Every other answer is at least [Immediate], even if the interval
// is shorter. NextRequeue reads the clock once; nil is the system clock.
//
// It is short for From(now).Every(defaultInterval).Timeout(start, timeout).After().
// Use a [Plan] for several deadlines, for floors, to learn the cause, or to check and
// wait on one reading of the clock.
func NextRequeue(start time.Time, timeout, defaultInterval time.Duration, clock Clock) time.Duration {
	p := From(read(clock))
	p.every(defaultInterval)
	p.timeout(start, timeout)
	after, _ := p.decide()
	return after
}

// Expired reports whether the deadline start + timeout is now or has passed. So
// an object that is woken exactly at its deadline is expired. Without a deadline
// (timeout <= 0 or a zero start) Expired returns false. It reads the clock at
// most once; nil is the system clock.
//
// A reconciler that calls Expired and then [NextRequeue] reads the clock twice.
// This is safe, because NextRequeue looks again at an overdue deadline. [Plan.Expired]
// and [Plan.After] use one reading.
func Expired(start time.Time, timeout time.Duration, clock Clock) bool {
	deadline := DeadlineOf(start, timeout)
	return !deadline.IsZero() && !read(clock).Before(deadline)
}

// Soonest returns the shortest wait that is greater than 0, or 0 if there is
// none. It merges the answers of several sub-reconcilers. There 0 or less means
// "nothing to wait for"; min would return it.
func Soonest(waits ...time.Duration) time.Duration {
	var soonest time.Duration
	for _, d := range waits {
		if d > 0 && (soonest == 0 || d < soonest) {
			soonest = d
		}
	}
	return soonest
}
