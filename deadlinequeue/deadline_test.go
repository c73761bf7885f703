package deadlinequeue_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/util/workqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

type (
	options = deadlinequeue.Options[string]
	queue   = deadlinequeue.Queue[string]
)

func slow(wait time.Duration) options {
	return options{RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[string](wait, wait)}
}

func TestDeadline_passedGoesFirstEarliestFirst(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("second", -time.Second)
		known.due("first", -time.Minute)
		known.due("ahead", time.Minute)
		p.priority(1000, 0, "high")
		for _, item := range []string{"ordinary", "second", "first", "ahead"} {
			q.Add(item)
		}
		p.serves("first", "second", "high", "ordinary", "ahead")
	})
}

func TestDeadline_movesUpWhenItPasses(t *testing.T) {
	withObjects(t, options{}, func(_ *testing.T, q queue, p *probe, known objects) {
		known.due("touched", time.Second)
		for _, item := range []string{"a", "b", "touched"} {
			q.Add(item)
		}
		time.Sleep(time.Second)
		p.serves("touched", "a", "b")
	})
}

func TestDeadline_wakesTheKeyByItself(t *testing.T) {
	inBubble(t, options{}, func(_ *testing.T, q queue, p *probe) {
		deadline := time.Now().Add(time.Minute)
		plan := func() requeue.Plan { return requeue.From(time.Now()).Every(5 * time.Minute).Deadline(deadline) }
		for range 2 { // the second is an event: the poll is over, the deadline is not
			q.Add("a")
			p.takes("a")
			succeeds(q, "a", plan())
		}
		time.Sleep(time.Minute - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
		time.Sleep(time.Hour)
		p.getsNothing()
	})
}

// Of deadlines that pass at one instant the first come goes first.
func TestDeadline_equalOnesInTheirOrder(t *testing.T) {
	inBubble(t, options{}, func(_ *testing.T, q queue, p *probe) {
		deadline := time.Now().Add(time.Minute)
		items := []string{"c", "a", "d", "b", "e"}
		for _, item := range items {
			waits(q, p, item, deadline)
		}
		time.Sleep(time.Minute)
		p.serves(items...)
	})
}

// Without a poll the deadline alone wakes the key.
func TestDeadline_withoutAWait(t *testing.T) {
	inBubble(t, options{}, func(_ *testing.T, q queue, p *probe) {
		q.Add("a")
		p.takes("a")
		q.Decide("a", requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour)).Decide())
		q.Done("a")
		time.Sleep(time.Hour - 1)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
	})
}

// A timeout is shortened, so that the deadline is over at once, and before the last look.
// No hand-out was for it.
func TestSpent_isAFactOfADeadlineAndNotOfATime(t *testing.T) {
	for _, shortened := range []time.Duration{time.Hour, 2*time.Hour + 30*time.Second} {
		synctest.Test(t, func(t *testing.T) {
			name, started, timeout := unique(), time.Now(), 3*time.Hour
			q := deadlinequeue.New(name, options{Deadline: func(item string) (time.Time, bool) {
				return started.Add(timeout), item == "a"
			}})
			defer q.ShutDown()
			time.Sleep(2 * time.Hour)
			q.Add("a")
			_, _ = q.Get() // the last look
			for i := range 1000 {
				q.Add(fmt.Sprint("backlog ", i))
			}
			succeeds(q, "a", requeue.From(time.Now()).Every(5*time.Minute).Timeout(started, timeout))
			time.Sleep(time.Minute)
			timeout = shortened
			q.Add("a")
			item, _ := q.Get()
			assert.Equal(t, "a", item)
			values, _ := scrape(t, name)
			assert.Equal(t, 1.0, values["requeue_deadline_lateness_seconds_count"])
			succeeds(q, "a", requeue.From(time.Now()).Every(time.Hour).Timeout(started, timeout))
			q.Add("a") // it is spent now
			item, _ = q.Get()
			assert.NotEqual(t, "a", item)
		})
	}
}

