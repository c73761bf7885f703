package requeue_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/requeue-go/requeue"
)

// The rules of docs/semantics.md, a test each.

func TestRule01_clockIsReadOnceADecision(t *testing.T) {
	reads := 0
	clock := requeue.ClockFunc(func() time.Time { reads++; return t0.Add(time.Minute) })

	requeue.NextRequeue(t0, 5*time.Minute, time.Minute, clock)
	assert.Equal(t, 1, reads, "NextRequeue")

	reads = 0
	requeue.Expired(t0, 5*time.Minute, clock)
	assert.Equal(t, 1, reads, "Expired")

	reads = 0
	requeue.Expired(t0, 0, clock)
	assert.Zero(t, reads, "Expired without a deadline has nothing to compare")
}

func TestRule02_zeroMeansNothingToWaitFor(t *testing.T) {
	now := t0.Add(5 * time.Minute)
	for name, plan := range map[string]requeue.Plan{
		"no wait":                     requeue.From(now),
		"no interval":                 requeue.From(now).Every(0),
		"no timeout":                  requeue.From(now).Timeout(t0, 0),
		"a passed upcoming instant":   requeue.From(now).Upcoming(t0),
		"an upcoming instant now":     requeue.From(now).Upcoming(now),
		"a floor alone":               requeue.From(now).NotBefore(now.Add(time.Hour)),
		"the zero plan":               {},
		"all of these":                requeue.From(now).Every(never).Timeout(t0, never).Upcoming(t0).NotBefore(now.Add(time.Hour)),
		"nothing but zero instants":   requeue.From(now).Deadline(time.Time{}).At(time.Time{}).Upcoming(time.Time{}).NotBefore(time.Time{}),
		"a timeout of what never was": requeue.From(now).Timeout(time.Time{}, time.Hour),
	} {
		d := plan.Decide()
		assert.Equal(t, requeue.Decision{Now: d.Now, NotBefore: d.NotBefore}, d, name)
		assert.Zero(t, plan.After(), name)
	}
	for name, plan := range map[string]requeue.Plan{
		"a deadline now":                requeue.From(now).Deadline(now),
		"a deadline 1ns ahead":          requeue.From(now).Deadline(now.Add(1)),
		"a deadline 1ns late":           requeue.From(now).Deadline(now.Add(-1)),
		"an interval of 1ns":            requeue.From(now).Every(1),
		"an upcoming instant 1ns ahead": requeue.From(now).Upcoming(now.Add(1)),
		"a floor 1ns ahead":             requeue.From(now).Every(1).NotBefore(now.Add(1)),
	} {
		assert.Equal(t, requeue.Immediate, plan.After(), name)
	}
}

func TestRule02_neverLaterThanTheInterval(t *testing.T) {
	for _, offset := range []time.Duration{-forever, -time.Hour, 0, time.Hour, forever} {
		assert.LessOrEqual(t, requeue.NextRequeue(t0, 5*time.Minute, 10*time.Second, at(offset)), 10*time.Second, offset)
	}
}

func TestRule03_noTimeoutNoStartNoDeadlineNoInterval(t *testing.T) {
	tests := []struct {
		why               string
		start             time.Time
		timeout, interval time.Duration
		want              time.Duration
	}{
		{"a timeout of 0 is none", t0, 0, 5 * time.Minute, 5 * time.Minute},
		{"a negative timeout is none", t0, -time.Second, 5 * time.Minute, 5 * time.Minute},
		{"what has not started cannot time out", time.Time{}, time.Second, 5 * time.Minute, 5 * time.Minute},
		{"an interval of 0 is no polling", t0, 5 * time.Minute, 0, 4 * time.Minute},
		{"a negative interval is no polling", t0, 5 * time.Minute, -time.Second, 4 * time.Minute},
		{"neither", t0, -time.Second, -time.Second, 0},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, requeue.NextRequeue(tt.start, tt.timeout, tt.interval, at(time.Minute)), tt.why)
	}
	assert.False(t, requeue.Expired(time.Time{}, time.Second, at(0)), "not started")
	assert.False(t, requeue.Expired(t0, 0, at(time.Hour)), "no timeout")
	assert.False(t, requeue.Expired(t0, never, at(time.Hour)), "negative timeout")
	assert.Equal(t, 5*time.Minute, requeue.From(t0).Every(5*time.Minute).Deadline(time.Time{}).After())
}

