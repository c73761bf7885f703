package deadlinequeue

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
)

// Options are the options of a queue. The zero value is right for most.
type Options[T comparable] struct {
	// RateLimiter decides the wait of AddRateLimited. nil means the rate limiter of the
	// controller, or workqueue.DefaultTypedControllerRateLimiter without a controller. The
	// queue calls it without holding its lock, so RateLimiter may call the queue.
	RateLimiter workqueue.TypedRateLimiter[T]
	// Deadline returns the deadline of a key. It returns false or a zero time if the key has
	// none, for example if the object is finished. Set Deadline if events change deadlines,
	// or if the queue must know deadlines after a restart. The queue calls it at every add,
	// except for the requeue of a reconcile that told a plan. It also calls it at Done, if
	// the reconcile told no plan and did not fail. The call runs in the caller of the queue,
	// without the queue's lock. Deadline must not add to the queue. It should read from a
	// cache, and return the same deadline for the same object: a deadline that moves along
	// with the clock passes again and again.
	Deadline func(T) (time.Time, bool)
	// OldestEvery n gives every nth hand-out to the key that has been ready longest.
	// 0 means 16, negative never.
	OldestEvery int
	// Clock is the clock of the queue. nil means the system clock. The queue times waits by
	// the monotonic reading of Now, and deadlines by the wall clock. If the clock has no
	// monotonic readings, as a fake clock, a step of it moves both.
	Clock clock.WithDelayedExecution
}

// Queue is a work queue that hands out keys whose deadline has passed before all other keys.
// Make one with [New], or with [Controller.NewQueue]. Any number of goroutines may call its
// methods. The methods of the embedded interface do what the interface says, and this:
//
//   - Add makes an item ready. If the item is being processed, it becomes ready once, at its
//     Done.
//   - AddAfter makes an item ready after the duration, or now if the duration is 0 or less. It
//     reads the clock before it returns. Of several waits the soonest counts. A ready item stays
//     ready.
//   - AddRateLimited makes an item ready when the rate limiter says so, or when the item's
//     deadline passes if that is sooner, but never before the floor of the item's plan. Before
//     Done, it tells the queue that the reconcile has failed.
//   - AddWithOpts takes the sooner of After and RateLimited. A higher priority raises the
//     priority of an item that waits or is ready.
//   - Get waits until an item is ready. The caller must call Done when it has processed the item.
//     Until then, Get returns the item to no other caller. Done of an item that is not being
//     processed does nothing.
//   - Forget makes the rate limiter forget the item's failures. It cancels no wait, and does not
//     replace Done.
//   - Len counts the ready items, including items that become ready at their Done. Waiting items
//     do not count.
//   - ShutDown makes the queue ignore all further adds, drops all waiting and ready items, and
//     makes Get return. ShutDownWithDrain drops only the waiting items. It returns when all ready
//     items have been handed out and are Done, so the workers must go on calling Get. ShutDown
//     ends a drain early.
type Queue[T comparable] interface {
	priorityqueue.PriorityQueue[T]

	// Decide tells the queue the decision of a reconcile's plan. Deadline, Overdue and
	// NotBefore count; add the wait After as usual. Of several decisions the last counts. Call
	// Decide before the adds that end the reconcile, and before Done. Decide reports whether
	// the item is being processed. If the item is not, Decide does nothing.
	//
	// A [Controller] calls Decide for the plan that a reconciler told by [Tell].
	Decide(item T, d requeue.Decision) bool

	// Load returns the load of the queue. Objects is the number of keys in the queue: waiting
	// (even if only for a deadline), ready or being processed. Workers is the greatest number
	// of callers that have been in Get or between Get and Done at one time. Service is the mean
	// time from Get to Done of the last reconciles. A field that is not known yet is 0, and
	// Stretch then answers poll. For example, this poll slows down before it takes more than
	// 80 % of the workers' time:
	//
	//	requeue.From(now).Every(q.Load().Stretch(poll, 0.8))
	Load() requeue.Load
}

// queue is the Queue.
type queue[T comparable] struct {
	limiter   workqueue.TypedRateLimiter[T]
	deadline  func(T) (time.Time, bool)
	clock     clock.WithDelayedExecution
	epoch     time.Time // entries count their times from here
	wallEpoch time.Time // the same, without a monotonic reading

	mu   sync.Mutex // guards all below
	cond *sync.Cond // something became ready, or the queue shuts down or has drained

	entries    *table[T]      // every key that is waiting, ready or being processed
	order      order[T]       // the ready entries that are not being processed
	waits      heap[entry[T]] // the waiting entries, by the ends of their waits
	ahead      heap[entry[T]] // all entries with a deadline ahead, by that
	running    []run[T]       // the hand-outs that are not Done; entry.place counts them from 1 on
	readyCount int            // ready entries, those that are being processed included
	getters    int            // goroutines that wait in Get
	latest     instant        // the latest reading of the clock

	timer   clock.Timer // nil if none is set
	timerAt int64       // when it fires, by the monotonic clock

	shuttingDown bool
	draining     bool // what is ready is still handed out
	shutDowns    int  // calls of ShutDown, each of which ends the ShutDownWithDrain before it

	load    load
	metrics *metrics[T] // nil if there are none
}

