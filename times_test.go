package requeue_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/requeue-go/requeue"
)

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

func TestBackoff(t *testing.T) {
	tests := []struct {
		why       string
		attempt   int
		base, max time.Duration
		want      time.Duration
	}{
		{"the first failure waits the base", 1, time.Second, time.Minute, time.Second},
		{"each one doubles", 4, time.Second, time.Minute, 8 * time.Second},
		{"up to the ceiling", 7, time.Second, time.Minute, time.Minute},
		{"the ceiling itself", 7, time.Second, 64 * time.Second, 64 * time.Second},
		{"attempt 0 counts as 1", 0, time.Second, time.Minute, time.Second},
		{"a negative attempt counts as 1", math.MinInt, time.Second, time.Minute, time.Second},
		{"a base above the ceiling", 1, time.Hour, time.Minute, time.Minute},
		{"2^62 does not overflow", 64, time.Second, time.Minute, time.Minute},
		{"nor does the last attempt there is", math.MaxInt, 1, time.Minute, time.Minute},
		{"1ns doubled 62 times", 63, 1, 0, 1 << 62},
		{"no ceiling", 3, time.Second, 0, 4 * time.Second},
		{"a negative ceiling is none", 3, time.Second, -1, 4 * time.Second},
		{"no ceiling saturates", 100, time.Second, 0, forever},
		{"no base, no wait", 5, 0, time.Minute, 0},
		{"a negative base, no wait", 5, -time.Second, time.Minute, 0},
	}
	for _, tt := range tests {
		assert.Equal(t, t0.Add(tt.want), requeue.Backoff(t0, tt.attempt, tt.base, tt.max), tt.why)
	}
	assert.Zero(t, requeue.Backoff(time.Time{}, 3, time.Second, time.Minute), "never tried")
}

// A retry whose time has come and that was not tried is not lost: the plan looks
// again, also without a timeout, and does not sleep until the timeout either.
func TestBackoff_passedRetryIsNotLost(t *testing.T) {
	now := t0.Add(time.Minute)
	retry := requeue.Backoff(t0, 1, 5*time.Second, time.Minute)
	assert.Equal(t, 55*time.Second, requeue.From(now).Deadline(retry).After())
	assert.Equal(t, 55*time.Second, requeue.From(now).Deadline(retry).Timeout(t0, 48*time.Hour).After())
	assert.Equal(t, requeue.Immediate, requeue.From(t0).Deadline(requeue.Backoff(t0, 1, 0, 0)).After(), "no base: at once")
}

func TestBackoff_neverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, ceiling := durations().Draw(t, "base"), durations().Draw(t, "max")
		attempt := rapid.IntRange(-2, 200).Draw(t, "attempt")
		this := requeue.Backoff(t0, attempt, base, ceiling)
		next := requeue.Backoff(t0, attempt+1, base, ceiling)
		require.False(t, this.Before(t0))
		require.False(t, next.Before(this))
		if ceiling > 0 {
			require.LessOrEqual(t, next.Sub(t0), ceiling)
		}
	})
}

func TestBetween(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		why      string
		lifetime time.Duration
		fraction float64
		want     time.Duration
	}{
		{"two thirds of 90 days", 90 * day, 2.0 / 3, 60 * day},
		{"80 % of an hour, exact where d*80/100 is", time.Hour, 0.8, 48 * time.Minute},
		{"80 % of 200 years, where d*80/100 overflows", 200 * 365 * day, 0.8, 160 * 365 * day},
		{"rounded to the nanosecond", 3, 0.5, 2},
		{"the start", time.Hour, 0, 0},
		{"below the start", time.Hour, -0.5, 0},
		{"not a number", time.Hour, math.NaN(), 0},
		{"the end", time.Hour, 1, time.Hour},
		{"beyond the end", time.Hour, math.Inf(1), time.Hour},
		{"a lifetime that ends before it starts", -time.Hour, 0.5, -30 * time.Minute},
		{"no lifetime", 0, 0.5, 0},
	}
	for _, tt := range tests {
		assert.Equal(t, t0.Add(tt.want), requeue.Between(t0, t0.Add(tt.lifetime), tt.fraction), tt.why)
	}
	assert.Zero(t, requeue.Between(time.Time{}, t0, 0.5))
	assert.Zero(t, requeue.Between(t0, time.Time{}, 0.5))
}

