package requeue_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

func TestByAge(t *testing.T) {
	const second, minute, hour = time.Second, time.Minute, time.Hour
	for _, tt := range []struct {
		why         string
		age         time.Duration
		fraction    float64
		least, most time.Duration
		want        time.Duration
	}{
		{"new", 5 * second, 0.1, second, 5 * minute, second},
		{"a tenth of its age", 10 * minute, 0.1, second, 5 * minute, minute},
		{"old", 10 * hour, 0.1, second, 5 * minute, 5 * minute},
		{"not begun", 0, 0.1, second, 5 * minute, second},
		{"a clock that was set back", -hour, 0.1, second, 5 * minute, second},
		{"no fraction", hour, 0, second, 5 * minute, second},
		{"a negative fraction", hour, -1, second, 5 * minute, second},
		{"a fraction that is no number", hour, math.NaN(), second, 5 * minute, second},
		{"an endless fraction", hour, math.Inf(1), second, 5 * minute, 5 * minute},
		{"a fraction above 1", hour, 2, second, 5 * hour, 2 * hour},
		{"most below least", hour, 0.1, minute, second, minute},
		{"no most", hour, 0.1, minute, 0, minute},
		{"no least", second, 0.0001, 0, minute, requeue.Immediate},
		{"a negative least", 1, 0.1, never, minute, requeue.Immediate},
		{"as old as can be", forever, 1, second, forever, forever},
		{"older than that", forever, 10, second, forever, forever},
	} {
		assert.Equal(t, tt.want, requeue.ByAge(tt.age, tt.fraction, tt.least, tt.most), tt.why)
	}
}

// A poll by age notices an end late by that share of the time which it took.
func TestByAge_isLateByAShare(t *testing.T) {
	for _, took := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		age, looks := time.Duration(0), 0
		for age < took {
			age += requeue.ByAge(age, 0.1, time.Second, time.Hour)
			looks++
		}
		assert.LessOrEqual(t, age-took, took/10)
		assert.Less(t, looks, 120)
	}
}
