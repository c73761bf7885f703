package queue_test

import (
	"cmp"
	"encoding/binary"
	"flag"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

var histories = flag.Int("histories", 1000, "how many are checked")

// The operations of a history.
type operation int

const (
	opAdd operation = iota
	opAddWithPriority
	opAddRateLimited
	opGet
	opDecide
	opDone
	opLen
	opBlocked // at the end Gets wait: nothing is available
)

type call struct {
	op       operation
	key      int
	priority int
	decision requeue.Decision
}

// answer is what a call has returned: the key and the priority of a Get, a number for
// Len, 1 for a Decide that has told.
type answer struct{ key, priority, n int }

// workQueue is what a history calls.
type workQueue interface {
	AddWithOpts(o priorityqueue.AddOpts, keys ...int)
	GetWithPriority() (key, priority int, down bool)
	Decide(key int, d requeue.Decision) bool
	Done(key int)
	Len() int
	ShutDown()
}

// state is the twin and a code that is the same for equal twins.
type state struct {
	*twin
	code string
}

// spec is the twin as a sequential specification, while the clock stands still.
func spec(every int, now reading) porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return newState(&twin{every: every, limited: map[int]int{}}) },
		Step: func(before, in, out any) (bool, any) {
			m := before.(state).clone()
			c, got := in.(call), out.(answer)
			var want answer
			switch c.op {
			case opAdd:
				m.add(now, c.key, add{})
			case opAddWithPriority:
				m.add(now, c.key, add{priority: c.priority})
			case opAddRateLimited:
				m.add(now, c.key, add{limited: true})
			case opGet:
				if len(m.available()) == 0 {
					return false, before
				}
				k := m.handOut(now, got.key)
				want = answer{key: k.key, priority: k.priority}
			case opDecide:
				if m.decide(now, c.key, c.decision) {
					want.n = 1
				}
			case opDone:
				m.done(now, c.key)
			case opLen:
				want.n, _ = m.len(now)
			case opBlocked:
				want.n = len(m.available())
			}
			if got != want {
				return false, before
			}
			return true, newState(m)
		},
		Equal: func(a, b any) bool { return a.(state).code == b.(state).code },
		Hash:  func(s any) uint64 { return maphash.String(seed, s.(state).code) },
	}
}

func (m *twin) clone() *twin {
	c := *m
	c.limited = maps.Clone(m.limited)
	c.keys = make([]*fact, len(m.keys))
	for i, k := range m.keys {
		c.keys[i] = ptr.To(*k)
	}
	return &c
}

// newState encodes what tells twins apart. Of what is counted only the order does.
func newState(m *twin) state {
	slices.SortFunc(m.keys, func(a, b *fact) int { return cmp.Compare(a.key, b.key) })
	var counts []int
	for _, k := range m.keys {
		counts = append(counts, k.place, k.since, k.out)
	}
	slices.Sort(counts)
	rank := func(n int) int64 { i, _ := slices.BinarySearch(counts, n); return int64(i) }
	is := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	var code []byte
	put := func(values ...int64) {
		for _, v := range values {
			code = binary.AppendVarint(code, v)
		}
	}
	put(int64(m.outs%max(m.every, 1)), int64(m.noRetry), int64(m.failed), is(m.isOutage))
	for _, k := range m.keys {
		put(int64(k.key), int64(k.priority), is(k.added), is(k.ready), is(k.processing), is(k.forPassed), is(k.urgent), is(k.limited), int64(k.failures), rank(k.place))
		for _, t := range []time.Time{k.deadline, k.floor, k.spent} {
			put(t.UnixNano())
		}
		if k.ready {
			put(rank(k.since))
		}
		if k.failures > 0 || k.processing {
			put(rank(k.out))
		}
		if k.told != nil {
			put(k.told.Deadline.UnixNano(), k.told.Overdue.UnixNano())
		}
	}
	return state{m, string(code)}
}

