package queuesim

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// Policy is a queue and what the reconciler does with it: one column of a
// comparison.
type Policy struct {
	// Name is what the table calls it.
	Name string

	fixed bool // the reconciler knows nothing of deadlines
	open  func(Scenario, deadlineOf) queue
}

type deadlineOf = func(reconcile.Request) (time.Time, bool)

// queue is one of the real queues, with what differs in their use.
type queue struct {
	workqueue.TypedInterface[reconcile.Request]
	get func() (key reconcile.Request, priority int, shutdown bool) // priority is 0 where there is none
	// list is what an informer does with all objects.
	list func([]reconcile.Request)
	// event is what a handler does with an object that now has the deadline.
	event func(key reconcile.Request, deadline time.Time)
	// requeue is what the reconciler and the controller do after the reconcile of
	// an object that has the deadline, zero if it has none. It has not finished.
	requeue func(key reconcile.Request, handed int, d requeue.Decision, deadline time.Time)
	// fail is requeue after a reconcile that failed.
	fail func(key reconcile.Request, handed int, d requeue.Decision)
	// finish is requeue after the last reconcile of an object.
	finish func(key reconcile.Request)
	// poll is the interval that the reconciler asks for, given the one wanted.
	poll func(time.Duration) time.Duration
	// keepsWaits says that a wait goes on when its key is added or handed out.
	keepsWaits bool
}

// FixedInterval is client-go's queue and a reconciler that answers with the poll
// interval, whatever the deadline.
func FixedInterval() Policy {
	return Policy{Name: "client-go, fixed interval", fixed: true, open: clientGo}
}

// ExactRequeue is client-go's queue and a reconciler that waits for the sooner of
// poll and deadline.
func ExactRequeue() Policy {
	return Policy{Name: "client-go, exact", open: clientGo}
}

// PriorityQueue is the priority queue of controller-runtime and a reconciler that
// waits for the sooner of poll and deadline, at priority 0.
func PriorityQueue() Policy {
	return Policy{Name: "controller-runtime, exact", open: controllerRuntime(always(ptr.To(0)))}
}

// KeptPriority is [PriorityQueue] with a reconciler that names no priority: the
// object keeps the one that it was handed out with.
func KeptPriority() Policy {
	return Policy{Name: "controller-runtime, kept", open: controllerRuntime(always(nil))}
}

// raised is the priority of those who raise that of deadlines.
const raised = 100

// RaisedPriority is [PriorityQueue] with a reconciler that asks for priority 100
// where it waits for a deadline, and for 0 where it waits for a poll: had it named
// none then, an object would keep the 100 for ever.
func RaisedPriority() Policy {
	return Policy{Name: "controller-runtime, raised", open: controllerRuntime(func(d requeue.Decision) *int {
		if d.Cause == requeue.CauseDeadline || d.Cause == requeue.CauseOverdue {
			return ptr.To(raised)
		}
		return ptr.To(0)
	})}
}

// OutsideTimer is the priority queue of controller-runtime, a reconciler that
// waits for the poll, at priority 0, and beside them a timer for each object, that
// adds it with priority 100 at its deadline. The timer is set by the reconciler,
// by the handler of events, and where the deadlines are known by that of a list.
func OutsideTimer() Policy {
	return outsideTimer("controller-runtime, timer", ptr.To(0), ptr.To(0))
}

// LowTimer is [OutsideTimer] with polls and errors at the priority of a list.
func LowTimer() Policy {
	return outsideTimer("controller-runtime, timer, low", ptr.To(handler.LowPriority), ptr.To(handler.LowPriority))
}

// KeptTimer is [OutsideTimer] with a reconciler that names no priority with an error, so
// that the object keeps the one that it was handed out with.
func KeptTimer() Policy {
	return outsideTimer("controller-runtime, timer, kept", ptr.To(0), nil)
}

func outsideTimer(name string, poll, withError *int) Policy {
	return Policy{Name: name, fixed: true, open: func(s Scenario, of deadlineOf) queue {
		q, pq := priorityQueue(s, always(poll))
		q.fail = func(key reconcile.Request, handed int, _ requeue.Decision) {
			failed(pq, key, handed, reconcile.Result{Priority: withError})
		}
		ts := timers{set: map[reconcile.Request]timer{}, fire: func(key reconcile.Request) {
			pq.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(raised)}, key)
		}}
		list, event, again := q.list, q.event, q.requeue
		q.list = func(keys []reconcile.Request) {
			for _, key := range keys {
				if deadline, ok := of(key); ok && s.Known {
					ts.reset(key, deadline)
				}
			}
			list(keys)
		}
		q.event = func(key reconcile.Request, deadline time.Time) {
			ts.reset(key, deadline)
			event(key, deadline)
		}
		q.requeue = func(key reconcile.Request, handed int, d requeue.Decision, deadline time.Time) {
			ts.reset(key, deadline)
			again(key, handed, d, deadline)
		}
		return q
	}}
}

// timers is a timer for each object that has a deadline.
type timers struct {
	fire func(reconcile.Request)
	mu   sync.Mutex
	set  map[reconcile.Request]timer
}

type timer struct {
	at time.Time
	*time.Timer
}

// reset sets the timer of an object, unless it is the one that it has or had last.
func (t *timers) reset(key reconcile.Request, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, ok := t.set[key]
	if ok && was.at.Equal(at) {
		return
	}
	if ok {
		was.Stop()
		delete(t.set, key)
	}
	if !at.IsZero() {
		t.set[key] = timer{at, time.AfterFunc(time.Until(at), func() { t.fire(key) })}
	}
}

