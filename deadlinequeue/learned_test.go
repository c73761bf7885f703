package deadlinequeue_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/stretchr/testify/assert"
	testingclock "k8s.io/utils/clock/testing"
)

// An update event, or an object that was deleted and comes again, has another deadline.
func TestRule3_anEventMovesTheDeadline(t *testing.T) {
	for _, moved := range []time.Duration{15 * time.Minute, 5 * time.Minute} {
		withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
			known.due("a", 10*time.Minute)
			q.AddAfter("a", time.Hour)
			known.due("a", moved)
			q.AddAfter("a", time.Hour)
			time.Sleep(moved - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.serves("a")
		})
		withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
			p.priority(7, 0, "first")
			known.due("moved", -time.Second)
			q.Add("moved")
			known.due("moved", time.Hour) // while it is ready
			q.Add("moved")
			p.serves("first", "moved")
		})
	}
}

func TestRule3_anEventEndsTheDeadline(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("a", time.Minute)
		q.AddAfter("a", 2*time.Hour)
		delete(known, "a")
		q.AddAfter("a", 3*time.Hour)
		time.Sleep(time.Hour)
		p.getsNothing()
		time.Sleep(time.Hour)
		p.serves("a")
	})
}

// A key that waited for its deadline is looked at then, although an event has ended that.
func TestRule3_theWaitForAnEndedDeadlineStays(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("a", time.Minute)
		q.Add("a")
		p.takes("a")
		succeeds(q, "a", requeue.From(time.Now()).Deadline(known["a"]))
		delete(known, "a")
		q.AddAfter("a", time.Hour)
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
	})
}

// An event does not put a ready key at the end of those that are ready.
func TestRule3_anEventKeepsThePlace(t *testing.T) {
	withObjects(t, options{OldestEvery: 2}, func(_ *testing.T, _ queue, p *probe, known objects) {
		p.priority(-100, 0, "old", "other")
		known.due("old", time.Hour)
		p.priority(-100, 0, "old")
		p.priority(1, 0, "1", "2", "3")
		p.serves("1", "old", "2", "other", "3")
	})
}

// Nor behind those of its priority, whatever the event says of the deadline.
func TestRule3_anEventKeepsThePlaceInItsPriority(t *testing.T) {
	withObjects(t, options{OldestEvery: -1}, func(_ *testing.T, q queue, p *probe, known objects) {
		q.Add("a")
		q.Add("b")
		known.due("a", time.Hour)
		q.Add("a")
		delete(known, "a")
		q.Add("a")
		p.serves("a", "b")
	})
	inBubble(t, options{}, func(_ *testing.T, q queue, p *probe) {
		for _, item := range []string{"a", "b", "a"} { // the same wait again
			q.AddAfter(item, time.Second)
		}
		time.Sleep(time.Second)
		p.serves("a", "b")
	})
}

// Objects that are finished cost nothing: whatever way their last reconcile ends, the
// queue forgets the deadline that it had handed them out with.
func TestRule7_aFinishedObjectIsForgotten(t *testing.T) {
	for name, finish := range map[string]func(q queue, item string){
		"nothing":       func(q queue, item string) { q.Done(item) },
		"a zero plan":   func(q queue, item string) { succeeds(q, item, requeue.Plan{}) },
		"an empty plan": func(q queue, item string) { succeeds(q, item, requeue.From(time.Now())) },
		"a plain wait": func(q queue, item string) {
			q.AddAfter(item, time.Second)
			q.Done(item)
		},
		"a plan without a deadline": func(q queue, item string) {
			succeeds(q, item, requeue.From(time.Now()).Every(time.Second))
		},
	} {
		inBubble(t, options{}, func(t *testing.T, q queue, p *probe) {
			deadline := time.Now().Add(time.Minute)
			for i := range 1000 {
				waits(q, p, fmt.Sprint("done ", i), deadline)
			}
			for i := range 1000 {
				q.Add(fmt.Sprint("done ", i))
			}
			for range 1000 {
				g, _ := p.get()
				finish(q, g.item)
			}
			time.Sleep(time.Second)
			for q.Len() > 0 { // the plain waits
				g, _ := p.get()
				q.Done(g.item)
			}
			assert.Zero(t, q.Load().Objects, name)
			time.Sleep(time.Hour)
			p.getsNothing()
		})
	}
}

