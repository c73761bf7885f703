package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// whole says that measurements are to be made at their whole size.
var whole = os.Getenv(wholeEnv) != ""

// sized is the size of a measurement: the whole one, or a small one, of a test.
func sized[T any](small, large T) T {
	if whole {
		return large
	}
	return small
}

// BenchmarkCalculation is what a decision costs, beside a reading of the clock, the same by
// hand, and backoffs, which read no clock.
func BenchmarkCalculation(b *testing.B) {
	const timeout, interval = 30 * time.Minute, 5 * time.Minute
	started := time.Now()
	still := requeue.ClockFunc(func() time.Time { return started })
	d, ns := time.Duration(0), int64(0)
	exponential := backoff.NewExponentialBackOff()
	steps := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 1 << 30, Cap: time.Minute}
	for _, c := range []struct {
		name string
		call func()
	}{
		{"NextRequeue", func() { d += requeue.NextRequeue(started, timeout, interval, nil) }},
		{"time.Now", func() { ns += int64(time.Now().Nanosecond()) }},
		{"by hand: the check, then time.Until", func() {
			deadline := started.Add(timeout)
			if time.Now().After(deadline) {
				return
			}
			d += min(interval, time.Until(deadline))
		}},
		{"by hand on one reading of the clock", func() {
			now, deadline := time.Now(), started.Add(timeout)
			if now.After(deadline) {
				return
			}
			d += min(interval, deadline.Sub(now))
		}},
		{"Expired, then NextRequeue", func() {
			if !requeue.Expired(started, timeout, nil) {
				d += requeue.NextRequeue(started, timeout, interval, nil)
			}
		}},
		{"a plan: Expired and After on one reading", func() {
			plan := requeue.From(time.Now()).Every(interval).Timeout(started, timeout)
			if !plan.Expired() {
				d += plan.After()
			}
		}},
		{"NextRequeue without reading the clock", func() { d += requeue.NextRequeue(started, timeout, interval, still) }},
		{"a plan of five parts without reading the clock", func() {
			d += requeue.From(started).Every(interval).Timeout(started, timeout).Deadline(started.Add(time.Hour)).
				Upcoming(started.Add(time.Minute)).NotBefore(started.Add(time.Second)).Decide().After
		}},
		{"cenkalti's ExponentialBackOff", func() { d += exponential.NextBackOff() }},
		{"wait.Backoff", func() { d += steps.Step() }},
	} {
		b.Run("call="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N { // b.Loop would keep the call from being inlined
				c.call()
			}
		})
	}
	runtime.KeepAlive(d) // the compiler must not drop what is measured
	runtime.KeepAlive(ns)
}

type (
	request    = reconcile.Request
	typedQueue = workqueue.TypedRateLimitingInterface[request]
)

// The queues that are compared, and a timer for each object.
const (
	oursName, clientGoName, controllerRuntimeName = "deadlinequeue", "client-go", "controller-runtime"
	timerName                                     = "bare timer"
)

var queueNames = []string{oursName, clientGoName, controllerRuntimeName}

// newQueue makes a queue. With a name it has metrics, of controller-runtime's registry in
// each case: controller-runtime has client-go make its metrics there, too.
func newQueue[T comparable](queue, metrics string) workqueue.TypedRateLimitingInterface[T] {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[T](5*time.Millisecond, 1000*time.Second)
	switch queue {
	case oursName:
		return deadlinequeue.New(metrics, deadlinequeue.Options[T]{RateLimiter: limiter})
	case clientGoName:
		return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[T]{Name: metrics})
	default:
		return priorityqueue.New(metrics, func(o *priorityqueue.Opts[T]) { o.RateLimiter = limiter })
	}
}

func makeQueue(queue string) typedQueue { return newQueue[request](queue, "") }

func requests(n int) []request {
	rs := make([]request, n)
	for i := range rs {
		rs[i] = request{NamespacedName: types.NamespacedName{Namespace: "default", Name: fmt.Sprint("object-", i)}}
	}
	return rs
}

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onEach runs a benchmark of each queue.
func onEach(b *testing.B, name string, queues []string, one func(b *testing.B, queue string)) {
	for _, queue := range queues {
		b.Run(name+"/queue="+queue, func(b *testing.B) {
			one(b, queue)
			b.ReportMetric(0, "ns/op") // the wall clock is not what is measured
		})
	}
}

// loopCPU runs the loop and reports the processor time of each of the keys that a turn is for.
func loopCPU(b *testing.B, keys int, turn func()) {
	before := cpu()
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N*keys), "CPU-ns/key")
}

