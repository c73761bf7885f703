package requeue_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/requeue-go/requeue"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a clock that stands at t0 + offset.
func at(offset time.Duration) requeue.Clock {
	return testingclock.NewFakePassiveClock(t0.Add(offset))
}

const (
	forever = time.Duration(math.MaxInt64)
	never   = time.Duration(math.MinInt64)
)

// The tests of this directory do without an assertion library: go mod tidy would put its
// checksums into the go.sum of whoever imports the package.

func equal[T comparable](t *testing.T, want, got T, why ...any) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v: %s", got, want, fmt.Sprint(why...))
	}
}

func zero[T comparable](t *testing.T, got T, why ...any) {
	t.Helper()
	equal(t, *new(T), got, why...)
}

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
	equal(t, 4*time.Minute, fixed)
	zero(t, exact)
}

// A deadline that passes between the check and the computation, as it does while
// a status is patched, costs about as long again and is not lost.
func TestNextRequeue_deadlinePassesAfterTheCheck(t *testing.T) {
	clock := testingclock.NewFakeClock(t0.Add(5*time.Minute - 10*time.Millisecond))
	equal(t, false, requeue.Expired(t0, 5*time.Minute, clock))
	clock.Step(30 * time.Millisecond) // the patch
	wait := requeue.NextRequeue(t0, 5*time.Minute, 5*time.Minute, clock)
	equal(t, 20*time.Millisecond, wait)
	clock.Step(wait)
	equal(t, true, requeue.Expired(t0, 5*time.Minute, clock))
}

func TestExpired_atTheDeadline(t *testing.T) {
	equal(t, false, requeue.Expired(t0, time.Minute, at(time.Minute-1)))
	equal(t, true, requeue.Expired(t0, time.Minute, at(time.Minute)))
	equal(t, true, requeue.Expired(t0, time.Minute, at(time.Minute+1)))
}

// The system clock cannot be held still, so this tells only that it was read:
// the start is a year away from the answer that a zero or fake clock would give.
func TestNilClock_isTheSystemClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, clock := range map[string]requeue.Clock{"nil": nil, "nil ClockFunc": requeue.ClockFunc(nil)} {
		start := time.Now()
		wait := requeue.NextRequeue(start, year, 0, clock)
		equal(t, true, year/2 < wait && wait <= year, name)
		equal(t, true, requeue.Expired(start.Add(-year), time.Second, clock), name)
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
		equal(t, tt.want, requeue.Soonest(tt.waits...), tt.why)
	}
}
