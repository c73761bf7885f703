package deadlinequeue

// order decides which of the ready entries is next:
//
//  1. those whose deadline has passed, the earliest first;
//  2. retries, the one handed out longest ago first;
//  3. the others, the highest priority first, then first come, first served; every
//     4th hand-out of these goes to a retry that has failed more than firstTries times;
//  4. of every share hand-outs one is that of the entry which is ready longest, unless
//     it is of the priority whose turn it is: there nothing starves.
//
// Every entry is in ages, and in one of passed, retries, lasting and the level of its
// priority.
type order[T comparable] struct {
	share  int // 0 or less: never
	turn   int // hand-outs since the last one by age
	since  int // hand-outs of group 3 since the last one of a retry
	failed int // reconciles for passed deadlines that have failed in a row
	n      int
	seq    uint64

	ages    list[T]
	passed  heap[entry[T]]
	retries heap[entry[T]]
	lasting heap[entry[T]] // retries that have failed more often
	levels  levels[T]
}

const (
	// firstTries is how often in a row a key fails that is tried again before the
	// others. A conflict must not wait behind a backlog.
	firstTries = 5
	// retryEvery makes one of so many hand-outs of group 3 that of a retry, so that
	// an outage does not send a deadline behind the backlog, and keys that fail for
	// ever cost the others a third more at most.
	retryEvery = 4
	// outage is how many reconciles for passed deadlines fail in a row before the
	// retries are no more urgent than the others: what they need is away.
	outage = 100
	// probeEvery makes one of so many hand-outs of group 3 that of a retry all the
	// same, to find out whether the outage is over.
	probeEvery = 64
)

func newOrder[T comparable](share int) order[T] {
	place := func(e *entry[T]) *int32 { return &e.place }
	handedOut := func(a, b *entry[T]) bool { return a.seq < b.seq }
	return order[T]{
		share:   share,
		ages:    list[T]{of: func(e *entry[T]) *link[T] { return &e.age }},
		passed:  heap[entry[T]]{less: earlier[T], place: place},
		retries: heap[entry[T]]{less: handedOut, place: place},
		lasting: heap[entry[T]]{less: handedOut, place: place},
		levels:  newLevels[T](),
	}
}

// earlier orders entries by their deadlines.
func earlier[T comparable](a, b *entry[T]) bool {
	x, y := a.due(), b.due()
	return x < y || x == y && a.seq < b.seq
}

// number numbers what comes and what is handed out.
func (o *order[T]) number() uint64 {
	o.seq++
	return o.seq
}

// enter takes in an entry that is ready now.
func (o *order[T]) enter(e *entry[T]) {
	o.n++
	o.ages.push(e)
}

func (o *order[T]) leave(e *entry[T]) {
	o.n--
	o.ages.remove(e)
}

// rank puts an entry where its facts belong. Before they change, unrank takes it out.
func (o *order[T]) rank(e *entry[T]) {
	if h := o.heapOf(e); h != nil {
		h.push(e)
	} else {
		o.levels.push(e)
	}
}

func (o *order[T]) unrank(e *entry[T]) {
	if h := o.heapOf(e); h != nil {
		h.remove(e)
	} else {
		o.levels.remove(e)
	}
}

// heapOf returns where an entry belongs, nil if that is the level of its priority.
func (o *order[T]) heapOf(e *entry[T]) *heap[entry[T]] {
	switch {
	case e.deadline != never && e.ahead == 0:
		return &o.passed
	case !e.retry:
		return nil
	case e.tries <= firstTries:
		return &o.retries
	}
	return &o.lasting
}

// next returns the entry to be handed out, nil if there is none.
func (o *order[T]) next() *entry[T] {
	if o.n == 0 {
		return nil
	}
	e := o.first()
	third := e == nil
	if third {
		e = o.third()
	}
	if o.turn++; o.share > 0 && o.turn >= o.share {
		o.turn = 0
		if oldest := o.ages.head; !o.fair(e, oldest) {
			return oldest
		}
	}
	if third {
		o.since++
		if e.retry {
			o.since = 0
		}
	}
	return e
}

// first returns whose turn it is in groups 1 and 2, nil if nobody's.
func (o *order[T]) first() *entry[T] {
	if e := o.passed.min(); e != nil || o.failed >= outage {
		return e
	}
	return o.retries.min()
}

// fair reports whether two entries take turns anyway: they are of one level.
func (o *order[T]) fair(a, b *entry[T]) bool {
	return o.heapOf(a) == nil && o.heapOf(b) == nil && a.priority == b.priority
}

// third returns whose turn it is in group 3.
func (o *order[T]) third() *entry[T] {
	first, lasting := o.levels.first(), o.lasting.min()
	switch {
	case first == nil && lasting == nil:
		return o.retries.min()
	case first == nil:
		return lasting
	case o.since < retryEvery-1:
		return first
	case o.failed >= outage:
		return o.inOutage(first, lasting)
	case lasting == nil:
		return first
	}
	return lasting
}

// inOutage returns whose turn it is at a hand-out that a retry may have.
func (o *order[T]) inOutage(first, lasting *entry[T]) *entry[T] {
	if oldest := o.ages.head; oldest.retry {
		return oldest
	}
	if lasting != nil && o.since >= probeEvery-1 {
		return lasting
	}
	return first
}

// ended counts the reconciles for passed deadlines. One that succeeds names its deadline
// no more.
func (o *order[T]) ended(r *run[T]) {
	switch {
	case r.failed && r.late:
		o.failed++
	case !r.failed && r.urgent:
		o.failed = 0
	}
}

// list is a doubly linked list of entries, first in, first out.
type list[T comparable] struct {
	head, tail *entry[T]
	of         func(*entry[T]) *link[T] // the link that it uses
}

type link[T comparable] struct{ prev, next *entry[T] }

func (l *list[T]) push(e *entry[T]) {
	l.of(e).prev = l.tail
	if l.tail == nil {
		l.head = e
	} else {
		l.of(l.tail).next = e
	}
	l.tail = e
}

func (l *list[T]) remove(e *entry[T]) {
	at := l.of(e)
	if at.prev == nil {
		l.head = at.next
	} else {
		l.of(at.prev).next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		l.of(at.next).prev = at.prev
	}
	*at = link[T]{}
}
