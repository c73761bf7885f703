package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// noWait is a rate limiter that never waits.
type noWait[T comparable] struct{}

func (noWait[T]) When(T) time.Duration { return 0 }
func (noWait[T]) Forget(T)             {}
func (noWait[T]) NumRequeues(T) int    { return 0 }

// Of n keys that are ready, the n-th oldest is handed out within 16 n hand-outs, whatever
// comes in meanwhile: passed deadlines, retries, higher priorities.
func TestQueue_bypassIsBounded(t *testing.T) {
	inBubble(t, 500, func(t *rapid.T) {
		const every = 16
		deadlines := map[string]time.Time{}
		q := deadlinequeue.New("", deadlinequeue.Options[string]{
			RateLimiter: noWait[string]{},
			Deadline:    func(key string) (time.Time, bool) { return deadlines[key], true },
		})
		defer q.ShutDown()
		began := time.Now()
		n := rapid.IntRange(1, 20).Draw(t, "n")
		for i := range n {
			q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(-100 - i)}, fmt.Sprint("old ", i))
		}
		out, added := map[string]int{}, 0
		for i := 1; i <= every*n; i++ {
			for range rapid.IntRange(0, 3).Draw(t, "new") {
				added++
				key := fmt.Sprint("new ", added)
				if rapid.Bool().Draw(t, "passed") {
					deadlines[key] = began.Add(-time.Duration(added) * time.Second)
				}
				q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(rapid.IntRange(0, 9).Draw(t, "priority"))}, key)
			}
			if q.Len() == 0 {
				break
			}
			key, _ := q.Get()
			if _, again := out[key]; !again {
				out[key] = i
			}
			if !deadlines[key].IsZero() && rapid.Bool().Draw(t, "fails") {
				q.AddRateLimited(key)
			}
			q.Done(key)
		}
		for i := range n {
			at, ok := out[fmt.Sprint("old ", i)]
			require.True(t, ok, "old %d is not handed out within %d hand-outs", i, every*n)
			require.LessOrEqual(t, at, every*(i+1), "old %d", i)
		}
	})
}

// But for the share of the oldest, passed deadlines go before all others, and in their
// order.
func TestQueue_passedDeadlinesGoFirst(t *testing.T) {
	inBubble(t, 500, func(t *rapid.T) {
		every := rapid.IntRange(-1, 20).Filter(func(n int) bool { return n != 0 }).Draw(t, "every")
		began := time.Now()
		passed := map[int]time.Time{}
		q := deadlinequeue.New("", deadlinequeue.Options[int]{
			OldestEvery: every,
			Deadline:    func(key int) (time.Time, bool) { at, ok := passed[key]; return at, ok },
		})
		defer q.ShutDown()
		for key := range rapid.IntRange(1, 200).Draw(t, "keys") {
			if rapid.Bool().Draw(t, "passed") {
				passed[key] = began.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "ago")) * time.Second)
			}
			q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(rapid.IntRange(0, 9).Draw(t, "priority"))}, key)
		}
		for out := 1; q.Len() > 0; out++ {
			key, _ := q.Get()
			at, ok := passed[key]
			delete(passed, key)
			q.Done(key)
			for other, earlier := range passed {
				if !ok || earlier.Before(at) {
					require.True(t, every > 0 && out%every == 0, "hand-out %d of %d while the deadline of %d has passed before", out, key, other)
				}
			}
		}
	})
}

// After their first five failures, keys that fail for ever cost the others at most every
// fourth hand-out, and every 16th as the oldest; in an outage no more.
func TestQueue_failingCostAThird(t *testing.T) {
	for _, failing := range []int{1, 5, 40} {
		for _, every := range []int{-1, 0} {
			for _, tell := range []bool{false, true} {
				for _, urgent := range []bool{false, true} {
					t.Run(fmt.Sprintf("failing=%d/every=%d/tell=%v/urgent=%v", failing, every, tell, urgent), func(t *testing.T) {
						failingCost(t, failing, every, tell, urgent)
					})
				}
			}
		}
	}
}

// failingCost counts the hand-outs until the others are served. If they are urgent, each
// has a passed deadline, and those that fail get nothing but the turn of the oldest.
func failingCost(t *testing.T, failing, every int, tell, urgent bool) {
	const others = 3000
	began := time.Now()
	q := deadlinequeue.New("", deadlinequeue.Options[int]{
		RateLimiter: noWait[int]{}, OldestEvery: every,
		Deadline: func(key int) (time.Time, bool) {
			return began.Add(-time.Hour), key < failing || urgent
		},
	})
	defer q.ShutDown()
	reconcile := func() int {
		key, _ := q.Get()
		if key < failing {
			if tell {
				q.Decide(key, requeue.From(time.Now()).Deadline(began.Add(-time.Hour)).Decide())
			}
			q.AddRateLimited(key)
		}
		q.Done(key)
		return key
	}
	for key := range failing {
		q.Add(key)
	}
	for range tries * failing {
		reconcile()
	}
	for key := range others {
		q.Add(failing + key)
	}
	outs := 0
	for served := 0; served < others; outs++ {
		if reconcile() >= failing {
			served++
		}
	}
	share := float64(others)
	if !urgent {
		share *= 4.0 / 3
	}
	if every == 0 {
		share *= 16.0 / 15
	}
	if urgent && every < 0 {
		require.Equal(t, others, outs)
	}
	// Each that fails may have a sixth try that goes first.
	require.LessOrEqual(t, float64(outs), share+float64(failing)+1)
}
