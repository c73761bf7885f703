package deadlinequeue

import "math"

const (
	// never is the time of what does not happen: no wait, no deadline.
	never = math.MaxInt64
	// always is the floor of a key that has none.
	always = math.MinInt64
)

// An entry is what the queue knows of one key. Deadlines and floors are
// nanoseconds of the wall clock, waits of the monotonic one, both since the
// queue was made.
//
// The functions below are the rules of docs/semantics.md. They change the facts of
// an entry and know no queue; where the entry stands follows from its facts (see
// Queue.change). A deadline of an entry is never a spent one.
//
//	what happens           deadline                  floor         spent              a retry
//
//	add, not processed     the answer                -             -                  no
//	add, processed         (the answer is kept)      -             -                  -
//	hand-out, passed       none                      -             that deadline      (late)
//	hand-out, not passed   -                         -             -                  (late if it was one)
//	decide                 the earliest named        the plan's    the overdue one,   (late if the overdue
//	                                                               if it is spent     one is spent)
//	done, decided          -                         -             -                  if late and failed
//	done, failed           -                         -             -                  if late
//	done, neither          the answer                none          -                  no
//	done, in each case     the answer that was       -             -                  -
//	                       kept, if it is earlier
//
// The answer is that of Options.Deadline, none at Done if it is spent. Without the option, or
// if the answer is spent, an add leaves the deadline and the retry as they are.
type entry[T comparable] struct {
	key      T
	priority int
	deadline int64 // never: none
	floor    int64 // no deadline and no wait of the rate limiter counts before it; always: none
	spent    int64 // the last deadline that is spent; never: none
	soft     int64 // waiting: when its wait is over, never if it waits for its deadline alone; ready: since when
	seq      uint64

	level link[T] // of a level of the order
	age   link[T] // of order.ages
	place int32   // in the room where it stands: Queue.waits or running, a heap of the order, level.early
	ahead int32   // in Queue.ahead

	state      state
	processing bool  // handed out and not Done
	added      bool  // since the last hand-out
	retry      bool  // the last reconcile was for a passed deadline, and failed
	tries      uint8 // how often in a row
	cause      cause // of what it waits for or is ready for, but for the deadline
}

// state is what an entry is in the queue for, apart from being processed.
type state uint8

const (
	idle    state = iota // nothing: it is only being processed
	waiting              // for soft or deadline
	ready                // to be handed out
)

// cause is why a key is handed out.
type cause uint8

const (
	causeEvent cause = iota
	causeResync
	causePoll
	causeDeadline
	causeRetry
)

var causes = [...]string{"event", "resync", "poll", "deadline", "retry"}

// lowPriority is handler.LowPriority of controller-runtime, which marks the initial list
// and resyncs with it.
const lowPriority = -100

// instant is one reading of the clock.
type instant struct{ mono, wall int64 }

// after is when a wait from now on is over.
func (now instant) after(wait int64) int64 { return min(saturatingAdd(now.mono, wait), never-1) }

// until is how long an instant of the wall clock is away.
func (now instant) until(wall int64) int64 { return saturatingSub(wall, now.wall) }

// run is a hand-out that is not Done.
type run[T comparable] struct {
	e      *entry[T]
	began  instant
	seq    uint64 // numbers the hand-outs
	cause  cause
	told   bool  // it has a decision
	urgent bool  // handed out for a passed deadline, or a retry
	late   bool  // it is for a passed deadline: if it fails, the key is a retry
	failed bool  // a rate-limited add has come
	answer int64 // of Options.Deadline to the last add since began; never: none
}

// addition is what an add says of a key.
type addition struct {
	waits    bool // it is ready after a wait, the sooner of these; else now
	wait     int64
	limit    int64 // the rate limiter's
	priority int
	seq      uint64 // the place of one that comes now
	asked    bool   // Options.Deadline was asked
	answer   int64  // never: none
}

// due returns when the deadline passes.
func (e *entry[T]) due() int64 { return max(e.deadline, e.floor) }

// passed reports whether the deadline has passed.
func (e *entry[T]) passed(now instant) bool { return e.deadline != never && e.due() <= now.wall }

// isSpent reports whether an answer of Options.Deadline is the deadline that is spent.
func (e *entry[T]) isSpent(answer int64) bool { return answer == e.spent && answer != never }

// unspent returns an answer of Options.Deadline, or never if that is spent.
func (e *entry[T]) unspent(answer int64) int64 {
	if e.isSpent(answer) {
		return never
	}
	return answer
}

