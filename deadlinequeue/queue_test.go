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

// answer ends the reconcile of an item with the decision of a plan.
func answer(q *deadlinequeue.Queue[string], item string, plan requeue.Plan) {
	q.Requeue(item, plan.Decide())
	q.Done(item)
}

// fails ends the reconcile of an item, but for its Done, with an error and a decision.
func fails(q *deadlinequeue.Queue[string], d requeue.Decision, item string) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: deadlinequeue.Failed(d).Priority}, item)
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
		deadline := time.Now().Add(time.Minute)
		q.Add("a")
		p.takes("a")
		answer(q, "a", requeue.From(time.Now()).Every(5*time.Minute).Deadline(deadline))
		q.Add("a") // an event: the poll is over, the deadline is not
		p.takes("a")
		answer(q, "a", requeue.From(time.Now()).Every(5*time.Minute).Deadline(deadline))
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
		time.Sleep(time.Hour)
		p.getsNothing()
	})
}

// An update event, or an object that was deleted and comes again, tells another
// deadline: the latest word counts, sooner or later.
func TestWord_theLatestReplacesTheOneBefore(t *testing.T) {
	for _, moved := range []time.Duration{15 * time.Minute, 5 * time.Minute} {
		inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			due(q, "a", time.Hour, 10*time.Minute)
			due(q, "a", time.Hour, moved)
			time.Sleep(moved - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.serves("a")
		})
		inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			p.priority(7, 0, "first")
			due(q, "moved", 0, -time.Second)
			due(q, "moved", 0, time.Hour) // while it is ready
			p.serves("first", "moved")
		})
	}
}

func TestWord_noneWithdraws(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 2*time.Hour, time.Minute)
		q.AddWithOpts(priorityqueue.AddOpts{After: 3 * time.Hour, Priority: ptr.To(deadlinequeue.Priority(time.Time{}))}, "a")
		time.Sleep(time.Hour)
		p.getsNothing()
		time.Sleep(time.Hour)
		p.serves("a")
	})
}

// Objects that are finished cost nothing: whatever way their last reconcile ends, the
// queue forgets the deadline that it had handed them out with.
func TestWord_aFinishedObjectIsForgotten(t *testing.T) {
	for name, finish := range map[string]func(*deadlinequeue.Queue[string], string){
		"nothing": func(*deadlinequeue.Queue[string], string) {},
		"a decision that waits for nothing": func(q *deadlinequeue.Queue[string], item string) {
			q.Requeue(item, requeue.From(time.Now()).Decide())
		},
		"a plain wait": func(q *deadlinequeue.Queue[string], item string) { q.AddAfter(item, time.Second) },
		"a decision without a deadline": func(q *deadlinequeue.Queue[string], item string) {
			q.Requeue(item, requeue.From(time.Now()).Every(time.Second).Decide())
		},
	} {
		inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			for i := range 1000 {
				due(q, fmt.Sprint("done ", i), 0, time.Minute)
			}
			for range 1000 {
				g, _ := p.get()
				finish(q, g.item)
				q.Done(g.item)
			}
			time.Sleep(time.Second)
			for q.Len() > 0 { // the plain waits
				g, _ := p.get()
				q.Done(g.item)
			}
			assert.Zero(t, q.Load().Objects, name)
			due(q, "live", time.Hour, time.Minute)
			time.Sleep(time.Hour)
			p.serves("live")
		})
	}
}

// An event handler that knows less than the reconciler does not delete its deadline,
// nor does the reconciler delete what a handler has said meanwhile.
func TestWord_othersCountBesidesTheReconcilers(t *testing.T) {
	for _, c := range []struct{ handler, reconciler, want time.Duration }{
		{time.Hour, time.Minute, time.Minute},
		{time.Minute, time.Hour, time.Minute},
		{0, time.Minute, time.Minute}, // the handler knows of none
	} {
		inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			now := time.Now()
			var theirs time.Time
			if c.handler > 0 {
				theirs = now.Add(c.handler)
			}
			due(q, "a", 0, time.Second) // what it is handed out with is replaced
			p.takes("a")
			o := priorityqueue.AddOpts{After: 24 * time.Hour, Priority: ptr.To(deadlinequeue.Priority(theirs))}
			q.AddWithOpts(o, "a")
			answer(q, "a", requeue.From(now).Every(24*time.Hour).Deadline(now.Add(c.reconciler)))
			time.Sleep(c.want - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.serves("a")
			time.Sleep(23 * time.Hour)
			p.getsNothing()
		})
	}
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
		p.getsNothing()
		q.Add("something") // for the Get that waits
		p.takes("something")
		q.Add("a")
		p.priority(1, 0, "other")
		p.serves("other", "a") // the spent deadline is ordinary
	})
}

