package deadlinequeue

// ShuttingDown implements Queue.
func (q *queue[T]) ShuttingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shuttingDown
}

// ShutDown implements Queue.
func (q *queue[T]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shutDowns++
	q.shutDown(false)
}

// ShutDownWithDrain implements Queue.
func (q *queue[T]) ShutDownWithDrain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.shutDowns
	if !q.shuttingDown {
		q.shutDown(true)
	}
	for q.shutDowns == before && (q.readyCount > 0 || len(q.running) > 0) {
		q.cond.Wait()
	}
}

func (q *queue[T]) shutDown(drain bool) {
	if drain {
		q.wakeUpAll()
	}
	q.draining = drain && (q.draining || !q.shuttingDown) // what was dropped is not to come
	q.shuttingDown = true
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	q.metrics.stop()
	q.drop(q.draining)
	q.cond.Broadcast()
}

// drop drops what waits, and what is ready, too, unless that is kept. It takes as
// long as there are entries that stay.
func (q *queue[T]) drop(keepReady bool) {
	q.waits.items, q.ahead.items = nil, nil
	if !keepReady {
		q.metrics.dropped(q.readyCount)
		q.readyCount = 0
		q.order = newOrder[T](q.order.share)
	}
	q.entries.removeAllBut(func(yield func(*entry[T]) bool) {
		for _, r := range q.running {
			if r.e.state == waiting || !keepReady {
				r.e.state = idle
			}
			q.keep(r.e)
			yield(r.e)
		}
		for e := q.order.ages.head; e != nil; e = e.age.next {
			q.keep(e)
			yield(e)
		}
	})
}

// keep puts an entry back that had a deadline ahead.
func (q *queue[T]) keep(e *entry[T]) {
	if e.ahead != 0 {
		q.ahead.push(e)
	}
}
