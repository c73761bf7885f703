package requeuetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Look is one reconcile of an object.
type Look struct {
	// Controller is the name of the controller.
	Controller string
	// At is when the look began, and Took how long it lasted.
	At   time.Time
	Took time.Duration
	// Cause is what woke the object: "event", "resync" (an add with controller-runtime's low
	// priority: a resync or the initial list), "poll" (the end of a RequeueAfter), "retry" (the
	// end of a wait of the rate limiter) or "queue" (the queue itself, for example deadlinequeue
	// when a deadline passes).
	Cause string
	// Result and Err are what Reconcile returned. A panic is an Err.
	Result reconcile.Result
	Err    error

	start time.Time // of the World
}

// String returns the line of the look in a [Timeline].
func (l Look) String() string {
	return fmt.Sprintf("%12s  %s", "+"+l.At.Sub(l.start).String(), l.what())
}

func (l Look) what() string {
	took := ""
	if l.Took > 0 {
		took = " (took " + l.Took.String() + ")"
	}
	return fmt.Sprintf("%-6s  %s%s", l.Cause, l.outcome(), took)
}

// outcome says what comes of what a look has returned.
func (l Look) outcome() string {
	switch {
	case errors.Is(l.Err, reconcile.TerminalError(nil)):
		return fmt.Sprintf("error, not tried again: %v", l.Err)
	case l.Err != nil:
		return fmt.Sprintf("error: %v", l.Err)
	case l.Result.RequeueAfter < 0:
		return fmt.Sprintf("look again in %v, which controller-runtime drops", l.Result.RequeueAfter)
	case l.Result.RequeueAfter > 0:
		return fmt.Sprintf("look again in %v", l.Result.RequeueAfter)
	case l.Result.Requeue: //nolint:staticcheck // controllers still return it
		return "look again (Requeue: true)"
	}
	return "nothing to wait for"
}

// Timeline is the looks at an object, in order.
type Timeline []Look

// String returns a line for each look, with its time since the start, its cause and its result. If
// more than six looks in a row are alike, it leaves out some, and says how many.
func (t Timeline) String() string {
	var out strings.Builder
	for i := 0; i < len(t); {
		alike := i + 1
		for alike < len(t) && t[alike].what() == t[i].what() {
			alike++
		}
		left := alike - i - 4
		for ; i < alike; i++ {
			if left > 2 && i == alike-left-2 {
				fmt.Fprintf(&out, "%12s  %d more like these\n", "...", left)
				i += left
			}
			fmt.Fprintln(&out, t[i])
		}
	}
	return out.String()
}

// Timeline returns the completed looks at the objects with the name and namespace of obj, in all
// controllers and processes. Print the Timeline to see what happened.
func (w *World) Timeline(obj client.Object) Timeline {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(Timeline(nil), w.looks[client.ObjectKeyFromObject(obj)]...)
}

// A controller that looks at one object so often in so short a time would keep the test from
// ever ending.
const (
	hotLooks = 300
	hotTime  = 10 * time.Second
)

// note adds a look, and says whether there is no end of them.
func (w *World) note(key types.NamespacedName, l Look) (hot bool) {
	w.mu.Lock()
	w.looks[key] = append(w.looks[key], l)
	looks := w.looks[key]
	w.wake()
	w.mu.Unlock()
	if n := len(looks); n >= hotLooks {
		if took := l.At.Sub(looks[n-hotLooks].At); took < hotTime {
			w.breaks("%v was looked at %d times from %s to %s, in %v: a hot loop; its looks:\n%s", key, hotLooks, w.at(looks[n-hotLooks].At), w.at(l.At), took, looks)
			return true
		}
	}
	return false
}

type request = reconcile.Request

// watchLooks has the looks of a controller noted. What else a manager runs is left alone.
//
// controller-runtime has no hook for that, but the fields of its controller are exported:
// the reconciler, what makes the queue, and the rate limiter.
func (w *World) watchLooks(p *process, r manager.Runnable) error {
	v := reflect.Indirect(reflect.ValueOf(r))
	if _, ok := r.(interface{ GetLogger() logr.Logger }); !ok || v.Kind() != reflect.Struct {
		return nil
	}
	s := &seen{w: w, p: p, keys: map[request]*wakings{}}
	fields := []any{&s.inner, &s.newQueue, &s.limiter, &s.name}
	for i, name := range []string{"Do", "NewQueue", "RateLimiter", "Name"} {
		field, into := v.FieldByName(name), reflect.ValueOf(fields[i]).Elem()
		if !field.IsValid() || !field.CanSet() || field.Type() != into.Type() {
			return fmt.Errorf("requeuetest: %T cannot be watched; want a controller of controller-runtime for reconcile.Request", r)
		}
		into.Set(field)
	}
	v.FieldByName("Do").Set(reflect.ValueOf(s))
	v.FieldByName("NewQueue").Set(reflect.ValueOf(s.NewQueue))
	p.controllers++
	return nil
}

