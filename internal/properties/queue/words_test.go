package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// inWords runs what the rules say in their words, with a rate limiter that waits 10 s
// times the key.
func inWords(t *testing.T, deadlines map[int]time.Time, test func(q deadlinequeue.Queue[int], now time.Time)) {
	synctest.Test(t, func(*testing.T) {
		o := deadlinequeue.Options[int]{RateLimiter: &fixedLimiter{map[int]int{}}, OldestEvery: -1}
		if deadlines != nil {
			o.Deadline = func(key int) (time.Time, bool) { return deadlines[key], true }
		}
		q := deadlinequeue.New("", o)
		defer q.ShutDown()
		test(q, time.Now())
	})
}

// The floor holds back no other wait than that of the rate limiter.
func TestWords_floorHoldsBackNoOtherWait(t *testing.T) {
	inWords(t, nil, func(q deadlinequeue.Queue[int], now time.Time) {
		q.Add(1)
		q.Get()
		q.Decide(1, requeue.From(now).Every(time.Second).NotBefore(now.Add(time.Minute)).Decide())
		q.AddWithOpts(priorityqueue.AddOpts{After: time.Second, RateLimited: true}, 1)
		q.Done(1)
		q.Get()
		assert.Equal(t, time.Second, time.Since(now))
	})
}

// The first add after a hand-out sets the priority.
func TestWords_firstAddSetsThePriority(t *testing.T) {
	inWords(t, nil, func(q deadlinequeue.Queue[int], now time.Time) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(7)}, 1)
		q.Get()
		q.Decide(1, requeue.From(now).Deadline(now.Add(time.Second)).Decide())
		q.Done(1)
		time.Sleep(time.Second) // the deadline makes it ready
		synctest.Wait()
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(-3)}, 1)
		_, priority, _ := q.GetWithPriority()
		assert.Equal(t, -3, priority)
	})
}

// Of deadlines that pass at one instant the first come goes first, and a retry has the
// place of its hand-out, not of its Done.
func TestWords_retryHasThePlaceOfItsHandOut(t *testing.T) {
	for _, fails := range []bool{false, true} {
		deadlines := map[int]time.Time{}
		inWords(t, deadlines, func(q deadlinequeue.Queue[int], now time.Time) {
			deadlines[0] = now.Add(-time.Hour)
			q.Add(0)
			q.Get()
			deadlines[0], deadlines[1] = now.Add(-time.Minute), now.Add(-time.Minute)
			q.Add(0)
			q.Add(1)
			want := 1
			if fails {
				q.AddRateLimited(0)
				want = 0
			}
			q.Done(0)
			key, _ := q.Get()
			assert.Equal(t, want, key, "fails: %v", fails)
		})
	}
}

// A key is of group 2 for its first five failures in a row; a hand-out for a passed
// deadline counts anew.
func TestWords_passedDeadlineCountsAnew(t *testing.T) {
	for _, another := range []int{0, 1, 3} { // the failures before the key has another deadline
		deadlines := map[int]time.Time{}
		inWords(t, deadlines, func(q deadlinequeue.Queue[int], now time.Time) {
			deadlines[0] = now.Add(-time.Hour)
			q.Add(0)
			failures := 0
			for key, _ := q.Get(); key == 0; key, _ = q.Get() {
				if failures++; failures == another {
					deadlines[0] = now.Add(-time.Minute)
					q.Add(0)
				}
				q.AddRateLimited(0)
				q.Done(0)
				q.Add(1)
			}
			assert.Equal(t, another+tries+1, failures)
		})
	}
}
