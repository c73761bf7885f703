package requeue

import "time"

// Immediate is the shortest wait this package returns, other than 0. A caller
// that wants to be called again at once uses it where 0 would mean "never".
const Immediate = time.Millisecond

// NextRequeue returns how long to wait before looking again at an object that
// is polled every defaultInterval and whose deadline is start + timeout.
//
//   - The deadline is ahead: the time left until it, or defaultInterval if that
//     is shorter.
//   - The deadline is now or has passed: as long again as it is late, at least
//     [Immediate], at most one minute, and at most defaultInterval. Check
//     [Expired] first and act; the wait is for the case that the deadline
//     passes between that check and this call, or that acting is not possible.
//   - timeout <= 0 or a zero start: there is no deadline, the answer is
//     defaultInterval.
//   - defaultInterval <= 0: there is no polling, only the deadline counts.
//
// The answer is never negative. It is 0 only if there is neither a deadline nor
// an interval; every other answer is at least [Immediate], also for an interval
// below that. The clock is read once; nil is the system clock.
//
// It is short for From(now).Every(defaultInterval).Timeout(start, timeout).After();
// use a [Plan] for several deadlines, floors, to learn the cause, or to check and to
// wait on one reading of the clock.
func NextRequeue(start time.Time, timeout, defaultInterval time.Duration, clock Clock) time.Duration {
	p := From(read(clock))
	p.every(defaultInterval)
	p.timeout(start, timeout)
	after, _ := p.decide()
	return after
}

// Expired reports whether the deadline start + timeout has come: an object that
// is woken exactly at its deadline finds it expired. Without a deadline
// (timeout <= 0 or a zero start) it is false. The clock is read at most once;
// nil is the system clock.
//
// A reconciler that asks Expired and then [NextRequeue] reads the clock twice.
// That is safe, the overdue rule of NextRequeue is made for it. [Plan.Expired] and
// [Plan.After] decide both on one reading.
func Expired(start time.Time, timeout time.Duration, clock Clock) bool {
	deadline := DeadlineOf(start, timeout)
	return !deadline.IsZero() && !read(clock).Before(deadline)
}

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