func TestDeadline_thatPassesWhileProcessedIsNotSpent(t *testing.T) {
	for name, end := range map[string]func(q *deadlinequeue.Queue[string], d requeue.Decision){
		"it is told, overdue":  func(q *deadlinequeue.Queue[string], d requeue.Decision) { q.Requeue("a", d) },
		"it failed":            func(q *deadlinequeue.Queue[string], _ requeue.Decision) { q.AddRateLimited("a") },
		"it failed, and tells": func(q *deadlinequeue.Queue[string], d requeue.Decision) { fails(q, d, "a") },
	} {
		slow := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Hour, time.Hour)
		inBubble(t, deadlinequeue.Options[string]{RateLimiter: slow}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			deadline := time.Now().Add(time.Second)
			due(q, "a", 0, time.Second)
			p.takes("a")
			time.Sleep(2 * time.Second)
			end(q, requeue.From(time.Now()).Every(time.Hour).Deadline(deadline).Decide())
			q.Add("ordinary")
			q.Done("a")
			p.serves("a", "ordinary")
			if p.wrong != "" {
				p.wrong = name + ": " + p.wrong
			}
		})
	}
}

// A failed reconcile keeps its deadline: while it is ahead it ends the wait of the
// limiter, and once it has been handed out late, the key goes before the ordinary
// ones.
func TestDeadline_aFailedReconcileKeepsIt(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: limiter[string]()}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 0, -time.Second)
		q.Add("b")
		q.Add("c")
		p.takes("a")
		q.AddRateLimited("a") // it failed
		q.Done("a")
		time.Sleep(5 * time.Millisecond)
		p.takes("a")
		q.AddRateLimited("a") // and again
		q.Done("a")
		time.Sleep(10 * time.Millisecond)
		p.takes("a")
		q.Add("a")
		q.Done("a") // it did not fail
		p.serves("b", "c", "a")
	})
}

// Retries come after the passed deadlines that nobody has seen, in the order of
// their last hand-outs: keys that fail for ever do not delay healthy deadlines.
func TestDeadline_retriesGoAfterFreshOnes(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: limiter[string]()}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		for i, item := range []string{"fails 1", "fails 2", "fails 3"} {
			due(q, item, 0, time.Duration(i-10)*time.Hour)
			p.takes(item)
			time.Sleep(time.Millisecond)
		}
		for _, item := range []string{"fails 3", "fails 1", "fails 2"} {
			fails(q, requeue.From(time.Now()).Deadline(time.Now().Add(-time.Hour)).Decide(), item)
			q.Done(item)
		}
		time.Sleep(time.Second)
		q.Add("ordinary")
		due(q, "fresh", 0, -time.Millisecond)
		p.serves("fresh", "fails 1", "fails 2", "fails 3", "ordinary")
	})
}

func TestDeadline_endsTheWaitOfTheRateLimiter(t *testing.T) {
	slow := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Hour, time.Hour)
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: slow}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "a", 0, time.Minute)
		p.takes("a")
		q.AddRateLimited("a")
		q.Done("a")
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
		// Failed at one deadline, and there is another.
		due(q, "b", 0, -time.Second)
		p.gets("b")
		fails(q, requeue.From(time.Now()).Deadline(time.Now().Add(time.Second)).Decide(), "b")
		q.Done("b")
		time.Sleep(time.Second)
		p.serves("b")
	})
}

