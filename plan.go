package requeue

import (
	"fmt"
	"time"
)

// overdueMax is the longest wait for a deadline that has passed and that nobody
// has acted on.
const overdueMax = time.Minute

// Plan collects what an object waits for and decides when to look at it next.
// Start one with [From], add waits, and ask [Plan.After] or [Plan.Decide]:
//
//	requeue.From(now).Every(poll).Timeout(start, timeout).After()
//
// A Plan is a value. Its methods return a new one and never change the old, so
// a plan may be kept, extended in two ways and shared between goroutines. The
// order of the calls does not matter. The zero Plan is From(time.Time{}).
//
// The soonest of all waits wins; adding a wait never makes the answer later.
// Only [Plan.NotBefore] does, and it is applied last.
type Plan struct {
	now      time.Time
	deadline time.Time     // the earliest deadline not handled, zero if none
	interval time.Duration // the shortest interval, at least Immediate; 0 if none
	due      time.Duration // the soonest wait for a deadline, at least Immediate; 0 if none
	floor    time.Duration // from now to the latest NotBefore, 0 if none
	overdue  bool          // due backs off from a deadline that has passed
}

// From returns an empty plan made at now. The answer counts from now, so read the
// clock for it at the end of the reconcile, after what takes long; and read it
// once for all that one plan is given.
func From(now time.Time) Plan {
	return Plan{now: now}
}

// Every adds a poll: look again after the interval. interval <= 0 means no
// polling, and an interval below [Immediate] counts as Immediate. Of several
// intervals the shortest counts.
func (p Plan) Every(interval time.Duration) Plan {
	p.every(interval)
	return p
}

// Timeout adds the deadline start + timeout; see [Plan.Deadline]. There is none
// if timeout <= 0 or start is zero: something that has not started, or that may
// take for ever, does not time out.
func (p Plan) Timeout(start time.Time, timeout time.Duration) Plan {
	p.timeout(start, timeout)
	return p
}

// Deadline adds an instant that must be acted on when it passes. A zero t is no
// deadline.
//
// While t is ahead, the plan waits exactly until it. Once t is now or has
// passed, it is overdue: the plan waits as long again as t is late, at least
// [Immediate] and at most one minute, until the caller has acted and no longer
// names t. A deadline that has been handled and is still in the object belongs
// in [Plan.Upcoming], or nowhere.
func (p Plan) Deadline(t time.Time) Plan {
	p.add(t, 0)
	return p
}

// Upcoming adds an instant that matters only while it is ahead, such as the next
// run of a schedule: until then it is a deadline, and once it is now or has
// passed it is ignored. A zero t is ignored, too.
//
// A plan of nothing but passed instants answers 0, which is right only if the
// object needs no other look. The next run of a schedule must therefore be the
// next after the plan's own now; an instant computed from an earlier reading may
// have passed in between. Where it must be acted on, use [Plan.Deadline].
func (p Plan) Upcoming(t time.Time) Plan {
	if t.After(p.now) {
		p.add(t, 0)
	}
	return p
}

// NotBefore adds a floor: the answer does not wake the object before t, whatever
// the plan's intervals and deadlines say. A t that is zero or has passed holds
// nothing back, and of several the latest counts. A floor alone never creates a
// wake-up: a plan that waits for nothing still answers 0.
func (p Plan) NotBefore(t time.Time) Plan {
	if !t.IsZero() {
		p.floor = max(p.floor, t.Sub(p.now))
	}
	return p
}

// After returns how long to wait: 0 if the plan waits for nothing, else at least
// [Immediate]. It is Decide().After.
func (p Plan) After() time.Duration {
	after, _ := p.decide()
	return after
}

// Decide returns how long to wait, and why.
func (p Plan) Decide() Decision {
	after, cause := p.decide()
	return Decision{After: after, Cause: cause, Deadline: p.deadline}
}

// The methods above work on copies of the plan, those below in place: copying a
// plan costs more than its arithmetic.

func (p *Plan) every(interval time.Duration) {
	if interval > 0 && (p.interval == 0 || interval < p.interval) {
		p.interval = max(interval, Immediate)
	}
}

func (p *Plan) timeout(start time.Time, timeout time.Duration) {
	if timeout > 0 {
		p.add(start, timeout)
	}
}

// add adds the deadline start + timeout, unless start is zero. On a tie one that
// is ahead is named before one that is overdue.
func (p *Plan) add(start time.Time, timeout time.Duration) {
	if start.IsZero() {
		return
	}
	t := start.Add(timeout)
	if p.due == 0 || t.Before(p.deadline) {
		p.deadline = t
	}
	due := t.Sub(p.now)
	overdue := due <= 0
	if overdue {
		due = min(p.now.Sub(t), overdueMax)
	}
	due = max(due, Immediate)
	if p.due == 0 || due < p.due || due == p.due && !overdue {
		p.due, p.overdue = due, overdue
	}
}

func (p *Plan) decide() (after time.Duration, cause Cause) {
	switch {
	case p.due == 0 && p.interval == 0:
		return 0, CauseNone
	case p.due == 0 || p.interval != 0 && p.interval < p.due:
		after, cause = p.interval, CausePoll
	case p.overdue:
		after, cause = p.due, CauseOverdue
	default:
		after, cause = p.due, CauseDeadline
	}
	if p.floor > after {
		return p.floor, CauseNotBefore
	}
	return after, cause
}

// Decision is the answer of a [Plan].
type Decision struct {
	// After is how long to wait. 0 means that there is nothing to wait for,
	// every other value is at least Immediate.
	After time.Duration
	// Cause says what After waits for.
	Cause Cause
	// Deadline is the earliest deadline of the plan that is not handled: ahead
	// or overdue, or an Upcoming instant that is ahead. It is zero if there is
	// none. It is not always what After waits for: a poll, a floor, or the
	// backing-off from an overdue deadline may end at another time.
	Deadline time.Time
}

// String returns the decision for a log line, such as
// "in 30s (deadline 2026-01-01T00:05:00Z)", "in 10s (poll, deadline
// 2026-01-01T00:05:00Z)", "in 5m0s (poll)" or "none". The instant is the
// Deadline field, in UTC.
func (d Decision) String() string {
	if d.Cause == CauseNone {
		return d.Cause.String()
	}
	why := d.Cause.String()
	if !d.Deadline.IsZero() {
		if d.Cause != CauseDeadline {
			why += ", deadline"
		}
		why += " " + d.Deadline.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("in %v (%s)", d.After, why)
}

// Cause says what a [Decision] waits for.
type Cause uint8

const (
	// CauseNone is nothing to wait for, the only cause with an After of 0.
	CauseNone Cause = iota
	// CausePoll is the end of an interval given to Every.
	CausePoll
	// CauseDeadline is a deadline that is ahead and will pass. On a tie this is
	// the cause that is named.
	CauseDeadline
	// CauseOverdue is the backing-off from a deadline that has passed and was
	// not acted on.
	CauseOverdue
	// CauseNotBefore is a floor that held back all that came sooner.
	CauseNotBefore
)

// String returns "none", "poll", "deadline", "overdue" or "not-before".
func (c Cause) String() string {
	switch c {
	case CauseNone:
		return "none"
	case CausePoll:
		return "poll"
	case CauseDeadline:
		return "deadline"
	case CauseOverdue:
		return "overdue"
	case CauseNotBefore:
		return "not-before"
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}
