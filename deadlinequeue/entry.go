package deadlinequeue

import "math"

// never is the time of what does not happen: no soft wait, no deadline.
const never = math.MaxInt64

// neverHanded is when a key was handed out that was not; every deadline is later.
const neverHanded = math.MinInt64

// An entry is what the queue knows of one key. All times are nanoseconds since
// the queue was made, by the monotonic clock.
//
// What is said of its deadline is a word: an instant t, or never for "none". t is spent
// if the key has been handed out at it or later. The table is all of the state machine:
// tell is what is said, spend the hand-out, settle Done.
//
//	what happens                 while it waits or is ready       while it is processed
//
//	the reconcile says t         deadline = t, no retry           deadline = t, no retry; spoken
//	   and t is spent            no deadline                      no deadline, retry; spoken
//	   and another is overdue    deadline = t                     deadline = t, retry; spoken
//	others say t                 as above                         besides = t
//	   and t is spent                                             besides = never
//	it is added rate limited     nothing                          failed
//	it is handed out             if the deadline has passed: no deadline, retry
//	it is Done                   nothing                          neither spoken nor failed: deadline = DeadlineOf or never;
//	                                                              not failed: no retry;
//	                                                              deadline = the sooner of deadline and besides
type entry[T comparable] struct {
	key      T
	priority int // of a key with neither a soft wait nor an add since its last hand-out: the one of that
	// deadline wakes the key and, once it has passed, puts it first; never if there
	// is none. While the key is processed it is what it was handed out with or what
	// the reconcile has said since, and wakes nothing.
	deadline int64
	// besides is what others have said of a key while it was processed. never at all
	// other times.
	besides int64
	// soft is, of a waiting entry, when its poll or backoff is over, never if it
	// waits for its deadline alone; of a ready one, since when it is ready.
	soft int64
	// handed is when the key was last handed out, or neverHanded. It is moved with the
	// deadlines when the wall clock is set forward, as what that has passed over was not
	// handed out; but not back, as a deadline that comes ahead again is not spent.
	handed int64
	seq    uint64 // its place among equals: first come, first served

	level link[T] // of a level of the order
	age   link[T] // of order.ages
	place int32   // in Queue.waiting or order.deadlines
	rank  int32   // in order.retries or level.early; of one that is processed, in Queue.running

	state      state
	processing bool // handed out and not Done
	retry      bool // a deadline had passed at the last hand-out, and that failed; while processed: if it fails
	spoken     bool // the reconcile has said a word; false unless processing
	failed     bool // a rate-limited add has come; false unless processing
}

// state is what an entry is in the queue for, apart from being processed.
type state uint8

const (
	idle    state = iota // nothing: it is only being processed
	waiting              // for soft or, unless it is processed, deadline; in Queue.waiting
	ready                // to be handed out; in the order unless it is being processed
)

// wake returns when a waiting entry becomes ready. A deadline is looked at from
// Done on only.
func (e *entry[T]) wake() int64 {
	if e.processing {
		return e.soft
	}
	return min(e.soft, e.deadline)
}

// earlier orders the entries of Queue.waiting.
func earlier[T comparable](a, b *entry[T]) bool {
	x, y := a.wake(), b.wake()
	return x < y || x == y && a.seq < b.seq
}

// word is what somebody says of the deadline of a key, as it comes to an entry.
type word struct {
	kind kind
	at   int64 // the instant, never if the word is "none"
}

// tell takes in a word that is not silence.
func (e *entry[T]) tell(w word) {
	spent := w.at <= e.handed
	if w.kind == others && e.processing {
		e.besides = w.at
		if spent {
			e.besides = never
		}
		return
	}
	e.spoken = e.processing
	switch {
	case spent:
		e.deadline, e.retry = never, e.retry || e.processing
	case w.kind == heldOverdue && (e.retry || !e.processing): // it has been handed out for that one
		e.deadline = never
	case w.kind == overdueBesides:
		e.deadline, e.retry = w.at, e.retry || e.processing
	case w.kind == floorFirst: // no word of one that has passed
		e.deadline = w.at
	default:
		e.deadline, e.retry = w.at, false
	}
}

// spend is called at a hand-out at now. It is not told yet whether that will fail.
func (e *entry[T]) spend(now int64) {
	if e.deadline <= now {
		e.deadline, e.retry = never, true
	}
}

// silent reports whether the reconcile of an entry has neither failed nor said a
// word.
func (e *entry[T]) silent() bool { return !e.spoken && !e.failed }

// settle is called at Done. instead is what counts for the word of a reconcile that
// was silent.
func (e *entry[T]) settle(instead int64) {
	if e.silent() {
		if e.deadline = instead; instead <= e.handed { // spent
			e.deadline = never
		}
	}
	e.deadline = min(e.deadline, e.besides)
	e.retry = e.retry && e.failed
	e.besides, e.processing, e.spoken, e.failed = never, false, false, false
}
