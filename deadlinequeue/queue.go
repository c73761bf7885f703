package deadlinequeue

import (
	"fmt"
	"math"
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
	// list after a restart, a watch event), by the goroutine that adds and
	// outside the lock, so it may look into the queue, but adding to it would ask
	// again. It should answer from a cache, and the same for the same object: a
	// deadline that moves along with the clock passes again and again. nil:
	// deadlines come with the adds only.
	DeadlineOf func(T) (time.Time, bool)
	// OldestEvery makes one of every so many hand-outs that of the key which is
	// ready longest, whatever its priority, so that nothing starves. nil is 16;
	// 0 is never, strictly by deadline and priority.
	OldestEvery *int
	// Workers is how many goroutines call Get, as Load reports it. 0 detects it.
	Workers int
	// DrainOnShutDown hands out what is ready when ShutDown is called, as
	// client-go does, in place of dropping it, as controller-runtime does.
	DrainOnShutDown bool
	// MetricsProvider makes the seven metrics of work queues. nil adds to those
	// that controller-runtime has registered. There are none if the queue has
	// no name. It is called under the lock of the queue, so it must not call the
	// queue. requeue_deadline_lateness_seconds is always controller-runtime's.
	MetricsProvider workqueue.MetricsProvider
	// Clock is what the queue waits by. nil is the system clock.
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
	processing int            // entries between Get and Done
	running    list[T]        // those entries, by when they were handed out
	getters    int            // goroutines that wait in Get

	timer   clock.Timer
	timerAt int64 // when timer fires; never if none is set

	shuttingDown bool
	draining     bool // what is ready is still handed out
	shutDowns    int  // calls of ShutDown, each of which ends the ShutDownWithDrain before it

	load    load
	metrics *metrics[T] // nil if there are none
}

var (
	_ workqueue.TypedRateLimitingInterface[string] = (*Queue[string])(nil)
	_ priorityqueue.PriorityQueue[string]          = (*Queue[string])(nil)
)