// An event while the key is processed does not delete the deadline of the plan, nor does
// the plan delete that of the event.
func TestRule4_anEventWhileProcessed(t *testing.T) {
	for _, c := range []struct{ event, plan, want time.Duration }{
		{time.Hour, time.Minute, time.Minute},
		{time.Minute, time.Hour, time.Minute},
		{0, time.Minute, time.Minute}, // there is none any more
	} {
		withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
			known.due("a", time.Second) // what it is handed out with is replaced
			q.Add("a")
			p.takes("a")
			delete(known, "a")
			if c.event > 0 {
				known.due("a", c.event)
			}
			q.AddAfter("a", 24*time.Hour)
			now := time.Now()
			succeeds(q, "a", requeue.From(now).Every(24*time.Hour).Deadline(now.Add(c.plan)))
			time.Sleep(c.want - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.takes("a")
			delete(known, "a")
			q.Done("a")
			time.Sleep(23 * time.Hour)
			p.getsNothing()
		})
	}
}

// A failed reconcile keeps its deadline: while it is ahead it ends the wait of the
// limiter, and once it has been handed out late, the key goes before the ordinary
// ones.
func TestRule2_aFailedReconcileKeepsItsDeadline(t *testing.T) {
	withObjects(t, options{RateLimiter: limiter[string]()}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("a", -time.Second)
		for _, item := range []string{"a", "b", "c"} {
			q.Add(item)
		}
		p.takes("a")
		failsBare(q, "a")
		time.Sleep(5 * time.Millisecond)
		p.takes("a")
		failsBare(q, "a") // and again
		time.Sleep(10 * time.Millisecond)
		p.takes("a")
		q.Add("a")
		q.Done("a") // it did not fail
		p.serves("b", "c", "a")
	})
	inBubble(t, slow(time.Hour), func(_ *testing.T, q queue, p *probe) {
		waits(q, p, "a", time.Now().Add(time.Minute))
		q.Add("a")
		p.takes("a")
		failsBare(q, "a")
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
	})
}

// A bare failure keeps the floor, too.
func TestRule2_aFailedReconcileKeepsItsFloor(t *testing.T) {
	inBubble(t, slow(time.Second), func(_ *testing.T, q queue, p *probe) {
		q.Add("a")
		p.takes("a")
		now := time.Now()
		succeeds(q, "a", requeue.From(now).Deadline(now.Add(time.Minute)).NotBefore(now.Add(time.Hour)))
		q.Add("a") // an event, which no floor holds back
		p.takes("a")
		failsBare(q, "a")
		time.Sleep(time.Hour - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.takes("a")
		q.Done("a") // without a plan there is none
		q.AddRateLimited("a")
		time.Sleep(time.Second)
		p.serves("a")
	})
}

// An event says again what the floor holds back.
func TestRule3_theFloorStays(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("a", time.Minute)
		q.Add("a")
		p.takes("a")
		now := time.Now()
		succeeds(q, "a", requeue.From(now).Timeout(now, time.Minute).NotBefore(now.Add(time.Hour)))
		q.AddAfter("a", 24*time.Hour)
		time.Sleep(time.Hour - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
	})
}

