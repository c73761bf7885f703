package deadlinequeue

// ShuttingDown reports whether the queue is shutting down or has shut down.
func (q *Queue[T]) ShuttingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shuttingDown
}

// ShutDown makes the queue ignore all further adds, drops what waits and what is
// ready, and makes Get return. It also ends a ShutDownWithDrain that has not returned.
func (q *Queue[T]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shutDowns++
	q.shutDown(false)
}

// ShutDownWithDrain makes the queue ignore all further adds, drops what waits,
// and returns when all that is ready has been handed out and all that was handed
// out is Done; so somebody must go on calling Get. ShutDown ends it early. After
// a ShutDown it waits for what that has left.
func (q *Queue[T]) ShutDownWithDrain() {
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

func (q *Queue[T]) shutDown(drain bool) {
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
func (q *Queue[T]) drop(keepReady bool) {
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
func (q *Queue[T]) keep(e *entry[T]) {
	if e.ahead != 0 {
		q.ahead.push(e)
	}
}
