package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// queueCost is what the queues cost. In each round all of them do the same, in turn,
// so that all have the same noise: look at the ratios.
type queueCost struct {
	Rounds     int
	AddGetDone []costRow // CPU ns of an Add, a Get and a Done
	Metrics    []costRow // the same, of queues with metrics
	Decide     []costRow // CPU ns of a Get, a Decide, an AddAfter and a Done; and without the Decide
	Others     []costRow
	Pauses     []costRow // ms
}

// costRow is one thing that was measured, with its value in each round, by queue.
type costRow struct {
	Name       string
	Keys       int `json:",omitempty"`
	Goroutines int `json:",omitempty"` // that add, and as many that get
	Values     map[string][]float64
}

// The queues, and what they are held against besides.
const (
	oursName, clientGoName, controllerRuntimeName = "deadlinequeue", "client-go", "controller-runtime"
	bareName, timerName                           = "mutex + heap + map", "bare timer"
	withName, withoutName                         = "with a deadline", "without"

	longestGet = "all due at one instant: longest Get or Done"
)

type (
	request    = reconcile.Request
	typedQueue = workqueue.TypedRateLimitingInterface[request]
)

// makeQueue makes a queue. With a name it has metrics, of controller-runtime's registry in
// each case: controller-runtime has client-go make its metrics there, too.
var makeQueue = map[string]func(metrics string) typedQueue{
	oursName: func(metrics string) typedQueue {
		return deadlinequeue.New(metrics, deadlinequeue.Options[request]{RateLimiter: limiter()})
	},
	clientGoName: func(metrics string) typedQueue {
		return workqueue.NewTypedRateLimitingQueueWithConfig(limiter(), workqueue.TypedRateLimitingQueueConfig[request]{Name: metrics})
	},
	controllerRuntimeName: func(metrics string) typedQueue {
		return priorityqueue.New(metrics, func(o *priorityqueue.Opts[request]) { o.RateLimiter = limiter() })
	},
}

var (
	queueNames = []string{oursName, clientGoName, controllerRuntimeName}
	withTimer  = append(slices.Clone(queueNames), timerName)
)

func limiter() workqueue.TypedRateLimiter[request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[request](5*time.Millisecond, 1000*time.Second)
}

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

// rounds measures all names in turn.
func rounds(n int, names []string, one func(name string) float64) map[string][]float64 {
	values := map[string][]float64{}
	for range n {
		for _, name := range names {
			runtime.GC()
			values[name] = append(values[name], one(name))
		}
	}
	return values
}

// costSizes are how much is measured.
type costSizes struct {
	rounds       int
	depths       []int
	calls        int // of Add, Get and Done
	waiting      int
	pauseDepth   int
	pauseCalls   int
	lateSamples  int
	latenessLoad int
}

var fullCost = costSizes{
	rounds: 3, depths: []int{10_000, 100_000, 1_000_000}, calls: 200_000, waiting: 100_000,
	pauseDepth: 1_000_000, pauseCalls: 50_000, lateSamples: 200, latenessLoad: 100_000,
}

// shallow are the depths but the last.
func (s costSizes) shallow() []int { return s.depths[:len(s.depths)-1] }

func measureQueueCost(m *measuring) queueCost { return costOf(m, fullCost) }

func costOf(m *measuring, size costSizes) queueCost {
	c := queueCost{Rounds: size.rounds}
	for _, depth := range size.depths {
		m.say("Add, Get, Done: %s keys", whole(depth))
		c.AddGetDone = append(c.AddGetDone, costsOfAddGetDone(depth, "", size)...)
	}
	for _, depth := range size.shallow() {
		m.say("Add, Get, Done with metrics: %s keys", whole(depth))
		c.Metrics = append(c.Metrics, costsOfAddGetDone(depth, "bench", size)...)
		m.say("Decide: %s keys", whole(depth))
		c.Decide = append(c.Decide, costRow{Keys: depth, Values: costOfDecide(depth, size)})
	}

	keys := requests(size.waiting)
	add := func(name string, names []string, one func(name string) float64) {
		m.say("%s", name)
		c.Others = append(c.Others, costRow{Name: name, Values: rounds(size.rounds, names, one)})
	}
	within := 100 * time.Millisecond
	add(fmt.Sprintf("AddAfter of %s within %v, and the drain: CPU ns an item", whole(size.waiting), within), queueNames, func(name string) float64 {
		return costOfDrain(name, keys, within)
	})
	add("Add of an item that is ready: CPU ns", queueNames, func(name string) float64 {
		return costOfReAdd(name, keys[:min(1000, len(keys))])
	})
	for _, crowd := range []int{0, size.latenessLoad} {
		name := "hand-out after the end of a wait, idle: µs, p50"
		if crowd > 0 {
			name = fmt.Sprintf("the same with %s waiting and 10,000 a second due", whole(crowd))
		}
		probes := requests(crowd + 1)
		add(name, withTimer, func(name string) float64 {
			if name == timerName {
				return timerLateness(crowd, size.lateSamples)
			}
			return queueLateness(name, probes, size.lateSamples)
		})
	}
	add("heap of a waiting item: bytes", queueNames, func(name string) float64 { return heapOfWaiting(name, keys, typedQueue.AddAfter) })
	add("the same with a deadline", []string{oursName}, func(name string) float64 { return heapOfWaiting(name, keys, addWithDeadline) })
	c.Pauses = pauses(m, size)
	return c
}