// New makes a queue. The name is the label of its metrics; there are none if it
// is empty. New panics if an option is wrong, as client-go does: options are
// written in the program, and a controller without its queue cannot start.
func New[T comparable](name string, o Options[T]) *Queue[T] {
	share := ptr.Deref(o.OldestEvery, 16)
	switch {
	case share < 0:
		panic(fmt.Sprintf("deadlinequeue: OldestEvery is %d; want 0 (never) or more", share))
	case o.Workers < 0:
		panic(fmt.Sprintf("deadlinequeue: Workers is %d; want 0 (detect) or more", o.Workers))
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
		order:      newOrder[T](share),
		waiting: heap[entry[T]]{
			less: func(a, b *entry[T]) bool {
				x, y := a.wake(), b.wake()
				return x < y || x == y && a.before(b)
			},
			place: func(e *entry[T]) *int32 { return &e.place },
		},
		timerAt: never,
		load:    load{given: o.Workers > 0, workers: o.Workers},
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
// For other options or another type of request, give controller.Options a
// function that calls [New].
func NewQueue(controllerName string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return New(controllerName, Options[reconcile.Request]{RateLimiter: limiter})
}

// Add makes the item ready, unless it is already. If the item is being
// processed, it is ready once after its Done.
func (q *Queue[T]) Add(item T) {
	q.add(item, priorityqueue.AddOpts{}, false)
}

// AddAfter makes the item ready after the duration, or now if that is 0 or less.
// The clock is read before AddAfter returns. Of several waits the soonest
// counts, and an item that is ready stays so.
func (q *Queue[T]) AddAfter(item T, duration time.Duration) {
	q.add(item, priorityqueue.AddOpts{After: duration}, false)
}

// AddRateLimited makes the item ready when the rate limiter says so, or when its
// deadline passes, if that is sooner. It tells the queue that the item failed: a
// deadline that had passed when the item was handed out counts on.
func (q *Queue[T]) AddRateLimited(item T) {
	q.add(item, priorityqueue.AddOpts{RateLimited: true}, false)
}

// AddWithOpts adds items with a delay, a rate limit, and a priority or a deadline
// packed by [Priority]. With both After and RateLimited the sooner counts. A
// higher priority raises that of an item which waits or is ready, a sooner
// deadline takes the place of the one it has. An item that comes with a deadline
// keeps the priority that it was last handed out with.
func (q *Queue[T]) AddWithOpts(o priorityqueue.AddOpts, items ...T) {
	for _, item := range items {
		q.add(item, o, false)
	}
}

// add adds an item. keep is set if the item comes back with the priority that it
// was handed out with, of which a packed deadline says nothing.
func (q *Queue[T]) add(item T, o priorityqueue.AddOpts, keep bool) {
	priority := ptr.Deref(o.Priority, 0)
	deadline, ok := unpack(priority)
	// The limiter and DeadlineOf are the caller's code, hence not under the
	// lock, and not asked in vain.
	if (o.RateLimited || q.deadlineOf != nil) && q.ShuttingDown() {
		return
	}
	if ok {
		keep = true
	} else if q.deadlineOf != nil {
		deadline, ok = q.deadlineOf(item)
		ok = ok && !deadline.IsZero()
	}
	after := o.After
	if o.RateLimited {
		if limited := q.limiter.When(item); after <= 0 || limited < after {
			after = limited
		}
	}
	a := addition{keep: keep, priority: priority, soft: never, deadline: never, failed: o.RateLimited}
	if after > 0 {
		a.soft = min(saturatingAdd(q.now(), int64(after)), never-1)
	}
	if ok {
		a.deadline = max(min(q.timeOf(deadline), never-1), neverHanded+1)
		a.passed = a.deadline <= q.now()
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shuttingDown {
		return
	}
	if after > 0 {
		q.metrics.retried()
	}
	q.merge(item, a)
	if a.passed {
		q.wakeUp(q.now())
	}
	q.arm()
}

// addition is what an add says of a key; times as in entry.
type addition struct {
	keep     bool // priority is that of the last hand-out
	priority int
	soft     int64 // never: ready now
	deadline int64
	passed   bool // deadline is not ahead
	failed   bool // the key was rate limited
}

// merge brings an addition together with what is known of its key.
func (q *Queue[T]) merge(item T, a addition) {
	e := q.entries.findOrAdd(item)
	if a.keep {
		a.priority = e.priority
	}
	was, inOrder := e.state, e.state == ready && !e.processing
	if was == waiting {
		q.waiting.remove(e) // to be put where it then belongs
	}
	switch {
	case was == idle, was == waiting && e.soft == never:
		// Nothing was added since the hand-out; only a deadline may be left.
		e.priority, e.soft = a.priority, never
		q.order.number(e)
	case a.priority > e.priority && was == waiting:
		e.priority = a.priority
		q.order.number(e)
	case a.priority > e.priority && inOrder:
		q.order.raise(e, a.priority)
	default:
		e.priority = max(e.priority, a.priority)
	}

	urgency := e.urgency()
	e.failed = e.failed || a.failed
	switch {
	case e.handed == neverHanded && a.passed && a.soft != never:
		// Somebody has looked and says when to look again: no wake-up of its own.
		e.failed, e.seen = true, min(e.seen, a.deadline)
	case a.deadline != never && a.deadline > e.handed && a.keep && e.outlived:
		// What the reconciler says replaces what it was handed out with: it may
		// hold back that deadline by a floor, or have moved it.
		e.deadline, e.outlived = a.deadline, false
	case a.deadline > e.handed:
		e.deadline = min(e.deadline, a.deadline)
	case a.failed: // it was handed out since and did nothing about it
		e.seen = min(e.seen, a.deadline)
	}
	if inOrder && e.urgency() != urgency {
		q.order.hasten(e)
	}

	switch {
	case was == ready:
	case a.soft == never:
		q.makeReady(e)
	default:
		e.state, e.soft = waiting, min(e.soft, a.soft)
		q.waiting.push(e)
	}
}

// makeReady makes an entry ready that was not; it is in no heap.
func (q *Queue[T]) makeReady(e *entry[T]) {
	e.state = ready
	if q.metrics != nil { // nobody else asks since when
		e.soft = q.now()
	}
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
		now := q.now()
		q.wakeUp(now)
		if e := q.order.next(now); e != nil {
			priority = e.priority
			q.handOut(e, now)
			q.arm()
			return e.key, priority, false
		}
		if q.shuttingDown && q.readyCount == 0 {
			return item, 0, true
		}
		q.getters++
		q.load.working(q.getters + q.processing)
		q.cond.Wait()
		q.getters--
	}
}

// handOut turns a ready entry, just taken out of the order, into one that is
// being processed. Its wait is over; a deadline that is ahead is not.
func (q *Queue[T]) handOut(e *entry[T], now int64) {
	q.readyCount--
	q.processing++
	q.load.working(q.getters + q.processing)
	q.metrics.handedOut(e, now)
	e.state, e.processing, e.handed = idle, true, now
	q.running.push(e)
	e.soft = never
	if urgency := e.urgency(); urgency <= now {
		e.seen = urgency
	} else {
		e.seen = never
	}
	e.failed = false
	if e.deadline <= now {
		e.deadline = never
	}
	e.outlived = e.deadline != never
	if e.outlived && !q.shuttingDown {
		e.state = waiting
		q.waiting.push(e)
	}
}

// Done ends the processing of an item. If the item was added since it was handed
// out, it is ready now or waits. Done of an item that is not being processed
// does nothing.
func (q *Queue[T]) Done(item T) {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries.find(item)
	if e == nil || !e.processing {
		return
	}
	e.processing, e.outlived = false, false
	q.processing--
	q.running.remove(e)
	q.load.done(now - e.handed)
	q.metrics.done(now - e.handed)
	switch e.state {
	case ready:
		q.order.push(e)
		q.signal()
	case idle:
		q.entries.remove(e)
	case waiting:
	}
	if q.shuttingDown && q.processing == 0 {
		q.cond.Broadcast() // for ShutDownWithDrain
	}
}

// wakeUp makes ready what has waited long enough.
func (q *Queue[T]) wakeUp(now int64) {
	for e := q.waiting.min(); e != nil && e.wake() <= now; e = q.waiting.min() {
		q.waiting.remove(e)
		q.makeReady(e)
	}
}

// arm sets the timer for the entry that wakes first. An earlier time gets a new
// timer: moving one that is set costs more where there are many.
func (q *Queue[T]) arm() {
	e := q.waiting.min()
	if e == nil || e.wake() >= q.timerAt {
		return
	}
	if q.timer != nil {
		q.timer.Stop()
	}
	at := e.wake()
	q.timerAt = at
	// In a goroutine of its own: a fake clock calls it while holding a lock
	// that Now needs.
	q.timer = q.clock.AfterFunc(time.Duration(saturatingAdd(at, -q.now())), func() { go q.fire(at) })
}

// fire is called when the timer set for at fires.
func (q *Queue[T]) fire(at int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timerAt != at {
		return // another timer has taken its place, or the queue is shut down
	}
	q.timer, q.timerAt = nil, never
	q.wakeUp(q.now())
	q.arm()
}

// Len returns how many items are ready, those included that are to be handed out
// again once they are Done. Waiting items do not count.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeUp(q.now())
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
	if !q.shuttingDown {
		q.shutDown(true)
	}
	before := q.shutDowns
	for q.shutDowns == before && (q.readyCount > 0 || q.processing > 0) {
		q.cond.Wait()
	}
}

func (q *Queue[T]) shutDown(drain bool) {
	q.wakeUp(q.now())
	q.shuttingDown = true
	if q.timer != nil {
		q.timer.Stop()
		q.timer, q.timerAt = nil, never
	}
	q.metrics.stop()
	for e := q.waiting.min(); e != nil; e = q.waiting.min() {
		q.waiting.remove(e)
		q.drop(e)
	}
	q.draining = drain
	if !drain {
		for e := range q.entries.all {
			if e.state == ready {
				if !e.processing {
					q.order.remove(e)
				}
				q.readyCount--
				q.metrics.dropped()
				q.drop(e)
			}
		}
		q.order.ages = ages[T]{}
	}
	q.cond.Broadcast()
}

// drop makes a waiting or ready entry idle.
func (q *Queue[T]) drop(e *entry[T]) {
	e.state = idle
	if !e.processing {
		q.entries.remove(e)
	}
}

// now is the time since the epoch.
func (q *Queue[T]) now() int64 { return int64(q.clock.Since(q.epoch)) }

// timeOf is t as a time since the epoch. It is counted by way of now, which has a
// monotonic reading, as t, a deadline, has not.
func (q *Queue[T]) timeOf(t time.Time) int64 {
	now := q.clock.Now()
	left := int64(t.Sub(now))
	if left == math.MinInt64 || left == math.MaxInt64 { // saturated: as far as can be
		return left
	}
	return saturatingAdd(int64(now.Sub(q.epoch)), left)
}

func saturatingAdd(a, b int64) int64 {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}
