package requeue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/requeue-go/requeue"
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
	require.False(t, requeue.Expired(t0, 5*time.Minute, clock))
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
		assert.LessOrEqual(t, wait, year, name)
		assert.Greater(t, wait, year/2, name)
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