func TestRule04_waitsExactlyUntilTheDeadline(t *testing.T) {
	for _, timeout := range []time.Duration{time.Millisecond, time.Second, 5*time.Minute - 1, 5 * time.Minute} {
		wait := requeue.NextRequeue(t0, timeout, 5*time.Minute, at(0))
		assert.Equal(t, timeout, wait)
		assert.False(t, requeue.Expired(t0, timeout, at(wait-1)), "1ns before %v", timeout)
		assert.True(t, requeue.Expired(t0, timeout, at(wait)), "woken at %v", timeout)
	}
}

func TestRule05_overdueWaitsAsLongAgainAsItIsLate(t *testing.T) {
	tests := []struct{ late, want time.Duration }{
		{0, requeue.Immediate},
		{time.Microsecond, requeue.Immediate},
		{20 * time.Millisecond, 20 * time.Millisecond},
		{30 * time.Second, 30 * time.Second},
		{time.Minute, time.Minute},
		{time.Hour, time.Minute},
		{200 * 365 * 24 * time.Hour, time.Minute},
	}
	for _, tt := range tests {
		got := requeue.From(t0.Add(tt.late)).Every(5 * time.Minute).Deadline(t0).Decide()
		assert.Equal(t, requeue.Decision{Now: t0.Add(tt.late), After: tt.want, Cause: requeue.CauseOverdue, Overdue: t0}, got, "%v late", tt.late)
	}
}

func TestRule05_overdueDoesNotHideADeadlineAhead(t *testing.T) {
	got := requeue.From(t0).Deadline(t0.Add(-time.Hour)).Deadline(t0.Add(10 * time.Second)).Decide()
	assert.Equal(t, 10*time.Second, got.After)
	assert.Equal(t, requeue.CauseDeadline, got.Cause)
	assert.Equal(t, t0.Add(10*time.Second), got.Deadline, "the one that is waited for")
	assert.Equal(t, t0.Add(-time.Hour), got.Overdue)
}

// A caller that ignores its deadline is not lost (as with controller-runtime and
// a wait of 0) and does not loop hot (as with client-go and a wait of 0).
func TestRule05_ignoredDeadlineIsLookedAtOnceAMinute(t *testing.T) {
	clock := testingclock.NewFakeClock(t0)
	looks, firstMinute := 0, 0
	for clock.Since(t0) < 24*time.Hour {
		wait := requeue.NextRequeue(t0, 5*time.Minute, 5*time.Minute, clock)
		require.Positive(t, wait)
		clock.Step(wait)
		looks++
		if late := clock.Since(t0.Add(5 * time.Minute)); 0 < late && late <= time.Minute {
			firstMinute++
		}
	}
	assert.Equal(t, 16, firstMinute, "after the look at the deadline itself")
	assert.LessOrEqual(t, looks, 1470)
	assert.GreaterOrEqual(t, looks, 23*60, "still looked at every minute")
}

