package deadlinequeue_test

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// model is the slow, obvious twin of the queue: a slice of keys, scanned each
// time, with the rules of the package documentation one by one.
type model struct {
	keys  []*modelKey // those that the queue holds
	share int
	turn  int
	seq   int
	down  bool
	drain bool
}

type modelKey struct {
	key        int
	waits      bool // has a soft wait or a deadline of its own
	isReady    bool
	processing bool
	failed     bool
	priority   int
	soft       time.Time // zero: none
	deadline   time.Time // not seen by a hand-out; zero: none
	seen       time.Time // that had passed at the last hand-out; zero: none
	outlived   bool      // deadline was known when it was handed out, and not replaced since
	handed     time.Time
	came       int // since when in its place: age
	ranked     int // since when at its priority
}

func (m *model) find(key int) *modelKey {
	for _, k := range m.keys {
		if k.key == key {
			return k
		}
	}
	return nil
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (k *modelKey) wake() time.Time { return sooner(k.soft, k.deadline) }

func (k *modelKey) urgency() time.Time {
	if k.failed {
		return sooner(k.deadline, k.seen)
	}
	return k.deadline
}

func (m *model) number() int {
	m.seq++
	return m.seq
}

func (m *model) add(now time.Time, key, priority int, after time.Duration, deadline time.Time, failed bool) {
	if m.down {
		return
	}
	k := m.find(key)
	if k == nil {
		k = &modelKey{key: key}
		m.keys = append(m.keys, k)
	}
	if !deadline.IsZero() { // it keeps the priority of the last hand-out
		priority = k.priority
	}
	if !k.isReady && k.soft.IsZero() { // nothing but a deadline may be left
		k.priority, k.came = priority, m.number()
	}
	if priority > k.priority {
		k.priority = priority
		k.ranked = m.number()
		if k.waits {
			k.came = m.number()
		}
	}
	k.failed = k.failed || failed
	switch {
	case deadline.IsZero():
	case k.handed.IsZero() && !deadline.After(now) && after > 0:
		k.failed, k.seen = true, sooner(k.seen, deadline)
	case deadline.After(k.handed) && k.outlived:
		k.deadline, k.outlived = deadline, false
	case k.handed.IsZero() || deadline.After(k.handed):
		k.deadline = sooner(k.deadline, deadline)
	case failed:
		k.seen = sooner(k.seen, deadline)
	}
	switch {
	case k.isReady:
	case after <= 0:
		m.makeReady(k)
	default:
		k.waits = true
		k.soft = sooner(k.soft, now.Add(after))
	}
}

func (m *model) makeReady(k *modelKey) {
	k.waits, k.isReady, k.soft = false, true, time.Time{}
	if !k.processing {
		k.came, k.ranked = m.number(), m.number()
	}
}

// wakeUp makes ready what has waited long enough, in the order of the waits.
func (m *model) wakeUp(now time.Time) {
	var due []*modelKey
	for _, k := range m.keys {
		if k.waits && !k.wake().IsZero() && !k.wake().After(now) {
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b *modelKey) int {
		if c := a.wake().Compare(b.wake()); c != 0 {
			return c
		}
		return a.came - b.came
	})
	for _, k := range due {
		m.makeReady(k)
	}
}

// next returns the key that is handed out at now, nil if there is none.
func (m *model) next(now time.Time) *modelKey {
	m.wakeUp(now)
	var oldest, due, first *modelKey
	for _, k := range m.keys {
		if !k.isReady || k.processing {
			continue
		}
		if oldest == nil || k.came < oldest.came {
			oldest = k
		}
		if u := k.urgency(); !u.IsZero() && !u.After(now) {
			if due == nil || u.Before(due.urgency()) || u.Equal(due.urgency()) && k.came < due.came {
				due = k
			}
		} else if first == nil || k.priority > first.priority || k.priority == first.priority && k.ranked < first.ranked {
			first = k
		}
	}
	if oldest == nil {
		return nil
	}
	chosen := due
	if chosen == nil {
		chosen = first
	}
	m.turn++
	if m.share > 0 && m.turn >= m.share {
		m.turn, chosen = 0, oldest
	}
	u := chosen.urgency()
	chosen.seen = time.Time{}
	if !u.IsZero() && !u.After(now) {
		chosen.seen = u
	}
	if !chosen.deadline.After(now) {
		chosen.deadline = time.Time{}
	}
	chosen.isReady, chosen.processing, chosen.failed = false, true, false
	chosen.handed = now
	chosen.outlived = !chosen.deadline.IsZero()
	chosen.waits = chosen.outlived && !m.down
	return chosen
}

func (m *model) done(key int) {
	k := m.find(key)
	if k == nil || !k.processing {
		return
	}
	k.processing, k.outlived = false, false
	if k.isReady {
		k.came, k.ranked = m.number(), m.number()
	}
	m.drop()
}

// drop forgets the keys that are in no state.
func (m *model) drop() {
	m.keys = slices.DeleteFunc(m.keys, func(k *modelKey) bool { return !k.processing && !k.isReady && !k.waits })
}

func (m *model) shutDown(now time.Time, drain bool) {
	if !m.down {
		m.wakeUp(now)
	}
	m.down, m.drain = true, drain
	for _, k := range m.keys {
		k.waits = false
		if !drain {
			k.isReady = false
		}
	}
	m.drop()
}

func (m *model) count(is func(*modelKey) bool) (n int) {
	for _, k := range m.keys {
		if is(k) {
			n++
		}
	}
	return n
}

// fixedLimiter waits a time that depends on the key only.
type fixedLimiter struct{ failures map[int]int }

func (l *fixedLimiter) When(key int) time.Duration {
	l.failures[key]++
	return time.Duration(key) * 10 * time.Second // 0 for the key 0
}
func (l *fixedLimiter) Forget(key int)          { delete(l.failures, key) }
func (l *fixedLimiter) NumRequeues(key int) int { return l.failures[key] }

var _ workqueue.TypedRateLimiter[int] = (*fixedLimiter)(nil)

// Random sequences of all operations in virtual time; the queue and its model
// must agree after each.
func TestQueue_likeItsModel(t *testing.T) {
	checks := 10_000
	if testing.Short() {
		checks = 500
	}
	sequences := 0
	synctest.Test(t, func(t *testing.T) {
		for sequences < checks { // rapid makes 100 at a time
			// Without its Deadline, which a bubble does not allow to ask for.
			rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { sequences++; likeItsModel(t) })
			if t.Failed() {
				return
			}
		}
	})
}