// DeadlineQueue is the queue of package deadlinequeue, which is told the plan of every
// reconcile but the last of an object.
func DeadlineQueue() Policy {
	return Policy{Name: "deadlinequeue", open: func(s Scenario, of deadlineOf) queue {
		q, _ := deadlineQueue(s, of, 0)
		return q
	}}
}

// Strict is [DeadlineQueue] without the hand-outs for what has been ready longest.
func Strict() Policy {
	return Policy{Name: "deadlinequeue, strict", open: func(s Scenario, of deadlineOf) queue {
		q, _ := deadlineQueue(s, of, -1)
		return q
	}}
}

// AdaptivePoll is [DeadlineQueue] with polls that take at most 80 % of the
// workers' time.
func AdaptivePoll() Policy {
	return Policy{Name: "deadlinequeue, adaptive", open: func(s Scenario, of deadlineOf) queue {
		q, load := deadlineQueue(s, of, 0)
		q.poll = func(wanted time.Duration) time.Duration { return load().Stretch(wanted, 0.8) }
		return q
	}}
}

func clientGo(s Scenario, _ deadlineOf) queue {
	q := workqueue.NewTypedRateLimitingQueue(s.limiter())
	return queue{
		TypedInterface: q,
		get: func() (reconcile.Request, int, bool) {
			key, shutdown := q.Get()
			return key, 0, shutdown
		},
		list: func(keys []reconcile.Request) {
			for _, key := range keys {
				q.Add(key)
			}
		},
		event: func(key reconcile.Request, _ time.Time) { q.Add(key) },
		requeue: func(key reconcile.Request, _ int, d requeue.Decision, _ time.Time) {
			q.Forget(key)
			q.AddAfter(key, d.After)
		},
		fail:       func(key reconcile.Request, _ int, _ requeue.Decision) { q.AddRateLimited(key) },
		finish:     q.Forget,
		poll:       asWanted,
		keepsWaits: true,
	}
}

func controllerRuntime(priority func(requeue.Decision) *int) func(Scenario, deadlineOf) queue {
	return func(s Scenario, _ deadlineOf) queue {
		q, _ := priorityQueue(s, priority)
		return q
	}
}

// priorityQueue is controller-runtime's with the priority that the reconciler
// answers with. After a failure it answers with that of a poll.
func priorityQueue(s Scenario, priority func(requeue.Decision) *int) (queue, priorityqueue.PriorityQueue[reconcile.Request]) {
	q := priorityqueue.New("", func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = s.limiter() })
	return queue{
		TypedInterface: q,
		get:            q.GetWithPriority,
		list:           atLowPriority(q),
		event:          func(key reconcile.Request, _ time.Time) { q.Add(key) },
		requeue: func(key reconcile.Request, handed int, d requeue.Decision, _ time.Time) {
			answer(q, key, handed, reconcile.Result{RequeueAfter: d.After, Priority: priority(d)})
		},
		fail: func(key reconcile.Request, handed int, _ requeue.Decision) {
			failed(q, key, handed, reconcile.Result{Priority: priority(requeue.Decision{Cause: requeue.CausePoll})})
		},
		finish: q.Forget,
		poll:   asWanted,
	}, q
}

func deadlineQueue(s Scenario, of deadlineOf, oldestEvery int) (queue, func() requeue.Load) {
	if !s.Known {
		of = nil
	}
	q := deadlinequeue.New("", deadlinequeue.Options[reconcile.Request]{RateLimiter: s.limiter(), Deadline: of, OldestEvery: oldestEvery})
	return queue{
		TypedInterface: q,
		get:            q.GetWithPriority,
		list:           atLowPriority(q),
		event:          func(key reconcile.Request, _ time.Time) { q.Add(key) },
		requeue: func(key reconcile.Request, handed int, d requeue.Decision, _ time.Time) {
			q.Decide(key, d)
			answer(q, key, handed, reconcile.Result{RequeueAfter: d.After})
		},
		fail: func(key reconcile.Request, handed int, d requeue.Decision) {
			q.Decide(key, d)
			failed(q, key, handed, reconcile.Result{})
		},
		finish: q.Forget,
		poll:   asWanted,
	}, q.Load
}

// answer does with the result of a reconcile what controller-runtime does: the
// priority of the hand-out goes for one that the result does not name.
func answer(q priorityqueue.PriorityQueue[reconcile.Request], key reconcile.Request, handed int, result reconcile.Result) {
	q.Forget(key)
	priority := ptr.Deref(result.Priority, handed)
	q.AddWithOpts(priorityqueue.AddOpts{After: result.RequeueAfter, Priority: &priority}, key)
}

// failed is answer where the reconciler returned an error, too.
func failed(q priorityqueue.PriorityQueue[reconcile.Request], key reconcile.Request, handed int, result reconcile.Result) {
	priority := ptr.Deref(result.Priority, handed)
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &priority}, key)
}

// atLowPriority adds as the handlers of controller-runtime do for an initial list
// and a resync.
func atLowPriority(q priorityqueue.PriorityQueue[reconcile.Request]) func([]reconcile.Request) {
	return func(keys []reconcile.Request) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, keys...)
	}
}

func always(priority *int) func(requeue.Decision) *int {
	return func(requeue.Decision) *int { return priority }
}

func asWanted(poll time.Duration) time.Duration { return poll }
