package deadlinequeue

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Options are the options of a queue. The zero value is right for most.
type Options[T comparable] struct {
	// RateLimiter decides the wait of AddRateLimited. nil is
	// workqueue.DefaultTypedControllerRateLimiter. It is called outside the
	// lock of the queue, so it may call the queue.
	RateLimiter workqueue.TypedRateLimiter[T]
	// DeadlineOf returns the deadline of a key, false or a zero time if it has
	// none. It is asked whenever a key is added without a deadline (the initial
	// list after a restart, a watch event), and at Done if the reconcile has
	// neither failed nor told one, by the goroutine that calls and outside the
	// lock; so it may look into the queue, but adding to it would ask again. It
	// should answer from a cache, and the same for the same object: a deadline
	// that moves along with the clock passes again and again. nil: deadlines come
	// with the adds only.
	DeadlineOf func(T) (time.Time, bool)
	// OldestEvery makes one of every so many hand-outs that of the key which is
	// ready longest, whatever its deadline and priority, so that nothing starves;
	// unless the turn is at its own priority anyway. 0 is the default, 16; negative
	// is never, strictly by deadline and priority.
	OldestEvery int
	// Workers is how many goroutines call Get, as Load reports it. 0 detects it.
	Workers int
	// DrainOnShutDown hands out what is ready when ShutDown is called, as
	// client-go does, in place of dropping it, as controller-runtime does.
	DrainOnShutDown bool
	// MetricsProvider makes the seven metrics of work queues. nil adds to those
	// that controller-runtime has registered. There are none if the queue has
	// no name. Its metrics are called under the lock of the queue, so they must
	// not call the queue. requeue_deadline_lateness_seconds is always
	// controller-runtime's.
	MetricsProvider workqueue.MetricsProvider
	// Clock is what the queue waits by. nil is the system clock. Waits are timed by
	// the monotonic reading of its Now and deadlines by the wall clock; of a clock
	// without monotonic readings, such as a fake one, both are the same, and a step
	// of it moves both.
	Clock clock.WithDelayedExecution
}

// Queue is a work queue that hands out keys whose deadline has passed before all
// others. See the package documentation for the model, and [Options]. Make one
// with [New]. Its methods may be called from any number of goroutines.
type Queue[T comparable] struct {
	limiter    workqueue.TypedRateLimiter[T]
	deadlineOf func(T) (time.Time, bool)
	drainIt    bool
	clock      clock.WithDelayedExecution
	epoch      time.Time // entries count their times from here

	mu   sync.Mutex // guards all below
	cond *sync.Cond // something became ready, or the queue shuts down or has drained

	entries    *table[T]      // every key that is waiting, ready or being processed
	order      order[T]       // the ready entries that are not being processed
	waiting    heap[entry[T]] // the waiting entries, by when they wake
	readyCount int            // ready entries, those that are being processed included
	running    []run[T]       // entries between Get and Done
	getters    int            // goroutines that wait in Get
	latest     int64          // the latest reading of the clock
	ahead      int64          // by how much the wall clock had moved ahead of the monotonic one since the epoch

	timer   clock.Timer
	timerAt int64 // when timer fires; never if none is set

	shuttingDown bool
	draining     bool // what is ready is still handed out
	shutDowns    int  // calls of ShutDown, each of which ends the ShutDownWithDrain before it

	load    load
	metrics *metrics[T] // nil if there are none
}

// run is an entry that is being processed, and when it was handed out. entry.rank is its
// place in Queue.running, from 1 on.
type run[T comparable] struct {
	e     *entry[T]
	began int64
}

var (
	_ workqueue.TypedRateLimitingInterface[string] = (*Queue[string])(nil)
	_ priorityqueue.PriorityQueue[string]          = (*Queue[string])(nil)
)

