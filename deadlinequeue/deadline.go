package deadlinequeue

import (
	"math"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
)

// kind is who says a word, and what it is about.
type kind uint8

const (
	others         kind = iota // a deadline, by an event handler or DeadlineOf
	reconciler                 // a deadline, by the reconcile of the key
	overdueBesides             // the same, and there is another that has passed
	held                       // a deadline that a floor holds back: it is taken for the floor
	heldOverdue                // a deadline that has passed and that a floor holds back
	floor                      // a floor, with no deadline before it
	kinds
	silence // no word
)

// holds reports whether a word of this kind says how long to wait.
func (k kind) holds() bool { return k == held || k == heldOverdue || k == floor }

// said is a word as it travels to the queue: packed into a priority, because
// priorities pass through every handler and wrapper of controller-runtime.
//
// It is packed as base + kind*span + span-1 - x, where x is in microseconds: the
// deadline since the year 1, or, of a kind that holds, the wait from the add on. The
// numbers from base to base + kinds*span are words and all others are priorities.
// Both fit into an int of 64 bits, and on a queue that takes them for priorities the
// earlier deadline of one kind goes first.
type said struct {
	kind     kind
	deadline time.Time     // zero: none
	wait     time.Duration // of a kind that holds
}

const (
	base = 1 << 62
	span = 1 << 59 // 18,000 years
)

// Does not compile where int has 32 bits, into which no word can be packed.
var _ [^uint(0)>>63 - 1]struct{}

// year1 is the zero time in seconds since 1970.
const year1 = -62135596800

func (w said) pack() int {
	x := int64(span - 1) // none
	switch {
	case w.kind.holds():
		if x = int64(w.wait / time.Microsecond); w.wait%time.Microsecond > 0 {
			x++
		}
	case !w.deadline.IsZero():
		// Within the years -290,000 to 290,000; what lies outside is cut to span.
		seconds := min(max(w.deadline.Unix()-year1, 0), span/1_000_000)
		x = min(seconds*1_000_000+(int64(w.deadline.Nanosecond())+999)/1000, span-1)
		x = max(x, 1) // 0 would be the zero time
	}
	return base + int(w.kind)*span + span - 1 - int(x)
}

// unpack returns the word in a priority: silence if it is one.
func unpack(priority int) said {
	if priority < base || priority >= base+int(kinds)*span {
		return said{kind: silence}
	}
	w := said{kind: kind((priority - base) / span)}
	x := int64(span - 1 - (priority-base)%span)
	switch {
	case w.kind.holds():
		w.wait = time.Duration(min(x, math.MaxInt64/1000)) * time.Microsecond
	case x < span-1:
		w.deadline = time.Unix(year1+x/1_000_000, x%1_000_000*1000)
	}
	return w
}

// Priority packs a deadline into a priority, in which form an event handler tells
// it to the queue:
//
//	q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(deadlinequeue.Priority(deadline))}, key)
//
// It replaces the deadline that the queue knew of the key. A zero t says that there
// is none any more. The deadline is rounded up to a microsecond, so nothing wakes
// before it. Instants before the year 1 count as its beginning; those after the year
// 18,000, and those more than 292 years ahead of the queue's clock, as none.
//
// Only a [Queue] takes it for a deadline, and so takes no number from 2^62 on for a
// priority.
func Priority(t time.Time) int { return said{kind: others, deadline: t}.pack() }

// Result is the answer of a reconciler for a decision of [requeue.Plan]: wait
// d.After, and let the queue know the deadline. Return it from every reconcile
// of an object that has a deadline, also when a poll comes sooner: under load,
// an object that the queue takes for a poll waits in the backlog while its
// deadline passes. With an error return [Failed] instead, or controller-runtime
// logs a warning each time.
//
// The queue is told of the deadline that is ahead, or, if there is none, of the
// overdue one. If a floor ([requeue.Plan.NotBefore]) is what d waits for and the
// deadline comes before it, it is told of the floor, so that it does not wake the
// object too soon. Of a decision without a deadline it is told nothing, which
// withdraws what it knew.
//
// It takes a queue of this package to understand it: set [NewQueue] in the options
// of the controller. A stock queue takes the deadline for a priority, hands the
// object out ahead of all others, and makes a series of the metric workqueue_depth
// for every deadline.
//
// The object keeps the priority that it was handed out with, as with any other
// result under controller-runtime. Were each requeue to raise those of a first
// list (-100) to 0, the ones served first would stay ahead of the rest of the list
// for as long as the controller is overloaded.
func Result(d requeue.Decision) reconcile.Result {
	return reconcile.Result{RequeueAfter: d.After, Priority: priorityOf(d)}
}

// Failed is the answer of a reconciler that returns an error, for the decision that
// it would otherwise have returned by [Result]:
//
//	return deadlinequeue.Failed(d), err
//
// It is the deadline alone: the rate limiter decides the wait, and the deadline ends
// it. Where a floor ([requeue.Plan.NotBefore]) is what d waits for, that is the wait,
// and the limiter only counts. The deadline is the one that Result would tell; a
// decision without one says that there is none any more. A deadline behind such a
// floor is told when the object is next looked at.
//
// A bare error, without Failed, leaves the queue with the deadline that the object
// was handed out with. That helps only if somebody had told it: an earlier
// reconcile, or [Options].DeadlineOf. An object that fails from its first reconcile
// on has none.
func Failed(d requeue.Decision) reconcile.Result {
	w := wordOf(d)
	if floored(d) && !w.kind.holds() {
		w = said{kind: floor, wait: d.After}
	}
	return reconcile.Result{Priority: ptr.To(w.pack())}
}

// priorityOf returns what the queue is told by a reconcile that succeeded, nil if
// there is nothing to tell.
func priorityOf(d requeue.Decision) *int {
	if d.Deadline.IsZero() && d.Overdue.IsZero() {
		return nil
	}
	return ptr.To(wordOf(d).pack())
}

// floored reports whether a floor is what the decision waits for.
func floored(d requeue.Decision) bool { return d.Cause == requeue.CauseNotBefore && d.After > 0 }

// wordOf returns the word in a decision.
func wordOf(d requeue.Decision) said {
	ahead, overdue := !d.Deadline.IsZero(), !d.Overdue.IsZero()
	switch {
	case floored(d) && ahead && d.Deadline.Before(d.Now.Add(d.After)):
		return said{kind: held, wait: d.After}
	case floored(d) && overdue && !ahead:
		return said{kind: heldOverdue, wait: d.After}
	case ahead && overdue && !floored(d):
		return said{kind: overdueBesides, deadline: d.Deadline}
	case ahead:
		return said{kind: reconciler, deadline: d.Deadline}
	}
	return said{kind: reconciler, deadline: d.Overdue}
}

// Requeue adds a key after d.After, with the deadline of the decision: what
// [Result] is under controller-runtime, for controllers that use the queue by
// themselves. Call it before Done. If d waits for nothing, it does nothing; Done then
// withdraws the deadline.
func (q *Queue[T]) Requeue(item T, d requeue.Decision) {
	if d.After > 0 {
		q.add(item, addition{after: d.After, said: unpack(ptr.Deref(priorityOf(d), 0)), keep: true})
	}
}