// A floor holds with an error, too, whether or not it is what the plan waits for, and
// where the limiter is sooner; where it is later, the limiter counts, and a deadline ends
// the wait.
func TestDeadline_aFloorIsKeptWithAnError(t *testing.T) {
	const ms, second, minute, hour = time.Millisecond, time.Second, time.Minute, time.Hour
	for _, tt := range []struct {
		why             string
		poll, deadline  time.Duration // 0: none
		known           time.Duration // the deadline that the key is handed out with; 0: none
		limiter, wakeUp time.Duration
	}{
		{"no deadline", second, 0, 0, 5 * ms, minute},
		{"no deadline, the floor is before the poll", 5 * minute, 0, 0, 5 * ms, minute},
		{"no deadline any more", second, 0, 30 * second, 5 * ms, minute},
		{"no deadline, a slow limiter", second, 0, 30 * second, hour, hour},
		{"a deadline before the floor", second, 30 * second, 30 * second, 5 * ms, minute},
		{"a deadline before the floor, a slow limiter", second, 30 * second, 0, hour, minute},
		{"a deadline behind the floor", 5 * minute, 2 * minute, 0, 5 * ms, minute},
		{"a deadline behind the floor, a slow limiter", 5 * minute, 2 * minute, 0, hour, 2 * minute},
		{"a deadline at the floor, a slow limiter", 5 * minute, minute, 0, hour, minute},
		{"an overdue deadline", 5 * minute, -hour, 0, 5 * ms, minute},
		{"an overdue deadline, a slow limiter", second, -second, 0, hour, minute},
		{"moved behind the floor", 5 * minute, 2 * minute, 30 * second, hour, 2 * minute},
	} {
		l := workqueue.NewTypedItemExponentialFailureRateLimiter[string](tt.limiter, hour)
		inBubble(t, deadlinequeue.Options[string]{RateLimiter: l}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			start := time.Now()
			q.Add("a")
			if tt.known != 0 {
				due(q, "a", 0, tt.known)
			}
			p.takes("a")
			plan := requeue.From(start).Every(tt.poll).NotBefore(start.Add(minute))
			if tt.deadline != 0 {
				plan = plan.Deadline(start.Add(tt.deadline))
			}
			fails(q, plan.Decide(), "a")
			q.Done("a")
			assert.Equal(t, 1, q.NumRequeues("a"), "the failure is counted")
			time.Sleep(tt.wakeUp - 1)
			p.lenIs(0)
			time.Sleep(time.Nanosecond)
			p.takes("a")
			if p.wrong != "" {
				p.wrong = tt.why + ": " + p.wrong
			}
		})
	}
}

// What travels with a floor and a deadline behind it is rounded up a little, and a floor
// that is too far is alone.
func TestDeadline_behindAFloorIsRoundedUp(t *testing.T) {
	l := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Millisecond, time.Millisecond)
	for _, tt := range []struct{ floor, deadline, want time.Duration }{
		{time.Second + time.Millisecond, time.Hour, 1250 * time.Millisecond},
		{4 * time.Hour, 5 * time.Hour, 4 * time.Hour},
		{5 * time.Hour, 6 * time.Hour, 5 * time.Hour},
		{time.Hour, 290 * 365 * 24 * time.Hour, time.Hour},
	} {
		inBubble(t, deadlinequeue.Options[string]{RateLimiter: l}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			start := time.Now()
			q.Add("a")
			p.takes("a")
			fails(q, requeue.From(start).Deadline(start.Add(tt.deadline)).NotBefore(start.Add(tt.floor)).Decide(), "a")
			q.Done("a")
			time.Sleep(tt.want - 1)
			p.lenIs(0)
			time.Sleep(time.Nanosecond)
			p.takes("a")
			assert.Equal(t, tt.want, time.Since(start))
		})
	}
}

// A step that fails and says that one deadline is overdue and another ahead is a retry,
// and is called at the other.
func TestDeadline_aFailureWithOneOverdueAndOneAhead(t *testing.T) {
	slow := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Minute, time.Hour)
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: slow}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		start := time.Now()
		for _, ahead := range []time.Duration{30 * time.Second, time.Hour} {
			q.Add("a")
			p.takes("a")
			fails(q, requeue.From(start).Deadline(start.Add(-time.Hour)).Deadline(start.Add(ahead)).Decide(), "a")
			q.Done("a")
			time.Sleep(30 * time.Second)
			q.Add("ordinary")
			if ahead == time.Hour {
				q.Add("a") // an event
			}
			p.serves("a", "ordinary")
		}
	})
}