// New makes a queue. The name is the label of its metrics. The queue has the metrics of
// controller-runtime's queue and some of its own, in controller-runtime's registry. If the name
// is empty, it has no metrics.
func New[T comparable](name string, o Options[T]) Queue[T] { return newQueue(name, o) }

func newQueue[T comparable](name string, o Options[T]) *queue[T] {
	if o.OldestEvery == 0 {
		o.OldestEvery = 16
	}
	if o.RateLimiter == nil {
		o.RateLimiter = workqueue.DefaultTypedControllerRateLimiter[T]()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	epoch := o.Clock.Now()
	q := &queue[T]{
		limiter:   o.RateLimiter,
		deadline:  o.Deadline,
		clock:     o.Clock,
		epoch:     epoch,
		wallEpoch: epoch.Round(0),
		entries:   newTable[T](),
		order:     newOrder[T](o.OldestEvery),
		waits: heap[entry[T]]{
			less:  func(a, b *entry[T]) bool { return a.soft < b.soft || a.soft == b.soft && a.seq < b.seq },
			place: func(e *entry[T]) *int32 { return &e.place },
		},
		ahead: heap[entry[T]]{less: earlier[T], place: func(e *entry[T]) *int32 { return &e.ahead }},
	}
	q.cond = sync.NewCond(&q.mu)
	q.metrics = newMetrics(q, name)
	return q
}

// Add implements Queue.
func (q *queue[T]) Add(item T) { q.add(item, priorityqueue.AddOpts{}) }

// AddAfter implements Queue.
func (q *queue[T]) AddAfter(item T, duration time.Duration) {
	q.add(item, priorityqueue.AddOpts{After: duration})
}

// AddRateLimited implements Queue.
func (q *queue[T]) AddRateLimited(item T) { q.add(item, priorityqueue.AddOpts{RateLimited: true}) }

// AddWithOpts implements Queue.
func (q *queue[T]) AddWithOpts(o priorityqueue.AddOpts, items ...T) {
	for _, item := range items {
		q.add(item, o)
	}
}

func (q *queue[T]) add(item T, o priorityqueue.AddOpts) {
	a := addition{waits: o.After > 0 || o.RateLimited, wait: never, limit: never, priority: ptr.Deref(o.Priority, 0), answer: never}
	if o.After > 0 {
		a.wait = int64(o.After)
	}
	if !q.askCallers(item, o.RateLimited, &a) {
		return
	}
	timed := a.waits || a.asked || q.metrics != nil
	var t time.Time
	if timed {
		t = q.clock.Now()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shuttingDown {
		return
	}
	now := q.latest
	if timed {
		now = q.observe(t)
	}
	if a.waits && min(a.wait, a.limit) > 0 {
		q.metrics.retried()
	}
	q.merge(item, &a, now)
	if timed {
		q.arm(now)
	}
}

// askCallers asks the rate limiter and Options.Deadline about an add, where that is of
// use. They are the caller's code, hence not under the lock. It reports whether the queue
// takes the add.
func (q *queue[T]) askCallers(item T, limited bool, a *addition) bool {
	if !limited && q.deadline == nil {
		return true
	}
	open, ask := q.asks(item, a.waits)
	if !open {
		return false
	}
	if ask {
		a.asked, a.answer = true, q.ask(item)
	}
	if limited {
		a.limit = min(int64(max(q.limiter.When(item), 0)), never-1)
	}
	return true
}

// merge brings an addition together with what is known of its key.
func (q *queue[T]) merge(item T, a *addition, now instant) {
	e, known := q.entries.findOrAdd(item)
	if e.processing {
		q.running[e.place-1].add(a)
	}
	if e.state == ready && e.added && a.priority <= e.priority && (e.processing || !e.hears(a)) {
		return // most often, and nothing new
	}
	a.seq = q.order.number()
	q.change(e, now, func(e *entry[T]) {
		if !known {
			e.begin(a, now)
		}
		e.add(a, now)
	})
}

// asks reports whether the queue takes an add, and whether Options.Deadline is to be asked
// for it: at each but the requeue of a reconcile that has told its plan.
func (q *queue[T]) asks(item T, waits bool) (open, ask bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shuttingDown || q.deadline == nil {
		return !q.shuttingDown, false
	}
	r := q.runOf(item)
	return true, r == nil || !r.told || !waits
}

// ask returns the answer of Options.Deadline.
func (q *queue[T]) ask(item T) int64 {
	if deadline, ok := q.deadline(item); ok {
		return q.deadlineOf(deadline)
	}
	return never
}

// runOf returns the hand-out of an item that is being processed, nil if it is not.
func (q *queue[T]) runOf(item T) *run[T] {
	if e, _ := q.entries.find(item); e != nil && e.processing {
		return &q.running[e.place-1]
	}
	return nil
}

func (q *queue[T]) signal() {
	switch {
	case q.shuttingDown: // not only one in Get waits: others see that there is no more, or drain
		q.cond.Broadcast()
	case q.getters > 0:
		q.cond.Signal()
	}
}

// Get implements Queue.
func (q *queue[T]) Get() (item T, shutdown bool) {
	item, _, shutdown = q.GetWithPriority()
	return item, shutdown
}

// GetWithPriority implements Queue.
func (q *queue[T]) GetWithPriority() (item T, priority int, shutdown bool) {
	item, priority, passed, shutdown := q.get()
	if passed {
		// To act on a deadline is another thing than what has failed before: a conflict
		// there must not wait as long as an hour of failures has earned.
		q.limiter.Forget(item)
	}
	return item, priority, shutdown
}

// get is GetWithPriority, and reports whether the item is handed out for a passed deadline.
func (q *queue[T]) get() (item T, priority int, passed, shutdown bool) {
	t := q.clock.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.shuttingDown && !q.draining {
			return item, 0, false, true
		}
		now := q.observe(t)
		q.wakeUp(now)
		if e := q.order.next(); e != nil {
			passed := e.passed(now)
			q.handOut(e, now)
			q.arm(now)
			return e.key, e.priority, passed, false
		}
		if q.shuttingDown && q.readyCount == 0 {
			return item, 0, false, true
		}
		q.getters++
		q.load.working(q.getters + len(q.running))
		q.cond.Wait()
		q.getters--
		t = q.clock.Now()
	}
}

// handOut turns a ready entry into one that is being processed.
func (q *queue[T]) handOut(e *entry[T], now instant) {
	q.metrics.handedOut(e, now)
	var r run[T]
	q.change(e, now, func(e *entry[T]) { r = e.handOut(now, q.order.number()) })
	q.running = append(q.running, r)
	e.place = int32(len(q.running))
	q.load.working(q.getters + len(q.running))
}

// stop takes an entry out of those that are being processed, and returns its hand-out.
func (q *queue[T]) stop(e *entry[T]) run[T] {
	at, last := e.place-1, len(q.running)-1
	r := q.running[at]
	q.running[at] = q.running[last]
	q.running[at].e.place = at + 1
	q.running[last] = run[T]{}
	q.running = q.running[:last]
	e.place = 0
	return r
}

// Decide implements Queue.
func (q *queue[T]) Decide(item T, d requeue.Decision) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.runOf(item)
	if r != nil {
		q.decide(r, d)
	}
	return r != nil
}

