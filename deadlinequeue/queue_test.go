package deadlinequeue_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// inBubble runs a test of a queue in virtual time and fails it with what the
// probe found wrong.
func inBubble(t *testing.T, o deadlinequeue.Options[string], test func(t *testing.T, q *deadlinequeue.Queue[string], p *probe)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := deadlinequeue.New("", o)
		p := &probe{q: q}
		defer func() {
			q.ShutDown()
			assert.Empty(t, p.wrong)
		}()
		test(t, q, p)
	})
}

// due adds an item that becomes ready after a wait and has a deadline.
func due(q *deadlinequeue.Queue[string], item string, after, deadlineIn time.Duration) {
	o := priorityqueue.AddOpts{After: after, Priority: ptr.To(deadlinequeue.Priority(time.Now().Add(deadlineIn)))}
	q.AddWithOpts(o, item)
}

func TestDeadline_passedGoesFirstEarliestFirst(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		p.priority(1000, 0, "high")
		q.Add("ordinary")
		due(q, "second", 0, -time.Second)
		due(q, "first", 0, -time.Minute)
		due(q, "ahead", 0, time.Minute)
		p.serves("first", "second", "high", "ordinary", "ahead")
	})
}

func TestDeadline_movesUpWhenItPasses(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		q.Add("a")
		q.Add("b")
		due(q, "touched", 0, time.Second) // by an event, before its deadline
		time.Sleep(time.Second)
		p.serves("touched", "a", "b")
	})
}

func TestDeadline_wakesTheKeyByItself(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 5*time.Minute, time.Minute)
		q.Add("a") // an event: the poll is over, the deadline is not
		p.serves("a")
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
		time.Sleep(time.Hour)
		p.getsNothing()
	})
}

func TestDeadline_theSoonerWins(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", time.Hour, time.Minute)
		due(q, "a", time.Hour, time.Second)
		due(q, "a", time.Hour, 2*time.Minute)
		time.Sleep(time.Second)
		p.serves("a")
	})
}

// The overdue answer of the core: look again in 20 ms, and the deadline is that
// which the key was just handed out for. It must not be ready at once for ever.
func TestDeadline_isSpentByAHandOut(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		deadline := time.Now().Add(time.Second)
		plan := func() requeue.Decision { return requeue.From(time.Now()).Every(time.Hour).Deadline(deadline).Decide() }
		q.Requeue("a", plan())
		looks := 0
		for time.Since(deadline) < time.Hour {
			g, ok := p.get()
			if !ok {
				time.Sleep(time.Millisecond)
				continue
			}
			looks++
			q.Requeue(g.item, plan())
			q.Done(g.item)
		}
		assert.InDelta(t, 17+59, looks, 2, "as often as the core backs off")
		q.Add("ordinary")
		q.Add("a")
		p.serves("ordinary", "a") // the spent deadline is ordinary
	})
}

func TestDeadline_thatPassesWhileProcessedIsNotSpent(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 0, time.Second)
		p.gets("a")
		time.Sleep(2 * time.Second)
		q.Done("a")
		p.serves("a")
		p.getsNothing()
	})
}

func TestDeadline_aFailedReconcileKeepsIt(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: limiter[string]()}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 0, -time.Second)
		q.Add("b")
		q.Add("c")
		if g, _ := p.get(); g.item != "a" {
			p.fail("got %+v", g)
		}
		q.AddRateLimited("a") // it failed
		q.Done("a")
		time.Sleep(5 * time.Millisecond)
		p.serves("a", "b", "c")
	})
}

func TestDeadline_endsTheWaitOfTheRateLimiter(t *testing.T) {
	slow := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Hour, time.Hour)
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: slow}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 0, time.Minute)
		p.gets("a")
		q.AddRateLimited("a")
		q.Done("a")
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
		// Failed at one deadline, and there is another.
		due(q, "b", 0, -time.Second)
		p.gets("b")
		q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: ptr.To(deadlinequeue.Priority(time.Now().Add(time.Second)))}, "b")
		q.Done("b")
		time.Sleep(time.Second)
		p.serves("b")
	})
}

// A requeue after Done is not what the documentation asks for, and still no loop.
func TestDeadline_requeuedAfterDone(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		deadline := time.Now().Add(-time.Second)
		q.Add("a")
		for range 3 {
			p.takes("a")
			q.Done("a")
			q.Requeue("a", requeue.From(time.Now()).Deadline(deadline).Decide())
			p.lenIs(0)
			time.Sleep(time.Since(deadline))
			p.lenIs(1)
		}
		q.Add("ordinary")
		p.serves("a", "ordinary")
	})
}

