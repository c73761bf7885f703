package requeue_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

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
			if got < tt.low || got > tt.high {
				t.Fatalf("%s: got %s, want %s to %s", tt.why, got, tt.low, tt.high)
			}
		}
	}
}

func TestJitter_spreadsSimilarKeys(t *testing.T) {
	var tenths [10]int
	for i := range 10_000 {
		moved := requeue.Jitter(time.Hour, 1, fmt.Sprint("default/object-", i))
		tenths[min(9, moved/(12*time.Minute))]++
	}
	for i, n := range tenths {
		if n < 880 || n > 1120 {
			t.Errorf("tenth %d has %d keys, want about 1,000", i, n)
		}
	}
}

func TestJitter_isTheSameInEveryProcess(t *testing.T) {
	assert.Equal(t, 3628920530171*time.Nanosecond, requeue.Jitter(time.Hour, 0.1, "default/a"))
}
