package requeue

import (
	"fmt"
	"time"
)

// overdueMax is the longest wait for a deadline that has passed and that nobody
// has acted on.
const overdueMax = time.Minute

// Plan collects what an object waits for and decides when to look at the object next.
// Start a plan with [From], add waits, check [Plan.Expired], and call [Plan.After] or
// [Plan.Decide], all on one reading of the clock:
//
//	plan := requeue.From(now).Every(poll).Timeout(start, timeout)
//	if plan.Expired() {
//		... // act on it
//	}
//	return ctrl.Result{RequeueAfter: plan.After()}, nil
//
// A Plan is a value. Its methods return a new Plan and never change the old one, so
// a Plan may be kept, extended in two ways and shared between goroutines. The
// order of the calls does not matter. The zero Plan is From(time.Time{}).
//
// The soonest of all waits wins; adding a wait never makes the answer later.
// Only [Plan.NotBefore] does, and it is applied last.
type Plan struct {
	now     time.Time
	ahead   time.Time     // the earliest deadline ahead, if until > 0
	overdue time.Time     // the earliest deadline that has passed, if again > 0
	until   time.Duration // from now until ahead; 0 if there is none
	again   time.Duration // the shortest backing-off from an overdue deadline; 0 if there is none
	poll    time.Duration // the shortest interval, or wait for an At; 0 if there is none
	floor   time.Duration // from now to the latest NotBefore; 0 if there is none
}

// From returns an empty plan made at now. The answer counts from now, so read the
// clock at the end of the reconcile, after slow calls. Read the clock only once for
// each plan.
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

// Timeout adds the deadline start + timeout; see [Plan.Deadline]. It adds none
// if timeout <= 0 or start is zero: an object that has not started, or that may
// run for ever, does not time out.
func (p Plan) Timeout(start time.Time, timeout time.Duration) Plan {
	p.timeout(start, timeout)
	return p
}

// Deadline adds an instant at which the controller must act. A zero t is no deadline.
//
// While t is ahead, the plan waits exactly until t. Once t is now or has passed, t is
// overdue: [Plan.Expired] is true, and the plan waits as long as t is late, at least
// [Immediate] and at most one minute. Once the controller has acted, leave t out of
// the plan. If t is only an instant to look at the object again, use [Plan.At]. If work
// is due at t, use [Plan.Due].
func (p Plan) Deadline(t time.Time) Plan {
	p.add(t, 0)
	return p
}

// At adds an instant to look at the object again, which is not a deadline: a retry by
// [Backoff], or a check of a remote system. The plan waits as for [Plan.Deadline]:
// exactly until t while t is ahead, and backing off once t has passed, so t is not lost.
// But t is a poll: it never makes [Plan.Expired] true, it is not in
// [Decision].Deadline or Overdue, and its cause is [CausePoll]. A zero t is ignored.
func (p Plan) At(t time.Time) Plan {
	if t.IsZero() {
		return p
	}
	wait := t.Sub(p.now)
	if wait <= 0 {
		wait = backingOff(p.now.Sub(t))
	}
	p.every(wait)
	return p
}

// Due adds work that is due at t: an interval since the last run, a tick of a schedule, or the
// refresh of a cache. While t is ahead, the plan waits exactly until t. Once t is now or has
// passed, the work is due now: the plan waits for the duration again, without backing off,
// until the caller names the next t. An again below [Immediate] counts as Immediate. t is not
// a deadline: it never makes [Plan.Expired] true, it is not in [Decision].Deadline or
// Overdue, and its cause is [CausePoll]. A zero t is ignored: if the work was never done, the
// caller must do it.
func (p Plan) Due(t time.Time, again time.Duration) Plan {
	if t.IsZero() {
		return p
	}
	wait := t.Sub(p.now)
	if wait <= 0 {
		wait = max(again, Immediate)
	}
	p.every(wait)
	return p
}

// Upcoming adds an instant that matters only while it is ahead: the next run of a
// schedule, computed from the plan's own now. While t is ahead, it is a deadline. Once t is
// now or has passed, it is ignored. A zero t is ignored, too.
//
// If t was computed from an earlier reading of the clock, it may have passed since, and is
// then lost. If the controller must act on t, use [Plan.Deadline] or [Plan.Due]. Do not use
// Upcoming for a handled timeout; leave it out of the plan:
//
//	if !handled {
//		plan = plan.Timeout(start, timeout)
//	}
func (p Plan) Upcoming(t time.Time) Plan {
	if t.After(p.now) {
		p.add(t, 0)
	}
	return p
}

// NotBefore adds a floor: the plan does not wake the object before t, whatever its
// intervals and deadlines say. A t that is zero or has passed holds nothing back. Of
// several floors the latest counts. A floor alone creates no wake-up: a plan that waits
// for nothing else still answers 0.
func (p Plan) NotBefore(t time.Time) Plan {
	if !t.IsZero() {
		p.floor = max(p.floor, t.Sub(p.now))
	}
	return p
}

// Expired reports whether a deadline of the plan, given by Timeout or Deadline, is now
// or has passed. So an object that is woken exactly at its deadline is expired. Instants
// given by Upcoming, At and Due never count, and floors do not matter.
func (p Plan) Expired() bool { return p.again > 0 }