// costsOfAddGetDone measures at one depth with few and many goroutines, which come to the
// same queue one after the other, each with keys of their own, as filling it takes longest.
func costsOfAddGetDone(depth int, metrics string, size costSizes) (rows []costRow) {
	for _, goroutines := range []int{1, 8, 32} {
		rows = append(rows, costRow{Keys: depth, Goroutines: goroutines, Values: map[string][]float64{}})
	}
	fill := requests(depth + len(rows)*size.calls)
	fill, rest := fill[:depth], fill[depth:]
	note := func(i int, name string, measured func(keys []request)) {
		runtime.GC()
		before := cpu()
		measured(rest[i*size.calls : (i+1)*size.calls])
		rows[i].Values[name] = append(rows[i].Values[name], float64(cpu()-before)/float64(size.calls))
	}
	for range size.rounds {
		for _, name := range queueNames {
			q := makeQueue[name](metrics)
			for _, k := range fill {
				q.Add(k)
			}
			q.Len() // until controller-runtime has taken them all
			for i, r := range rows {
				note(i, name, func(keys []request) { addGetDone(q, keys, r.Goroutines) })
			}
			q.ShutDown()
		}
		if metrics == "" {
			note(0, bareName, newBareQueue(fill).addGet)
		}
	}
	return rows
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

// costOfDrain is that of an AddAfter of every key, of the wait and of the drain.
func costOfDrain(name string, keys []request, within time.Duration) float64 {
	draws := rand.New(rand.NewPCG(1, 1))
	delays := make([]time.Duration, len(keys))
	for i := range delays {
		delays[i] = time.Duration(draws.Int64N(int64(within)))
	}
	q := makeQueue[name]("")
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
}

// costOfDecide has all keys be handed out and told to wait, for a poll in 5 minutes or a
// deadline within 10, as a reconcile does, and the same without Decide.
func costOfDecide(depth int, size costSizes) map[string][]float64 {
	keys := requests(depth)
	draws := rand.New(rand.NewPCG(1, 1))
	decisions := make([]requeue.Decision, depth)
	now := time.Now()
	for i := range decisions {
		ahead := time.Minute + time.Duration(draws.Int64N(int64(9*time.Minute)))
		decisions[i] = requeue.From(now).Every(5 * time.Minute).Deadline(now.Add(ahead)).Decide()
	}
	times := max(size.calls/depth, 1)
	return rounds(size.rounds, []string{withName, withoutName}, func(name string) float64 {
		var took time.Duration
		for range times {
			q := makeQueue[oursName]("").(deadlinequeue.Queue[request])
			for _, k := range keys {
				q.Add(k)
			}
			before := cpu()
			for _, d := range decisions {
				k, _ := q.Get()
				if name == withName {
					q.Decide(k, d)
				}
				q.AddAfter(k, d.After)
				q.Done(k)
			}
			took += cpu() - before
			q.ShutDown()
		}
		return float64(took) / float64(times*depth)
	})
}

func costOfReAdd(name string, keys []request) float64 {
	const times = 200
	q := makeQueue[name]("")
	defer q.ShutDown()
	before := cpu()
	for range times {
		for _, k := range keys {
			q.Add(k)
		}
	}
	for range keys { // controller-runtime adds in the background
		k, _ := q.Get()
		q.Done(k)
	}
	return float64(cpu()-before) / float64(times*len(keys))
}

const (
	latePeriod = 2 * time.Millisecond
	crowdApart = 100 * time.Microsecond // 10,000 a second
	crowdFirst = 50 * time.Millisecond
)

// queueLateness is how long after its time the first key is handed out, while the
// others fall due.
func queueLateness(name string, keys []request, samples int) float64 {
	q := makeQueue[name]("")
	defer q.ShutDown()
	probe, crowd := keys[0], keys[1:]
	begin := time.Now()
	for i, k := range crowd {
		q.AddAfter(k, time.Until(begin.Add(time.Duration(i)*crowdApart))+crowdFirst)
	}
	var late []float64
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
			late = append(late, float64(got.Sub(due).Microseconds()))
			again()
		}
	}
	return median(late)
}

