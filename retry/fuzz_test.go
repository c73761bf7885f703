package retry_test

import (
	"testing"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/retry"
)

// history is what has happened to a key, from which the rules say each wait.
type history struct {
	failed   []time.Time // when, since the last deadline that has passed
	all      int
	deadline *time.Time // told, and not passed yet as far as the limiter knows
	floor    time.Time
}

// FuzzLimiter holds the limiter against its rules in words. Each byte is a step: a plan is told,
// a wait is asked for, time passes or the key is forgotten.
func FuzzLimiter(f *testing.F) {
	f.Add([]byte{0, 10, 1, 1, 2, 200, 1, 1, 3, 1})
	f.Add([]byte{4, 7, 1, 2, 3, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 255, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		l := limiter(retry.Options{Base: 10 * ms, Ceiling: second})
		var h history
		next := func() time.Duration {
			if len(steps) == 0 {
				return 0
			}
			n := steps[0]
			steps = steps[1:]
			return time.Duration(int8(n)) * 7 * ms
		}
		for len(steps) > 0 {
			step := steps[0]
			steps = steps[1:]
			switch step % 5 {
			case 0, 4: // a plan with a deadline, perhaps overdue, and perhaps a floor
				at := l.now.Add(next())
				p := l.plan().Deadline(at)
				h.tells(l.now, &at)
				if step%5 == 4 {
					if floor := l.now.Add(next()); floor.After(l.now) {
						p, h.floor = p.NotBefore(floor), floor
					}
				}
				l.Tell("a", p)
			case 1:
				want := h.wait(l.now)
				if got := l.When("a"); got != want {
					t.Fatalf("got %v, want %v: %+v", got, want, h)
				}
				if got := l.NumRequeues("a"); got != h.all {
					t.Fatalf("got %d, want %d", got, h.all)
				}
			case 2:
				l.now = l.now.Add(max(next(), 0))
			case 3:
				l.Forget("a")
				h = history{}
				if got := l.NumRequeues("a"); got != 0 {
					t.Fatalf("got %d after Forget", got)
				}
			}
		}
	})
}

// tells: the latest plan replaces what was told; one that is not ahead is not waited for. If
// the deadline before it has passed, the backoff begins anew.
func (h *history) tells(now time.Time, deadline *time.Time) {
	if h.deadline != nil && !h.deadline.After(now) {
		h.failed = nil
	}
	h.deadline, h.floor = nil, time.Time{}
	if deadline.After(now) {
		h.deadline = deadline
	}
}

// wait: as long as the backoff says, or until the deadline if that is sooner; at once and
// once if that has passed since; not less than until the floor, and never below Immediate.
func (h *history) wait(now time.Time) time.Duration {
	h.all++
	end := now
	if h.deadline != nil && !h.deadline.After(now) {
		h.failed, h.deadline = nil, nil
	} else {
		h.failed = append(h.failed, now)
		backoff := 10 * ms
		for range len(h.failed) - 1 {
			backoff = min(2*backoff, second)
		}
		if end = now.Add(backoff); h.deadline != nil && h.deadline.Before(end) {
			end = *h.deadline
		}
	}
	if h.floor.After(end) {
		end = h.floor
	}
	return max(end.Sub(now), requeue.Immediate)
}
