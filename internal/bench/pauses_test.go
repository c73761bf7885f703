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
// and without garbage collections: how long everybody else may have to wait for a lock. What
// else the machine does only adds to it, so the least of three rounds is told.
func BenchmarkPauses(b *testing.B) {
	depth, calls := sized(1000, 1_000_000), sized(100, 50_000)
	all := requests(depth + calls)
	keys, more := all[:depth], all[depth:]
	leastOf := func(b *testing.B, name string, round func(queue string) map[string]time.Duration) {
		onEach(b, name, queueNames, func(b *testing.B, queue string) {
			for b.Loop() { // once: it takes long
				least := map[string]float64{}
				for range 3 {
					for call, took := range round(queue) {
						if was, ok := least[call]; !ok || float64(took) < was {
							least[call] = float64(took)
						}
					}
				}
				for call, ns := range least {
					b.ReportMetric(ns, call+"-ns")
				}
			}
		})
	}
	leastOf(b, "a queue grows from empty", func(queue string) map[string]time.Duration {
		q := makeQueue(queue)
		defer withoutGC()()
		defer q.ShutDown()
		var add pause
		for _, key := range keys {
			add.of(func() { q.Add(key) })
		}
		return map[string]time.Duration{"Add": add.max}
	})
	leads := map[string]time.Duration{} // in which a queue can be filled
	leastOf(b, "all are due at one instant", func(queue string) map[string]time.Duration {
		for ; ; leads[queue] *= 2 {
			q := makeQueue(queue)
			leads[queue] = max(leads[queue], sized(20*time.Millisecond, 2*time.Second))
			due := time.Now().Add(leads[queue])
			fillUp(q, keys, due)
			undo := withoutGC()
			inTime := time.Until(due) > 10*time.Millisecond
			var add, get pause
			if inTime {
				add, get = whenDue(q, due, more)
			}
			undo()
			q.ShutDown()
			if inTime {
				return map[string]time.Duration{"Add": add.max, "Get-or-Done": get.max}
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
	wait := time.Until(due)
	if _, ours := q.(deadlinequeue.Queue[request]); ours {
		addWithDeadline(q, key, wait) // requeue:ok a deadline that has passed is due now
		return
	}
	q.AddAfter(key, wait) // requeue:ok a deadline that has passed is due now
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