// seen stands between a controller on one side and its reconciler and queue on the other. It is
// the reconciler and the queue of the controller.
type seen struct {
	w        *World
	p        *process
	name     string
	inner    reconcile.Reconciler
	limiter  workqueue.TypedRateLimiter[request]
	newQueue func(string, workqueue.TypedRateLimiter[request]) workqueue.TypedRateLimitingInterface[request]

	workqueue.TypedRateLimitingInterface[request] // the queue of the controller, once that has started

	mu   sync.Mutex
	keys map[request]*wakings
}

// wakings are what may wake an object.
type wakings struct {
	cause string    // of the look that it is handed out for
	event string    // an event or a resync, if there is one
	poll  time.Time // zero if there is none
	retry time.Time // zero if there is none
}

// of calls f with what may wake an object.
func (s *seen) of(key request, f func(*wakings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[key] == nil {
		s.keys[key] = &wakings{}
	}
	f(s.keys[key])
}

// Reconcile implements reconcile.Reconciler.
func (s *seen) Reconcile(ctx context.Context, key request) (result reconcile.Result, err error) {
	look := Look{Controller: s.name, At: time.Now(), start: s.w.start}
	s.of(key, func(k *wakings) { look.Cause = k.cause })
	panicked := true
	defer func() {
		look.Took, look.Result, look.Err = time.Since(look.At), result, err
		if panicked {
			what := recover()
			look.Err = fmt.Errorf("panic: %v", what)
			defer panic(what)
		}
		if s.w.note(key.NamespacedName, look) {
			<-s.p.ctx.Done()
		}
	}()
	result, err = s.inner.Reconcile(ctx, key)
	panicked = false
	return result, err
}

// NewQueue makes the queue of the controller.
func (s *seen) NewQueue(name string, _ workqueue.TypedRateLimiter[request]) workqueue.TypedRateLimitingInterface[request] {
	s.TypedRateLimitingInterface = s.newQueue(name, seenLimiter{s.limiter, s})
	return s
}

// seenLimiter notes how long a retry waits.
type seenLimiter struct {
	workqueue.TypedRateLimiter[request]
	s *seen
}

// When implements workqueue.TypedRateLimiter.
func (l seenLimiter) When(key request) time.Duration {
	wait := l.TypedRateLimiter.When(key)
	l.s.of(key, func(k *wakings) { k.retry = time.Now().Add(wait) })
	return wait
}

// While the process ends, everything is kept from the queue: controller-runtime v0.23's would
// leave a goroutine behind that hands an object to a worker who has left.

// Add implements workqueue.TypedInterface.
func (s *seen) Add(key request) { s.AddWithOpts(priorityqueue.AddOpts{}, key) }

// AddAfter implements workqueue.TypedDelayingInterface.
func (s *seen) AddAfter(key request, d time.Duration) {
	s.AddWithOpts(priorityqueue.AddOpts{After: d}, key)
}

// AddRateLimited implements workqueue.TypedRateLimitingInterface.
func (s *seen) AddRateLimited(key request) {
	s.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, key)
}

// AddWithOpts implements priorityqueue.PriorityQueue, also for a queue without priorities, as the
// controller does.
func (s *seen) AddWithOpts(o priorityqueue.AddOpts, keys ...request) {
	for _, key := range keys {
		if s.p.ending.Load() {
			return
		}
		s.of(key, func(k *wakings) { k.add(o) })
		q := s.TypedRateLimitingInterface
		if q, ok := q.(priorityqueue.PriorityQueue[request]); ok {
			q.AddWithOpts(o, key)
			continue
		}
		switch {
		case o.RateLimited:
			q.AddRateLimited(key)
		case o.After > 0:
			q.AddAfter(key, o.After)
		default:
			q.Add(key)
		}
	}
}

// add notes that the object was added.
func (k *wakings) add(o priorityqueue.AddOpts) {
	switch {
	case o.RateLimited:
		k.retry = time.Now() // or later, as the limiter says
	case o.After > 0:
		if due := time.Now().Add(o.After); k.poll.IsZero() || due.Before(k.poll) {
			k.poll = due
		}
	case k.event != "event":
		if k.event = "event"; o.Priority != nil && *o.Priority < 0 {
			k.event = "resync"
		}
	}
}

// GetWithPriority implements priorityqueue.PriorityQueue.
func (s *seen) GetWithPriority() (key request, priority int, shutdown bool) {
	if s.p.ending.Load() {
		return key, 0, true
	}
	if q, ok := s.TypedRateLimitingInterface.(priorityqueue.PriorityQueue[request]); ok {
		key, priority, shutdown = q.GetWithPriority()
	} else {
		key, shutdown = s.TypedRateLimitingInterface.Get()
	}
	if !shutdown {
		s.of(key, (*wakings).take)
	}
	return key, priority, shutdown
}

// take notes what the object was handed out for.
func (k *wakings) take() {
	over := func(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }
	switch {
	case k.event != "":
		k.cause = k.event
	case over(k.poll):
		k.cause = "poll"
	case over(k.retry):
		k.cause = "retry"
	default:
		k.cause = "queue"
	}
	k.event, k.retry = "", time.Time{}
	if over(k.poll) {
		k.poll = time.Time{}
	}
}

// Done implements workqueue.TypedInterface.
func (s *seen) Done(key request) {
	if !s.p.ending.Load() {
		s.TypedRateLimitingInterface.Done(key)
	}
}
