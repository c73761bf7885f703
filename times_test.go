package requeue_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

// A retry whose time has come and that was not tried is not lost: the plan looks
// again, also without a timeout, and does not sleep until the timeout either.
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

// Similar keys are spread evenly: of 10,000, each tenth of the range holds a
// tenth. The keys are fixed, so the counts are too.
// The share of a key is part of the contract: objects keep their place when the
// controller is updated.
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

func TestDeadlineOf(t *testing.T) {
	assert.Equal(t, t0.Add(time.Minute), requeue.DeadlineOf(t0, time.Minute))
	assert.Zero(t, requeue.DeadlineOf(t0, 0), "no timeout")
	assert.Zero(t, requeue.DeadlineOf(t0, -time.Second), "a negative timeout is none")
	assert.Zero(t, requeue.DeadlineOf(time.Time{}, time.Minute), "not started")
}
