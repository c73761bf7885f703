package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// BenchmarkPauses are the longest that a single call takes with many keys, by the wall clock
// and without garbage collections: how long everybody else may have to wait for a lock. A call
// that is scheduled away takes that long, too, so the figures are no less than what the machine
// does to every call.
func BenchmarkPauses(b *testing.B) {
	depth, calls := sized(1000, 1_000_000), sized(100, 50_000)
	all := requests(depth + calls)
	keys, more := all[:depth], all[depth:]
	filled := map[string]time.Duration{} // how long it takes to fill a queue
	forEach(b, "waiting", queueNames, func(b *testing.B, queue string) {
		for b.Loop() {
			q := makeQueue(queue)
			began := time.Now()
			fillUp(q, keys, func(q typedQueue, key request) { addDue(q, key, time.Now().Add(time.Hour)) })
			filled[queue] = time.Since(began)
			undo := withoutGC()
			var p pause
			p.of(q.ShutDown)
			undo()
			b.ReportMetric(p.ms(), "ms-ShutDown")
		}
	})
	forEach(b, "growth", queueNames, func(b *testing.B, queue string) {
		for b.Loop() {
			q := makeQueue(queue)
			undo := withoutGC()
			var add, end pause
			for _, k := range keys {
				add.of(func() { q.Add(k) })
			}
			q.Len() // until controller-runtime has taken them
			end.of(q.ShutDown)
			undo()
			b.ReportMetric(add.ms(), "ms-Add")
			b.ReportMetric(end.ms(), "ms-ShutDown")
		}
	})
	forEach(b, "due", queueNames, func(b *testing.B, queue string) {
		for b.Loop() {
			adds, gets := pausesWhenDue(queue, keys, more, filled[queue])
			b.ReportMetric(adds.ms(), "ms-Add")
			b.ReportMetric(gets.ms(), "ms-Get")
		}
	})
}

// pause is the longest of the calls made by way of it.
type pause struct {
	since time.Time // what comes before does not count; zero: all counts
	max   time.Duration
}

func (p *pause) of(call func()) {
	began := time.Now()
	call()
	ended := time.Now()
	if began.Before(p.since) {
		began = p.since
	}
	p.max = max(p.max, ended.Sub(began))
}

func (p *pause) ms() float64 { return float64(p.max) / float64(time.Millisecond) }

// withoutGC collects garbage and then no more, until what it returns is called.
func withoutGC() (undo func()) {
	runtime.GC()
	percent := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(percent) }
}

// addDue adds a key that waits until due, as its deadline where the queue knows
// deadlines.
func addDue(q typedQueue, key request, due time.Time) {
	wait := time.Until(due)
	if _, ours := q.(deadlinequeue.Queue[request]); ours {
		addWithDeadline(q, key, wait) // requeue:ok a deadline that has passed is due now
		return
	}
	q.AddAfter(key, wait) // requeue:ok a deadline that has passed is due now
}

// fillUp adds all keys and returns when the queue has taken them: client-go's all
// but 1,000, which it takes while it is looked at.
func fillUp(q typedQueue, keys []request, add func(typedQueue, request)) {
	for i, k := range keys {
		add(q, k)
		if i%1000 == 0 {
			q.Len() // until controller-runtime has taken them; it counts waits from then
		}
	}
	q.Len()
}

// pausesWhenDue has all keys wait for one instant. From that on one goroutine adds the
// others, and one gets as many and is done with them. Of a call that began before the
// instant what comes after counts.
func pausesWhenDue(queue string, keys, others []request, filled time.Duration) (adds, gets pause) {
	for lead := filled; ; {
		lead += lead/2 + 300*time.Millisecond
		q := makeQueue(queue)
		due := time.Now().Add(lead)
		fillUp(q, keys, func(q typedQueue, key request) { addDue(q, key, due) })
		undo := withoutGC()
		if time.Until(due) < 10*time.Millisecond { // it took longer this time
			undo()
			q.ShutDown()
			continue
		}
		adds, gets = whenDue(q, due, others)
		undo()
		q.ShutDown()
		return adds, gets
	}
}

func whenDue(q typedQueue, due time.Time, keys []request) (adds, gets pause) {
	adds.since, gets.since = due, due
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(time.Until(due))
		for _, k := range keys {
			adds.of(func() { q.Add(k) })
		}
	})
	wg.Go(func() {
		for range keys {
			var k request
			gets.of(func() { k, _ = q.Get() })
			gets.of(func() { q.Done(k) })
		}
	})
	wg.Wait()
	return adds, gets
}
