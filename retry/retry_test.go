package retry_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/retry"
)

const (
	ms      = time.Millisecond
	second  = time.Second
	minute  = time.Minute
	hour    = time.Hour
	forever = time.Duration(math.MaxInt64)
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock stands still but where a test moves it.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// limited is a limiter and its clock.
type limited struct {
	*retry.Limiter[string]
	*clock
}

func limiter(o retry.Options) limited {
	c := &clock{t0}
	o.Clock = c
	return limited{retry.New[string](o), c}
}

func (l limited) plan() requeue.Plan { return requeue.From(l.now) }

func TestLimiter_backsOffAsControllerRuntimeDoes(t *testing.T) {
	l := limiter(retry.Options{})
	for _, want := range []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms} {
		assert.Equal(t, want, l.When("a"))
	}
	assert.Equal(t, 5*ms, l.When("b"), "each key by itself")
	for range 100 {
		l.When("a")
	}
	assert.Equal(t, 1000*second, l.When("a"), "up to the ceiling")
	assert.Equal(t, 105, l.NumRequeues("a"))
	l.Forget("a")
	assert.Zero(t, l.NumRequeues("a"))
	assert.Equal(t, 5*ms, l.When("a"))
}

func TestLimiter_When(t *testing.T) {
	for _, tt := range []struct {
		why      string
		failures int // before the plan is told
		plan     func(requeue.Plan) requeue.Plan
		passes   time.Duration // between Tell and When
		want     []time.Duration
	}{
		{"no plan, the backoff", 0, nil, 0, []time.Duration{second, 2 * second, 4 * second}},
		{"the backoff is sooner than the deadline", 0, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(minute)) }, 0, []time.Duration{second, 2 * second}},
		{"the deadline is sooner than the backoff", 10, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(minute)) }, 0, []time.Duration{minute, minute}},
		{"a deadline that is nearer than Immediate", 10, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(1)) }, 0, []time.Duration{ms}},
		{"a deadline that passes before When: at once, and once", 10, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(minute)) }, minute, []time.Duration{ms, second, 2 * second}},
		{"a deadline that is overdue when it is told", 3, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(-minute)) }, 0, []time.Duration{8 * second, 16 * second}},
		{"an overdue one and the next", 10, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(-minute)).Deadline(t0.Add(hour)) }, 0, []time.Duration{17*minute + 4*second}},
		{"a poll is not waited for", 3, func(p requeue.Plan) requeue.Plan { return p.Every(second) }, 0, []time.Duration{8 * second}},
		{"a floor", 0, func(p requeue.Plan) requeue.Plan { return p.Every(second).NotBefore(t0.Add(minute)) }, 0, []time.Duration{minute, minute}},
		{"a floor that is sooner than the backoff", 10, func(p requeue.Plan) requeue.Plan { return p.Every(second).NotBefore(t0.Add(minute)) }, 0, []time.Duration{17*minute + 4*second}},
		{"a floor behind the deadline", 10, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(second)).NotBefore(t0.Add(minute)) }, 0, []time.Duration{minute}},
		{"a floor behind a deadline that passes before When", 10, func(p requeue.Plan) requeue.Plan { return p.Deadline(t0.Add(second)).NotBefore(t0.Add(minute)) }, 2 * second, []time.Duration{58 * second}},
		{"a floor alone", 0, func(p requeue.Plan) requeue.Plan { return p.NotBefore(t0.Add(minute)) }, 0, []time.Duration{minute}},
		{"a floor that has passed", 0, func(p requeue.Plan) requeue.Plan { return p.Every(second).NotBefore(t0.Add(second)) }, minute, []time.Duration{second}},
		{"the zero plan withdraws", 10, func(requeue.Plan) requeue.Plan { return requeue.Plan{} }, 0, []time.Duration{17*minute + 4*second}},
		{"as far as an instant can be", 0, func(p requeue.Plan) requeue.Plan { return p.Deadline(time.Unix(math.MaxInt64/2, 0)) }, 0, []time.Duration{second}},
	} {
		l := limiter(retry.Options{Base: second, Ceiling: hour})
		for range tt.failures {
			l.When("a")
		}
		if tt.plan != nil {
			l.Tell("a", l.plan().Deadline(t0.Add(30*second))) // the latest counts
			l.Tell("a", tt.plan(l.plan()))
		}
		l.now = l.now.Add(tt.passes)
		for i, want := range tt.want {
			assert.Equal(t, want, l.When("a"), "%s, call %d", tt.why, i)
		}
	}
}