// A floor that is no whole microsecond is rounded up, like a deadline.
func TestDeadline_aFloorIsNotUndercutByANanosecond(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		q.Add("a")
		p.takes("a")
		now := time.Now()
		fails(q, requeue.From(now).Every(time.Second).NotBefore(now.Add(time.Minute+time.Nanosecond)).Decide(), "a")
		q.Done("a")
		time.Sleep(time.Minute)
		p.lenIs(0)
		time.Sleep(time.Microsecond)
		p.takes("a")
	})
}

// Numbers beside the packed words are priorities.
func TestPriority_besideTheWords(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		for _, priority := range []int{math.MaxInt, 1<<62 - 1, 1, math.MinInt} {
			item := fmt.Sprint(priority)
			p.priority(priority, 0, item)
			g, _ := p.get()
			assert.Equal(t, got{item: item, priority: priority}, g)
			q.Done(item)
		}
		p.priority(1<<62, 0, "a word") // the lowest: none
		g, _ := p.get()
		assert.Equal(t, got{item: "a word"}, g)
	})
}

// The floor is told by the plan's own clock, whatever the queue's.
func TestDeadline_aFloorByAClockOfTheReconciler(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC))
	for _, end := range []func(*deadlinequeue.Queue[string], requeue.Decision){
		func(q *deadlinequeue.Queue[string], d requeue.Decision) {
			q.AddWithOpts(priorityqueue.AddOpts{After: d.After, Priority: deadlinequeue.Result(d).Priority}, "a")
		},
		func(q *deadlinequeue.Queue[string], d requeue.Decision) { q.Requeue("a", d) },
		func(q *deadlinequeue.Queue[string], d requeue.Decision) { fails(q, d, "a") },
	} {
		q := deadlinequeue.New("", deadlinequeue.Options[string]{Clock: clock})
		q.Add("a")
		_, _ = q.Get()
		end(q, requeue.From(clock.Now()).Deadline(clock.Now().Add(time.Second)).NotBefore(clock.Now().Add(time.Minute)).Decide())
		q.Done("a")
		clock.Step(time.Minute - 1)
		assert.Zero(t, q.Len())
		clock.Step(1)
		assert.Equal(t, 1, q.Len())
		q.ShutDown()
	}
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
	for name, plan := range map[string]func(now time.Time) requeue.Plan{
		"a floor": func(now time.Time) requeue.Plan {
			return requeue.From(now).Deadline(now.Add(10 * time.Second)).NotBefore(now.Add(time.Minute))
		},
		"a later deadline": func(now time.Time) requeue.Plan { return requeue.From(now).Deadline(now.Add(time.Minute)) },
	} {
		inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
			due(q, "a", time.Hour, 10*time.Second)
			q.Add("a") // an event
			p.takes("a")
			answer(q, "a", plan(time.Now()))
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

// An overdue deadline does not hide the next one from the queue: it is handed out
// when that passes, before a backlog, and its lateness is counted.
func TestDeadline_anOverdueOneDoesNotHideTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := unique()
		q := deadlinequeue.New(name, deadlinequeue.Options[string]{})
		defer q.ShutDown()
		now := time.Now()
		q.Add("a")
		_, _ = q.Get()
		answer(q, "a", requeue.From(now).Every(5*time.Minute).Deadline(now.Add(-time.Hour)).Deadline(now.Add(30*time.Second)))
		for i := range 2000 {
			q.Add(fmt.Sprint("backlog ", i))
		}
		var late time.Duration
		for item := ""; item != "a"; {
			item, _ = q.Get()
			time.Sleep(100 * time.Millisecond)
			late = time.Since(now.Add(30*time.Second)) - 100*time.Millisecond
			q.Done(item)
		}
		assert.Less(t, late, 100*time.Millisecond)
		values, _ := scrape(t, name)
		assert.Equal(t, 1.0, values["requeue_deadline_lateness_seconds_count"])
	})
}

