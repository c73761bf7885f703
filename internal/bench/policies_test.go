package main

import (
	"cmp"
	"strings"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// policy is a queue, and how a reconciler makes use of it.
type policy struct {
	name  string // begins with that of the queue
	fixed bool   // the reconciler waits for the poll, whatever the deadline
	timer bool   // so it does, and a timer for each object adds it at its deadline with priority 100

	// The priorities that the reconciler answers with: with a wait for a poll, with one for a
	// deadline, and with an error. With nil the object keeps the one that it was handed out with.
	poll, deadline, failed *int

	// What differs in ours: the option of the queue, and polls that take at most 80 % of the
	// workers' time.
	oldestEvery int
	adaptive    bool
}

var p0, p100, pLow = new(0), new(100), new(handler.LowPriority)

var (
	clientFixed  = policy{name: "client-go, fixed interval", fixed: true}
	clientExact  = policy{name: "client-go, exact"}
	runtimeExact = policy{name: "controller-runtime, exact", poll: p0, deadline: p0, failed: p0}
	runtimeKept  = policy{name: "controller-runtime, kept"}
	// It has to name 0 where it waits for a poll: an object would keep the 100 for ever.
	runtimeRaised    = policy{name: "controller-runtime, raised", poll: p0, deadline: p100, failed: p0}
	runtimeTimer     = policy{name: "controller-runtime, timer", timer: true, poll: p0, failed: p0}
	runtimeTimerLow  = policy{name: "controller-runtime, timer, low", timer: true, poll: pLow, failed: pLow}
	runtimeTimerKept = policy{name: "controller-runtime, timer, kept", timer: true, poll: p0}
	ours             = policy{name: "deadlinequeue"}
	oursStrict       = policy{name: "deadlinequeue, strict", oldestEvery: -1}
	oursAdaptive     = policy{name: "deadlinequeue, adaptive", adaptive: true}
)

// keepsWaits says that a wait goes on when its key is added or handed out.
func (p policy) keepsWaits() bool { return strings.HasPrefix(p.name, clientGoName) }

type priorityQueue = priorityqueue.PriorityQueue[request]

// open opens the queue for a scenario. In some, ours asks for deadlines.
func (p policy) open(s scenario, deadlineOf func(request) (time.Time, bool)) priorityQueue {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[request](firstBackoff, s.backoff)
	switch queue, _, _ := strings.Cut(p.name, ","); queue {
	case clientGoName:
		return withoutPriorities{workqueue.NewTypedRateLimitingQueue(limiter)}
	case controllerRuntimeName:
		return priorityqueue.New("", func(o *priorityqueue.Opts[request]) { o.RateLimiter = limiter })
	}
	options := deadlinequeue.Options[request]{RateLimiter: limiter, OldestEvery: p.oldestEvery}
	if s.known {
		options.Deadline = deadlineOf
	}
	return deadlinequeue.New("", options)
}

// answer adds the key again with what a reconcile has decided, as controller-runtime's controller
// does: at the priority of the hand-out if the reconciler names none.
func (p policy) answer(q priorityQueue, key request, handed int, d requeue.Decision, failed bool) {
	if ours, ok := q.(deadlinequeue.Queue[request]); ok {
		ours.Decide(key, d)
	}
	if failed {
		q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: cmp.Or(p.failed, &handed)}, key)
		return
	}
	priority := p.poll
	if d.Cause == requeue.CauseDeadline || d.Cause == requeue.CauseOverdue {
		priority = p.deadline
	}
	q.Forget(key)
	q.AddWithOpts(priorityqueue.AddOpts{After: d.After, Priority: cmp.Or(priority, &handed)}, key)
}

// withoutPriorities is client-go's queue in the place of one that has priorities.
type withoutPriorities struct{ typedQueue }

func (q withoutPriorities) GetWithPriority() (key request, priority int, shutdown bool) {
	key, shutdown = q.Get()
	return key, 0, shutdown
}

func (q withoutPriorities) AddWithOpts(o priorityqueue.AddOpts, keys ...request) {
	for _, key := range keys {
		if o.RateLimited {
			q.AddRateLimited(key)
		} else {
			q.AddAfter(key, o.After)
		}
	}
}