// history has eight goroutines call a queue, and returns what they have seen.
func history(t *testing.T, seed uint64, every int, wrap func(workQueue) workQueue) (ops []porcupine.Operation, now reading) {
	synctest.Test(t, func(*testing.T) {
		now = reading{wall: time.Now()}
		q := wrap(deadlinequeue.New("", deadlinequeue.Options[int]{RateLimiter: &lockedLimiter{}, OldestEvery: every}))
		var clock, tokens atomic.Int64 // the clock of the history: it counts
		var mu sync.Mutex
		var wg sync.WaitGroup
		var blocked atomic.Int64
		for client := range 8 {
			random := rand.New(rand.NewPCG(seed, uint64(client)))
			do := func(c call) (a answer, down bool) {
				o := porcupine.Operation{ClientId: client, Input: c, Call: clock.Add(1)}
				if random.IntN(4) == 0 {
					runtime.Gosched()
				}
				switch c.op {
				case opAdd, opAddWithPriority, opAddRateLimited:
					o := priorityqueue.AddOpts{RateLimited: c.op == opAddRateLimited}
					if c.op == opAddWithPriority {
						o.Priority = &c.priority
					}
					q.AddWithOpts(o, c.key)
					tokens.Add(1)
				case opGet:
					blocked.Add(1)
					a.key, a.priority, down = q.GetWithPriority()
					if down {
						return a, down // it has done nothing
					}
					blocked.Add(-1)
				case opDecide:
					if q.Decide(c.key, c.decision) {
						a.n = 1
					}
				case opDone:
					q.Done(c.key)
				case opLen:
					a.n = q.Len()
				case opBlocked: // is seen at the end
				}
				if random.IntN(4) == 0 {
					runtime.Gosched()
				}
				o.Output, o.Return = a, clock.Add(1)
				mu.Lock()
				defer mu.Unlock()
				ops = append(ops, o)
				return a, false
			}
			wg.Go(func() {
				for range 3 {
					key := random.IntN(4)
					switch random.IntN(8) {
					case 0, 1, 2:
						do(call{op: opAdd, key: key})
					case 3, 4:
						do(call{op: opAddWithPriority, key: key, priority: random.IntN(3) - 1})
					case 5:
						do(call{op: opAddRateLimited}) // of the key 0, which does not wait
					case 6:
						do(call{op: opLen})
					case 7:
						do(call{op: opDone, key: key})
					}
					if tokens.Add(-1) < 0 {
						tokens.Add(1)
						continue
					}
					a, down := do(call{op: opGet})
					if down {
						return
					}
					if p := requeue.From(now.wall); random.IntN(2) == 0 {
						passed := now.wall.Add(-time.Duration(1+random.IntN(3)) * time.Minute)
						switch random.IntN(3) {
						case 0:
							p = p.Deadline(passed)
						case 1:
							p = requeue.From(now.wall.Add(-time.Hour)).Deadline(passed) // ahead when it was made
						}
						do(call{op: opDecide, key: a.key, decision: p.Decide()})
					}
					if a.key == 0 && random.IntN(2) == 0 {
						do(call{op: opAddRateLimited})
					}
					if random.IntN(4) > 0 {
						do(call{op: opDone, key: a.key})
					}
				}
			})
		}
		synctest.Wait()
		if blocked.Load() > 0 {
			ops = append(ops, porcupine.Operation{ClientId: 8, Input: call{op: opBlocked}, Output: answer{}, Call: clock.Add(1), Return: clock.Add(1)})
		}
		q.ShutDown()
		wg.Wait()
	})
	return ops, now
}

// lockedLimiter never waits.
type lockedLimiter struct{}

func (*lockedLimiter) When(int) time.Duration { return 0 }
func (*lockedLimiter) Forget(int)             {}
func (*lockedLimiter) NumRequeues(int) int    { return 0 }

// linearizable checks so many histories, and returns how many it has checked and whether
// all of them are as if one operation had been done after the other.
func linearizable(t *testing.T, histories int, wrap func(workQueue) workQueue) (checked int, ok bool) {
	for seed := range histories {
		every := []int{-1, 2, 16}[seed%3]
		ops, now := history(t, uint64(seed), every, wrap)
		switch porcupine.CheckOperationsTimeout(spec(max(every, 0), now), ops, time.Minute) {
		case porcupine.Unknown:
			require.Fail(t, "a history is too long to be checked", "%d operations", len(ops))
		case porcupine.Illegal:
			return seed + 1, false
		case porcupine.Ok:
		}
	}
	return histories, true
}

func TestQueue_isLinearizable(t *testing.T) {
	n := *histories
	if testing.Short() {
		n /= 5
	}
	checked, ok := linearizable(t, n, func(q workQueue) workQueue { return q })
	require.True(t, ok, "history %d", checked)
}

// broken breaks one thing of a queue.
type broken struct {
	workQueue
	mu    sync.Mutex
	calls int
	last  int
	late  []int
	how   string
}

func (b *broken) nth(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	return b.calls%n == 0
}

func (b *broken) AddWithOpts(o priorityqueue.AddOpts, keys ...int) {
	switch b.how {
	case "an add is lost":
		if b.nth(5) {
			return
		}
	case "an add comes late":
		if b.nth(2) {
			b.mu.Lock()
			b.late = append(b.late, keys...)
			b.mu.Unlock()
			return
		}
	case "a priority is lost":
		o.Priority = nil
	}
	b.workQueue.AddWithOpts(o, keys...)
}

func (b *broken) GetWithPriority() (int, int, bool) {
	if b.how == "a key is handed out twice" && b.nth(4) {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.last, 0, false
	}
	key, priority, down := b.workQueue.GetWithPriority()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = key
	return key, priority, down
}

func (b *broken) Done(key int) {
	b.workQueue.Done(key)
	b.mu.Lock()
	late := b.late
	b.late = nil
	b.mu.Unlock()
	b.workQueue.AddWithOpts(priorityqueue.AddOpts{}, late...)
	if b.how == "Done adds" {
		b.workQueue.AddWithOpts(priorityqueue.AddOpts{}, key)
	}
}

func (b *broken) Decide(key int, d requeue.Decision) bool {
	if b.how == "a decision is lost" {
		return true
	}
	return b.workQueue.Decide(key, d)
}

func (b *broken) Len() int {
	n := b.workQueue.Len()
	if b.how == "Len counts one more" && b.nth(3) {
		n++
	}
	return n
}

// The check is no use if it finds nothing.
func TestQueue_brokenIsNotLinearizable(t *testing.T) {
	for _, how := range []string{
		"a key is handed out twice", "Len counts one more", "an add is lost", "an add comes late",
		"a priority is lost", "Done adds", "a decision is lost",
	} {
		t.Run(how, func(t *testing.T) {
			checked, ok := linearizable(t, 500, func(q workQueue) workQueue { return &broken{workQueue: q, how: how} })
			require.False(t, ok, "is not found")
			t.Logf("found in history %d", checked)
		})
	}
}