// A deadline that is no whole microsecond is handed out once, when it is rounded up.
func TestDeadline_betweenMicrosecondsIsHandedOutOnce(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		now := time.Now()
		q.Requeue("a", requeue.From(now).Every(time.Hour).Deadline(now.Add(time.Second+time.Nanosecond)).Decide())
		time.Sleep(time.Second + 999*time.Nanosecond)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.takes("a")
		q.Done("a")
		time.Sleep(time.Minute)
		p.getsNothing()
	})
}

// A handler's word that has passed counts at once if the key is known. Of one that is not,
// the wait that comes with it holds, and then it is as urgent as any.
func TestWord_passedAndAWait(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "known", time.Hour, 10*time.Minute)
		due(q, "known", time.Hour, -time.Second)
		p.serves("known")
	})
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		due(q, "unknown", time.Second, -time.Hour)
		p.lenIs(0)
		time.Sleep(2 * time.Second)
		q.Add("ordinary")
		due(q, "later", 0, 0)
		p.serves("unknown", "later", "ordinary")
	})
}

// Retries by At are polls: they do not go before a real deadline.
func TestDeadline_goesBeforeRetriesThatAreNone(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		now := time.Now()
		for i := range 100 {
			item := fmt.Sprint("retry ", i)
			q.Add(item)
			p.takes(item)
			answer(q, item, requeue.From(now).At(requeue.Backoff(now, 1, time.Second, time.Minute)).Timeout(now, time.Hour))
		}
		due(q, "deadline", time.Hour, 2*time.Second)
		time.Sleep(2 * time.Second)
		p.takes("deadline")
	})
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
		assert.Equal(t, map[string]int{"zero": 2, "none": 2, "ahead": 2, "late": 2, "later": 2}, asked,
			"at the add and at Done, but not for what comes with a deadline")
		p.takes("own")
		answer(q, "own", requeue.From(time.Now()).Every(time.Minute).Deadline(time.Now().Add(time.Hour)))
		assert.Zero(t, asked["own"], "nor at Done, if the reconcile has told one")
		q.Add("fails")
		p.takes("fails")
		q.AddRateLimited("fails")
		q.Done("fails")
		assert.Equal(t, 2, asked["fails"], "nor if it has failed: at the two adds")
		q.ShutDown()
		q.Add("late")
		assert.Equal(t, 2, asked["late"], "nor after a shutdown")
	})
}

// stopsMeanwhile is a clock whose next reading has somebody call ShutDown, who gets in
// when the lock is given up.
type stopsMeanwhile struct {
	lateTimers
	q *deadlinequeue.Queue[int]
}

func (c *stopsMeanwhile) Now() time.Time {
	if q := c.q; q != nil {
		c.q = nil
		go q.ShutDown()
	}
	return c.FakeClock.Now()
}

// A ShutDown that comes while ShutDownWithDrain passes over what is due ends it, too.
func TestShutDownWithDrain_endsWhileItPassesOver(*testing.T) {
	for range 20 {
		clock := &stopsMeanwhile{lateTimers: lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}}
		q := deadlinequeue.New("", deadlinequeue.Options[int]{Clock: clock})
		q.Add(-1)
		_, _ = q.Get() // is never Done
		for i := range 5000 {
			q.AddAfter(i, time.Hour)
		}
		clock.Step(time.Hour)
		clock.q = q
		q.ShutDownWithDrain()
	}
}

// DeadlineOf stands in for a reconcile that says nothing, and for that alone.
func TestDeadlineOf_atDone(t *testing.T) {
	var known time.Time
	o := deadlinequeue.Options[string]{DeadlineOf: func(string) (time.Time, bool) { return known, !known.IsZero() }}
	inBubble(t, o, func(t *testing.T, q *deadlinequeue.Queue[string], p *probe) {
		q.Add("a")
		p.takes("a")
		known = time.Now().Add(time.Minute) // what the reconcile has made of the object
		q.Done("a")
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.takes("a")
		q.Done("a")
		p.getsNothing()
		assert.Zero(t, q.Load().Objects, "a deadline that is spent is not waited for again")
	})
}