// After returns how long to wait: 0 if the plan waits for nothing, else at least
// [Immediate]. It is Decide().After.
func (p Plan) After() time.Duration {
	after, _ := p.decide()
	return after
}

// Decide returns how long to wait, and why.
func (p Plan) Decide() Decision {
	after, cause := p.decide()
	d := Decision{Now: p.now, After: after, Cause: cause, Deadline: p.ahead, Overdue: p.overdue}
	if p.floor > 0 {
		d.NotBefore = p.now.Add(p.floor).Round(0) // an instant of the wall clock
	}
	return d
}

// The methods above work on copies of the plan, those below in place: copying a
// plan costs more than its arithmetic.

func (p *Plan) every(interval time.Duration) {
	if interval > 0 && (p.poll == 0 || interval < p.poll) {
		p.poll = max(interval, Immediate)
	}
}

func (p *Plan) timeout(start time.Time, timeout time.Duration) {
	if timeout > 0 {
		p.add(start, timeout)
	}
}

// add adds the deadline start + timeout, unless either is zero.
func (p *Plan) add(start time.Time, timeout time.Duration) {
	if start.IsZero() {
		return
	}
	t := start.Add(timeout)
	if t.IsZero() {
		return
	}
	if left := t.Sub(p.now); left > 0 {
		// The wait decides, and the instant only where both waits saturate.
		if p.until == 0 || left < p.until || left == p.until && t.Before(p.ahead) {
			p.ahead, p.until = t, left
		}
		return
	}
	if p.again == 0 || t.Before(p.overdue) {
		p.overdue = t
	}
	if again := backingOff(p.now.Sub(t)); p.again == 0 || again < p.again {
		p.again = again
	}
}

// backingOff is the wait for an instant that passed so long ago.
func backingOff(late time.Duration) time.Duration {
	return max(min(late, overdueMax), Immediate)
}

// decide takes the soonest wait. On a tie a deadline that is ahead is named before
// one that is overdue, and that before a poll.
func (p *Plan) decide() (after time.Duration, cause Cause) {
	if p.until > 0 {
		after, cause = max(p.until, Immediate), CauseDeadline
	}
	if p.again > 0 && (after == 0 || p.again < after) {
		after, cause = p.again, CauseOverdue
	}
	if p.poll > 0 && (after == 0 || p.poll < after) {
		after, cause = p.poll, CausePoll
	}
	if after > 0 && p.floor > after {
		return p.floor, CauseNotBefore
	}
	return after, cause
}

// Decision is the answer of a [Plan].
type Decision struct {
	// Now is the instant at which the plan was made. After counts from it.
	Now time.Time
	// After is how long to wait. 0 means that there is nothing to wait for;
	// every other value is at least Immediate.
	After time.Duration
	// Cause says what After waits for.
	Cause Cause
	// Deadline is the earliest deadline or Upcoming instant of the plan that is
	// ahead, zero if there is none. After may end sooner, for a poll or an overdue
	// deadline, or later, for a floor.
	Deadline time.Time
	// Overdue is the earliest deadline of the plan that is now or has passed: the
	// deadline that Expired reports. It is zero if there is none.
	Overdue time.Time
	// NotBefore is the latest floor of the plan that is ahead, zero if there is none. It is
	// set even if After ends later, or if the plan waits for nothing else. A caller that
	// looks again sooner than After, for example after an error, uses it. It has no
	// monotonic reading. A floor more than 292 years ahead counts as 292 years ahead.
	NotBefore time.Time
}

// Left returns the time from Now to Deadline, for a message. It is 0 if there is no deadline
// ahead. It saturates at about 292 years.
func (d Decision) Left() time.Duration {
	if d.Deadline.IsZero() {
		return 0
	}
	return d.Deadline.Sub(d.Now)
}

// String returns the decision for a log line. It begins with After and its cause, and
// names the deadline ahead and the overdue one, if any, in UTC:
//
//	in 30s (deadline 2026-01-01T00:05:00Z)
//	in 10s (poll, deadline 2026-01-01T00:05:00Z)
//	in 20ms (overdue 2026-01-01T00:00:00Z, deadline 2026-01-01T00:05:00Z)
//	in 5m0s (poll)
//	none
func (d Decision) String() string {
	if d.Cause == CauseNone {
		return d.Cause.String()
	}
	why, also := d.Cause.String(), ""
	for _, deadline := range []struct {
		cause Cause
		at    time.Time
	}{{CauseDeadline, d.Deadline}, {CauseOverdue, d.Overdue}} {
		if deadline.at.IsZero() {
			continue
		}
		at := deadline.at.UTC().Format(time.RFC3339Nano)
		if deadline.cause == d.Cause {
			why += " " + at
		} else {
			also += fmt.Sprintf(", %v %s", deadline.cause, at)
		}
	}
	return fmt.Sprintf("in %v (%s%s)", d.After, why, also)
}

// Cause says what a [Decision] waits for.
type Cause uint8

const (
	// CauseNone means that there is nothing to wait for. Only its After is 0.
	CauseNone Cause = iota
	// CausePoll is the end of an interval given to Every, or an instant given to
	// At or Due.
	CausePoll
	// CauseDeadline is a deadline that is ahead. On a tie it is the cause.
	CauseDeadline
	// CauseOverdue is the backoff from a deadline that has passed.
	CauseOverdue
	// CauseNotBefore is a floor that held back all sooner waits.
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