// A floor holds with an error, too, whether or not it is what the plan waits for, and
// where the limiter is sooner; where it is later, the limiter counts, and a deadline ends
// the wait.
func TestRule6_theFloorHoldsWithAnError(t *testing.T) {
	const ms, second, minute, hour = time.Millisecond, time.Second, time.Minute, time.Hour
	for _, tt := range []struct {
		why             string
		poll, deadline  time.Duration // 0: none
		limiter, wakeUp time.Duration
	}{
		{"no deadline", second, 0, 5 * ms, minute},
		{"no deadline, the floor is before the poll", 5 * minute, 0, 5 * ms, minute},
		{"no deadline, a slow limiter", second, 0, hour, hour},
		{"a deadline before the floor", second, 30 * second, 5 * ms, minute},
		{"a deadline before the floor, a slow limiter", second, 30 * second, hour, minute},
		{"a deadline behind the floor", 5 * minute, 2 * minute, 5 * ms, minute},
		{"a deadline behind the floor, a slow limiter", 5 * minute, 2 * minute, hour, 2 * minute},
		{"a deadline at the floor, a slow limiter", 5 * minute, minute, hour, minute},
		{"an overdue deadline", 5 * minute, -hour, 5 * ms, minute},
		{"an overdue deadline, a slow limiter", second, -second, hour, hour},
	} {
		for _, known := range []bool{false, true} {
			inBubble(t, slow(tt.limiter), func(t *testing.T, q queue, p *probe) {
				start := time.Now()
				if known { // it is handed out with another
					waits(q, p, "a", start.Add(30*second))
				}
				q.Add("a")
				p.takes("a")
				plan := requeue.From(start).Every(tt.poll).NotBefore(start.Add(minute))
				if tt.deadline != 0 {
					plan = plan.Deadline(start.Add(tt.deadline))
				}
				fails(q, "a", plan)
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
}

// A limiter that lets a key through at once does not undercut the floor, either.
func TestRule6_theFloorHoldsALimiterWithoutAWait(t *testing.T) {
	inBubble(t, slow(0), func(_ *testing.T, q queue, p *probe) {
		for _, floor := range []time.Duration{time.Minute, 0} {
			q.Add("a")
			p.takes("a")
			now := time.Now()
			fails(q, "a", requeue.From(now).Every(time.Hour).NotBefore(now.Add(floor)))
			if floor > 0 {
				time.Sleep(floor - 1)
				p.lenIs(0)
				time.Sleep(time.Nanosecond)
			}
			p.serves("a")
		}
	})
}

// A floor alone, as after an answer of 429, holds back the retry.
func TestRule6_aFloorAlone(t *testing.T) {
	inBubble(t, slow(time.Millisecond), func(_ *testing.T, q queue, p *probe) {
		q.Add("a")
		p.takes("a")
		now := time.Now()
		fails(q, "a", requeue.From(now).NotBefore(now.Add(time.Hour)))
		time.Sleep(time.Hour - 1)
		p.lenIs(0)
		time.Sleep(time.Nanosecond)
		p.serves("a")
	})
}

// The object says a spent deadline again. The other one of the plan stays.
func TestRule3_aSpentAnswerSaysNothingNew(t *testing.T) {
	withObjects(t, slow(time.Hour), func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("a", -time.Minute)
		start := time.Now()
		q.Add("a")
		p.takes("a")
		succeeds(q, "a", requeue.From(start).Every(time.Hour).Deadline(known["a"]).Deadline(start.Add(2*time.Minute)))
		q.Add("a")
		p.takes("a")
		failsBare(q, "a")
		time.Sleep(2*time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.takes("a")
	})
}

// A limiter that waits for ever: the reconcile has failed all the same.
func TestRule2_aLimiterThatWaitsForEver(t *testing.T) {
	inBubble(t, slow(math.MaxInt64), func(_ *testing.T, q queue, p *probe) {
		waits(q, p, "a", time.Now().Add(time.Minute))
		q.Add("a")
		p.takes("a")
		failsBare(q, "a")
		time.Sleep(time.Minute)
		p.takes("a")
	})
}

// A floor holds back what passed while the key was processed.
func TestRule6_theFloorHoldsBackAPassedDeadline(t *testing.T) {
	inBubble(t, slow(time.Millisecond), func(_ *testing.T, q queue, p *probe) {
		start := time.Now()
		q.Add("a")
		p.takes("a")
		time.Sleep(2 * time.Second)
		q.Decide("a", requeue.From(time.Now()).Deadline(start.Add(time.Second)).NotBefore(start.Add(time.Minute)).Decide())
		q.AddAfter("a", time.Hour)
		q.Done("a")
		time.Sleep(58*time.Second - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		q.Add("b")
		p.serves("a", "b")
	})
}

// The plan may be by a clock of the reconciler's.
func TestRule6_theFloorByAnotherClock(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC))
	for _, end := range []func(queue, string, requeue.Plan){succeeds, fails} {
		q := deadlinequeue.New("", options{Clock: clock})
		q.Add("a")
		_, _ = q.Get()
		end(q, "a", requeue.From(clock.Now()).Deadline(clock.Now().Add(time.Second)).NotBefore(clock.Now().Add(time.Minute)))
		clock.Step(time.Minute - 1)
		assert.Zero(t, q.Len())
		clock.Step(1)
		assert.Equal(t, 1, q.Len())
		q.ShutDown()
	}
}

// A requeue after Done is not what the documentation asks for, and still no loop.
func TestRule8_aRequeueAfterDoneIsNoLoop(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("a", -time.Second)
		q.Add("a")
		for range 3 {
			p.takes("a")
			q.Done("a")
			q.AddAfter("a", time.Minute)
			time.Sleep(time.Minute - 1)
			p.lenIs(0)
			time.Sleep(time.Nanosecond)
			p.lenIs(1)
		}
		q.Add("ordinary")
		p.serves("a", "ordinary")
	})
}

// A wait and a passed deadline of a key that is known: the deadline counts.
func TestRule3_aPassedDeadlineEndsAWait(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("known", 10*time.Minute)
		q.AddAfter("known", time.Hour)
		known.due("known", -time.Second)
		q.AddAfter("known", time.Hour)
		p.serves("known")
	})
}

