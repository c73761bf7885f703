package faults

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"k8s.io/utils/clock"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/controller"
)

// runClock sets the wall clock of a controller back by an hour, and some promotions start
// then; forward again; and forward by another hour, so that all that are left are due.
//
// How late a deadline is, is counted from when the clock of the controller has first come
// to it. Nothing is polled, so the queue has to find out: it compares the clocks whenever
// it is called, and so when the next deadline passes that is left as the clock was. The
// bound is that, and what it takes to act on all, as they may be due at once.
func runClock(ctx context.Context, s Scale, progress func(string)) (Report, error) {
	return inWorld(ctx, progress, func(w *world, _ string) (r Report, err error) {
		c := newSteppedClock(time.Now())
		reconciler := &controller.Reconciler{Interval: poll, Clock: c}
		if err := w.control(w.cfg, reconciler, workers, c); err != nil {
			return r, err
		}
		if err := w.populate("p", s.Promotions, 0, s.Spread); err != nil {
			return r, err
		}
		var longest time.Duration
		for i, step := range []time.Duration{-time.Hour, time.Hour, time.Hour} {
			if i != 1 {
				err = w.share(20 + 20*i)
			} else {
				// Started an hour ago, as soon as the clock is right again.
				err = w.populate("q", s.Promotions/2, 0, s.Spread)
			}
			if err != nil {
				return r, err
			}
			progress(fmt.Sprintf("the clock is set by %v", step))
			if err := w.caughtUp(c); err != nil {
				return r, err
			}
			longest = max(longest, w.next(c))
			c.step(step)
		}
		all := time.Duration(len(w.audit.Entries())) * write / workers
		return w.count(map[string]int{"clock set by an hour": 3}, longest+all+slack, c.due)
	})
}

// steppedClock is the system clock, but for its wall clock, which is set.
type steppedClock struct {
	clock.RealClock

	mu   sync.RWMutex
	eras []era
}

// era is from when the wall clock was ahead of the system's by so much.
type era struct {
	from  time.Time
	ahead time.Duration
}

func newSteppedClock(from time.Time) *steppedClock { return &steppedClock{eras: []era{{from, 0}}} }

// step sets the wall clock.
func (c *steppedClock) step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eras = append(c.eras, era{time.Now(), c.eras[len(c.eras)-1].ahead + by})
}

// Now implements clock.PassiveClock.
func (c *steppedClock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return withWallClock(time.Now(), c.eras[len(c.eras)-1].ahead)
}

// Since implements clock.PassiveClock.
func (c *steppedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// due returns when the wall clock first came to the deadline of a promotion after that had
// started, on the system clock.
func (c *steppedClock) due(e audit.Entry) (at time.Time) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, era := range c.eras {
		if i+1 < len(c.eras) && !c.eras[i+1].from.After(e.StartedAt) {
			continue // it was over
		}
		at = e.Deadline.Add(-era.ahead)
		if at.Before(era.from) {
			at = era.from
		}
		if i+1 == len(c.eras) || at.Before(c.eras[i+1].from) {
			break
		}
	}
	return at
}

// withWallClock moves the wall clock of a time, and leaves its monotonic reading. There is
// no other way to make a time.Time whose readings differ. Its first word has the wall
// clock: the nanoseconds in bits 0 to 29, the seconds in bits 30 to 62.
func withWallClock(t time.Time, ahead time.Duration) time.Time {
	word := (*uint64)(unsafe.Pointer(&t))
	wall := int64(*word>>30&(1<<33-1))*int64(time.Second) + int64(*word&(1<<30-1)) + int64(ahead)
	*word = 1<<63 | uint64(wall/int64(time.Second))<<30 | uint64(wall%int64(time.Second))
	return t
}