// New makes a queue. The name is the label of its metrics; there are none if it
// is empty. New panics if an option is wrong, as client-go does: options are
// written in the program, and a controller without its queue cannot start.
func New[T comparable](name string, o Options[T]) *Queue[T] {
	if o.Workers < 0 {
		panic(fmt.Sprintf("deadlinequeue: Workers is %d; want 0 (detect) or more", o.Workers))
	}
	if o.OldestEvery == 0 {
		o.OldestEvery = 16
	}
	if o.RateLimiter == nil {
		o.RateLimiter = workqueue.DefaultTypedControllerRateLimiter[T]()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	q := &Queue[T]{
		limiter:    o.RateLimiter,
		deadlineOf: o.DeadlineOf,
		drainIt:    o.DrainOnShutDown,
		clock:      o.Clock,
		epoch:      o.Clock.Now(),
		entries:    newTable[T](),
		order:      newOrder[T](o.OldestEvery),
		waiting:    heap[entry[T]]{less: earlier[T], place: func(e *entry[T]) *int32 { return &e.place }},
		timerAt:    never,
		load:       load{given: o.Workers > 0, workers: o.Workers},
	}
	q.cond = sync.NewCond(&q.mu)
	q.metrics = newMetrics(q, name, o.MetricsProvider)
	return q
}

// NewQueue makes a queue for a controller of controller-runtime. It is all that
// is needed there:
//
//	controller.Options{NewQueue: deadlinequeue.NewQueue}
//
// and reconcilers return [Result], or [Failed] with an error. For other options or
// another type of request, give controller.Options a function that calls [New].
func NewQueue(controllerName string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return New(controllerName, Options[reconcile.Request]{RateLimiter: limiter})
}

// Add makes the item ready, unless it is already. If the item is being
// processed, it is ready once after its Done.
func (q *Queue[T]) Add(item T) {
	q.add(item, addition{said: said{kind: silence}})
}

// AddAfter makes the item ready after the duration, or now if that is 0 or less.
// The clock is read before AddAfter returns. Of several waits the soonest
// counts, and an item that is ready stays so.
func (q *Queue[T]) AddAfter(item T, duration time.Duration) {
	q.add(item, addition{after: duration, said: said{kind: silence}})
}

// AddRateLimited makes the item ready when the rate limiter says so, or when its
// deadline passes, if that is sooner. Before Done it tells the queue that the
// reconcile has failed: the item keeps the deadline that it was handed out with.
func (q *Queue[T]) AddRateLimited(item T) {
	q.add(item, addition{limited: true, said: said{kind: silence}})
}

// AddWithOpts adds items with a delay, a rate limit, and a priority or a deadline
// packed by [Priority]. With both After and RateLimited the sooner counts. A
// higher priority raises that of an item which waits or is ready; a deadline takes
// the place of the one that it has. An item that comes with a deadline keeps the
// priority that it was last handed out with.
func (q *Queue[T]) AddWithOpts(o priorityqueue.AddOpts, items ...T) {
	a := addition{after: o.After, limited: o.RateLimited, priority: ptr.Deref(o.Priority, 0)}
	a.said = unpack(a.priority)
	a.keep = a.said.kind != silence
	for _, item := range items {
		q.add(item, a)
	}
}

// addition is what an add says of a key.
type addition struct {
	after    time.Duration // 0 or less: ready now
	limited  bool          // or when the rate limiter says so
	said     said
	priority int
	keep     bool // in place of priority, the one that the key was last handed out with
}

func (q *Queue[T]) add(item T, a addition) {
	// The limiter and DeadlineOf are the caller's code, hence not under the
	// lock, and not asked in vain.
	if (a.limited || q.deadlineOf != nil) && q.ShuttingDown() {
		return
	}
	if a.said.kind == silence && q.deadlineOf != nil {
		a.said = said{kind: others, deadline: q.askDeadline(item)}
	}
	if a.limited {
		if limited := q.limiter.When(item); a.after <= 0 || limited < a.after {
			a.after = limited
		}
		a.after = max(a.after, a.said.wait)
	}
	var t time.Time
	timed := a.after > 0 || a.said.kind != silence || q.metrics != nil
	if timed {
		t = q.clock.Now()
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shuttingDown {
		return
	}
	var now int64
	if timed {
		now = q.observe(t)
	}
	if a.after > 0 {
		q.metrics.retried()
	}
	q.merge(q.entries.findOrAdd(item), &a, t, now)
	if timed {
		q.arm(now)
	}
}

// askDeadline returns what DeadlineOf says, zero if that is none.
func (q *Queue[T]) askDeadline(item T) time.Time {
	if deadline, ok := q.deadlineOf(item); ok {
		return deadline
	}
	return time.Time{}
}

// merge brings an addition, made at t, together with what is known of its key.
func (q *Queue[T]) merge(e *entry[T], a *addition, t time.Time, now int64) {
	waits := a.after > 0
	if a.keep {
		a.priority = e.priority
	}
	raised := a.priority > e.priority
	if e.state == ready && !raised && a.said.kind == silence { // most often, and nothing new
		e.failed = e.failed || a.limited && e.processing
		return
	}
	if e.state == waiting {
		q.waiting.remove(e) // to be put where it then belongs
	}
	inOrder := e.state == ready && !e.processing
	if inOrder {
		q.order.unrank(e)
	}
	switch {
	case e.state == idle, e.state == waiting && e.soft == never:
		// Nothing was added since the hand-out; only a deadline may be left.
		e.priority, e.soft = a.priority, never
		q.order.number(e)
	case raised:
		e.priority = a.priority
		q.order.number(e)
	}
	if a.said.kind != silence {
		w := a.said.at(t, now)
		// A passed deadline and a wait, of a key that nothing is known of: the wait
		// holds, or a requeue after Done would be a hot loop.
		switch unknown := e.state == idle && !e.processing; {
		case unknown && waits && w.at <= now && w.kind == others:
			e.tell(word{others, min(saturatingAdd(now, int64(a.after)), never-1)})
		case unknown && waits && w.at <= now: // somebody has looked
			e.retry = true
		default:
			e.tell(w)
		}
	}
	e.failed = e.failed || a.limited && e.processing
	if inOrder {
		q.order.rank(e)
	}
	if e.state == ready {
		return
	}
	if !waits {
		q.makeReady(e, now)
		return
	}
	e.state, e.soft = waiting, min(e.soft, saturatingAdd(now, int64(a.after)), never-1)
	q.wait(e, now)
}

// wait puts a waiting entry where it belongs, which is among the ready if it has
// nothing to wait for. A wait that ends with the deadline, which is rounded up to a
// microsecond, ends then: the key is handed out once.
func (q *Queue[T]) wait(e *entry[T], now int64) {
	if !e.processing && e.deadline != never && e.soft < e.deadline && e.deadline-e.soft < int64(time.Microsecond) {
		e.soft = e.deadline
	}
	if e.wake() > now {
		q.waiting.push(e)
		return
	}
	q.order.number(e)
	q.makeReady(e, now)
}

// makeReady makes an entry ready that was not; it is in no heap.
func (q *Queue[T]) makeReady(e *entry[T], now int64) {
	e.state, e.soft = ready, now
	q.readyCount++
	q.metrics.added()
	if !e.processing {
		q.order.push(e)
		q.signal()
	}
}

func (q *Queue[T]) signal() {
	switch {
	case q.shuttingDown: // not only one in Get waits: others see that there is no more, or drain
		q.cond.Broadcast()
	case q.getters > 0:
		q.cond.Signal()
	}
}

// Get waits until an item is ready and returns it. The caller must call Done
// when it has processed the item; until then the item is handed to nobody else.
// After a shutdown it returns shutdown = true, once everything that was ready is
// handed out if the queue drains.
func (q *Queue[T]) Get() (item T, shutdown bool) {
	item, _, shutdown = q.GetWithPriority()
	return item, shutdown
}

// GetWithPriority is Get and returns the item's priority, too. That is never a
// packed deadline.
func (q *Queue[T]) GetWithPriority() (item T, priority int, shutdown bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.shuttingDown && !q.draining {
			return item, 0, true
		}
		now := q.observe(q.clock.Now())
		q.wakeUp(now)
		if e := q.order.next(now); e != nil {
			q.handOut(e, now)
			q.arm(now)
			return e.key, e.priority, false
		}
		if q.shuttingDown && q.readyCount == 0 {
			return item, 0, true
		}
		q.getters++
		q.load.working(q.getters + len(q.running))
		q.cond.Wait()
		q.getters--
	}
}

// handOut turns a ready entry, just taken out of the order, into one that is
// being processed.
func (q *Queue[T]) handOut(e *entry[T], now int64) {
	q.readyCount--
	q.running = append(q.running, run[T]{e, now})
	q.load.working(q.getters + len(q.running))
	q.metrics.handedOut(e, now)
	e.state, e.processing, e.handed, e.soft = idle, true, now, never
	e.rank = int32(len(q.running))
	e.spend(now)
}

// stop takes an entry out of those that are being processed, and returns when it was
// handed out.
func (q *Queue[T]) stop(e *entry[T]) (began int64) {
	began = q.running[e.rank-1].began
	last := len(q.running) - 1
	q.running[e.rank-1] = q.running[last]
	q.running[e.rank-1].e.rank = e.rank
	q.running[last] = run[T]{}
	q.running = q.running[:last]
	e.rank = 0
	return began
}

// Done ends the processing of an item. If the item was added since it was handed
// out, it is ready now or waits; if a deadline is known of it, it waits for that.
// Done of an item that is not being processed does nothing.
func (q *Queue[T]) Done(item T) {
	var deadline time.Time
	began, silent := q.silent(item)
	if silent {
		deadline = q.askDeadline(item)
	}
	t := q.clock.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	e, hash := q.entries.find(item)
	if e == nil || !e.processing || silent && q.running[e.rank-1].began != began { // done by somebody else meanwhile
		return
	}
	now := q.observe(t)
	took := max(now-q.stop(e), 0)
	q.load.done(took)
	q.metrics.done(took)
	if e.state == waiting {
		q.waiting.remove(e) // its deadline counts from now on
	}
	e.settle(timeOf(deadline, t, now))
	switch {
	case e.state == ready:
		q.order.number(e)
		q.order.push(e)
		q.signal()
	case e.wake() != never && !q.shuttingDown:
		e.state = waiting
		q.wait(e, now)
		q.arm(now)
	default:
		q.entries.remove(hash, e)
	}
	if q.shuttingDown && len(q.running) == 0 {
		q.cond.Broadcast() // for ShutDownWithDrain
	}
}

// silent reports whether DeadlineOf is to be asked in place of a reconcile that has
// said nothing, and when the item was handed out for that.
func (q *Queue[T]) silent(item T) (began int64, silent bool) {
	if q.deadlineOf == nil {
		return 0, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	e, _ := q.entries.find(item)
	if e == nil || !e.processing || !e.silent() || q.shuttingDown {
		return 0, false
	}
	return q.running[e.rank-1].began, true
}

// wakeUpBatch is how many entries are made ready while the lock is held. Where
// more are due at one instant, others get in between.
const wakeUpBatch = 500

// wakeUp makes ready what has waited long enough, and reports whether there is more
// of it.
func (q *Queue[T]) wakeUp(now int64) (more bool) {
	for range wakeUpBatch {
		e := q.waiting.min()
		if e == nil || e.wake() > now {
			return false
		}
		q.waiting.remove(e)
		q.order.number(e)
		q.makeReady(e, now)
	}
	e := q.waiting.min()
	return e != nil && e.wake() <= now
}

// wakeUpAll makes ready all that has waited long enough, and returns the time. It
// gives up the lock between batches.
func (q *Queue[T]) wakeUpAll() (now int64) {
	for {
		now = q.observe(q.clock.Now())
		if !q.wakeUp(now) {
			return now
		}
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
	}
}

// Len returns how many items are ready, those included that are to be handed out
// again once they are Done. Waiting items do not count.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeUpAll()
	return q.readyCount
}

// Forget makes the rate limiter forget the item's failures. It does not cancel a
// wait and does not take the place of Done.
func (q *Queue[T]) Forget(item T) { q.limiter.Forget(item) }

// NumRequeues returns how often the item was rate limited since it was last
// forgotten.
func (q *Queue[T]) NumRequeues(item T) int { return q.limiter.NumRequeues(item) }

// ShuttingDown reports whether the queue is shutting down or has shut down.
func (q *Queue[T]) ShuttingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shuttingDown
}

