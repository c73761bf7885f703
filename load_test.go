package requeue_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

func TestLoad_Stretch(t *testing.T) {
	const poll = 5 * time.Minute
	for _, tt := range []struct {
		why         string
		load        requeue.Load
		poll        time.Duration
		utilization float64
		want        time.Duration
	}{
		{"10,000 objects, 100 ms, 2 workers", requeue.Load{Objects: 10_000, Workers: 2, Service: 100 * time.Millisecond}, poll, 0.8, 625 * time.Second},
		{"few objects", requeue.Load{Objects: 10, Workers: 2, Service: 100 * time.Millisecond}, poll, 0.8, poll},
		{"all of one worker", requeue.Load{Objects: 10, Workers: 1, Service: time.Second}, 1, 1, 10 * time.Second},
		{"more than all counts as all", requeue.Load{Objects: 10, Workers: 1, Service: time.Second}, 1, 3, 10 * time.Second},
		{"no polling stays no polling", requeue.Load{Objects: 10, Workers: 1, Service: time.Second}, 0, 0.8, 0},
		{"a negative poll is no polling", requeue.Load{Objects: 10, Workers: 1, Service: time.Second}, -1, 0.8, 0},
		{"no objects", requeue.Load{Workers: 1, Service: time.Second}, poll, 0.8, poll},
		{"a negative number of objects", requeue.Load{Objects: -1, Workers: 1, Service: time.Second}, poll, 0.8, poll},
		{"no workers", requeue.Load{Objects: 1, Service: time.Second}, poll, 0.8, poll},
		{"service time not measured yet", requeue.Load{Objects: 1, Workers: 1}, poll, 0.8, poll},
		{"negative service time", requeue.Load{Objects: 1, Workers: 1, Service: -1}, poll, 0.8, poll},
		{"no utilization", requeue.Load{Objects: 1, Workers: 1, Service: forever}, poll, 0, poll},
		{"utilization is not a number", requeue.Load{Objects: 1, Workers: 1, Service: forever}, poll, math.NaN(), poll},
		{"as long as a duration can be", requeue.Load{Objects: 1, Workers: 1, Service: forever}, poll, 1, forever},
		{"saturates", requeue.Load{Objects: math.MaxInt, Workers: 1, Service: forever}, poll, 0.1, forever},
	} {
		assert.Equal(t, tt.want, tt.load.Stretch(tt.poll, tt.utilization), tt.why)
	}
}