// The reconciler's word replaces the deadline that the queue knew: it may be held
// back by a floor, or be another by now.
func TestDeadline_isReplacedByTheReconciler(t *testing.T) {
	for name, answer := range map[string]func(now time.Time) requeue.Decision{
		"a floor": func(now time.Time) requeue.Decision {
			return requeue.From(now).Deadline(now.Add(10 * time.Second)).NotBefore(now.Add(time.Minute)).Decide()
		},
		"a later deadline": func(now time.Time) requeue.Decision { return requeue.From(now).Deadline(now.Add(time.Minute)).Decide() },
	} {
		inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			due(q, "a", time.Hour, 10*time.Second)
			q.Add("a") // an event
			p.gets("a")
			q.Requeue("a", answer(time.Now()))
			q.Done("a")
			time.Sleep(time.Minute - time.Nanosecond)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.serves("a")
			if p.wrong != "" {
				p.wrong = name + ": " + p.wrong
			}
		})
	}
}

func TestDeadline_extremes(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		add := func(item string, deadline time.Time) {
			q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(deadlinequeue.Priority(deadline))}, item)
		}
		add("year 9999", time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC))
		add("year 292 billion", time.Unix(math.MaxInt64/2, 0))
		add("year 1", time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC))
		add("year -100", time.Date(-100, 1, 1, 0, 0, 0, 0, time.UTC))
		add("none", time.Time{})
		for _, item := range []string{"year 1", "year -100", "year 9999", "year 292 billion", "none"} {
			g, _ := p.get()
			assert.Equal(t, got{item: item}, g, "and none is taken for a priority")
			q.Done(item)
		}
	})
}

func TestDeadlineOf(t *testing.T) {
	deadlines := map[string]time.Duration{"late": -time.Minute, "later": -time.Hour, "ahead": time.Minute}
	var q *deadlinequeue.Queue[string]
	asked := map[string]int{}
	o := deadlinequeue.Options[string]{DeadlineOf: func(item string) (time.Time, bool) {
		asked[item]++
		q.Len() // may call the queue
		in, ok := deadlines[item]
		if item == "zero" {
			return time.Time{}, true
		}
		return time.Now().Add(in), ok
	}}
	inBubble(t, o, func(t *testing.T, made *deadlinequeue.Queue[string], p *probe) {
		q = made
		p.priority(-100, 0, "zero", "none", "ahead", "late", "later")
		p.serves("later", "late", "zero", "none", "ahead")
		due(q, "own", 0, time.Hour)
		assert.Equal(t, map[string]int{"zero": 1, "none": 1, "ahead": 1, "late": 1, "later": 1}, asked,
			"not asked for what comes with a deadline")
		q.ShutDown()
		q.Add("late")
		assert.Equal(t, 1, asked["late"], "nor after a shutdown")
	})
}

// callingBack is a limiter that calls the queue.
type callingBack struct{ q *deadlinequeue.Queue[string] }

func (l *callingBack) When(item string) time.Duration {
	l.q.Add(item + "'s friend")
	return time.Second
}
func (l *callingBack) Forget(string)          { l.q.Len() }
func (l *callingBack) NumRequeues(string) int { return l.q.Len() }

func TestRateLimiter_mayCallTheQueue(t *testing.T) {
	l := &callingBack{}
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: l}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		l.q = q
		q.AddRateLimited("a")
		assert.Equal(t, 1, q.NumRequeues("a"))
		q.Forget("a")
		p.serves("a's friend")
		time.Sleep(time.Second)
		p.serves("a")
	})
}

func TestOldestEvery(t *testing.T) {
	for every, want := range map[int][]string{
		0: {"1", "2", "3", "4", "5", "old"},
		1: {"old", "1", "2", "3", "4", "5"},
		3: {"1", "2", "old", "3", "4", "5"},
	} {
		inBubble(t, deadlinequeue.Options[string]{OldestEvery: &every}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			p.priority(-100, 0, "old")
			for i, item := range []string{"1", "2", "3", "4", "5"} {
				due(q, item, 0, time.Duration(i-100)*time.Second)
			}
			p.serves(want...)
		})
	}
}