// The overdue answer of the core: look again in 20 ms, and the deadline is that
// which the key was just handed out for. It must not be ready at once for ever.
func TestDeadline_isSpentByAHandOut(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, q queue, p *probe) {
		deadline := time.Now().Add(time.Second)
		plan := func() requeue.Plan { return requeue.From(time.Now()).Every(time.Hour).Deadline(deadline) }
		q.Add("a")
		looks := 0
		for time.Since(deadline) < time.Hour {
			g, ok := p.get()
			if !ok {
				time.Sleep(time.Millisecond)
				continue
			}
			looks++
			succeeds(q, g.item, plan())
		}
		assert.InDelta(t, 1+17+59, looks, 2, "as often as the core backs off")
		p.getsNothing()
		q.Add("something") // for the Get that waits
		p.takes("something")
		q.Add("a")
		p.priority(1, 0, "other")
		p.serves("other", "a") // the spent deadline is ordinary
	})
}

func TestDeadline_thatPassesWhileProcessedIsNotSpent(t *testing.T) {
	for name, end := range map[string]func(q queue, plan requeue.Plan){
		"it is told, overdue":  func(q queue, plan requeue.Plan) { succeeds(q, "a", plan) },
		"it failed":            func(q queue, _ requeue.Plan) { failsBare(q, "a") },
		"it failed, and tells": func(q queue, plan requeue.Plan) { fails(q, "a", plan) },
		"nothing, and Options.Deadline is asked": func(q queue, _ requeue.Plan) {
			q.Done("a")
		},
	} {
		withObjects(t, slow(time.Hour), func(_ *testing.T, q queue, p *probe, known objects) {
			known.due("a", time.Second)
			q.Add("a")
			p.takes("a")
			time.Sleep(2 * time.Second)
			q.Add("ordinary")
			end(q, requeue.From(time.Now()).Every(time.Hour).Deadline(known["a"]))
			p.serves("a", "ordinary")
			if p.wrong != "" {
				p.wrong = name + ": " + p.wrong
			}
		})
	}
}

// One of two deadlines passes while the key is processed: the key goes before a backlog, and
// again when the second passes.
func TestDeadline_oneOfTwoPassesWhileProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := deadlinequeue.New("", options{})
		defer q.ShutDown()
		start := time.Now()
		plan := func() requeue.Plan {
			return requeue.From(time.Now()).Every(5 * time.Minute).Deadline(start.Add(time.Second)).Deadline(start.Add(time.Minute))
		}
		q.Add("a")
		_, _ = q.Get()
		for i := range 3000 {
			q.Add(fmt.Sprint("backlog ", i))
		}
		time.Sleep(2 * time.Second)
		succeeds(q, "a", plan())
		item, _ := q.Get()
		assert.Equal(t, "a", item)
		succeeds(q, "a", plan())
		item, _ = q.Get()
		assert.Equal(t, "backlog 0", item, "the first is spent")
		time.Sleep(58 * time.Second)
		item, _ = q.Get()
		assert.Equal(t, "a", item, "and this is for the second")
	})
}

