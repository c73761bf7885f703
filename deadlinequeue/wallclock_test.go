package deadlinequeue_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
)

// wallClock is a clock of a bubble with both readings, which those of the bubble itself
// have not, and a wall clock that a test moves. A suspended machine is the same: the
// monotonic clock and the timers stand still, and then the wall clock is ahead.
type wallClock struct {
	clock.RealClock
	begin time.Time    // of the bubble
	ahead atomic.Int64 // nanoseconds
}

func (c *wallClock) step(by time.Duration) { c.ahead.Add(int64(by)) }

var twoReadings = time.Now()

// withWallClock is withObjects with such a clock.
func withWallClock(t *testing.T, test func(*testing.T, *wallClock, queue, *probe, objects)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, known := &wallClock{begin: time.Now()}, objects{}
		q := deadlinequeue.New("", options{Clock: c, Deadline: known.deadline})
		defer q.ShutDown()
		p := &probe{q: q}
		test(t, c, q, p, known)
		assert.Empty(t, p.wrong)
	})
}

// moves has an object change its deadline by the wall clock, and waits for nothing else that
// a test lasts for.
func moves(q queue, known objects, item string, deadline time.Time) {
	known[item] = deadline
	q.AddAfter(item, 1000*time.Hour)
}

func TestWallClock_hasTwoReadings(t *testing.T) {
	withWallClock(t, func(t *testing.T, c *wallClock, _ queue, _ *probe, _ objects) {
		before := c.Now()
		for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
			c.ahead.Store(int64(ahead))
			assert.Zero(t, c.Now().Sub(before), "monotonic")
			assert.Equal(t, ahead, c.Now().Round(0).Sub(before), "wall")
		}
	})
}

// The wall clock moves 10 minutes after a deadline was told. The key is handed out
// within a minute of the right instant of the wall clock, or with the next call; a
// wait is a span and stays.
func TestWallClock_deadlinesAreTimedAnew(t *testing.T) {
	for _, tt := range []struct {
		why      string
		step     time.Duration
		deadline time.Duration // from the start, by the wall clock
		want     time.Duration // by the monotonic clock
	}{
		{"suspended for 8 h, a deadline 7 h in the past", 8 * time.Hour, time.Hour, 10 * time.Minute},
		{"suspended for 8 h, a deadline after it", 8 * time.Hour, 9 * time.Hour, time.Hour},
		{"an hour ahead, the deadline is passed over", time.Hour, 30 * time.Minute, 10 * time.Minute},
		{"an hour ahead, the deadline is nearer", time.Hour, 90*time.Minute + 30*time.Second, 30*time.Minute + 30*time.Second},
		{"an hour back", -time.Hour, time.Hour, 2 * time.Hour},
		{"an hour back, just before the deadline", -time.Hour, 10*time.Minute + time.Second, 70*time.Minute + time.Second},
		{"two seconds ahead", 2 * time.Second, time.Hour, time.Hour - 2*time.Second},
	} {
		for _, slack := range []time.Duration{0, time.Minute} { // a call notices, or the queue by itself
			withWallClock(t, func(t *testing.T, c *wallClock, q queue, p *probe, known objects) {
				start := c.Now()
				since := func() time.Duration { return c.Now().Sub(start) }
				moves(q, known, "deadline", start.Add(tt.deadline))
				q.AddAfter("wait", 12*time.Hour)
				moves(q, known, "later", start.Add(100*time.Hour))
				time.Sleep(10 * time.Minute)
				c.step(tt.step)
				if slack == 0 {
					q.Len()
				}
				if tt.want > since() {
					time.Sleep(tt.want - since() - time.Microsecond)
					p.getsNothing()
					time.Sleep(2 * time.Microsecond)
				}
				g, ok := p.get()
				for !ok {
					time.Sleep(time.Second)
					g, ok = p.get()
				}
				assert.Equal(t, "deadline", g.item, tt.why)
				assert.LessOrEqual(t, since(), tt.want+slack+time.Second, tt.why)
				q.Done("deadline")
				p.getsNothing()
				time.Sleep(12*time.Hour - since() - 1)
				p.getsNothing()
				time.Sleep(time.Nanosecond)
				p.serves("wait")
			})
		}
	}
}

func TestWallClock_aDeadlineComesToGoBeforeAWait(t *testing.T) {
	withWallClock(t, func(_ *testing.T, c *wallClock, q queue, p *probe, known objects) {
		q.AddAfter("wait", 45*time.Minute)
		moves(q, known, "deadline", c.Now().Add(90*time.Minute))
		c.step(time.Hour)
		time.Sleep(31 * time.Minute)
		p.serves("deadline")
		time.Sleep(14 * time.Minute)
		p.serves("wait")
	})
}

