package deadlinequeue_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// These benchmarks are ratios: each iteration is a round of every
// implementation, so that all have the same noise, and what is reported is the
// median of the rounds. Run at least five, and look at the ratios only:
//
//	go test -run '^$' -bench . -benchtime 5x .

type request = reconcile.Request

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

func median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}

// compare runs rounds of every implementation in turn and reports the medians of
// what a round returns, and ours as a share of the others'.
func compare(b *testing.B, unit string, names []string, round func(name string) float64) {
	compareAll(b, []string{unit}, names, func(name string) []float64 { return []float64{round(name)} })
}

// compareAll is compare of rounds that measure several things.
func compareAll(b *testing.B, units, names []string, round func(name string) []float64) {
	got := make([]map[string][]float64, len(units))
	for i := range got {
		got[i] = map[string][]float64{}
	}
	for range b.N {
		for _, name := range names {
			runtime.GC()
			for i, x := range round(name) {
				got[i][name] = append(got[i][name], x)
			}
		}
	}
	for i, unit := range units {
		of := ""
		if len(units) > 1 {
			of = "-" + unit
		}
		for _, name := range names {
			b.ReportMetric(median(got[i][name]), name+"-"+unit)
		}
		for _, name := range names[1:] {
			b.ReportMetric(median(got[i][names[0]])/median(got[i][name]), "x-"+name+of)
		}
	}
	b.ReportMetric(0, "ns/op")
}

func queues() (names []string, byName map[string]func() workqueue.TypedRateLimitingInterface[request]) {
	byName = map[string]func() workqueue.TypedRateLimitingInterface[request]{}
	for _, p := range peers[request]() {
		names = append(names, p.name)
		byName[p.name] = func() workqueue.TypedRateLimitingInterface[request] { return p.new(limiter[request]()) }
	}
	return names, byName
}

// CPU time of an Add, a Get and a Done, of a queue that holds so many keys.
func BenchmarkAddGetDone(b *testing.B) {
	names, makeQueue := queues()
	for _, depth := range []int{10_000, 100_000, 1_000_000} {
		all := requests(depth + 200_000)
		fill, keys := all[:depth], all[depth:]
		for _, goroutines := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("keys=%d/goroutines=%d", depth, goroutines), func(b *testing.B) {
				names := slices.Clone(names)
				if goroutines == 1 {
					names = append(names, "bare")
				}
				compare(b, "cpu-ns/item", names, func(name string) float64 {
					if name == "bare" {
						return bare(fill, keys)
					}
					q := makeQueue[name]()
					defer q.ShutDown()
					for _, k := range fill {
						q.Add(k)
					}
					q.Len() // until controller-runtime has taken them all
					runtime.GC()
					before := cpu()
					addGetDone(q, keys, goroutines)
					return float64(cpu()-before) / float64(len(keys))
				})
			})
		}
	}
}

