// Package retry is a rate limiter that knows deadlines, for any work queue.
//
// A step that returns errors sleeps through its timeout, because the rate limiter does not
// know the timeout. With controller-runtime's default limiter, the controller notices a timeout
// of a minute 22 seconds late, and a timeout of an hour 12 minutes late. Tell a [Limiter] the
// plan:
//
//	limiter := retry.New[reconcile.Request](retry.Options{})
//	options := controller.Options{RateLimiter: limiter}
//	...
//	limiter.Tell(req, plan) // in the reconciler, before it returns an error
//
// A Limiter has the methods of client-go's TypedRateLimiter. The package imports only the root
// package.
//
// [Limiter.Next] returns a RequeueAfter that replaces the deprecated `Requeue: true`. It needs a
// Limiter that only the reconciler uses: when a reconcile ends without an error,
// controller-runtime forgets the object's failures in the limiter of the controller's options.
package retry

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/requeue-go/requeue"
)

// The defaults are those of controller-runtime and client-go.
const (
	defaultBase    = 5 * time.Millisecond
	defaultCeiling = 1000 * time.Second
)

// Options are the options of a [Limiter]. The zero value is right for most.
type Options struct {
	// Base is the wait after the first failure. Each further failure doubles the wait. 0 or
	// less means 5 ms.
	Base time.Duration
	// Ceiling is the longest wait between two tries. 0 or less means 1000 s. If Base is
	// above Ceiling, Ceiling wins.
	Ceiling time.Duration
	// Jitter moves each wait by up to this fraction of the wait either way, at random, so
	// that keys that failed together are not tried together again. The wait stays at or
	// below Ceiling. Jitter moves no deadline and no floor. 0 or less (or NaN) means none;
	// above 1 counts as 1.
	Jitter float64
	// Clock is the clock of the deadlines. nil means the system clock.
	Clock requeue.Clock
}

// Limiter is a rate limiter with exponential backoff. A wait ends at the key's deadline at the
// latest, but never before the key's floor. Make a Limiter with [New]. Any number of goroutines
// may call its methods.
type Limiter[K comparable] struct {
	o Options

	mu   sync.Mutex
	keys map[K]*key
}

// key is what is known of one key.
type key struct {
	failures int // since the last deadline that has passed
	requeues int // all of them
	deadline time.Time
	floor    time.Time
}

// New returns a Limiter.
func New[K comparable](o Options) *Limiter[K] {
	if o.Base <= 0 {
		o.Base = defaultBase
	}
	if o.Ceiling <= 0 {
		o.Ceiling = defaultCeiling
	}
	if !(o.Jitter > 0) {
		o.Jitter = 0
	}
	o.Jitter = min(o.Jitter, 1)
	if o.Clock == nil {
		o.Clock = requeue.ClockFunc(nil)
	}
	return &Limiter[K]{o: o, keys: map[K]*key{}}
}

// Tell tells the limiter the plan of the key. The plan's deadline ahead and floor count. They
// replace the deadline and the floor that the limiter knew; a plan without them removes them.
// [Limiter.Forget] removes them, too. An overdue deadline does not count: the caller has seen
// that it passed. If the queue calls neither When nor Forget after the reconcile, as after a
// TerminalError, call Forget, or the entry stays.
func (l *Limiter[K]) Tell(k K, p requeue.Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(k, p)
}

// When counts a failure of the key, and returns how long to wait until the next try. The wait
// is the backoff, or ends at the deadline if that is sooner; it never ends before the floor.
// If the deadline has passed since Tell, the wait is [requeue.Immediate], or ends at the floor
// if that is later; the limiter then drops the deadline. The answer is never below Immediate.
//
// The backoff restarts when a deadline passes: acting on the deadline is other work than what
// failed before, and a conflict in this work must not wait a quarter of an hour.
func (l *Limiter[K]) When(k K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.when(k)
}

// Next is [Limiter.Tell] followed by [Limiter.When]. Use the answer as RequeueAfter to wait for
// an external system that sends no event when it is ready. If the plan is expired, act first:
//
//	if plan.Expired() {
//		...
//	}
//	return reconcile.Result{RequeueAfter: limiter.Next(req, plan)}, nil
//
// Call [Limiter.Forget] when the external system is ready, or the object is gone.
func (l *Limiter[K]) Next(k K, p requeue.Plan) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(k, p)
	return l.when(k)
}

// Forget removes the failures, the deadline and the floor of the key.
func (l *Limiter[K]) Forget(k K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, k)
}

// NumRequeues returns the number of calls of When and Next for the key since its last Forget.
func (l *Limiter[K]) NumRequeues(k K) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.keys[k]; known != nil {
		return known.requeues
	}
	return 0
}

func (l *Limiter[K]) tell(k K, p requeue.Plan) {
	d := p.Decide()
	known := l.keys[k]
	if known == nil {
		if d.Deadline.IsZero() && d.NotBefore.IsZero() {
			return // nothing to keep
		}
		known = &key{}
		l.keys[k] = known
	}
	if known.passed(d.Now) {
		known.failures = 0
	}
	known.deadline, known.floor = d.Deadline, d.NotBefore
}

// passed reports whether the deadline has passed.
func (k *key) passed(now time.Time) bool { return !k.deadline.IsZero() && !now.Before(k.deadline) }

func (l *Limiter[K]) when(k K) time.Duration {
	known := l.keys[k]
	if known == nil {
		known = &key{}
		l.keys[k] = known
	}
	now := l.o.Clock.Now()
	known.requeues = min(known.requeues, math.MaxInt-1) + 1
	var wait time.Duration
	if known.passed(now) {
		known.failures, known.deadline = 0, time.Time{}
	} else {
		known.failures = min(known.failures, math.MaxInt-1) + 1
		wait = l.backoff(known.failures)
		if !known.deadline.IsZero() {
			wait = min(wait, known.deadline.Sub(now))
		}
	}
	if !known.floor.IsZero() {
		wait = max(wait, known.floor.Sub(now))
	}
	return max(wait, requeue.Immediate)
}

// backoff is the wait after so many failures.
func (l *Limiter[K]) backoff(failures int) time.Duration {
	wait := requeue.Backoff(epoch, failures, l.o.Base, l.o.Ceiling).Sub(epoch)
	if l.o.Jitter == 0 {
		return wait
	}
	moved := float64(wait) * (1 + l.o.Jitter*(2*rand.Float64()-1))
	if moved >= float64(l.o.Ceiling) {
		return l.o.Ceiling
	}
	return time.Duration(moved)
}

// epoch is an instant to count from.
var epoch = time.Unix(0, 0)
