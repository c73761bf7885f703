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

// Load returns what there is to do and what there is to do it with: the keys
// that the queue holds (waiting, also for a deadline alone, ready or being
// processed), the workers, and the mean time from Get to Done of the last
// reconciles. Workers is the most that have been in Get or between Get and Done
// at one time. A field that is not known yet is 0, and Stretch then answers poll:
//
//	requeue.From(now).Every(q.Load().Stretch(poll, 0.8))
//
// polls less often as soon as polling would take more than 80 % of the workers.
func (q *Queue[T]) Load() requeue.Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return requeue.Load{Objects: q.entries.len(), Workers: q.load.workers, Service: time.Duration(q.load.service)}
}