// What a step passes over was not handed out: a deadline within it is not spent, whoever
// names it.
func TestWallClock_aStepSpendsNothing(t *testing.T) {
	for name, say := range map[string]func(c *wallClock, q queue, known objects, deadline time.Time){
		"a plan, still ahead for it": func(c *wallClock, q queue, _ objects, deadline time.Time) {
			plan := requeue.From(c.Now()).Every(24 * time.Hour).Deadline(deadline)
			c.step(8 * time.Hour)
			succeeds(q, "a", plan)
		},
		"a plan, overdue for it": func(c *wallClock, q queue, _ objects, deadline time.Time) {
			c.step(8 * time.Hour)
			succeeds(q, "a", requeue.From(c.Now()).Every(24*time.Hour).Deadline(deadline))
		},
		"an event": func(c *wallClock, q queue, known objects, deadline time.Time) {
			c.step(8 * time.Hour)
			moves(q, known, "a", deadline)
			q.Done("a")
		},
	} {
		withWallClock(t, func(_ *testing.T, c *wallClock, q queue, p *probe, known objects) {
			q.Add("a")
			p.takes("a")
			q.Add("ordinary")
			say(c, q, known, c.Now().Add(time.Hour))
			p.serves("a", "ordinary")
			if p.wrong != "" {
				p.wrong = name + ": " + p.wrong
			}
		})
	}
	withWallClock(t, func(_ *testing.T, c *wallClock, q queue, p *probe, known objects) {
		deadline := c.Now().Add(time.Hour)
		q.Add("a")
		p.takes("a")
		succeeds(q, "a", requeue.From(c.Now()).Every(50*time.Minute).Deadline(deadline))
		time.Sleep(time.Minute)
		c.step(8 * time.Hour)
		moves(q, known, "a", deadline)
		p.serves("a")
	})
}

func TestWallClock_aStepBeforeDone(t *testing.T) {
	withWallClock(t, func(t *testing.T, c *wallClock, q queue, p *probe, known objects) {
		known["a"] = c.Now().Add(30 * time.Minute)
		q.Add("a")
		p.takes("a")
		c.step(time.Hour)
		q.Done("a") // it has told nothing
		p.takes("a")
		q.Done("a")
		p.getsNothing()
		assert.Zero(t, q.Load().Objects, "now it is spent")
	})
}

// A start that has a monotonic reading is kept in memory, and the machine is suspended past the
// deadline. By the plan that is ahead, by the queue's clock it has passed: it is as far
// away as the plan says, and no hot loop until then.
func TestWallClock_thePlansClockIsAnother(t *testing.T) {
	for name, plan := range map[string]func(c *wallClock, started time.Time) requeue.Plan{
		"a monotonic reading": func(c *wallClock, started time.Time) requeue.Plan {
			return requeue.From(c.Now()).Timeout(started, 10*time.Minute)
		},
		"a clock that is behind": func(c *wallClock, started time.Time) requeue.Plan {
			return requeue.From(c.Now().Round(0).Add(-20*time.Minute)).Timeout(started.Round(0), 10*time.Minute)
		},
	} {
		for _, end := range []func(queue, string, requeue.Plan){succeeds, fails} {
			withWallClock(t, func(t *testing.T, c *wallClock, q queue, p *probe, _ objects) {
				started := c.Now()
				q.Add("a")
				c.step(20 * time.Minute)
				looks := 0
				for {
					item, _ := q.Get()
					time.Sleep(time.Millisecond)
					looks++
					if looks > 100 {
						t.Fatal(name, ": a hot loop")
					}
					d := plan(c, started)
					if d.Expired() {
						break
					}
					end(q, item, d)
				}
				assert.InDelta(t, 10*time.Minute, c.Now().Sub(started), float64(10*time.Millisecond), name)
				q.Add("ordinary")
				fails(q, "a", plan(c, started))
				time.Sleep(time.Second)
				p.takes("a") // a retry of a passed deadline
			})
		}
	}
}

// A step back, while the key is processed: the deadline is ahead again.
func TestWallClock_aStepBackSpendsNothing(t *testing.T) {
	withWallClock(t, func(_ *testing.T, c *wallClock, q queue, p *probe, _ objects) {
		time.Sleep(30 * time.Minute)
		q.Add("a")
		p.takes("a")
		c.step(-time.Hour)
		succeeds(q, "a", requeue.From(c.Now()).Every(20*time.Hour).Deadline(c.Now().Add(45*time.Minute)))
		time.Sleep(45*time.Minute - time.Microsecond)
		p.getsNothing()
		time.Sleep(2 * time.Microsecond)
		p.serves("a")
	})
}

// A wait that has nothing to do with the deadline stays where it is.
func TestWallClock_otherWaitsStay(t *testing.T) {
	withWallClock(t, func(_ *testing.T, c *wallClock, q queue, p *probe, known objects) {
		known["a"] = c.Now().Add(30*time.Minute - time.Second)
		q.AddAfter("a", 30*time.Minute)
		c.step(-time.Hour)
		time.Sleep(30 * time.Minute)
		p.serves("a")
	})
}

