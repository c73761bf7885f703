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
// and without garbage collections: how long everybody else may have to wait for a lock.
func BenchmarkPauses(b *testing.B) {
	depth, calls := sized(1000, 1_000_000), sized(100, 50_000)
	all := requests(depth + calls)
	keys, more := all[:depth], all[depth:]
	onEach(b, "a queue grows from empty", queueNames, func(b *testing.B, queue string) {
		for b.Loop() { // once: it takes long
			q := makeQueue(queue)
			undo := withoutGC()
			var add pause
			for _, key := range keys {
				add.of(func() { q.Add(key) })
			}
			undo()
			q.ShutDown()
			b.ReportMetric(float64(add.max), "Add-ns")
		}
	})
	lead := sized(20*time.Millisecond, 2*time.Second) // in which a queue can be filled
	onEach(b, "all are due at one instant", queueNames, func(b *testing.B, queue string) {
		for b.Loop() {
			for inTime := false; !inTime; {
				q := makeQueue(queue)
				due := time.Now().Add(lead)
				fillUp(q, keys, due)
				undo := withoutGC()
				if inTime = time.Until(due) > 10*time.Millisecond; inTime {
					add, get := whenDue(q, due, more)
					b.ReportMetric(float64(add.max), "Add-ns")
					b.ReportMetric(float64(get.max), "Get-or-Done-ns")
				} else {
					lead *= 2
				}
				undo()
				q.ShutDown()
			}
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

// withoutGC collects garbage and then no more, until what it returns is called.
func withoutGC() (undo func()) {
	runtime.GC()
	percent := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(percent) }
}

// addDue adds a key that waits until due, as its deadline where the queue knows
// deadlines.
func addDue(q typedQueue, key request, due time.Time) {
	if _, ours := q.(deadlinequeue.Queue[request]); ours {
		q.Add(key)
		key, _ = q.Get() // nothing else is ready
		defer q.Done(key)
		waitWithDeadline(q, key, time.Until(due)) // requeue:ok a deadline that has passed is due now
		return
	}
	q.AddAfter(key, time.Until(due)) // requeue:ok a deadline that has passed is due now
}

// fillUp adds all keys and returns when the queue has taken them: client-go's all
// but 1,000, which it takes while it is looked at.
func fillUp(q typedQueue, keys []request, due time.Time) {
	for i, k := range keys {
		addDue(q, k, due)
		if i%1000 == 0 {
			q.Len() // until controller-runtime has taken them; it counts waits from then
		}
	}
	q.Len()
}

// whenDue has one goroutine add keys from an instant on, and one get as many and be done with
// them. Of a call that began before that instant what comes after counts.
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
