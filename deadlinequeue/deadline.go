package deadlinequeue

import (
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
)

// A deadline is packed into a priority as base + span - t, with t in
// microseconds since the year 1. The numbers from base to base + span are
// deadlines and all others are priorities. Both fit into an int of 64 bits, and
// on a queue that takes them for priorities the earlier deadline goes first.
const (
	base = 1 << 62
	span = 1 << 59 // 18,000 years
)

// Does not compile where int has 32 bits, into which no deadline can be packed.
var _ [^uint(0)>>63 - 1]struct{}

// year1 is the zero time in seconds since 1970.
const year1 = -62135596800

// Priority packs a deadline into a priority, in which form it passes through
// every handler and wrapper of controller-runtime to the queue. It is rounded up
// to a microsecond, so nothing wakes before its deadline. A zero t, which is no
// deadline, gives the priority 0. Instants before the year 1 count as its
// beginning.
//
// Only a [Queue] takes it for a deadline, and so takes no priority from 2^62 to
// 2^62 + 2^59 for one.
func Priority(t time.Time) int {
	if t.IsZero() {
		return 0
	}
	// Within the years -290,000 to 290,000; what lies outside is cut to span.
	seconds := min(max(t.Unix()-year1, 0), span/1_000_000)
	micros := seconds*1_000_000 + (int64(t.Nanosecond())+999)/1000
	return int(base + span - min(micros, span))
}

// unpack returns the deadline in a priority, or ok = false and the priority is
// one.
func unpack(priority int) (deadline time.Time, ok bool) {
	if priority < base || priority > base+span {
		return time.Time{}, false
	}
	micros := int64(base + span - priority)
	return time.Unix(year1+micros/1_000_000, micros%1_000_000*1000).UTC(), true
}

// Result is the answer of a reconciler for a decision of [requeue.Plan]: wait
// d.After, and let the queue know the deadline. Return it from every reconcile
// of an object that has a deadline, also when a poll comes sooner: under load,
// an object that the queue takes for a poll waits in the backlog while its
// deadline passes. It may be returned with an error, too: the rate limiter then
// decides the wait, and the deadline ends it.
//
// If a floor ([requeue.Plan.NotBefore]) is what d waits for and the deadline
// comes before it, the queue is given the floor in its place, so that it does
// not wake the object too soon. d.After is taken to count from now.
//
// The object keeps the priority that it was handed out with, as with any other
// result under controller-runtime. Were each requeue to raise those of a first
// list (-100) to 0, the ones served first would stay ahead of the rest of the list
// for as long as the controller is overloaded.
func Result(d requeue.Decision) reconcile.Result {
	return reconcile.Result{RequeueAfter: d.After, Priority: packed(d, time.Now())}
}

// Requeue adds a key after d.After, with the deadline of the decision: what
// [Result] is under controller-runtime, for controllers that use the queue by
// themselves. If d waits for nothing, it does nothing.
func (q *Queue[T]) Requeue(item T, d requeue.Decision) {
	if d.After > 0 {
		q.add(item, priorityqueue.AddOpts{After: d.After, Priority: packed(d, q.clock.Now())}, true)
	}
}

// packed returns what the queue is told of a decision made at now: the deadline,
// or the floor if that comes later, or nil if there is no deadline.
func packed(d requeue.Decision, now time.Time) *int {
	if d.Deadline.IsZero() {
		return nil
	}
	deadline := d.Deadline
	if floor := now.Add(d.After); d.Cause == requeue.CauseNotBefore && deadline.Before(floor) {
		deadline = floor
	}
	return ptr.To(Priority(deadline))
}
