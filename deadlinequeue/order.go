package deadlinequeue

import "math"

// never is the time of what does not happen: no soft wait, no deadline.
const never = math.MaxInt64

// neverHanded is when a key was handed out that was not; every deadline is later.
const neverHanded = math.MinInt64

// An entry is what the queue knows of one key. All times are nanoseconds since
// the queue was made.
type entry[T comparable] struct {
	key      T
	hash     uint64 // of key
	priority int    // of an idle entry, that of the last hand-out
	// deadline is the earliest that no hand-out has come after yet: it wakes
	// the key and puts it first. seen is the one that had passed at the last
	// hand-out: it is spent, and counts for the order again if that one failed.
	// Both are never if there is none.
	deadline, seen int64
	// soft is, of a waiting entry, when its poll or backoff is over, never if it
	// waits for its deadline alone; of a ready one, since when it is ready.
	soft   int64
	handed int64 // when the key was last handed out, or neverHanded

	prev, next *entry[T] // in the one list that it is in: a level of the order, or Queue.running
	place      int32     // in the one heap that it is in: Queue.waiting, order.due or order.ahead
	seq        uint32    // first come, first served among equals; may wrap

	state      state
	processing bool // handed out and not Done
	failed     bool // seen counts: the last hand-out was rate limited, or there was none
	outlived   bool // deadline was known at the last hand-out, and no other has come since
	late       bool // in order.due
	clashed    bool // in table.clashes
}

// state is what an entry is in the queue for, apart from being processed.
type state uint8

const (
	idle    state = iota // nothing: it is only being processed
	waiting              // for soft or deadline; in Queue.waiting
	ready                // to be handed out; in the order unless it is being processed
)

// wake returns when a waiting entry becomes ready.
func (e *entry[T]) wake() int64 { return min(e.soft, e.deadline) }

// urgency returns the deadline that counts for the order.
func (e *entry[T]) urgency() int64 {
	if e.failed {
		return min(e.deadline, e.seen)
	}
	return e.deadline
}

// before orders entries at the same time, also after seq has wrapped; right if
// less than 2^31 numbers lie between the two.
func (e *entry[T]) before(other *entry[T]) bool { return int32(e.seq-other.seq) < 0 }

// order decides which of the ready entries is next:
//
//  1. of every share hand-outs one is the entry that is ready longest;
//  2. entries whose deadline has passed, the earliest deadline first;
//  3. the others, the highest priority first, then first come, first served.
//
// Every entry is in ages, and either in due, if its deadline had passed when the
// clock was last looked at, or in the level of its priority; in that case, if it
// has a deadline, in ahead, too.
type order[T comparable] struct {
	share int // 0: never
	turn  int // hand-outs since the last one by age
	n     int
	seq   uint32

	ages   ages[T]
	due    heap[entry[T]]
	ahead  heap[entry[T]]
	levels map[int]*level[T]
	top    heap[level[T]] // the highest priority first; empty levels are dropped when they get there
	last   *level[T]      // the level looked up last
}

func newOrder[T comparable](share int) order[T] {
	earlier := func(a, b *entry[T]) bool {
		x, y := a.urgency(), b.urgency()
		return x < y || x == y && a.before(b)
	}
	place := func(e *entry[T]) *int32 { return &e.place }
	return order[T]{
		share:  share,
		due:    heap[entry[T]]{less: earlier, place: place},
		ahead:  heap[entry[T]]{less: earlier, place: place},
		levels: map[int]*level[T]{},
		top: heap[level[T]]{
			less:  func(a, b *level[T]) bool { return a.priority > b.priority },
			place: func(l *level[T]) *int32 { return &l.place },
		},
	}
}

// number makes e the last come.
func (o *order[T]) number(e *entry[T]) {
	o.seq++
	e.seq = o.seq
}

func (o *order[T]) push(e *entry[T]) {
	o.n++
	o.number(e)
	o.ages.push(e)
	o.rank(e)
}

// rank puts an entry where its priority and deadline belong. That a deadline has
// passed is found out by next.
func (o *order[T]) rank(e *entry[T]) {
	o.level(e.priority).push(e)
	if e.urgency() != never {
		o.ahead.push(e)
	}
}