// addGetDone adds all keys and gets as many and is done with them.
func addGetDone(q workqueue.TypedRateLimitingInterface[request], keys []request, goroutines int) {
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

// bare is the reference: a mutex, a heap of ready times and a map, and nothing
// else of what makes a queue.
func bare(fill, keys []request) float64 {
	var (
		mu    sync.Mutex
		h     bareHeap
		dirty = map[request]bool{}
		at    int64
	)
	add := func(k request) {
		mu.Lock()
		defer mu.Unlock()
		if !dirty[k] {
			dirty[k] = true
			at++
			heap.Push(&h, bareItem{k, at})
		}
	}
	get := func() {
		mu.Lock()
		defer mu.Unlock()
		delete(dirty, heap.Pop(&h).(bareItem).key)
	}
	for _, k := range fill {
		add(k)
	}
	runtime.GC()
	before := cpu()
	for _, k := range keys {
		add(k)
		get()
	}
	return float64(cpu()-before) / float64(len(keys))
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

// CPU time of AddAfter of every key, of the wait and of the drain.
func BenchmarkAddAfterDrain(b *testing.B) {
	names, makeQueue := queues()
	keys := requests(100_000)
	delays := make([]time.Duration, len(keys))
	for i := range delays {
		delays[i] = time.Duration(rand.Int64N(int64(100 * time.Millisecond)))
	}
	compare(b, "cpu-ns/item", names, func(name string) float64 {
		q := makeQueue[name]()
		defer q.ShutDown()
		before := cpu()
		for i, k := range keys {
			q.AddAfter(k, delays[i])
		}
		for range keys {
			k, _ := q.Get()
			q.Done(k)
		}
		return float64(cpu()-before) / float64(len(keys))
	})
}

// CPU time of adding a key that is ready already.
func BenchmarkReAdd(b *testing.B) {
	names, makeQueue := queues()
	keys := requests(1000)
	const rounds = 200
	compare(b, "cpu-ns/item", names, func(name string) float64 {
		q := makeQueue[name]()
		defer q.ShutDown()
		before := cpu()
		for range rounds {
			for _, k := range keys {
				q.Add(k)
			}
		}
		for range keys { // controller-runtime adds in the background
			k, _ := q.Get()
			q.Done(k)
		}
		return float64(cpu()-before) / float64(rounds*len(keys))
	})
}

// How long after its time an item of AddAfter is handed out, p50, against a bare
// time.AfterFunc that wakes a goroutine: when nothing else waits, and when
// 100,000 items wait and 10,000 a second fall due.
func BenchmarkWakeUpLateness(b *testing.B) {
	names, makeQueue := queues()
	names = append(names, "timer")
	for _, crowd := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", crowd), func(b *testing.B) {
			keys := requests(crowd + 1)
			compare(b, "late-us", names, func(name string) float64 {
				if name == "timer" {
					return timerLateness(crowd)
				}
				q := makeQueue[name]()
				defer q.ShutDown()
				return queueLateness(q, keys)
			})
		})
	}
}

const (
	lateSamples = 200
	latePeriod  = 2 * time.Millisecond
	crowdRate   = 10_000 // a second
)

func queueLateness(q workqueue.TypedRateLimitingInterface[request], keys []request) float64 {
	probe, crowd := keys[0], keys[1:]
	begin := time.Now()
	for i, k := range crowd {
		q.AddAfter(k, time.Until(begin.Add(time.Duration(i)*time.Second/crowdRate))+50*time.Millisecond)
	}
	var late []float64
	var due time.Time
	again := func() {
		due = time.Now().Add(latePeriod)
		q.AddAfter(probe, latePeriod)
	}
	again()
	for len(late) < lateSamples {
		k, _ := q.Get()
		got := time.Now()
		q.Done(k)
		if k == probe {
			late = append(late, float64(got.Sub(due))/1000)
			again()
		}
	}
	return median(late)
}

func timerLateness(crowd int) float64 {
	begin := time.Now()
	woken := make(chan struct{})
	timers := make([]*time.Timer, crowd)
	other := make(chan struct{}, crowd)
	for i := range timers {
		timers[i] = time.AfterFunc(time.Until(begin.Add(time.Duration(i)*time.Second/crowdRate))+50*time.Millisecond,
			func() { other <- struct{}{} })
	}
	var late []float64
	for len(late) < lateSamples {
		due := time.Now().Add(latePeriod)
		time.AfterFunc(latePeriod, func() { woken <- struct{}{} })
		<-woken
		late = append(late, float64(time.Since(due))/1000)
	}
	for _, t := range timers {
		t.Stop()
	}
	return median(late)
}