func likeItsModel(t *rapid.T) {
	share := rapid.SampledFrom([]int{0, 1, 2, 16}).Draw(t, "share")
	drainIt := rapid.Bool().Draw(t, "drain on shutdown")
	l := &fixedLimiter{map[int]int{}}
	q := deadlinequeue.New("", deadlinequeue.Options[int]{RateLimiter: l, OldestEvery: &share, DrainOnShutDown: drainIt})
	defer q.ShutDown()
	if rapid.Bool().Draw(t, "hashes collide") {
		deadlinequeue.Collide(q)
	}
	m := &model{share: share}

	key := rapid.IntRange(0, 5)
	delay := rapid.SampledFrom([]time.Duration{math.MinInt64, -1, 0, 1, time.Millisecond, time.Second, 5 * time.Second, time.Minute, math.MaxInt64})
	apart := rapid.SampledFrom([]time.Duration{-time.Hour, -5 * time.Second, -time.Microsecond, 0, time.Second, 5 * time.Second, time.Minute, time.Hour})
	priority := rapid.SampledFrom([]int{math.MinInt, -100, 0, 0, 0, 7, math.MaxInt})
	drawDeadline := func() time.Time {
		switch rapid.IntRange(0, 9).Draw(t, "which") {
		case 0:
			return time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
		case 1:
			return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		}
		return time.Now().Add(apart.Draw(t, "deadline in")).Truncate(time.Microsecond)
	}
	add := func(k, p int, after time.Duration, deadline time.Time, limited bool) {
		o := priorityqueue.AddOpts{After: after, RateLimited: limited}
		switch {
		case !deadline.IsZero():
			o.Priority = ptr.To(deadlinequeue.Priority(deadline))
		case p != 0:
			o.Priority = ptr.To(p)
		}
		if limited && !m.down {
			if rl := time.Duration(k) * 10 * time.Second; after <= 0 || rl < after {
				after = rl
			}
		}
		q.AddWithOpts(o, k)
		// Both saturate: 292 years are for ever.
		m.add(time.Now(), k, p, after, deadline, limited)
	}
	t.Repeat(map[string]func(*rapid.T){
		"Add":      func(t *rapid.T) { add(key.Draw(t, "key"), 0, 0, time.Time{}, false) },
		"AddAfter": func(t *rapid.T) { add(key.Draw(t, "key"), 0, delay.Draw(t, "after"), time.Time{}, false) },
		"AddRateLimited": func(t *rapid.T) {
			add(key.Draw(t, "key"), 0, 0, time.Time{}, true)
		},
		"AddWithPriority": func(t *rapid.T) {
			add(key.Draw(t, "key"), priority.Draw(t, "priority"), delay.Draw(t, "after"), time.Time{}, rapid.Bool().Draw(t, "limited"))
		},
		"AddWithDeadline": func(t *rapid.T) {
			add(key.Draw(t, "key"), 0, delay.Draw(t, "after"), drawDeadline(), rapid.IntRange(0, 3).Draw(t, "limited") == 0)
		},
		"Get": func(t *rapid.T) {
			if m.down && !m.drain {
				_, _, down := q.GetWithPriority()
				require.True(t, down)
				return
			}
			now := time.Now()
			m.wakeUp(now)
			if m.count(func(k *modelKey) bool { return k.isReady && !k.processing }) == 0 {
				if m.down && m.count(func(k *modelKey) bool { return k.isReady }) == 0 {
					_, down := q.Get()
					require.True(t, down)
				}
				return // it would wait
			}
			before := map[int]int{}
			for _, k := range m.keys {
				before[k.key] = k.priority
			}
			want := m.next(now)
			got, p, down := q.GetWithPriority()
			require.False(t, down)
			require.Equal(t, want.key, got)
			require.Equal(t, before[got], p)
		},
		"Done":   func(t *rapid.T) { k := key.Draw(t, "key"); q.Done(k); m.done(k) },
		"Forget": func(t *rapid.T) { q.Forget(key.Draw(t, "key")) },
		"Sleep": func(t *rapid.T) {
			d := rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, time.Second, 10 * time.Second, 2 * time.Minute}).Draw(t, "for")
			if d == 0 { // to a whole microsecond, so that a deadline may be now
				d = time.Microsecond - time.Duration(time.Now().Nanosecond())%time.Microsecond
			}
			time.Sleep(d)
			synctest.Wait()
			m.wakeUp(time.Now())
		},
		"ShutDown": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
				q.ShutDown()
				m.shutDown(time.Now(), drainIt)
			}
		},
		"": func(t *rapid.T) {
			m.wakeUp(time.Now())
			require.Equal(t, m.count(func(k *modelKey) bool { return k.isReady }), q.Len())
			require.Equal(t, len(m.keys), q.Load().Objects)
			require.Equal(t, m.down, q.ShuttingDown())
			for k := range 6 {
				require.Equal(t, l.failures[k], q.NumRequeues(k))
			}
		},
	})
	synctest.Wait()
}
