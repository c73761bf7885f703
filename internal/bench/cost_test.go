package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
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

// BenchmarkCalculation is what a decision costs, beside the reference, which is to read the
// clock once, and what others compute.
func BenchmarkCalculation(b *testing.B) {
	const timeout, interval = 30 * time.Minute, 5 * time.Minute
	started := time.Now()
	still := requeue.ClockFunc(func() time.Time { return started })
	d, ns := time.Duration(0), int64(0)
	exponential := backoff.NewExponentialBackOff()
	steps := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 1 << 30, Cap: time.Minute}
	each := map[string]func(){
		"now": func() { ns += int64(time.Now().Nanosecond()) },
		"by-hand": func() {
			deadline := started.Add(timeout)
			if time.Now().After(deadline) {
				return
			}
			d += min(interval, time.Until(deadline))
		},
		"by-hand-once": func() {
			now, deadline := time.Now(), started.Add(timeout)
			if now.After(deadline) {
				return
			}
			d += min(interval, deadline.Sub(now))
		},
		"nextrequeue": func() { d += requeue.NextRequeue(started, timeout, interval, nil) },
		"expired": func() {
			if !requeue.Expired(started, timeout, nil) {
				d += requeue.NextRequeue(started, timeout, interval, nil)
			}
		},
		"plan": func() {
			plan := requeue.From(time.Now()).Every(interval).Timeout(started, timeout)
			if !plan.Expired() {
				d += plan.After()
			}
		},
		"arithmetic": func() { d += requeue.NextRequeue(started, timeout, interval, still) },
		"five-parts": func() {
			d += requeue.From(started).Every(interval).Timeout(started, timeout).Deadline(started.Add(time.Hour)).
				Upcoming(started.Add(time.Minute)).NotBefore(started.Add(time.Second)).Decide().After
		},
		"backoff":      func() { d += exponential.NextBackOff() },
		"wait-backoff": func() { d += steps.Step() },
	}
	for _, c := range calls {
		call := each[c.name]
		b.Run("call="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N { // b.Loop would keep the call from being inlined
				call()
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

// forEach runs a benchmark of each queue.
func forEach(b *testing.B, name string, queues []string, one func(b *testing.B, queue string)) {
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
	b.ReportMetric(float64(cpu()-before)/float64(b.N*keys), "cpu-ns/key")
}

// BenchmarkQueueCost is what the queues cost.
func BenchmarkQueueCost(b *testing.B) {
	depths := sized([]int{1000}, []int{10_000, 100_000, 1_000_000})
	for _, depth := range depths {
		benchmarkAddGetDone(b, "add-get-done", depth, "")
	}
	for _, depth := range depths[:max(1, len(depths)-1)] {
		benchmarkAddGetDone(b, "with-metrics", depth, "bench")
		benchmarkDecide(b, depth)
	}
	keys := requests(sized(1000, 100_000))
	forEach(b, "drain", queueNames, func(b *testing.B, queue string) {
		loopCPU(b, len(keys), func() { drain(makeQueue(queue), keys, 100*time.Millisecond) })
	})
	forEach(b, "add-again", queueNames, func(b *testing.B, queue string) {
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
	for _, crowd := range [][]request{keys[:1], keys} {
		name := "late-idle"
		if len(crowd) > 1 {
			name = "late-crowd"
		}
		forEach(b, name, withTimer, func(b *testing.B, queue string) {
			for b.Loop() { // once: it takes long
				late := timerLateness
				if queue != timerName {
					late = func(keys []request, samples int) float64 { return queueLateness(makeQueue(queue), keys, samples) }
				}
				b.ReportMetric(late(crowd, sized(3, 60)), "µs-late")
			}
		})
	}
	heap := func(add func(q typedQueue, key request, wait time.Duration)) func(b *testing.B, queue string) {
		return func(b *testing.B, queue string) {
			for b.Loop() {
				b.ReportMetric(heapOf(queue, keys, add), "heap-B")
			}
		}
	}
	forEach(b, "heap", queueNames, heap(typedQueue.AddAfter))
	forEach(b, "heap-deadline", queueNames[:1], heap(addWithDeadline))
}

// benchmarkAddGetDone is an Add, a Get and a Done of queues with so many keys.
func benchmarkAddGetDone(b *testing.B, name string, depth int, metrics string) {
	keys := requests(depth + 6400)
	batch := make([]request, 3200)
	for _, queue := range queueNames {
		var q typedQueue // is shared by all that follow, as it takes long to fill
		next := depth
		turn := func() []request {
			for i := range batch { // those that were gotten longest ago
				batch[i] = keys[next]
				next = (next + 1) % len(keys)
			}
			return batch
		}
		for _, goroutines := range []int{1, 8, 32} {
			forEach(b, fmt.Sprintf("%s/keys=%d/goroutines=%d", name, depth, goroutines), []string{queue}, func(b *testing.B, _ string) {
				if q == nil {
					q = newQueue[request](queue, metrics)
					for _, k := range keys[:depth] {
						q.Add(k)
					}
					q.Len() // until controller-runtime has taken them all
				}
				loopCPU(b, len(batch), func() { addGetDone(q, turn(), goroutines) })
			})
		}
		if q != nil {
			q.ShutDown()
		}
	}
	if metrics == "" {
		forEach(b, fmt.Sprintf("%s/keys=%d/goroutines=1", name, depth), []string{bareName}, func(b *testing.B, _ string) {
			q := newBareQueue(keys[:depth])
			loopCPU(b, len(batch), func() { q.addGet(keys[depth : depth+len(batch)]) })
		})
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

// benchmarkDecide has all keys be handed out and told to wait, for a poll in 5 minutes or a
// deadline within 10, as a reconcile does, and the same without Decide.
func benchmarkDecide(b *testing.B, depth int) {
	keys := requests(depth)
	draws := rand.New(rand.NewPCG(1, 1))
	decisions := make([]requeue.Decision, depth)
	now := time.Now()
	for i := range decisions {
		ahead := time.Minute + time.Duration(draws.Int64N(int64(9*time.Minute)))
		decisions[i] = requeue.From(now).Every(5 * time.Minute).Deadline(now.Add(ahead)).Decide()
	}
	forEach(b, fmt.Sprintf("decide/keys=%d", depth), []string{oursName, "without"}, func(b *testing.B, queue string) {
		var spent time.Duration
		for b.Loop() {
			q := makeQueue(oursName).(deadlinequeue.Queue[request])
			for _, k := range keys {
				q.Add(k)
			}
			before := cpu()
			for _, d := range decisions {
				k, _ := q.Get()
				if queue == oursName {
					q.Decide(k, d)
				}
				q.AddAfter(k, d.After)
				q.Done(k)
			}
			spent += cpu() - before
			q.ShutDown()
		}
		b.ReportMetric(float64(spent)/float64(b.N*depth), "cpu-ns/key")
	})
}

// bareQueue is the reference: a mutex, a heap of ready times and a map, and nothing
// else of what makes a queue.
type bareQueue struct {
	mu    sync.Mutex
	heap  bareHeap
	dirty map[request]bool
	at    int64
}

func newBareQueue(fill []request) *bareQueue {
	q := &bareQueue{dirty: map[request]bool{}}
	for _, k := range fill {
		q.add(k)
	}
	return q
}

func (q *bareQueue) add(k request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dirty[k] {
		q.dirty[k] = true
		q.at++
		heap.Push(&q.heap, bareItem{k, q.at})
	}
}

func (q *bareQueue) get() {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.dirty, heap.Pop(&q.heap).(bareItem).key)
}

// addGet adds all keys, and gets one after each.
func (q *bareQueue) addGet(keys []request) {
	for _, k := range keys {
		q.add(k)
		q.get()
	}
}

type bareItem struct {
	key request
	at  int64
}

type bareHeap []bareItem

func (h bareHeap) Len() int           { return len(h) }
func (h bareHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h bareHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *bareHeap) Push(x any)        { *h = append(*h, x.(bareItem)) }
func (h *bareHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// drain adds every key with a wait, and gets all when these are over.
func drain(q typedQueue, keys []request, within time.Duration) {
	defer q.ShutDown()
	draws := rand.New(rand.NewPCG(1, 1))
	for _, k := range keys {
		q.AddAfter(k, time.Duration(draws.Int64N(int64(within))))
	}
	for range keys {
		k, _ := q.Get()
		q.Done(k)
	}
}

const (
	latePeriod = 2 * time.Millisecond
	crowdApart = 100 * time.Microsecond // 10,000 a second
	crowdFirst = 50 * time.Millisecond
)

// queueLateness is how many microseconds after its time the first key is handed out, at the
// median, while the others fall due.
func queueLateness(q typedQueue, keys []request, samples int) float64 {
	defer q.ShutDown()
	probe := keys[0]
	begin := time.Now()
	for i, k := range keys[1:] {
		q.AddAfter(k, time.Until(begin.Add(time.Duration(i)*crowdApart))+crowdFirst)
	}
	var late []time.Duration
	var due time.Time
	again := func() {
		due = time.Now().Add(latePeriod)
		q.AddAfter(probe, latePeriod)
	}
	again()
	for len(late) < samples {
		k, _ := q.Get()
		got := time.Now()
		q.Done(k)
		if k == probe {
			late = append(late, got.Sub(due))
			again()
		}
	}
	return float64(at(late, 50).Microseconds())
}

func timerLateness(keys []request, samples int) float64 {
	begin := time.Now()
	timers := make([]*time.Timer, len(keys)-1)
	other := make(chan struct{}, len(keys))
	for i := range timers {
		timers[i] = time.AfterFunc(time.Until(begin.Add(time.Duration(i)*crowdApart))+crowdFirst, func() { other <- struct{}{} })
	}
	woken := make(chan struct{})
	var late []time.Duration
	for range samples {
		due := time.Now().Add(latePeriod)
		time.AfterFunc(latePeriod, func() { woken <- struct{}{} })
		<-woken
		late = append(late, time.Since(due))
	}
	for _, t := range timers {
		t.Stop()
	}
	return float64(at(late, 50).Microseconds())
}

// heapOf is the heap that each of the keys takes that wait.
func heapOf(queue string, keys []request, add func(q typedQueue, key request, wait time.Duration)) float64 {
	before := heapInUse()
	q := makeQueue(queue)
	defer q.ShutDown()
	for i, k := range keys {
		add(q, k, time.Hour+time.Duration(i))
	}
	q.Len() // until controller-runtime has taken them all; client-go has all but 1,000
	return (heapInUse() - before) / float64(len(keys))
}

func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// addWithDeadline has a queue of ours, in which nothing is ready, wait with a key for a
// deadline, and for a poll after that.
func addWithDeadline(q typedQueue, key request, ahead time.Duration) {
	q.Add(key)
	key, _ = q.Get()
	q.(deadlinequeue.Queue[request]).Decide(key, requeue.Decision{Deadline: time.Now().Add(ahead)})
	q.AddAfter(key, ahead+2*time.Hour)
	q.Done(key)
}