// unrank undoes rank, and what next made of it.
func (o *order[T]) unrank(e *entry[T]) {
	if e.late {
		e.late = false
		o.due.remove(e)
		return
	}
	if e.place != 0 {
		o.ahead.remove(e)
	}
	o.leave(e)
}

// leave takes e out of its level.
func (o *order[T]) leave(e *entry[T]) {
	l := o.level(e.priority)
	l.remove(e)
	if l.head == nil && len(o.levels) > levelsKept {
		o.drop(l)
	}
}

// raise gives e a higher priority, as the last come of those that have it.
func (o *order[T]) raise(e *entry[T], priority int) {
	if e.late {
		e.priority = priority
		return
	}
	o.leave(e)
	e.priority = priority
	o.level(priority).push(e)
}

// hasten puts e where it belongs after its urgency has become a sooner one.
func (o *order[T]) hasten(e *entry[T]) {
	switch {
	case e.late:
		o.due.fix(e)
	case e.place != 0:
		o.ahead.fix(e)
	default:
		o.ahead.push(e)
	}
}

// remove takes e out. That it is in ages is found out there, by its state.
func (o *order[T]) remove(e *entry[T]) {
	o.n--
	o.unrank(e)
}

// next takes out the entry to be handed out at now, nil if there is none.
func (o *order[T]) next(now int64) *entry[T] {
	for e := o.ahead.min(); e != nil && e.urgency() <= now; e = o.ahead.min() {
		o.unrank(e)
		o.due.push(e)
		e.late = true
	}
	oldest := o.ages.oldest(o.n)
	if oldest == nil {
		return nil
	}
	e := o.due.min()
	o.turn++
	switch {
	case o.share > 0 && o.turn >= o.share:
		o.turn = 0
		e = oldest
	case e == nil:
		for o.top.min().head == nil {
			o.drop(o.top.min())
		}
		e = o.top.min().head
	}
	o.remove(e)
	return e
}

func (o *order[T]) level(priority int) *level[T] {
	if o.last != nil && o.last.priority == priority {
		return o.last
	}
	l := o.levels[priority]
	if l == nil {
		l = &level[T]{priority: priority}
		o.levels[priority] = l
		o.top.push(l)
	}
	o.last = l
	return l
}

func (o *order[T]) drop(l *level[T]) {
	o.top.remove(l)
	delete(o.levels, l.priority)
	if o.last == l {
		o.last = nil
	}
}

// levelsKept is how many levels are kept although they may be empty: making one
// for every add to an empty queue would cost more.
const levelsKept = 32

// level is the ready entries of one priority.
type level[T comparable] struct {
	list[T]
	priority int
	place    int32 // in order.top
}

// list is a doubly linked list of entries, first in, first out.
type list[T comparable] struct{ head, tail *entry[T] }

func (l *list[T]) push(e *entry[T]) {
	e.prev, e.next = l.tail, nil
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
}

func (l *list[T]) remove(e *entry[T]) {
	if e.prev == nil {
		l.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// ages is the entries of an order by when they were pushed. An entry that leaves
// the order stays here until it is the oldest, or until most are such: a second
// list would cost every entry two more links.
type ages[T comparable] struct {
	slots []age[T] // in use from first on
	first int
}

// age is an entry at its push. It is in the order still if it is ready, is not
// being processed and was not pushed again.
type age[T comparable] struct {
	e   *entry[T]
	seq uint32
}

func (a age[T]) current() bool {
	return a.e.seq == a.seq && a.e.state == ready && !a.e.processing
}

func (q *ages[T]) push(e *entry[T]) { q.slots = append(q.slots, age[T]{e, e.seq}) }

// oldest returns the entry pushed longest ago that is in the order, which has n,
// and nil if n is 0.
func (q *ages[T]) oldest(n int) *entry[T] {
	if n == 0 {
		q.first, q.slots = 0, q.slots[:0]
		if cap(q.slots) > 1<<14 {
			q.slots = nil
		}
		return nil
	}
	for !q.slots[q.first].current() {
		q.first++
	}
	if len(q.slots) > 2*n+1024 {
		kept := make([]age[T], 0, n+n/4)
		for _, a := range q.slots[q.first:] {
			if a.current() {
				kept = append(kept, a)
			}
		}
		q.slots, q.first = kept, 0
	}
	return q.slots[q.first].e
}
