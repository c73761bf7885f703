package main

import (
	"testing"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// The three benchmarks that controller-runtime has of its queue, in
// pkg/controller/priorityqueue/priorityqueue_test.go of v0.25.2, on three queues. They differ
// in nothing else, but that the goroutines of the last one end with it.

func onEachQueue(b *testing.B, one func(b *testing.B, q workqueue.TypedInterface[int])) {
	for _, queue := range queueNames {
		b.Run("queue="+queue, func(b *testing.B) {
			q := newQueue[int](queue, "")
			defer q.ShutDown()
			one(b, q)
		})
	}
}

func BenchmarkAddGetDone(b *testing.B) {
	onEachQueue(b, func(b *testing.B, q workqueue.TypedInterface[int]) {
		for b.Loop() {
			for i := range 1000 {
				q.Add(i)
			}
			for range 1000 {
				item, _ := q.Get()
				q.Done(item)
			}
		}
	})
}

func BenchmarkAddOnly(b *testing.B) {
	onEachQueue(b, func(b *testing.B, q workqueue.TypedInterface[int]) {
		for b.Loop() {
			for i := range 1000 {
				q.Add(i)
			}
		}
	})
}

func BenchmarkAddLockContended(b *testing.B) {
	onEachQueue(b, func(b *testing.B, q workqueue.TypedInterface[int]) {
		for i := range sized(1000, 1_000_000) {
			q.Add(i)
		}

		for range 1000 {
			go func() {
				for {
					item, shutdown := q.Get()
					if shutdown {
						return
					}
					time.Sleep(1 * time.Millisecond)
					q.Done(item)
				}
			}()
		}

		for b.Loop() {
			for i := range 1000 {
				q.Add(i)
			}
		}
	})
}