func TestRule06_onATieTheDeadlineIsNamed(t *testing.T) {
	plan := requeue.From(t0)
	deadline := t0.Add(time.Minute)
	for name, plan := range map[string]requeue.Plan{
		"poll first":          plan.Every(time.Minute).Deadline(deadline),
		"deadline first":      plan.Deadline(deadline).Every(time.Minute),
		"overdue by the same": plan.Deadline(t0.Add(-time.Minute)).Deadline(deadline),
		"after overdue":       plan.Deadline(deadline).Deadline(t0.Add(-time.Minute)),
		"upcoming":            plan.Every(time.Minute).Upcoming(deadline),
		"floor at the same":   plan.Every(time.Minute).Deadline(deadline).NotBefore(deadline),
		"all raised to 1ms":   plan.Every(1).Deadline(t0.Add(2)).Deadline(t0),
	} {
		assert.Equal(t, requeue.CauseDeadline, plan.Decide().Cause, name)
	}
	assert.Equal(t, requeue.CauseDeadline, plan.At(deadline).Deadline(deadline).Decide().Cause, "an instant to look again is a poll")
	assert.Equal(t, requeue.CauseOverdue, plan.Every(time.Minute).Deadline(t0.Add(-time.Minute)).Decide().Cause)
	assert.Equal(t, requeue.CauseOverdue, plan.Deadline(t0.Add(-time.Minute)).Every(time.Minute).Decide().Cause)
}

func TestRule07_arithmeticSaturates(t *testing.T) {
	year1 := time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	year9999 := time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	monotonic := time.Now()

	assert.Equal(t, 5*time.Minute, requeue.NextRequeue(t0, forever, 5*time.Minute, at(time.Minute)))
	assert.Equal(t, forever-time.Minute, requeue.NextRequeue(t0, forever, 0, at(time.Minute)))
	assert.Equal(t, forever, requeue.From(year1).Deadline(year9999).After(), "292 years are all that fit")
	assert.Equal(t, time.Minute, requeue.From(year9999).Deadline(year1).After())
	assert.Equal(t, forever, requeue.From(year1).Every(time.Second).NotBefore(year9999).After())
	assert.Equal(t, time.Second, requeue.From(year9999).Every(time.Second).NotBefore(year1).After())
	year0 := time.Time{}.Add(-time.Hour)
	assert.Equal(t, time.Second, requeue.From(year0).Every(time.Second).NotBefore(time.Time{}).After(), "zero is no floor, even ahead")
	assert.Equal(t, forever, requeue.From(monotonic).Timeout(monotonic, forever).After())
	assert.Equal(t, time.Minute, requeue.From(monotonic).Timeout(year1, forever).After())
	assert.False(t, requeue.Expired(year9999, forever, at(0)))
	assert.True(t, requeue.Expired(year1, forever, at(0)), "year 293 has passed")
	assert.Equal(t, forever, requeue.From(year1).At(year9999).After())
	assert.Equal(t, time.Minute, requeue.From(year9999).At(year1).After())
	assert.True(t, requeue.DeadlineOf(year9999, forever).After(year9999))
	end := time.Unix(1<<63-62135596801, 999999999) // the last instant of time.Time
	assert.Equal(t, time.Minute, requeue.From(t0).Timeout(end, forever).Every(time.Minute).After())
	assert.False(t, requeue.DeadlineOf(end, forever).Before(end.Add(-time.Second)))
	assert.False(t, requeue.Backoff(end, 1, forever, 0).Before(end.Add(-time.Second)))
	sumIsZero := time.Time{}.Add(-time.Hour) // and an hour
	assert.Zero(t, requeue.DeadlineOf(sumIsZero, time.Hour))
	assert.False(t, requeue.From(t0).Timeout(sumIsZero, time.Hour).Expired())
	assert.False(t, requeue.Expired(sumIsZero, time.Hour, at(0)))
	assert.Zero(t, requeue.From(t0).Timeout(sumIsZero, time.Hour).After())
}

func TestRule08_persistedAndMonotonicTimesBothWork(t *testing.T) {
	// What the API server returns: whole seconds, cut, and no monotonic reading.
	started := time.Now()
	persisted := started.Truncate(time.Second).Round(0).UTC()
	now := started.Add(time.Minute)

	kept := requeue.From(now).Timeout(started, 5*time.Minute).After()
	assert.Equal(t, 4*time.Minute, kept)

	read := requeue.From(now).Timeout(persisted, 5*time.Minute).After()
	early := kept - read
	assert.GreaterOrEqual(t, early, time.Duration(0))
	assert.Less(t, early, time.Second, "a persisted start is up to 1s early, never late")
}

