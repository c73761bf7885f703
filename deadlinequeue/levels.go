package deadlinequeue

import "maps"

// levels are the ready entries that are neither passed nor retries, by priority.
type levels[T comparable] struct {
	byPriority map[int]*level[T]
	most       int            // levels in byPriority since it was made, for a map does not shrink by itself
	top        heap[level[T]] // the highest priority first; empty levels are dropped when they get there
	last       *level[T]      // the level looked up last
}

// levelsKept is how many levels are kept although they may be empty: making one
// for every add to an empty queue would cost more.
const levelsKept = 32

func newLevels[T comparable]() levels[T] {
	return levels[T]{
		byPriority: map[int]*level[T]{},
		top: heap[level[T]]{
			less:  func(a, b *level[T]) bool { return a.priority > b.priority },
			place: func(l *level[T]) *int32 { return &l.place },
		},
	}
}

func (ls *levels[T]) push(e *entry[T]) { ls.of(e.priority).push(e) }

func (ls *levels[T]) remove(e *entry[T]) {
	l := ls.of(e.priority)
	l.remove(e)
	if l.empty() && len(ls.byPriority) > levelsKept {
		ls.drop(l)
	}
}

// first returns the first entry of the highest priority, nil if there is none.
func (ls *levels[T]) first() *entry[T] {
	for {
		l := ls.top.min()
		if l == nil {
			return nil
		}
		if !l.empty() {
			return l.first()
		}
		ls.drop(l)
	}
}

func (ls *levels[T]) of(priority int) *level[T] {
	if ls.last != nil && ls.last.priority == priority {
		return ls.last
	}
	l := ls.byPriority[priority]
	if l == nil {
		l = newLevel[T](priority)
		ls.byPriority[priority] = l
		ls.most = max(ls.most, len(ls.byPriority))
		ls.top.push(l)
	}
	ls.last = l
	return l
}

func (ls *levels[T]) drop(l *level[T]) {
	ls.top.remove(l)
	delete(ls.byPriority, l.priority)
	if ls.last == l {
		ls.last = nil
	}
	// Give memory back, at a cost that the removals before have paid for.
	if ls.most > 1024 && len(ls.byPriority) < ls.most/8 {
		ls.byPriority = maps.Collect(maps.All(ls.byPriority))
		ls.most = len(ls.byPriority)
	}
}

// level is the entries of one priority, by their places. Most come in that order and are
// in the list; one that has waited, and was made ready by an add, keeps the place of
// its first add and is in early.
type level[T comparable] struct {
	priority int
	place    int32 // in levels.top
	list     list[T]
	early    heap[entry[T]]
}

func newLevel[T comparable](priority int) *level[T] {
	return &level[T]{
		priority: priority,
		list:     list[T]{of: func(e *entry[T]) *link[T] { return &e.level }},
		early: heap[entry[T]]{
			less:  func(a, b *entry[T]) bool { return a.seq < b.seq },
			place: func(e *entry[T]) *int32 { return &e.place },
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
	if e.place != 0 {
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
