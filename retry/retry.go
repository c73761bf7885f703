// Package retry is a rate limiter that knows deadlines, for any work queue.
//
// A step that returns errors sleeps through its timeout, because the rate limiter does not
// know it: with controller-runtime's default a timeout of a minute is noticed 22 seconds late,
// one of an hour 12 minutes. A [Limiter] is told:
//
//	limiter := retry.New[reconcile.Request](retry.Options{})
//	options := controller.Options{RateLimiter: limiter}
//	...
//	limiter.Tell(req, plan) // in the reconciler, before it returns an error
//
// It is client-go's TypedRateLimiter by its methods, and imports nothing but the root package.
//
// [Limiter.Next] is a RequeueAfter in place of the deprecated `Requeue: true`. It needs a
// Limiter of the reconciler's own: controller-runtime forgets the failures of an object in the
// limiter of its options whenever a reconcile ends without an error.
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
	// Base is the wait after the first failure; each further failure doubles it. 0 or
	// less means 5 ms.
	Base time.Duration
	// Ceiling is the longest wait between two tries. 0 or less means 1000 s. Where Base is
	// above it, the ceiling wins.
	Ceiling time.Duration
	// Jitter moves each wait by up to this fraction of it either way, at random, so that
	// what failed together is not tried together again; not above the ceiling. A deadline
	// and a floor are not moved. 0 or less (or NaN) means none; above 1 counts as 1.
	Jitter float64
	// Clock is the clock of the deadlines. nil means the system clock.
	Clock requeue.Clock
}

// Limiter is a rate limiter with exponential backoff that does not wait longer than until
// the deadline of the key, nor shorter than until its floor. Make one with [New]. Its
// methods may be called from any number of goroutines.
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

// Tell says what the key waits for: the deadline ahead and the floor of the plan count. They
// replace what was told before, and a plan without them withdraws it. [Limiter.Forget] drops
// it. An overdue deadline is not waited for: it was there when the plan was made. Where
// neither an error nor a result follows that makes the queue call When or Forget, as after a
// TerminalError, call Forget, or what was told stays.
func (l *Limiter[K]) Tell(k K, p requeue.Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(k, p)
}

// When counts a failure of the key, and returns how long to wait until the next try: as long
// as the backoff says, or until the deadline if that is sooner, and not less than until the
// floor. A deadline that has passed since it was told is tried at once, after
// [requeue.Immediate], and counts no more. The answer is never below Immediate.
//
// The backoff begins anew when a deadline passes: to act on it is another thing than what has
// failed before, and a conflict there must not wait a quarter of an hour.
func (l *Limiter[K]) When(k K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.when(k)
}

// Next is Tell and When in one: a RequeueAfter, for who waits for something outside that
// tells nobody when it is ready. A plan that is expired is for the caller to act on first.
//
//	if plan.Expired() {
//		...
//	}
//	return reconcile.Result{RequeueAfter: limiter.Next(req, plan)}, nil
//
// Call Forget when the wait is over, or the object is gone.
func (l *Limiter[K]) Next(k K, p requeue.Plan) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(k, p)
	return l.when(k)
}

// Forget drops all that is known of the key: its failures, its deadline and its floor.
func (l *Limiter[K]) Forget(k K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, k)
}

// NumRequeues returns how often When and Next were called for the key since it was last
// forgotten.
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