func TestDeadline_endsTheWaitOfTheRateLimiter(t *testing.T) {
	inBubble(t, slow(time.Hour), func(_ *testing.T, q queue, p *probe) {
		start := time.Now()
		plan := func() requeue.Plan {
			return requeue.From(time.Now()).Deadline(start.Add(time.Minute)).Deadline(start.Add(90 * time.Second))
		}
		q.Add("a")
		p.takes("a")
		for _, next := range []time.Duration{time.Minute, 30 * time.Second} {
			fails(q, "a", plan())
			time.Sleep(next - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.takes("a")
		}
	})
}

// Retries by At are polls: they do not go before a real deadline.
func TestDeadline_goesBeforeRetriesThatAreNone(t *testing.T) {
	inBubble(t, options{}, func(_ *testing.T, q queue, p *probe) {
		now := time.Now()
		for i := range 100 {
			item := fmt.Sprint("retry ", i)
			q.Add(item)
			p.takes(item)
			succeeds(q, item, requeue.From(now).At(requeue.Backoff(now, 1, time.Second, time.Minute)).Timeout(now, time.Hour))
		}
		waits(q, p, "deadline", now.Add(2*time.Second))
		time.Sleep(2 * time.Second)
		p.takes("deadline")
	})
}

func TestDeadline_extremes(t *testing.T) {
	withObjects(t, options{}, func(t *testing.T, q queue, p *probe, known objects) {
		known["year 9999"] = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		known["year 292 billion"] = time.Unix(math.MaxInt64/2, 0)
		known["year 1"] = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
		known["year -100"] = time.Date(-100, 1, 1, 0, 0, 0, 0, time.UTC)
		known["none"] = time.Time{}
		for _, item := range []string{"year 9999", "year 292 billion", "year 1", "year -100", "none"} {
			q.Add(item)
		}
		for _, item := range []string{"year 1", "year -100", "year 9999", "year 292 billion", "none"} {
			g, _ := p.get()
			assert.Equal(t, got{item: item}, g)
			q.Decide(item, requeue.From(time.Now()).Deadline(known[item]).NotBefore(known["year 9999"]).Decide())
			q.Done(item)
		}
		time.Sleep(100 * 365 * 24 * time.Hour)
		p.getsNothing()
	})
}

func TestOptionsDeadline_whenItIsAsked(t *testing.T) {
	deadlines := map[string]time.Duration{"late": -time.Minute, "later": -time.Hour, "ahead": time.Minute}
	var q queue
	start, asked := time.Time{}, map[string]int{}
	o := options{Deadline: func(item string) (time.Time, bool) {
		asked[item]++
		q.Len() // may call the queue
		in, ok := deadlines[item]
		if item == "zero" {
			return time.Time{}, true
		}
		return start.Add(in), ok
	}}
	inBubble(t, o, func(t *testing.T, made queue, p *probe) {
		q, start = made, time.Now()
		p.priority(-100, 0, "zero", "none", "ahead", "late", "later")
		p.serves("later", "late", "zero", "none", "ahead")
		assert.Equal(t, map[string]int{"zero": 2, "none": 2, "ahead": 2, "late": 2, "later": 2}, asked, "at the add and at Done")
		q.Add("told")
		p.takes("told")
		succeeds(q, "told", requeue.From(time.Now()).Every(time.Minute).Deadline(time.Now().Add(time.Hour)))
		assert.Equal(t, 1, asked["told"], "a plan needs no answer, neither at the requeue nor at Done")
		q.Add("told")
		p.takes("told")
		q.Decide("told", requeue.Decision{})
		q.Add("told")
		assert.Equal(t, 3, asked["told"], "an event does")
		q.Done("told")
		p.serves("told")
		q.Add("fails")
		p.takes("fails")
		failsBare(q, "fails")
		assert.Equal(t, 2, asked["fails"], "at the two adds, and not at Done")
		q.ShutDown()
		q.Add("late")
		assert.Equal(t, 2, asked["late"], "nor after a shutdown")
	})
}

// Options.Deadline stands in for a reconcile that tells nothing, and for that alone.
func TestOptionsDeadline_atDone(t *testing.T) {
	withObjects(t, options{}, func(t *testing.T, q queue, p *probe, known objects) {
		q.Add("a")
		p.takes("a")
		known.due("a", time.Minute) // what the reconcile has made of the object
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
func TestOptionsDeadline_doneMeanwhile(t *testing.T) {
	var q queue
	var meanwhile func()
	o := options{Deadline: func(string) (time.Time, bool) {
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
		inBubble(t, o, func(t *testing.T, made queue, p *probe) {
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