func timerLateness(crowd, samples int) float64 {
	begin := time.Now()
	woken := make(chan struct{})
	timers := make([]*time.Timer, crowd)
	other := make(chan struct{}, crowd)
	for i := range timers {
		timers[i] = time.AfterFunc(time.Until(begin.Add(time.Duration(i)*crowdApart))+crowdFirst,
			func() { other <- struct{}{} })
	}
	var late []float64
	for len(late) < samples {
		due := time.Now().Add(latePeriod)
		time.AfterFunc(latePeriod, func() { woken <- struct{}{} })
		<-woken
		late = append(late, float64(time.Since(due).Microseconds()))
	}
	for _, t := range timers {
		t.Stop()
	}
	return median(late)
}

func heapOfWaiting(name string, keys []request, add func(q typedQueue, key request, wait time.Duration)) float64 {
	before := heapInUse()
	q := makeQueue[name]("")
	for i, k := range keys {
		add(q, k, time.Hour+time.Duration(i))
	}
	q.Len() // until controller-runtime has taken them all; client-go has all but 1,000
	after := heapInUse()
	q.ShutDown()
	return float64(after-before) / float64(len(keys))
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// pauses are the longest that a single call takes, by the wall clock and without
// garbage collections: how long everybody else may have to wait for a lock. A call
// that is scheduled away takes that long, too, so the figures are no less than what
// the machine does to every call.
func pauses(m *measuring, size costSizes) (rows []costRow) {
	all := requests(size.pauseDepth + size.pauseCalls)
	keys, more := all[:size.pauseDepth], all[size.pauseDepth:]
	add := func(name string, one func(name string) float64) {
		m.say("longest pause: %s", name)
		rows = append(rows, costRow{Name: name, Values: rounds(size.rounds, queueNames, one)})
	}
	shutDown := func(add func(q typedQueue, key request)) func(name string) float64 {
		return func(name string) float64 {
			q := makeQueue[name]("")
			fillUp(q, keys, add)
			defer withoutGC()()
			var p pause
			p.of(q.ShutDown)
			return p.ms()
		}
	}
	add("ShutDown, all waiting", shutDown(func(q typedQueue, key request) { addDue(q, key, time.Now().Add(time.Hour)) }))
	add("ShutDown, all ready", shutDown(typedQueue.Add))
	var gets []float64
	add("all due at one instant: longest Add", func(name string) float64 {
		adds, get := pausesWhenDue(name, keys, more)
		gets = append(gets, get)
		return adds
	})
	last := costRow{Name: longestGet, Values: map[string][]float64{}}
	for i, get := range gets {
		name := queueNames[i%len(queueNames)]
		last.Values[name] = append(last.Values[name], get)
	}
	rows = append(rows, last)
	add("growth from empty: longest Add", func(name string) float64 {
		q := makeQueue[name]("")
		defer q.ShutDown()
		defer withoutGC()()
		var p pause
		for _, k := range keys {
			p.of(func() { q.Add(k) })
		}
		return p.ms()
	})
	return rows
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
		addWithDeadline(q, key, wait)
		return
	}
	q.AddAfter(key, wait) // requeue:ok a deadline that has passed is due now
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
func pausesWhenDue(name string, keys, others []request) (adds, gets float64) {
	lead := time.Duration(len(keys)) * 8 * time.Microsecond
	for {
		q := makeQueue[name]("")
		due := time.Now().Add(lead)
		fillUp(q, keys, func(q typedQueue, key request) { addDue(q, key, due) })
		undo := withoutGC()
		if time.Until(due) < 10*time.Millisecond { // on a slow machine they are not all in by then
			undo()
			q.ShutDown()
			lead = 2*lead + 100*time.Millisecond
			continue
		}
		a, g := whenDue(q, due, others)
		undo()
		q.ShutDown()
		return a.ms(), g.ms()
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

// ratios are the least and the greatest of ours to the peer's, in the medians of rows.
func ratios(rows []costRow, peer string) (least, most float64) {
	for i, r := range rows {
		times := median(r.Values[oursName]) / median(r.Values[peer])
		if i == 0 || times < least {
			least = times
		}
		most = max(most, times)
	}
	return least, most
}

// ratio is that of one name to another, in the medians of a row.
func ratio(r costRow, of, to string) string {
	return fmt.Sprintf("%.2f", median(r.Values[of])/median(r.Values[to]))
}

func (c queueCost) show() shown {
	s := shown{values: map[string]string{"rounds": fmt.Sprint(c.Rounds)}}
	cell := func(r costRow, name string) string {
		if v := r.Values[name]; v != nil {
			return digits(median(v))
		}
		return ""
	}
	var rows [][]string
	var panels []panel
	for _, goroutines := range []int{1, 8, 32} {
		p := panel{Title: fmt.Sprintf("%d that add, %d that get", goroutines, goroutines), Y: "CPU ns of Add, Get and Done", Unit: ""}
		for _, name := range queueNames {
			p.Bars = append(p.Bars, series{Name: name})
		}
		for _, r := range c.AddGetDone {
			if r.Goroutines != goroutines {
				continue
			}
			p.Rows = append(p.Rows, whole(r.Keys)+" keys")
			for i, name := range queueNames {
				p.Bars[i].Y = append(p.Bars[i].Y, median(r.Values[name]))
			}
		}
		panels = append(panels, p)
	}
	for _, r := range c.AddGetDone {
		rows = append(rows, []string{whole(r.Keys), fmt.Sprintf("%d/%d", r.Goroutines, r.Goroutines),
			cell(r, oursName), cell(r, clientGoName), cell(r, controllerRuntimeName), cell(r, bareName)})
	}
	s.values["table"] = table([]string{"keys", "goroutines", oursName, clientGoName, controllerRuntimeName, bareName}, rows...)
	rows = nil
	for _, r := range c.Metrics {
		rows = append(rows, []string{whole(r.Keys), fmt.Sprintf("%d/%d", r.Goroutines, r.Goroutines),
			cell(r, oursName), cell(r, clientGoName), cell(r, controllerRuntimeName), ratio(r, oursName, clientGoName)})
	}
	s.values["metrics"] = table([]string{"keys", "goroutines", oursName, clientGoName, controllerRuntimeName, "deadlinequeue / client-go"}, rows...)
	rows = nil
	for _, r := range c.Decide {
		rows = append(rows, []string{whole(r.Keys), cell(r, withName), cell(r, withoutName), ratio(r, withName, withoutName)})
	}
	s.values["decide"] = table([]string{"keys", withName, withoutName, "with / without"}, rows...)
	rows = nil
	for _, r := range c.Others {
		reference := ""
		if r.Values[timerName] != nil {
			reference = cell(r, timerName) + " (a " + timerName + ")"
		}
		rows = append(rows, []string{r.Name, cell(r, oursName), cell(r, clientGoName), cell(r, controllerRuntimeName), reference})
	}
	s.values["others"] = table([]string{"", oursName, clientGoName, controllerRuntimeName, "reference"}, rows...)
	rows = nil
	for _, r := range c.Pauses {
		rows = append(rows, []string{r.Name, cell(r, oursName), cell(r, clientGoName), cell(r, controllerRuntimeName)})
		if r.Name == longestGet {
			s.values["stall.queue"], s.values["stall.controllerruntime"] = cell(r, oursName), cell(r, controllerRuntimeName)
		}
	}
	s.values["pauses"] = table([]string{"", oursName, clientGoName, controllerRuntimeName}, rows...)
	for key, peer := range map[string]string{"clientgo": clientGoName, "controllerruntime": controllerRuntimeName} {
		least, most := ratios(c.AddGetDone, peer)
		s.values[key+".ratios"] = fmt.Sprintf("%.1f to %.1f", least, most)
		s.values[key+".inverse"] = fmt.Sprintf("%.1f to %.1f", 1/most, 1/least)
	}
	s.figures = []figure{{Name: "queuecost", Panels: panels}}
	return s
}