func TestBetween_staysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := instants(started).Draw(t, "from"), instants(started).Draw(t, "to")
		if from.IsZero() || to.IsZero() {
			return
		}
		low, high := from, to
		if to.Before(from) {
			low, high = to, from
		}
		got := requeue.Between(from, to, rapid.Float64().Draw(t, "fraction"))
		require.False(t, got.Before(low))
		require.False(t, got.After(high))
	})
}

func TestJitter(t *testing.T) {
	tests := []struct {
		why      string
		d        time.Duration
		fraction float64
		low      time.Duration
		high     time.Duration
	}{
		{"a tenth", time.Hour, 0.1, 54 * time.Minute, 66 * time.Minute},
		{"no fraction", time.Hour, 0, time.Hour, time.Hour},
		{"a negative fraction counts as 0", time.Hour, -1, time.Hour, time.Hour},
		{"not a number counts as 0", time.Hour, math.NaN(), time.Hour, time.Hour},
		{"all of it", time.Hour, 1, requeue.Immediate, 2 * time.Hour},
		{"more than all counts as all", time.Hour, math.Inf(1), requeue.Immediate, 2 * time.Hour},
		{"below Immediate not less than it was", 10, 0.9, 10, 19},
		{"the longest there is", forever, 0.5, forever / 2, forever},
		{"the longest, hardly moved", forever, 1e-300, forever, forever},
		{"no polling", 0, 0.5, 0, 0},
		{"a negative interval is no polling", -time.Hour, 0.5, 0, 0},
	}
	for _, tt := range tests {
		for i := range 1000 {
			got := requeue.Jitter(tt.d, tt.fraction, fmt.Sprint("default/object-", i))
			require.GreaterOrEqual(t, got, tt.low, tt.why)
			require.LessOrEqual(t, got, tt.high, tt.why)
		}
	}
}

// Similar keys are spread evenly: of 10,000, each tenth of the range holds a
// tenth. The keys are fixed, so the counts are too.
func TestJitter_spreadsSimilarKeys(t *testing.T) {
	var tenths [10]int
	for i := range 10_000 {
		moved := requeue.Jitter(time.Hour, 1, fmt.Sprint("default/object-", i))
		tenths[min(9, moved/(12*time.Minute))]++
	}
	for i, n := range tenths {
		assert.InDelta(t, 1000, n, 120, "tenth %d", i)
	}
}

// The share of a key is part of the contract: objects keep their place when the
// controller is updated.
func TestJitter_isTheSameInEveryProcess(t *testing.T) {
	assert.Equal(t, 3628920530171*time.Nanosecond, requeue.Jitter(time.Hour, 0.1, "default/a"))
}

func TestTimeOf(t *testing.T) {
	zoned := time.Date(2026, 1, 1, 6, 0, 0, 0, time.FixedZone("Almaty", 6*3600))
	assert.Equal(t, t0, requeue.TimeOf(zoned), "in UTC")
	assert.Equal(t, t0, requeue.TimeOf(&zoned))
	now := time.Now()
	assert.Equal(t, now.Round(0).UTC(), requeue.TimeOf(now), "no monotonic reading")

	assert.Zero(t, requeue.TimeOf(nil))
	assert.Zero(t, requeue.TimeOf((*time.Time)(nil)))
	assert.Zero(t, requeue.TimeOf(time.Time{}))
	assert.Zero(t, requeue.TimeOf((*apiTime)(nil)))
	assert.Equal(t, t0, requeue.TimeOf(&apiTime{zoned}))
}

// apiTime is a time as metav1.Time is: IsZero accepts a nil pointer, UTC is the
// embedded time's and does not.
type apiTime struct{ time.Time }

func (t *apiTime) IsZero() bool { return t == nil || t.Time.IsZero() }