// The plan replaces the deadline that the queue knew: it may be held back by a floor, or
// be another by now.
func TestRule1_thePlanReplacesTheDeadline(t *testing.T) {
	for name, plan := range map[string]func(now time.Time) requeue.Plan{
		"a floor": func(now time.Time) requeue.Plan {
			return requeue.From(now).Deadline(now.Add(10 * time.Second)).NotBefore(now.Add(time.Minute))
		},
		"a later deadline": func(now time.Time) requeue.Plan { return requeue.From(now).Deadline(now.Add(time.Minute)) },
	} {
		inBubble(t, options{}, func(_ *testing.T, q queue, p *probe) {
			waits(q, p, "a", time.Now().Add(10*time.Second))
			q.Add("a") // an event
			p.takes("a")
			succeeds(q, "a", plan(time.Now()))
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

func TestRule1_theLastPlanCounts(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, q queue, p *probe) {
		now := time.Now()
		assert.False(t, q.Decide("a", requeue.From(now).Decide()), "it is not being processed")
		q.Add("a")
		assert.False(t, q.Decide("a", requeue.From(now).Decide()), "it is not being processed")
		p.takes("a")
		assert.True(t, q.Decide("a", requeue.From(now).Deadline(now.Add(time.Second)).Decide()))
		assert.True(t, q.Decide("a", requeue.From(now).Deadline(now.Add(time.Minute)).Decide()))
		q.Done("a")
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.takes("a")
		q.Decide("a", requeue.From(now).Deadline(now.Add(time.Hour)).Decide())
		q.Decide("a", requeue.Plan{}.Decide())
		q.Done("a")
		assert.Zero(t, q.Load().Objects)
	})
}

// An overdue deadline does not hide the next one from the queue: it is handed out
// when that passes, before a backlog, and its lateness is counted.
func TestRule1_anOverdueDeadlineDoesNotHideTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := unique()
		q := deadlinequeue.New(name, options{})
		defer q.ShutDown()
		now := time.Now()
		q.Add("a")
		_, _ = q.Get()
		succeeds(q, "a", requeue.From(now).Every(5*time.Minute).Deadline(now.Add(-time.Hour)).Deadline(now.Add(30*time.Second)))
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
