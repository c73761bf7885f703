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
	floor                      // a floor, and no deadline
	floorFirst                 // a deadline that comes after a floor
	kinds
	silence // no word
)

// said is a word as it travels to the queue: packed into a priority, because
// priorities pass through every handler and wrapper of controller-runtime.
//
// It is packed as base + kind*span + span-1 - x. x is the deadline in microseconds since
// the year 1; or, of held, heldOverdue and floor, the wait in microseconds, from the add
// on; or, of floorFirst, the deadline in milliseconds since 1970, and in its lowest 16
// bits the wait in quarters of a second. The numbers from base to base + kinds*span are
// words and all others are priorities. Both fit into an int of 64 bits, and on a queue
// that takes them for priorities the earlier deadline of one kind goes first.
type said struct {
	kind     kind
	deadline time.Time     // zero: none
	wait     time.Duration // until the floor, if there is one
}

const (
	base = 1 << 62
	span = 1 << 59 // 18,000 years

	quarter    = 250 * time.Millisecond
	mostFirst  = (1<<16 - 1) * quarter // 4.5 hours, the longest wait of floorFirst
	lastMillis = 1<<43 - 1             // the year 2248, the last deadline of floorFirst
)

// Does not compile where int has 32 bits, into which no word can be packed.
var _ [^uint(0)>>63 - 1]struct{}

// year1 is the zero time in seconds since 1970.
const year1 = -62135596800

func (w said) pack() int {
	x := int64(span - 1) // none
	switch {
	case w.kind == floorFirst:
		millis := w.deadline.Add(time.Millisecond - 1).UnixMilli()
		x = min(max(millis, 0), lastMillis)<<16 | roundUp(w.wait, quarter)
	case w.kind == held, w.kind == heldOverdue, w.kind == floor:
		x = roundUp(w.wait, time.Microsecond)
	case !w.deadline.IsZero():
		// Within the years -290,000 to 290,000; what lies outside is cut to span.
		seconds := min(max(w.deadline.Unix()-year1, 0), span/1_000_000)
		x = min(seconds*1_000_000+(int64(w.deadline.Nanosecond())+999)/1000, span-1)
		x = max(x, 1) // 0 would be the zero time
	}
	return base + int(w.kind)*span + span - 1 - int(x)
}

// roundUp returns d, which is not negative, in whole units.
func roundUp(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}

// unpack returns the word in a priority: silence if it is one.
func unpack(priority int) said {
	if priority < base || priority >= base+int(kinds)*span {
		return said{kind: silence}
	}
	w := said{kind: kind((priority - base) / span)}
	x := int64(span - 1 - (priority-base)%span)
	switch {
	case w.kind == floorFirst:
		w.deadline, w.wait = time.UnixMilli(x>>16), time.Duration(x&(1<<16-1))*quarter
	case w.kind == held, w.kind == heldOverdue, w.kind == floor:
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
// Only a [Queue] takes it for a deadline, and so takes no number from 2^62 to
// 2^63 - 2^59 for a priority.
func Priority(t time.Time) int { return said{kind: others, deadline: t}.pack() }

// Result is the answer of a reconciler for a decision of [requeue.Plan]: wait
// d.After, and let the queue know the deadline. Return it from every reconcile
// of an object that has a deadline, also when a poll comes sooner: under load,
// an object that the queue takes for a poll waits in the backlog while its
// deadline passes. With an error return [Failed] instead, or controller-runtime
// logs a warning each time.
//
// The queue is told of the deadline that is ahead, or, if there is none, of the
// overdue one. If a floor ([requeue.Plan.NotBefore]) is ahead and the deadline comes
// before it, it is told of the floor, so that it does not wake the object too soon. Of a
// decision without a deadline it is told nothing, which withdraws what it knew.
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
// it. A floor of the plan ([requeue.Plan.NotBefore]) holds here, too: the wait lasts
// until it, or as long as the limiter says if that is longer. The deadline is the one
// that Result would tell; a decision without one says that there is none any more. With a
// floor before it, it is rounded up to a millisecond, and the floor to a quarter of a
// second; one behind a floor of more than 4.5 hours is told with the next look.
//
// A bare error, without Failed, leaves the queue with the deadline that the object
// was handed out with. That helps only if somebody had told it: an earlier
// reconcile, or [Options].DeadlineOf. An object that fails from its first reconcile
// on has none.
func Failed(d requeue.Decision) reconcile.Result {
	w, wait := wordOf(d), floorOf(d)
	switch {
	case wait == 0, w.wait > 0: // no floor, or it is in the word
	case d.Deadline.IsZero(), wait > mostFirst, d.Deadline.UnixMilli() >= lastMillis:
		w = said{kind: floor, wait: wait}
	default:
		w.kind, w.wait = floorFirst, wait
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

// floorOf returns how long a floor holds back the object, 0 if none does.
func floorOf(d requeue.Decision) time.Duration {
	if d.NotBefore.IsZero() {
		return 0
	}
	return max(d.NotBefore.Sub(d.Now), 0)
}

// wordOf returns the word in a decision.
func wordOf(d requeue.Decision) said {
	ahead, overdue, wait := !d.Deadline.IsZero(), !d.Overdue.IsZero(), floorOf(d)
	switch {
	case wait > 0 && ahead && d.Deadline.Before(d.NotBefore):
		return said{kind: held, wait: wait}
	case wait > 0 && overdue && !ahead:
		return said{kind: heldOverdue, wait: wait}
	case ahead && overdue && wait == 0:
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