// BenchmarkQueueCost is an Add, a Get and a Done of queues with so many keys.
func BenchmarkQueueCost(b *testing.B) {
	for _, depth := range sized([]int{1000}, []int{10_000, 100_000, 1_000_000}) {
		benchmarkAddGetDone(b, depth, "")
	}
}

// BenchmarkQueueCostMetrics is the same with metrics.
func BenchmarkQueueCostMetrics(b *testing.B) {
	for _, depth := range sized([]int{1000}, []int{10_000, 100_000}) {
		benchmarkAddGetDone(b, depth, "bench")
	}
}

func benchmarkAddGetDone(b *testing.B, depth int, metrics string) {
	keys := requests(depth + 6400)
	batch := make([]request, 3200)
	for _, queue := range queueNames {
		var q typedQueue // is shared by all that follow, as it takes long to fill
		next := depth
		for _, goroutines := range []int{1, 8, 32} {
			onEach(b, fmt.Sprintf("keys=%s/goroutines=%d", digits(float64(depth)), goroutines), []string{queue}, func(b *testing.B, _ string) {
				if q == nil {
					q = newQueue[request](queue, metrics)
					for _, k := range keys[:depth] {
						q.Add(k)
					}
					q.Len() // until controller-runtime has taken them all
				}
				loopCPU(b, len(batch), func() {
					for i := range batch { // those that were gotten longest ago
						batch[i] = keys[next]
						next = (next + 1) % len(keys)
					}
					addGetDone(q, batch, goroutines)
				})
			})
		}
		if q != nil {
			q.ShutDown()
		}
	}
}

// addGetDone adds all keys and gets as many and is done with them.
func addGetDone(q typedQueue, keys []request, goroutines int) {
	if goroutines == 1 {
		for _, k := range keys {
			q.Add(k)
			k, _ = q.Get()
			q.Done(k)
		}
		return
	}
	share := len(keys) / goroutines
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for _, k := range keys[g*share : (g+1)*share] {
				q.Add(k)
			}
		})
		wg.Go(func() {
			for range share {
				k, _ := q.Get()
				q.Done(k)
			}
		})
	}
	wg.Wait()
}

// BenchmarkQueueCostOthers are other costs of queues.
func BenchmarkQueueCostOthers(b *testing.B) {
	keys := requests(sized(1000, 100_000))
	onEach(b, "Add of a key that is ready", queueNames, func(b *testing.B, queue string) {
		q := makeQueue(queue)
		defer q.ShutDown()
		loopCPU(b, 1000, func() {
			for _, k := range keys[:1000] {
				q.Add(k)
			}
			q.Len() // controller-runtime adds in the background
		})
	})
	withTimer := append(slices.Clone(queueNames), timerName)
	for _, crowd := range []struct {
		name string
		keys []request
	}{{"hand-out after a wait, idle, at the median", keys[:1]}, {"the same with 100,000 keys that wait, and 10,000 a second due", keys}} {
		onEach(b, crowd.name, withTimer, func(b *testing.B, queue string) {
			for b.Loop() { // once: it takes long
				b.ReportMetric(float64(latenessOf(queue, crowd.keys, sized(3, 60))), "late-ns")
			}
		})
	}
}

// latenessOf is how long after its time the first key is handed out, at the median, while the
// others fall due.
func latenessOf(queue string, keys []request, samples int) time.Duration {
	const period, apart, first = 2 * time.Millisecond, 100 * time.Microsecond, 50 * time.Millisecond // 10,000 a second
	woken := make(chan request, len(keys))
	var timers []*time.Timer
	wait := func(key request, d time.Duration) {
		timers = append(timers, time.AfterFunc(d, func() { woken <- key }))
	}
	next := func() request { return <-woken }
	defer func() {
		for _, t := range timers {
			t.Stop()
		}
	}()
	if queue != timerName {
		q := makeQueue(queue)
		defer q.ShutDown()
		wait = q.AddAfter
		next = func() request {
			k, _ := q.Get()
			q.Done(k)
			return k
		}
	}
	begin := time.Now()
	for i, k := range keys[1:] {
		wait(k, time.Until(begin.Add(first+time.Duration(i)*apart))) // requeue:ok one that has passed is due now
	}
	var late []time.Duration
	for len(late) < samples {
		due := time.Now().Add(period)
		wait(keys[0], period)
		for next() != keys[0] {
		}
		late = append(late, time.Since(due))
	}
	slices.Sort(late)
	return late[len(late)/2]
}

// heapInUse is what is left of the heap after a collection.
func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