func TestRule08_intervalIsTheCeilingOfAWallClockStep(t *testing.T) {
	// The clock is set back an hour while a timeout of 5 minutes runs.
	assert.Equal(t, time.Minute, requeue.NextRequeue(t0, 5*time.Minute, time.Minute, at(-time.Hour)))
}

func TestRule09_jitterMovesPollsAndNeverReachesZero(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, key := range []string{"default/a", "default/b", "default/c", "kube-system/a", ""} {
		got := requeue.Jitter(5*time.Minute, 0.1, key)
		assert.InDelta(t, 5*time.Minute, got, float64(30*time.Second), key)
		assert.Equal(t, got, requeue.Jitter(5*time.Minute, 0.1, key), "the same for the same key")
		assert.GreaterOrEqual(t, requeue.Jitter(5*time.Minute, 1, key), requeue.Immediate)
		assert.Positive(t, requeue.Jitter(1, 1, key))
		seen[got] = true
	}
	assert.Len(t, seen, 5, "keys are moved by different shares")
	assert.Zero(t, requeue.Jitter(0, 0.5, "no polling"))

	deadline := requeue.From(t0).Every(requeue.Jitter(5*time.Minute, 0.1, "default/a")).Timeout(t0, time.Minute)
	assert.Equal(t, time.Minute, deadline.After(), "the deadline stays where it is")
}

func TestRule10_pureAndSafeFromManyGoroutines(t *testing.T) {
	shared := requeue.From(t0).Every(5*time.Minute).Timeout(t0, time.Hour)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 1000 {
				own := time.Duration(i+1) * time.Second
				assert.Equal(t, own, shared.Deadline(t0.Add(own)).NotBefore(t0).After())
				assert.Equal(t, 5*time.Minute, shared.After())
			}
		}()
	}
	wg.Wait()
}

func TestRule10_allocatesNothing(t *testing.T) {
	clock, started := at(time.Minute), t0
	load := requeue.Load{Objects: 10_000, Workers: 2, Service: 100 * time.Millisecond}
	var (
		wait     time.Duration
		decision requeue.Decision
		instant  time.Time
		expired  bool
	)
	for name, f := range map[string]func(){
		"NextRequeue":               func() { wait = requeue.NextRequeue(t0, 5*time.Minute, time.Minute, clock) },
		"NextRequeue, system clock": func() { wait = requeue.NextRequeue(t0, 5*time.Minute, time.Minute, nil) },
		"Expired":                   func() { expired = requeue.Expired(t0, 5*time.Minute, clock) },
		"Plan":                      func() { decision = fivePartPlan(started).Decide() },
		"Plan.Expired":              func() { expired = requeue.From(started).Timeout(t0, time.Hour).At(t0).Expired() },
		"DeadlineOf":                func() { instant = requeue.DeadlineOf(started, time.Hour) },
		"Soonest":                   func() { wait = requeue.Soonest(0, -1, wait, time.Hour) },
		"Backoff":                   func() { instant = requeue.Backoff(started, 5, time.Second, time.Minute) },
		"Between":                   func() { instant = requeue.Between(started, started.Add(time.Hour), 0.8) },
		"Jitter":                    func() { wait = requeue.Jitter(time.Hour, 0.1, "default/some-object") },
		"TimeOf":                    func() { instant = requeue.TimeOf(&started) },
		"Due, Left":                 func() { wait = requeue.From(started).Due(t0, time.Minute).Deadline(t0.Add(1)).Decide().Left() },
		"ByAge":                     func() { wait = requeue.ByAge(time.Hour, 0.1, time.Second, time.Minute) },
		"Load":                      func() { wait = load.Stretch(time.Minute, 0.8) },
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	assert.False(t, expired)
	assert.NotZero(t, wait)
	assert.NotZero(t, instant)
	assert.NotZero(t, decision)
}