func TestRequeue(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		q.Requeue("nothing to wait for", requeue.From(time.Now()).Decide())
		now := time.Now()
		q.Requeue("poll", requeue.From(now).Every(time.Minute).Decide())
		q.Requeue("deadline", requeue.From(now).Every(2*time.Minute).Deadline(now.Add(time.Minute)).Decide())
		q.Requeue("floor", requeue.From(now).Deadline(now.Add(time.Second)).NotBefore(now.Add(time.Minute)).Decide())
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("deadline", "floor", "poll")
	})
}

func TestLoad(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		assert.Equal(t, requeue.Load{}, q.Load())
		assert.Zero(t, q.Load().Interval(0.8), "unknown")
		time.Sleep(time.Second) // not part of what follows
		q.Add("a")
		q.Add("b")
		q.AddAfter("c", time.Hour)
		first, _ := p.get()
		second, _ := p.get()
		time.Sleep(100 * time.Millisecond)
		q.Done(first.item)
		assert.Equal(t, requeue.Load{Objects: 2, Workers: 2, Service: 100 * time.Millisecond}, q.Load())
		time.Sleep(200 * time.Millisecond)
		q.Done(second.item)
		assert.Equal(t, requeue.Load{Objects: 1, Workers: 2, Service: 200 * time.Millisecond}, q.Load())
	})
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		q.Add("a")
		p.gets("a")
		assert.Equal(t, 2, q.Load().Workers, "one works and one waits")
		for range 10 {
			q.Done("a")
			q.Add("a")
			p.gets("a")
		}
		assert.Equal(t, 2, q.Load().Workers, "they take turns")
	})
	inBubble(t, deadlinequeue.Options[string]{Workers: 5}, func(t *testing.T, q *deadlinequeue.Queue[string], _ *probe) {
		for _, item := range []string{"a", "b", "c", "d", "e", "f"} {
			q.Add(item)
			q.Get()
		}
		assert.Equal(t, 5, q.Load().Workers, "as given")
	})
}

func TestNew_badOptions(t *testing.T) {
	assert.PanicsWithValue(t, "deadlinequeue: Workers is -1; want 0 (detect) or more", func() {
		deadlinequeue.New("", deadlinequeue.Options[string]{Workers: -1})
	})
	assert.PanicsWithValue(t, "deadlinequeue: OldestEvery is -1; want 0 (never) or more", func() {
		deadlinequeue.New("", deadlinequeue.Options[string]{OldestEvery: ptr.To(-1)})
	})
}

// A clock of the caller's, which calls AfterFunc with its own lock held.
func TestClock_isTheCallers(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	q := deadlinequeue.New("", deadlinequeue.Options[string]{Clock: clock})
	defer q.ShutDown()
	q.AddAfter("poll", time.Hour)
	q.AddWithOpts(priorityqueue.AddOpts{After: 2 * time.Hour, Priority: ptr.To(deadlinequeue.Priority(clock.Now().Add(time.Minute)))}, "deadline")
	for _, want := range []string{"deadline", "poll"} {
		assert.Zero(t, q.Len())
		clock.Step(time.Minute)
		item, _ := q.Get()
		assert.Equal(t, want, item)
		q.Done(item)
		clock.Step(58 * time.Minute)
	}
}

// A deadline that passes while its key is processed wakes it without another step
// of the clock.
func TestClock_standsStill(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	q := deadlinequeue.New("", deadlinequeue.Options[string]{Clock: clock})
	defer q.ShutDown()
	q.Add("a")
	item, _ := q.Get()
	clock.Step(time.Minute)
	q.AddWithOpts(priorityqueue.AddOpts{After: time.Hour, Priority: ptr.To(deadlinequeue.Priority(clock.Now().Add(-time.Second)))}, item)
	q.Done(item)
	item, _ = q.Get() // would wait for ever
	assert.Equal(t, "a", item)
}

// lateTimers is a clock whose timers do not get to run, but for what a test makes
// of the last one.
type lateTimers struct {
	*testingclock.FakeClock
	last func()
}

func (c *lateTimers) AfterFunc(_ time.Duration, f func()) clock.Timer {
	c.last = f
	return c.NewTimer(math.MaxInt64)
}

// A timer that fires while another takes its place leaves that one alone.
func TestClock_firesATimerThatWasReplaced(t *testing.T) {
	clock := &lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	inBubble(t, deadlinequeue.Options[string]{Clock: clock}, func(t *testing.T, q *deadlinequeue.Queue[string], _ *probe) {
		q.AddAfter("a", time.Hour)
		replaced := clock.last
		q.AddAfter("b", time.Minute)
		assert.Equal(t, 1, clock.Waiters())
		replaced()
		synctest.Wait()
		assert.Equal(t, 1, clock.Waiters())
		q.ShutDown()
		assert.Zero(t, clock.Waiters())
	})
}