// begin is the first add of a key that the queue does not know. If its deadline has
// passed, and it is to wait all the same, the deadline counts from the end of the
// wait on: a requeue that comes after Done would be a hot loop.
func (e *entry[T]) begin(a *addition, now instant) {
	if a.waits && a.answer <= now.wall {
		e.floor = saturatingAdd(now.wall, min(a.wait, a.limit))
	}
}

// add is an add.
func (e *entry[T]) add(a *addition, now instant) {
	raised := a.priority > e.priority
	if !e.added || raised {
		e.priority, e.added = a.priority, true
		e.come(a.seq)
	}
	if !e.processing && e.hears(a) {
		e.replace(a)
	}
	switch {
	case !a.waits:
		e.addNow(a, now, raised)
	case e.state != ready:
		e.addWait(a, now)
	}
}

// come gives an entry the place of one that comes now. A retry has that of its
// hand-out.
func (e *entry[T]) come(seq uint64) {
	if !e.retry {
		e.seq = seq
	}
}

// hears reports whether the answer of Options.Deadline to an add says something new.
func (e *entry[T]) hears(a *addition) bool {
	return a.asked && !e.isSpent(a.answer) && (a.answer != e.deadline || e.retry)
}

// replace puts a new answer in the place of the deadline. The key is no retry any more,
// as that was for another.
func (e *entry[T]) replace(a *addition) {
	if e.deadline = a.answer; e.retry {
		e.retry, e.tries, e.seq = false, 0, a.seq
	}
}

func (e *entry[T]) addNow(a *addition, now instant, raised bool) {
	if e.state == ready && !(raised && e.cause == causeResync) {
		return
	}
	e.cause = causeEvent
	if a.priority <= lowPriority {
		e.cause = causeResync
	}
	if e.state != ready {
		e.state, e.soft = ready, now.mono
	}
}

func (e *entry[T]) addWait(a *addition, now instant) {
	over, why := now.after(a.wait), causePoll
	if limited := now.after(max(a.limit, now.until(e.floor))); limited < over {
		over, why = limited, causeRetry
	}
	if e.state = waiting; over < e.soft {
		e.soft, e.cause = over, why
	}
}

// wake makes a waiting entry ready if it has waited long enough.
func (e *entry[T]) wake(now instant, seq uint64) {
	switch {
	case e.passed(now): // it keeps its place among those of the same deadline
		e.cause = causeDeadline
	case e.soft <= now.mono:
		e.come(seq)
	default:
		return
	}
	e.state, e.soft = ready, now.mono
}

// handOut is a hand-out.
func (e *entry[T]) handOut(now instant, seq uint64) run[T] {
	r := run[T]{e: e, began: now, seq: seq, cause: e.cause, urgent: e.retry, answer: never}
	if e.passed(now) {
		r.cause, r.urgent = causeDeadline, true
		e.deadline, e.spent, e.tries = never, e.deadline, 0
	}
	r.late = r.urgent
	e.state, e.soft, e.processing, e.added = idle, never, true, false
	return r
}

// add is an add while the key is processed.
func (r *run[T]) add(a *addition) {
	if r.failed = r.failed || a.limit != never; a.asked {
		r.answer = a.answer
	}
}

// decide is the plan of the reconcile: the deadline ahead, the overdue one and the floor.
func (r *run[T]) decide(ahead, overdue, floor int64) {
	e := r.e
	r.told, r.late = true, false
	if overdue != never && (overdue <= r.began.wall || overdue == e.spent) {
		r.late, e.spent, overdue = true, overdue, never
	}
	if ahead == e.spent {
		e.spent = never // it was handed out too soon, by another clock
	}
	e.deadline, e.floor = min(ahead, overdue), floor
}

// done ends a hand-out. answer is that of Options.Deadline, never if it was not asked.
func (r *run[T]) done(answer int64, seq uint64) {
	e := r.e
	if !r.told && !r.failed {
		e.deadline, e.floor = e.unspent(answer), always
	}
	e.deadline = min(e.deadline, e.unspent(r.answer))
	if e.retry = r.late && r.failed; e.retry {
		e.seq, e.tries = r.seq, min(e.tries, math.MaxUint8-1)+1
	} else {
		e.seq, e.tries = seq, 0
	}
	if e.processing = false; e.state == idle && e.deadline != never {
		e.state = waiting
	}
}
