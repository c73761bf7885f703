package requeue_test

import (
	"math"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

// A step that started at t0, polled every 5 minutes.
func TestNextRequeue(t *testing.T) {
	const ms, second, minute, hour = time.Millisecond, time.Second, time.Minute, time.Hour
	for _, tt := range []struct {
		why               string
		timeout, interval time.Duration
		now               time.Duration // after t0
		want              time.Duration
	}{
		{"just started, the poll is sooner", 12 * minute, 5 * minute, 0, 5 * minute},
		{"the deadline is sooner", 12 * minute, 5 * minute, 10 * minute, 2 * minute},
		{"both at once", 10 * minute, 5 * minute, 5 * minute, 5 * minute},
		{"a nanosecond before the deadline", 12 * minute, 5 * minute, 12*minute - 1, ms},
		{"at the deadline", 12 * minute, 5 * minute, 12 * minute, ms},
		{"overdue: as long again", 12 * minute, 5 * minute, 12*minute + 10*second, 10 * second},
		{"overdue for long: a minute", 12 * minute, 5 * minute, hour, minute},
		{"overdue for long, a shorter poll", 12 * minute, 30 * second, hour, 30 * second},
		{"no timeout", 0, 5 * minute, 10 * minute, 5 * minute},
		{"a negative timeout is none", -minute, 5 * minute, 10 * minute, 5 * minute},
		{"no polling", 12 * minute, 0, 5 * minute, 7 * minute},
		{"a negative interval is no polling", 12 * minute, -1, 5 * minute, 7 * minute},
		{"neither", 0, 0, 5 * minute, 0},
		{"an interval below Immediate", 0, 1, 5 * minute, ms},
		{"a clock that was set back", 12 * minute, 5 * minute, -hour, 5 * minute},
		{"a timeout for ever", forever, 5 * minute, hour, 5 * minute},
		{"a timeout for ever, no polling", forever, 0, hour, forever - hour},
	} {
		assert.Equal(t, tt.want, requeue.NextRequeue(t0, tt.timeout, tt.interval, at(tt.now)), tt.why)
	}
	assert.Equal(t, 5*minute, requeue.NextRequeue(time.Time{}, minute, 5*minute, at(hour)), "not started")
}

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a clock that stands at t0 + offset.
func at(offset time.Duration) requeue.Clock {
	return testingclock.NewFakePassiveClock(t0.Add(offset))
}

const (
	forever = time.Duration(math.MaxInt64)
	never   = time.Duration(math.MinInt64)
)

// What the fixed interval did to a promotion step: noticed at the next poll.
func TestNextRequeue_stepTimeoutIsNoticedOnTime(t *testing.T) {
	const poll, timeout = 5 * time.Minute, 6 * time.Minute
	lateness := func(next func(c *testingclock.FakeClock) time.Duration) time.Duration {
		clock := testingclock.NewFakeClock(t0)
		for !requeue.Expired(t0, timeout, clock) {
			clock.Step(next(clock))
		}
		return clock.Since(t0.Add(timeout))
	}
	fixed := lateness(func(*testingclock.FakeClock) time.Duration { return poll })
	exact := lateness(func(c *testingclock.FakeClock) time.Duration {
		return requeue.NextRequeue(t0, timeout, poll, c)
	})
	assert.Equal(t, 4*time.Minute, fixed)
	assert.Zero(t, exact)
}

// A deadline that passes between the check and the computation, as it does while
// a status is patched, costs about as long again and is not lost.
func TestNextRequeue_deadlinePassesAfterTheCheck(t *testing.T) {
	clock := testingclock.NewFakeClock(t0.Add(5*time.Minute - 10*time.Millisecond))
	assert.False(t, requeue.Expired(t0, 5*time.Minute, clock))
	clock.Step(30 * time.Millisecond) // the patch
	wait := requeue.NextRequeue(t0, 5*time.Minute, 5*time.Minute, clock)
	assert.Equal(t, 20*time.Millisecond, wait)
	clock.Step(wait)
	assert.True(t, requeue.Expired(t0, 5*time.Minute, clock))
}

func TestExpired_atTheDeadline(t *testing.T) {
	assert.False(t, requeue.Expired(t0, time.Minute, at(time.Minute-1)))
	assert.True(t, requeue.Expired(t0, time.Minute, at(time.Minute)))
	assert.True(t, requeue.Expired(t0, time.Minute, at(time.Minute+1)))
}

// The system clock cannot be held still, so this tells only that it was read:
// the start is a year away from the answer that a zero or fake clock would give.
func TestNilClock_isTheSystemClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, clock := range map[string]requeue.Clock{"nil": nil, "nil ClockFunc": requeue.ClockFunc(nil)} {
		start := time.Now()
		wait := requeue.NextRequeue(start, year, 0, clock)
		assert.True(t, year/2 < wait && wait <= year, name)
		assert.True(t, requeue.Expired(start.Add(-year), time.Second, clock), name)
	}
}

func TestSoonest(t *testing.T) {
	tests := []struct {
		why   string
		waits []time.Duration
		want  time.Duration
	}{
		{"no waits", nil, 0},
		{"none that counts", []time.Duration{0, -time.Second}, 0},
		{"0 does not win", []time.Duration{time.Minute, 0, time.Hour}, time.Minute},
		{"a negative wait does not win", []time.Duration{-time.Second, time.Hour}, time.Hour},
		{"extremes", []time.Duration{never, forever}, forever},
		{"1ns is a wait", []time.Duration{forever, 1}, 1},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, requeue.Soonest(tt.waits...), tt.why)
	}
}
