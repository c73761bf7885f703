package requeue_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

func TestBackoff(t *testing.T) {
	tests := []struct {
		why           string
		attempt       int
		base, ceiling time.Duration
		want          time.Duration
	}{
		{"the first failure waits the base", 1, time.Second, time.Minute, time.Second},
		{"each one doubles", 4, time.Second, time.Minute, 8 * time.Second},
		{"up to the ceiling", 7, time.Second, time.Minute, time.Minute},
		{"the ceiling itself", 7, time.Second, 64 * time.Second, 64 * time.Second},
		{"attempt 0 counts as 1", 0, time.Second, time.Minute, time.Second},
		{"a negative attempt counts as 1", math.MinInt, time.Second, time.Minute, time.Second},
		{"of a base above the ceiling the ceiling wins", 1, time.Hour, time.Minute, time.Minute},
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
		assert.Equal(t, t0.Add(tt.want), requeue.Backoff(t0, tt.attempt, tt.base, tt.ceiling), tt.why)
	}
	assert.Zero(t, requeue.Backoff(time.Time{}, 3, time.Second, time.Minute), "never tried")
}

func TestBackoff_passedRetryIsNotLost(t *testing.T) {
	now := t0.Add(time.Minute)
	retry := requeue.Backoff(t0, 1, 5*time.Second, time.Minute)
	assert.Equal(t, 55*time.Second, requeue.From(now).At(retry).After())
	assert.Equal(t, 55*time.Second, requeue.From(now).At(retry).Timeout(t0, 48*time.Hour).After())
	assert.Equal(t, requeue.Immediate, requeue.From(t0).At(requeue.Backoff(t0, 1, 0, 0)).After(), "no base: at once")
}