// However small the steps are, no deadline is handed out early, or a minute late.
func TestWallClock_smallStepsDoNotAddUp(t *testing.T) {
	for seed := range uint64(50) {
		withWallClock(t, func(t *testing.T, c *wallClock, q queue, p *probe, known objects) {
			r := rand.New(rand.NewPCG(seed, 0))
			for i := range 20 {
				if i%5 == 0 {
					moves(q, known, "a", c.Now().Round(0).Add(time.Hour))
				}
				c.ahead.Add(int64(r.IntN(2400)-1200) * 1_000_000)
				q.Len()
			}
			deadline := known["a"]
			time.Sleep(deadline.Sub(c.Now().Round(0)) - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.takes("a")
			require.Zero(t, c.Now().Round(0).Sub(deadline))
		})
	}
}

// The wall clock is set, or the machine suspended, between the reading of a call and the
// lock, and another call gets in between.
func TestWallClock_aStepBetweenTheReadingAndTheLock(t *testing.T) {
	for name, call := range map[string]func(q queue){
		"add": func(q queue) {
			q.AddAfter("a", 24*time.Hour)
		},
		"Done": func(q queue) {
			q.Done("a")
		},
		"Get and Done": func(q queue) {
			q.Add("a")
			item, _ := q.Get()
			q.Done(item)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &overtaken{wallClock: wallClock{begin: time.Now()}}
			deadline := c.Now().Add(2 * time.Hour)
			q := deadlinequeue.New("", options{Clock: c, Deadline: func(string) (time.Time, bool) { return deadline, true }})
			defer q.ShutDown()
			if name == "Done" {
				q.Add("a")
				_, _ = q.Get()
			}
			c.during = func() {
				c.step(time.Hour)
				time.Sleep(time.Microsecond)
				q.Len()
			}
			call(q)
			time.Sleep(time.Hour - 2*time.Microsecond)
			assert.Zero(t, q.Len(), name)
			time.Sleep(2 * time.Microsecond)
			assert.Equal(t, 1, q.Len(), name)
		})
	}
}

// overtaken is a clock on which something happens after a reading.
type overtaken struct {
	wallClock
	during func()
}

// A clock with one reading moves both: it stands for a machine whose clocks agree.
func TestWallClock_aFakeClockMovesWaitsToo(t *testing.T) {
	c := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	known := objects{"deadline": c.Now().Add(time.Hour)}
	q := deadlinequeue.New("", options{Clock: c, Deadline: known.deadline})
	defer q.ShutDown()
	q.AddAfter("wait", time.Hour)
	q.AddAfter("deadline", 2*time.Hour)
	c.SetTime(c.Now().Add(-time.Hour))
	c.Step(2*time.Hour - 1)
	assert.Zero(t, q.Len())
	c.Step(1)
	assert.Equal(t, 2, q.Len())
}

// 48 hours of a controller whose wall clock is stepped all the time: every deadline is
// acted on, once, within a minute of the right instant by the wall clock and none early,
// and nothing loops.
func TestWallClock_steppedAllTheTime(t *testing.T) {
	for seed := range uint64(20) {
		withWallClock(t, func(t *testing.T, c *wallClock, q queue, p *probe, _ objects) {
			r := rand.New(rand.NewPCG(seed, 0))
			deadlines := map[string]time.Time{} // by the wall clock
			draw := func(item string) {
				in := time.Duration(r.Int64N(int64(2 * time.Hour)))
				deadlines[item] = c.Now().Round(0).Add(in)
			}
			plan := func(item string) requeue.Plan {
				return requeue.From(c.Now()).Every(24 * time.Hour).Deadline(deadlines[item])
			}
			for i := range 20 {
				item := fmt.Sprint("object ", i)
				draw(item)
				q.Add(item)
				p.takes(item)
				succeeds(q, item, plan(item))
			}
			begin, stepped, jump := time.Now(), time.Now(), time.Duration(0)
			acted, looks := 0, 0
			for time.Since(begin) < 48*time.Hour {
				g, ok := p.get()
				if !ok {
					if r.IntN(100) == 0 && time.Since(stepped) > 5*time.Minute {
						jump = time.Duration(r.IntN(2*3600)-3600) * time.Second
						c.step(jump)
						stepped = time.Now()
					}
					time.Sleep(time.Duration(r.IntN(10_000)) * time.Millisecond)
					continue
				}
				looks++
				late := c.Now().Round(0).Sub(deadlines[g.item])
				require.GreaterOrEqual(t, late, time.Duration(0), "early")
				most := 10 * time.Second // until the Get above
				if time.Since(stepped) < 2*time.Minute {
					most += time.Minute + max(jump, 0) // what the step itself made late
				}
				require.LessOrEqual(t, late, most, "late")
				if late >= 0 {
					acted++
					draw(g.item)
				}
				succeeds(q, g.item, plan(g.item))
			}
			assert.Greater(t, acted, 20*20, "every object, again and again")
			assert.LessOrEqual(t, looks, acted+acted/10, "hardly a look for nothing")
		})
	}
}