// ShutDown makes the queue ignore all further adds, drops what waits and, unless
// Options.DrainOnShutDown is set, what is ready, and makes Get return. It also
// ends a ShutDownWithDrain that has not returned.
func (q *Queue[T]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shutDowns++
	q.shutDown(q.drainIt)
}

// ShutDownWithDrain makes the queue ignore all further adds, drops what waits,
// and returns when all that is ready has been handed out and all that was handed
// out is Done; so somebody must go on calling Get. ShutDown ends it early. After
// a ShutDown it waits for what that has left.
func (q *Queue[T]) ShutDownWithDrain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.shutDowns
	if !q.shuttingDown {
		q.shutDown(true)
	}
	for q.shutDowns == before && (q.readyCount > 0 || len(q.running) > 0) {
		q.cond.Wait()
	}
}

func (q *Queue[T]) shutDown(drain bool) {
	if drain {
		q.wakeUpAll()
	}
	q.draining = drain && (q.draining || !q.shuttingDown) // what was dropped is not to come
	q.shuttingDown = true
	if q.timer != nil {
		q.timer.Stop()
		q.timer, q.timerAt = nil, never
	}
	q.metrics.stop()
	q.drop(q.draining)
	q.cond.Broadcast()
}

// drop drops what waits, and what is ready, too, unless that is kept. It takes as
// long as there are entries that stay, or waiting ones that go, whichever is less.
func (q *Queue[T]) drop(keepReady bool) {
	dropped := q.waiting.items
	q.waiting.items = nil
	for _, r := range q.running {
		if r.e.state == waiting || !keepReady {
			r.e.state, r.e.place = idle, 0
		}
	}
	if keepReady && len(dropped) < q.readyCount {
		for _, e := range dropped {
			if !e.processing {
				q.entries.remove(q.entries.hash(e.key), e)
			}
		}
		return
	}
	if !keepReady {
		q.metrics.dropped(q.readyCount)
		q.readyCount = 0
		q.order = newOrder[T](q.order.share)
	}
	q.entries.removeAllBut(func(yield func(*entry[T]) bool) {
		for _, r := range q.running {
			yield(r.e)
		}
		for e := q.order.ages.head; e != nil; e = e.age.next {
			yield(e)
		}
	})
}