// The caller's code is not called under the lock, so anything may happen meanwhile.
func TestDeadlineOf_doneMeanwhile(t *testing.T) {
	var q *deadlinequeue.Queue[string]
	var meanwhile func()
	o := deadlinequeue.Options[string]{DeadlineOf: func(string) (time.Time, bool) {
		if do := meanwhile; do != nil {
			meanwhile = nil
			do()
		}
		return time.Time{}, false
	}}
	for name, do := range map[string]func(*testing.T, *probe){
		"it is done": func(*testing.T, *probe) { q.Done("a") },
		"it is done and handed out again": func(_ *testing.T, p *probe) {
			q.Add("a")
			q.Done("a")
			time.Sleep(time.Nanosecond)
			p.takes("a")
		},
	} {
		inBubble(t, o, func(t *testing.T, made *deadlinequeue.Queue[string], p *probe) {
			q = made
			q.Add("a")
			p.takes("a")
			meanwhile = func() { do(t, p) }
			q.Done("a")
			q.Add("a")
			if name == "it is done" {
				p.takes("a")
			}
			p.getsNothing() // it is processed
			q.Done("a")
		})
	}
}

// Many waits that end at one instant are passed over in batches, which keep the order of
// deadlines.
func TestQueue_manyAtOneInstant(t *testing.T) {
	const n = 2600
	clock := &lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	for name, use := range map[string]func(q *deadlinequeue.Queue[int]){
		"Get":      func(*deadlinequeue.Queue[int]) {},
		"Len":      func(q *deadlinequeue.Queue[int]) { assert.Equal(t, n, q.Len()) },
		"ShutDown": func(q *deadlinequeue.Queue[int]) { q.ShutDown(); assert.Equal(t, n, q.Len()) },
	} {
		t.Run(name, func(t *testing.T) {
			q := deadlinequeue.New("", deadlinequeue.Options[int]{Clock: clock, DrainOnShutDown: true, OldestEvery: -1})
			defer q.ShutDown()
			deadline := clock.Now().Add(time.Hour)
			for i := range n {
				at := deadline.Add(-time.Duration(i) * time.Microsecond)
				q.AddWithOpts(priorityqueue.AddOpts{After: 2 * time.Hour, Priority: ptr.To(deadlinequeue.Priority(at))}, i)
			}
			clock.Step(time.Hour)
			use(q)
			for i := n - 1; i >= 0; i-- {
				item, down := q.Get()
				require.False(t, down)
				require.Equal(t, i, item)
				q.Done(item)
			}
		})
	}
}

func TestQueue_theTimerPassesOverAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2600
		p := &provider{sums: map[string]float64{}}
		q := deadlinequeue.New(unique(), deadlinequeue.Options[int]{MetricsProvider: p})
		defer q.ShutDown()
		for i := range n {
			q.AddAfter(i, time.Hour)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, float64(n), p.sums["adds"])
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
		-1: {"1", "2", "3", "4", "5", "old"},
		0:  {"1", "2", "3", "4", "5", "old"},
		1:  {"old", "1", "2", "3", "4", "5"},
		3:  {"1", "2", "old", "3", "4", "5"},
	} {
		inBubble(t, deadlinequeue.Options[string]{OldestEvery: every}, func(_ *testing.T, q *deadlinequeue.Queue[string], p *probe) {
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
	wait := func(k request) {
		q.AddWithOpts(priorityqueue.AddOpts{
			After: time.Hour, Priority: ptr.To(deadlinequeue.Priority(time.Now().Add(time.Hour))),
		}, k)
	}
	for _, k := range keys {
		wait(k)
	}
	full := heapInUse()
	q.AddWithOpts(priorityqueue.AddOpts{}, keys...)
	for range keys {
		k, _ := q.Get()
		wait(k)
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
	inBubble(t, deadlinequeue.Options[string]{OldestEvery: -1}, func(_ *testing.T, _ *deadlinequeue.Queue[string], p *probe) {
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
