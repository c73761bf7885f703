package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The wall clock is set forth and back. Deadlines and floors are instants of it, waits
// are not; the queue sees a step when it is called, or within a minute.
func TestQueue_stepsOfTheClock(t *testing.T) {
	inBubble(t, 20_000, stepsOfTheClock)
}

func stepsOfTheClock(t *rapid.T) {
	r := newRun(t, newSteppedClock())
	defer r.q.ShutDown()
	tens := func(label string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * 10 * time.Second
	}
	for range rapid.IntRange(1, 8).Draw(t, "rounds") {
		for range rapid.IntRange(0, 3).Draw(t, "adds") {
			key := drawKey.Draw(t, "key")
			a := add{}
			at := r.instant().Add(tens("deadline in", -2, 12))
			if rapid.Bool().Draw(t, "without a reading") {
				at = at.Round(0)
			}
			if r.m.answers != nil && rapid.Bool().Draw(t, "moves") {
				r.m.answers[key] = at
				r.did("the deadline of %d is %v", key, r.span(at))
			}
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				a.limited = true
			case 1: // for the deadline, and a little late
				if left := at.Sub(r.instant()); left > 0 {
					a.after = left + rapid.SampledFrom([]time.Duration{0, 200 * time.Millisecond}).Draw(t, "late")
				}
			default:
				a.after = tens("after", 0, 12)
			}
			r.add(a, key)
		}
		step := rapid.SampledFrom([]time.Duration{0, 0, time.Second, -time.Second, 10 * time.Second, -10 * time.Second, 73 * time.Second, -73 * time.Second, time.Hour, -time.Hour}).Draw(t, "step")
		r.clock.ahead.Add(int64(step))
		r.did("the clock is set by %v", step)
		if rapid.Bool().Draw(t, "a call") {
			r.m.wakeUp(r.now())
			r.agree()
			r.sleep(tens("sleep", 0, 12))
		} else {
			r.sleep(time.Minute + time.Second + tens("sleep", 0, 6))
		}
		r.agree()
		r.drain()
	}
}

// drain hands out what is available, in whatever order, and reconciles it.
func (r *run) drain() {
	var keys []int
	for n := len(r.m.available()); n > 0; n-- {
		g := r.queueGet()
		k := r.m.find(g.key)
		if k == nil || !slices.Contains(r.m.available(), k) {
			require.Fail(r.t, fmt.Sprintf("%d is handed out", g.key), r.story())
		}
		r.m.take(r.now(), k)
		r.did("Get %d", g.key)
		keys = append(keys, g.key)
	}
	for _, key := range keys {
		if rapid.Bool().Draw(r.t, "tells") {
			r.end(key, drawEnd.Draw(r.t, "end"))
		} else {
			r.end(key, "nothing")
		}
		r.done(key)
		r.agree()
	}
}