// A wait is over when the clock says so, whether or not the timer has run.
func TestClock_isAheadOfItsTimers(t *testing.T) {
	clock := &lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	for name, use := range map[string]func(*deadlinequeue.Queue[string]){
		"Get":      func(*deadlinequeue.Queue[string]) {},
		"Len":      func(q *deadlinequeue.Queue[string]) { assert.Equal(t, 1, q.Len()) },
		"ShutDown": func(q *deadlinequeue.Queue[string]) { q.ShutDown() },
	} {
		t.Run(name, func(t *testing.T) {
			q := deadlinequeue.New("", deadlinequeue.Options[string]{Clock: clock, DrainOnShutDown: true})
			defer q.ShutDown()
			q.AddAfter("a", time.Hour)
			clock.Step(time.Hour)
			use(q)
			item, down := q.Get()
			assert.Equal(t, "a", item)
			assert.False(t, down)
		})
	}
}

// A drain that waits does not take the signal of an item that became ready, and
// the last hand-out of a drain ends the Gets that wait.
func TestShutDownWithDrain_wakesWhoWaitsInGet(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		q.Add("stuck")
		q.Add("again")
		p.takes("stuck", "again")
		q.Add("again")
		go q.ShutDownWithDrain()
		synctest.Wait()
		var got []string
		stopped := 0
		for range 2 {
			go func() {
				item, shutdown := q.Get()
				if shutdown {
					stopped++
				} else {
					got = append(got, item)
				}
			}()
			synctest.Wait()
		}
		q.Done("again")
		synctest.Wait()
		assert.Equal(t, []string{"again"}, got)
		assert.Equal(t, 1, stopped)
	})
}

// The clock of an AddAfter starts with the call, not when a background goroutine
// gets to it.
func TestAddAfter_countsFromTheCall(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	q := deadlinequeue.New("", deadlinequeue.Options[string]{Clock: clock})
	defer q.ShutDown()
	q.AddAfter("a", time.Second)
	clock.Step(time.Second)
	assert.Equal(t, 1, q.Len())
}

func TestQueue_allocatesAtMostOnceAnItem(t *testing.T) {
	q := deadlinequeue.New("", deadlinequeue.Options[request]{})
	defer q.ShutDown()
	keys := requests(1000)
	i := 0
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		q.Add(keys[i%len(keys)])
		k, _ := q.Get()
		q.Done(k)
		i++
	}), 1.0)
}

func TestQueue_givesMemoryBack(t *testing.T) {
	const n = 200_000
	keys := requests(n)
	q := deadlinequeue.New("", deadlinequeue.Options[request]{})
	defer q.ShutDown()
	empty := heapInUse()
	for i, k := range keys {
		q.AddWithOpts(priorityqueue.AddOpts{
			After: time.Hour, Priority: ptr.To(deadlinequeue.Priority(time.Now().Add(time.Hour + time.Duration(i)))),
		}, k)
	}
	full := heapInUse()
	q.AddWithOpts(priorityqueue.AddOpts{}, keys...)
	for range keys {
		k, _ := q.Get()
		q.Done(k)
	}
	assert.Equal(t, n, q.Load().Objects, "the deadlines are still to come")
	for i, k := range keys { // half of them ready
		if i%2 == 0 {
			q.Add(k)
		}
	}
	q.ShutDown()
	drained := heapInUse()
	runtime.KeepAlive(keys)
	require.Greater(t, full, empty+n*100)
	assert.Less(t, drained, empty+(full-empty)/10, "after a drain")
}

// More priorities than there are levels kept for, again and again.
func TestPriority_many(t *testing.T) {
	strict := 0
	inBubble(t, deadlinequeue.Options[string]{OldestEvery: &strict}, func(_ *testing.T, _ *deadlinequeue.Queue[string], p *probe) {
		const n = 101
		for range 3 {
			want := make([]string, 2*n)
			for i := range 2 * n {
				rank := i * 37 % n // every rank twice, as n is prime
				item := fmt.Sprint("item ", rank, i/n)
				want[2*rank+i/n] = item
				p.priority(-rank, 0, item)
			}
			// One that comes and goes before all the others.
			for range 3 {
				p.priority(1, 0, "first")
				p.takes("first")
				p.q.Done("first")
			}
			for _, item := range want {
				p.takes(item)
				p.q.Done(item)
			}
		}
	})
}