// A step has failed for an hour when its timeout passes, and the first tries to act on that
// meet conflicts.
func TestLimiter_aConflictAtTheDeadlineIsTriedSoon(t *testing.T) {
	l := limiter(retry.Options{})
	plan := func() requeue.Plan { return l.plan().Timeout(t0, hour) }
	for l.now.Before(t0.Add(hour)) {
		l.now = l.now.Add(l.Next("a", plan()))
	}
	assert.Equal(t, t0.Add(hour), l.now, "woken at its deadline")
	for _, want := range []time.Duration{5 * ms, 10 * ms, 20 * ms} {
		wait := l.Next("a", plan()) // overdue
		assert.Equal(t, want, wait)
		l.now = l.now.Add(wait)
	}
	for range 100 {
		l.now = l.now.Add(l.Next("a", plan()))
	}
	assert.Equal(t, 1000*second, l.Next("a", plan()), "and if it fails for ever, not in a loop")
}

func TestLimiter_Next(t *testing.T) {
	l := limiter(retry.Options{Base: second, Ceiling: minute})
	plan := l.plan().Every(5*minute).Timeout(t0, 10*second)
	for _, want := range []time.Duration{second, 2 * second, 4 * second, 3 * second} {
		wait := l.Next("a", plan)
		assert.Equal(t, want, wait)
		l.now = l.now.Add(wait)
		plan = l.plan().Every(5*minute).Timeout(t0, 10*second)
	}
	assert.True(t, plan.Expired())
}

// A deadline and a floor are exact, whatever the jitter.
func TestLimiter_jitter(t *testing.T) {
	l := limiter(retry.Options{Base: second, Ceiling: hour, Jitter: 0.5})
	least, most := forever, time.Duration(0)
	for range 1000 {
		l.Forget("a")
		wait := l.When("a")
		least, most = min(least, wait), max(most, wait)
	}
	assert.GreaterOrEqual(t, least, 500*ms)
	assert.Less(t, least, 550*ms)
	assert.LessOrEqual(t, most, 1500*ms)
	assert.Greater(t, most, 1450*ms)
	for range 100 {
		assert.LessOrEqual(t, limiter(retry.Options{Base: hour, Ceiling: second, Jitter: 1}).When("a"), second, "not above the ceiling")
	}
	l.Forget("a")
	for range 1000 {
		l.Tell("a", l.plan().Deadline(t0.Add(100*ms)).NotBefore(t0.Add(50*ms)))
		assert.Equal(t, 100*ms, l.When("a"))
	}
}

func TestOptions_badOnesAreTheDefaults(t *testing.T) {
	for _, o := range []retry.Options{
		{Base: -1, Ceiling: -1, Jitter: -1},
		{Jitter: math.NaN()},
		{Base: 5 * ms, Ceiling: 1000 * second},
	} {
		l := limiter(o)
		assert.Equal(t, 5*ms, l.When("a"))
		for range 30 {
			l.When("a")
		}
		assert.Equal(t, 1000*second, l.When("a"))
	}
	assert.Equal(t, minute, limiter(retry.Options{Base: hour, Ceiling: minute}).When("a"), "the ceiling wins")
	assert.Equal(t, ms, limiter(retry.Options{Base: 1}).When("a"), "never below Immediate")
	for range 100 {
		l := limiter(retry.Options{Base: forever, Ceiling: forever, Jitter: math.Inf(1)})
		assert.GreaterOrEqual(t, l.When("a"), ms)
		assert.GreaterOrEqual(t, l.When("a"), ms)
	}
	l := retry.New[string](retry.Options{}) // the system clock
	now := time.Now()
	l.Tell("a", requeue.From(now).Deadline(now.Add(-1)).Deadline(now.Add(hour)))
	assert.Equal(t, 5*ms, l.When("a"))
}

// Eight goroutines, for the race detector: each key is one goroutine's, so its waits are exact.
func TestLimiter_concurrently(t *testing.T) {
	l := retry.New[int](retry.Options{Clock: &clock{t0}})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 1000 {
				l.Tell(g, requeue.From(t0).Deadline(t0.Add(15*ms)))
				l.When(g)
				if got := l.When(g); got != 10*ms {
					t.Errorf("got %v", got)
				}
				if got := l.Next(g, requeue.From(t0).Deadline(t0.Add(15*ms))); got != 15*ms || l.NumRequeues(g) != 3 {
					t.Errorf("got %v", got)
				}
				l.Forget(g)
				if i%10 == 0 {
					l.Next(-1, requeue.From(t0).Every(minute)) // one that all share
				}
			}
		}()
	}
	wg.Wait()
	assert.Equal(t, 800, l.NumRequeues(-1))
}