// Heap of a waiting item.
func BenchmarkHeapOfWaiting(b *testing.B) {
	names, makeQueue := queues()
	keys := requests(100_000)
	compare(b, "B/item", names, func(name string) float64 {
		before := heapInUse()
		q := makeQueue[name]()
		for i, k := range keys {
			q.AddAfter(k, time.Hour+time.Duration(i))
		}
		q.Len() // until controller-runtime has taken them all; client-go has all but 1,000
		after := heapInUse()
		q.ShutDown()
		return float64(after-before) / float64(len(keys))
	})
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The longest that a single call takes, with 1,000,000 keys, by the wall clock and
// without garbage collections: how long everybody else may have to wait for a lock.
// A call that is scheduled away takes that long, too, so the figures are no less
// than what the machine does to every call.
//
//   - shutdown-waiting, shutdown-ready: ShutDown of a queue in which all keys wait,
//     or are ready.
//   - due: all keys wait for one instant, which is their deadline, too, for a queue
//     that knows deadlines. From that instant on one goroutine adds 50,000 new keys
//     and one gets 50,000 and is done with them: the longest Add, and the longest
//     Get or Done. Of a call that began before the instant what comes after counts.
//   - growth: Add of new keys to an empty queue. With controller-runtime's queue Add
//     is an append to a buffer; a background goroutine does the rest, under the lock
//     that Get and Len need.
func BenchmarkLongestPause(b *testing.B) {
	names, makeQueue := queues()
	all := requests(pauseDepth + pauseCalls)
	keys, more := all[:pauseDepth], all[pauseDepth:]

	shutDown := func(add func(q workqueue.TypedRateLimitingInterface[request], key request)) func(name string) float64 {
		return func(name string) float64 {
			q := makeQueue[name]()
			fillUp(q, keys, add)
			defer withoutGC()()
			var p pause
			p.of(q.ShutDown)
			return p.ms()
		}
	}
	b.Run("shutdown-waiting", func(b *testing.B) {
		deadline := time.Now().Add(time.Hour)
		compare(b, "ms", names, shutDown(func(q workqueue.TypedRateLimitingInterface[request], key request) {
			addDue(q, key, deadline)
		}))
	})
	b.Run("shutdown-ready", func(b *testing.B) {
		compare(b, "ms", names, shutDown(workqueue.TypedRateLimitingInterface[request].Add))
	})
	b.Run("due", func(b *testing.B) {
		lead := 8 * time.Second
		compareAll(b, []string{"add-ms", "get-done-ms"}, names, func(name string) []float64 {
			for {
				q := makeQueue[name]()
				due := time.Now().Add(lead)
				fillUp(q, keys, func(q workqueue.TypedRateLimitingInterface[request], key request) { addDue(q, key, due) })
				undo := withoutGC()
				inTime := time.Until(due) > 10*time.Millisecond
				var adds, gets pause
				if inTime {
					adds, gets = whenDue(q, due, more)
				}
				undo()
				q.ShutDown()
				if inTime {
					return []float64{adds.ms(), gets.ms()}
				}
				lead *= 2 // on a slow machine they are not all in by then
			}
		})
	})
	b.Run("growth", func(b *testing.B) {
		compare(b, "ms", names, func(name string) float64 {
			q := makeQueue[name]()
			defer q.ShutDown()
			defer withoutGC()()
			var p pause
			for _, k := range keys {
				p.of(func() { q.Add(k) })
			}
			return p.ms()
		})
	})
}

const (
	pauseDepth = 1_000_000
	pauseCalls = 50_000
)

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
func addDue(q workqueue.TypedRateLimitingInterface[request], key request, due time.Time) {
	if ours, ok := q.(*deadlinequeue.Queue[request]); ok {
		ours.AddWithOpts(priorityqueue.AddOpts{After: time.Hour, Priority: ptr.To(deadlinequeue.Priority(due))}, key)
		return
	}
	q.AddAfter(key, time.Until(due))
}

// fillUp adds all keys and returns when the queue has taken them: client-go's all
// but 1,000, which it takes while it is looked at.
func fillUp(q workqueue.TypedRateLimitingInterface[request], keys []request, add func(workqueue.TypedRateLimitingInterface[request], request)) {
	for i, k := range keys {
		add(q, k)
		if i%1000 == 0 {
			q.Len() // until controller-runtime has taken them; it counts waits from then
		}
	}
	q.Len()
}

// whenDue is the longest pauses from due on while the keys are added and as many
// are gotten.
func whenDue(q workqueue.TypedRateLimitingInterface[request], due time.Time, keys []request) (adds, gets pause) {
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
