package deadlinequeue

import (
	"time"

	"github.com/requeue-go/requeue"
)

// load is what the queue sees of the work: who gets, and how long until Done.
type load struct {
	workers int
	samples int64
	service int64 // the mean time from Get to Done, in nanoseconds
}

// working counts the goroutines that are in Get or between Get and Done.
func (l *load) working(n int) {
	l.workers = max(l.workers, n)
}

// samplesKept is over how many reconciles the mean is taken, the newer counting
// more.
const samplesKept = 64

func (l *load) done(service int64) {
	l.samples = min(l.samples+1, samplesKept)
	l.service += (service - l.service) / l.samples
}

// Load implements Queue.
func (q *queue[T]) Load() requeue.Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return requeue.Load{Objects: q.entries.len(), Workers: q.load.workers, Service: time.Duration(q.load.service)}
}
