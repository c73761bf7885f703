package deadlinequeue

import (
	"runtime"
	"time"
)

// Where an entry stands follows from its facts:
//
//	running           while it is processed
//	waits             while it waits, by the end of its wait; but not if that is a wait for the
//	                  deadline, which wakes it then
//	ahead             also, by its deadline, until that has passed, whatever else it does
//	a room of order   while it is ready and not processed
//
// An entry that is idle and not processed stands nowhere: Done forgets it.

// afterDeadline is how long after the deadline a wait may end that was a wait for the
// deadline: the plan was made a little before its wait was added. Such a wait must not
// hand out the key too soon when the wall clock is set back.
const afterDeadline = int64(time.Second / 2)

// change is the one door by which the facts of an entry change: it takes the entry out
// of where it stands, changes it, and puts it where it then belongs.
func (q *queue[T]) change(e *entry[T], now instant, edit func(*entry[T])) {
	due, seq, wasReady, wasAvailable := e.due(), e.seq, e.state == ready, e.available()
	switch {
	case wasAvailable:
		q.order.unrank(e)
	case e.place != 0 && !e.processing:
		q.waits.remove(e)
	}
	edit(e)
	if e.state == waiting && !e.processing {
		e.wake(now, q.order.number())
	}
	q.watch(e, now, e.due() != due || e.seq != seq)
	q.put(e, now, wasAvailable)
	q.count(wasReady, e.state == ready)
}

// put puts an entry into the order or the waits, if it belongs there.
func (q *queue[T]) put(e *entry[T], now instant, wasAvailable bool) {
	switch {
	case e.available():
		q.order.rank(e)
		if !wasAvailable {
			q.order.enter(e)
			q.signal()
		}
	case wasAvailable:
		q.order.leave(e)
	case e.state == waiting && !e.processing && e.soft != never && !e.waitsForDeadline(now):
		q.waits.push(e)
	}
}

// available reports whether the entry is to be handed out now.
func (e *entry[T]) available() bool { return e.state == ready && !e.processing }

func (q *queue[T]) count(was, is bool) {
	switch {
	case is && !was:
		q.readyCount++
		q.metrics.added()
	case was && !is:
		q.readyCount--
	}
}

// watch keeps the entry in ahead as long as its deadline is that.
func (q *queue[T]) watch(e *entry[T], now instant, moved bool) {
	switch wanted := e.deadline != never && e.due() > now.wall; {
	case wanted && e.ahead == 0:
		q.ahead.push(e)
	case wanted && moved:
		q.ahead.fix(e)
	case !wanted && e.ahead != 0:
		q.ahead.remove(e)
	}
}

// waitsForDeadline reports whether the wait of an entry was one for its deadline.
func (e *entry[T]) waitsForDeadline(now instant) bool {
	if e.deadline == never {
		return false
	}
	more := saturatingSub(e.soft, now.after(now.until(e.due())))
	return more >= -jitter && more <= afterDeadline
}

// wakeUpBatch is how many entries are made ready while the lock is held. Where
// more are due at one instant, others get in between.
const wakeUpBatch = 500

// wakeUp makes ready what has waited long enough, and reports whether there is more
// of it.
func (q *queue[T]) wakeUp(now instant) (more bool) {
	for range wakeUpBatch {
		e := q.due(now)
		if e == nil {
			return false
		}
		q.change(e, now, func(*entry[T]) {})
	}
	return q.due(now) != nil
}

// due returns an entry whose deadline has passed or whose wait is over, nil if there is
// none.
func (q *queue[T]) due(now instant) *entry[T] {
	if e := q.ahead.min(); e != nil && e.due() <= now.wall {
		return e
	}
	if e := q.waits.min(); e != nil && e.soft <= now.mono {
		return e
	}
	return nil
}

// wakeUpAll makes ready all that has waited long enough, and returns the time. It
// gives up the lock between batches.
func (q *queue[T]) wakeUpAll() (now instant) {
	for {
		now = q.observe(q.clock.Now())
		if !q.wakeUp(now) {
			return now
		}
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
	}
}