// decideFor is Decide for one hand-out of an item, which may be over.
func (q *queue[T]) decideFor(item T, handOut uint64, d requeue.Decision) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.runOf(item); r != nil && r.seq == handOut {
		q.decide(r, d)
	}
}

func (q *queue[T]) decide(r *run[T], d requeue.Decision) {
	ahead, overdue, floor := q.deadlineOf(d.Deadline), q.deadlineOf(d.Overdue), q.floorOf(d.NotBefore)
	if ahead <= r.began.wall {
		// By the queue's clock it had passed before the hand-out, and by that of the plan it
		// is ahead. Then it is as far away as the plan says, or each Done would end in
		// another look until the clocks agree.
		now := q.observe(q.clock.Now())
		ahead = saturatingAdd(now.wall, int64(max(d.Left(), requeue.Immediate)))
	}
	q.change(r.e, q.latest, func(*entry[T]) { r.decide(ahead, overdue, floor) })
}

// Done implements Queue.
func (q *queue[T]) Done(item T) {
	answer := int64(never)
	asked := q.asksAtDone(item)
	if asked != 0 {
		answer = q.ask(item)
	}
	t := q.clock.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	e, hash := q.entries.find(item)
	if e == nil || !e.processing || asked != 0 && q.running[e.place-1].seq != asked { // done by somebody else meanwhile
		return
	}
	now, r := q.observe(t), q.stop(e)
	took := max(now.mono-r.began.mono, 0)
	q.load.done(took)
	q.metrics.done(took)
	q.order.ended(&r)
	q.change(e, now, func(e *entry[T]) {
		r.done(answer, q.order.number())
		if q.shuttingDown && e.state == waiting {
			e.state, e.deadline = idle, never
		}
	})
	if e.state == idle {
		q.entries.remove(hash, e)
	} else {
		q.arm(now)
	}
	if q.shuttingDown && len(q.running) == 0 {
		q.cond.Broadcast() // for ShutDownWithDrain
	}
}

// asksAtDone returns the number of the hand-out for whose end Options.Deadline is to be
// asked, 0 if it is not.
func (q *queue[T]) asksAtDone(item T) uint64 {
	if q.deadline == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.runOf(item); r != nil && !r.told && !r.failed && !q.shuttingDown {
		return r.seq
	}
	return 0
}

// Len implements Queue.
func (q *queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeUpAll()
	return q.readyCount
}

// Forget implements Queue.
func (q *queue[T]) Forget(item T) { q.limiter.Forget(item) }

// NumRequeues implements Queue.
func (q *queue[T]) NumRequeues(item T) int { return q.limiter.NumRequeues(item) }
