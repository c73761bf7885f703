package deadlinequeue

// order decides which of the ready entries is next:
//
//  1. of every share hand-outs one is the entry that is ready longest, unless only
//     those of its own level would go before it, in which nothing starves;
//  2. entries whose deadline has passed, the earliest deadline first;
//  3. retries, the one that was handed out longest ago first;
//  4. the others, the highest priority first, then first come, first served.
//
// Every entry is in ages; in deadlines, if it has one; and either in retries or in
// the level of its priority.
type order[T comparable] struct {
	share int // 0: never
	turn  int // hand-outs since the last one by age
	n     int
	seq   uint64

	ages      list[T]
	deadlines heap[entry[T]]
	retries   heap[entry[T]]
	levels    map[int]*level[T]
	top       heap[level[T]] // the highest priority first; empty levels are dropped when they get there
	last      *level[T]      // the level looked up last
}

func newOrder[T comparable](share int) order[T] {
	return order[T]{
		share: share,
		ages:  list[T]{of: func(e *entry[T]) *link[T] { return &e.age }},
		deadlines: heap[entry[T]]{
			less: func(a, b *entry[T]) bool {
				return a.deadline < b.deadline || a.deadline == b.deadline && a.seq < b.seq
			},
			place: func(e *entry[T]) *int32 { return &e.place },
		},
		retries: heap[entry[T]]{
			less: func(a, b *entry[T]) bool {
				return a.handed < b.handed || a.handed == b.handed && a.seq < b.seq
			},
			place: rank[T],
		},
		levels: map[int]*level[T]{},
		top: heap[level[T]]{
			less:  func(a, b *level[T]) bool { return a.priority > b.priority },
			place: func(l *level[T]) *int32 { return &l.place },
		},
	}
}

func rank[T comparable](e *entry[T]) *int32 { return &e.rank }

// number makes e the last come.
func (o *order[T]) number(e *entry[T]) {
	o.seq++
	e.seq = o.seq
}

func (o *order[T]) push(e *entry[T]) {
	o.n++
	o.ages.push(e)
	o.rank(e)
}

func (o *order[T]) remove(e *entry[T]) {
	o.n--
	o.ages.remove(e)
	o.unrank(e)
}

// rank puts an entry where its deadline, retry and priority belong. Before one of
// them or its place changes, unrank takes it out.
func (o *order[T]) rank(e *entry[T]) {
	if e.deadline != never {
		o.deadlines.push(e)
	}
	if e.retry {
		o.retries.push(e)
	} else {
		o.level(e.priority).push(e)
	}
}

func (o *order[T]) unrank(e *entry[T]) {
	if e.deadline != never {
		o.deadlines.remove(e)
	}
	if e.retry {
		o.retries.remove(e)
		return
	}
	l := o.level(e.priority)
	l.remove(e)
	if l.empty() && len(o.levels) > levelsKept {
		o.drop(l)
	}
}

// next takes out the entry to be handed out at now, nil if there is none.
func (o *order[T]) next(now int64) *entry[T] {
	if o.n == 0 {
		return nil
	}
	o.turn++
	e := o.pick(now)
	o.remove(e)
	return e
}

func (o *order[T]) pick(now int64) *entry[T] {
	e := o.foremost(now)
	if o.share > 0 && o.turn >= o.share {
		o.turn = 0
		oldest := o.ages.head
		if e.deadline <= now || e.retry || oldest.retry || oldest.priority != e.priority {
			return oldest
		}
	}
	return e
}

func (o *order[T]) foremost(now int64) *entry[T] {
	if e := o.deadlines.min(); e != nil && e.deadline <= now {
		return e
	}
	if e := o.retries.min(); e != nil {
		return e
	}
	for o.top.min().empty() {
		o.drop(o.top.min())
	}
	return o.top.min().first()
}

func (o *order[T]) level(priority int) *level[T] {
	if o.last != nil && o.last.priority == priority {
		return o.last
	}
	l := o.levels[priority]
	if l == nil {
		l = newLevel[T](priority)
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

// level is the ready entries of one priority, by their places. Most come in that
// order and are in the list; one that has waited, and was made ready by an add,
// keeps the place of its first add and is in early.
type level[T comparable] struct {
	priority int
	place    int32 // in order.top
	list     list[T]
	early    heap[entry[T]]
}

func newLevel[T comparable](priority int) *level[T] {
	return &level[T]{
		priority: priority,
		list:     list[T]{of: func(e *entry[T]) *link[T] { return &e.level }},
		early: heap[entry[T]]{
			less:  func(a, b *entry[T]) bool { return a.seq < b.seq },
			place: rank[T],
		},
	}
}

func (l *level[T]) empty() bool { return l.list.head == nil && l.early.min() == nil }

func (l *level[T]) push(e *entry[T]) {
	if l.list.tail != nil && e.seq < l.list.tail.seq {
		l.early.push(e)
	} else {
		l.list.push(e)
	}
}

func (l *level[T]) remove(e *entry[T]) {
	if e.rank != 0 {
		l.early.remove(e)
	} else {
		l.list.remove(e)
	}
}

func (l *level[T]) first() *entry[T] {
	head, early := l.list.head, l.early.min()
	if head == nil || early != nil && early.seq < head.seq {
		return early
	}
	return head
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
