package requeue_test

import (
	"math"
	"testing"
	"time"

	"github.com/requeue-go/requeue"
)

func TestLoad_Interval(t *testing.T) {
	tests := []struct {
		why         string
		load        requeue.Load
		utilization float64
		want        time.Duration
	}{
		{"10,000 objects, 100 ms, 2 workers", requeue.Load{Objects: 10_000, Workers: 2, Service: 100 * time.Millisecond}, 0.8, 625 * time.Second},
		{"all of one worker", requeue.Load{Objects: 10, Workers: 1, Service: time.Second}, 1, 10 * time.Second},
		{"more than all counts as all", requeue.Load{Objects: 10, Workers: 1, Service: time.Second}, 3, 10 * time.Second},
		{"no objects", requeue.Load{Workers: 1, Service: time.Second}, 0.8, 0},
		{"a negative number of objects", requeue.Load{Objects: -1, Workers: 1, Service: time.Second}, 0.8, 0},
		{"no workers", requeue.Load{Objects: 1, Service: time.Second}, 0.8, 0},
		{"service time not measured yet", requeue.Load{Objects: 1, Workers: 1}, 0.8, 0},
		{"negative service time", requeue.Load{Objects: 1, Workers: 1, Service: -1}, 0.8, 0},
		{"no utilization", requeue.Load{Objects: 1, Workers: 1, Service: 1}, 0, 0},
		{"utilization is not a number", requeue.Load{Objects: 1, Workers: 1, Service: 1}, math.NaN(), 0},
		{"known is never 0", requeue.Load{Objects: 1, Workers: 100, Service: 1}, 0.8, 1},
		{"as long as a duration can be", requeue.Load{Objects: 1, Workers: 1, Service: forever}, 1, forever},
		{"saturates", requeue.Load{Objects: math.MaxInt, Workers: 1, Service: forever}, 0.1, forever},
	}
	for _, tt := range tests {
		equal(t, tt.want, tt.load.Interval(tt.utilization), tt.why)
	}
}
