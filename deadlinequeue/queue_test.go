package deadlinequeue_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// stopsMeanwhile is a clock whose next reading has somebody call ShutDown, who gets in
// when the lock is given up.
type stopsMeanwhile struct {
	lateTimers
	q deadlinequeue.Queue[int]
}

func (c *stopsMeanwhile) Now() time.Time {
	if q := c.q; q != nil {
		c.q = nil
		go q.ShutDown()
	}
	return c.FakeClock.Now()
}

// callingBack is a limiter that calls the queue.
type callingBack struct{ q deadlinequeue.Queue[string] }

func (l *callingBack) When(item string) time.Duration {
	l.q.Add(item + "'s friend")
	return time.Second
}
func (l *callingBack) Forget(string)          { l.q.Len() }
func (l *callingBack) NumRequeues(string) int { return l.q.Len() }

// A ShutDown that comes while ShutDownWithDrain passes over what is due ends it, too.
func TestShutDownWithDrain_endsWhileItPassesOver(*testing.T) {
	for range 20 {
		clock := &stopsMeanwhile{lateTimers: lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}}
		q := deadlinequeue.New("", deadlinequeue.Options[int]{Clock: clock})
		q.Add(-1)
		_, _ = q.Get() // is never Done
		for i := range 5000 {
			q.AddAfter(i, time.Hour)
		}
		clock.Step(time.Hour)
		clock.q = q
		q.ShutDownWithDrain()
	}
}

// Many waits that end at one instant are passed over in batches, which keep the order of
// deadlines.
func TestQueue_manyAtOneInstant(t *testing.T) {
	const n = 2600
	clock := &lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	for name, use := range map[string]func(q deadlinequeue.Queue[int]){
		"Get":               func(deadlinequeue.Queue[int]) {},
		"Len":               func(q deadlinequeue.Queue[int]) { assert.Equal(t, n, q.Len()) },
		"ShutDownWithDrain": func(q deadlinequeue.Queue[int]) { startsDraining(q); assert.Equal(t, n, q.Len()) },
	} {
		t.Run(name, func(t *testing.T) {
			deadline := clock.Now().Add(time.Hour)
			q := deadlinequeue.New("", deadlinequeue.Options[int]{
				Clock: clock, OldestEvery: -1,
				Deadline: func(i int) (time.Time, bool) { return deadline.Add(-time.Duration(i) * time.Microsecond), true },
			})
			defer q.ShutDown()
			for i := range n {
				q.AddAfter(i, 2*time.Hour)
			}
			clock.Step(time.Hour)
			use(q)
			for i := n - 1; i >= 0; i-- {
				item, down := q.Get()
				require.False(t, down)
				require.Equal(t, i, item)
				q.Done(item)
			}
		})
	}
}

func TestQueue_theTimerPassesOverAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2600
		name := unique()
		q := deadlinequeue.New(name, deadlinequeue.Options[int]{})
		defer q.ShutDown()
		for i := range n {
			q.AddAfter(i, time.Hour)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		values, _ := scrape(t, name)
		assert.Equal(t, float64(n), values["workqueue_adds_total"])
	})
}

func TestRateLimiter_mayCallTheQueue(t *testing.T) {
	l := &callingBack{}
	inBubble(t, deadlinequeue.Options[string]{RateLimiter: l}, func(t *testing.T, q deadlinequeue.Queue[string], p *probe) {
		l.q = q
		q.AddRateLimited("a")
		assert.Equal(t, 1, q.NumRequeues("a"))
		q.Forget("a")
		p.serves("a's friend")
		time.Sleep(time.Second)
		p.serves("a")
	})
}

func TestOldestEvery(t *testing.T) {
	for every, want := range map[int][]string{
		-1: {"1", "2", "3", "4", "5", "old"},
		0:  {"1", "2", "3", "4", "5", "old"},
		1:  {"old", "1", "2", "3", "4", "5"},
		3:  {"1", "2", "old", "3", "4", "5"},
	} {
		withObjects(t, options{OldestEvery: every}, func(_ *testing.T, q queue, p *probe, known objects) {
			p.priority(-100, 0, "old")
			for i, item := range []string{"1", "2", "3", "4", "5"} {
				known.due(item, time.Duration(i-100)*time.Second)
				q.Add(item)
			}
			p.serves(want...)
		})
	}
}

func TestLoad(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q deadlinequeue.Queue[string], p *probe) {
		assert.Equal(t, requeue.Load{}, q.Load())
		assert.Equal(t, time.Minute, q.Load().Stretch(time.Minute, 0.8), "unknown")
		time.Sleep(time.Second) // not part of what follows
		q.Add("a")
		q.Add("b")
		q.AddAfter("c", time.Hour)
		first, _ := p.get()
		second, _ := p.get()
		time.Sleep(100 * time.Millisecond)
		q.Done(first.item)
		assert.Equal(t, requeue.Load{Objects: 2, Workers: 2, Service: 100 * time.Millisecond}, q.Load())
		time.Sleep(200 * time.Millisecond)
		q.Done(second.item)
		assert.Equal(t, requeue.Load{Objects: 1, Workers: 2, Service: 200 * time.Millisecond}, q.Load())
	})
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q deadlinequeue.Queue[string], p *probe) {
		q.Add("a")
		p.gets("a")
		assert.Equal(t, 2, q.Load().Workers, "one works and one waits")
		for range 10 {
			q.Done("a")
			q.Add("a")
			p.gets("a")
		}
		assert.Equal(t, 2, q.Load().Workers, "they take turns")
	})
}

// A drain that waits does not take the signal of an item that became ready, and
// the last hand-out of a drain ends the Gets that wait.
func TestShutDownWithDrain_wakesWhoWaitsInGet(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{}, func(t *testing.T, q deadlinequeue.Queue[string], p *probe) {
		q.Add("stuck")
		q.Add("again")
		p.takes("stuck", "again")
		q.Add("again")
		go q.ShutDownWithDrain()
		synctest.Wait()
		var got []string
		stopped := 0
		for range 2 {
			go func() {
				item, shutdown := q.Get()
				if shutdown {
					stopped++
				} else {
					got = append(got, item)
				}
			}()
			synctest.Wait()
		}
		q.Done("again")
		synctest.Wait()
		assert.Equal(t, []string{"again"}, got)
		assert.Equal(t, 1, stopped)
	})
}

func TestQueue_allocatesAtMostOnceAnItem(t *testing.T) {
	q := deadlinequeue.New("", deadlinequeue.Options[request]{})
	defer q.ShutDown()
	keys := requests(1000)
	i := 0
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		q.Add(keys[i%len(keys)])
		k, _ := q.Get()
		q.Done(k)
		i++
	}), 1.0)
}

func TestQueue_givesMemoryBack(t *testing.T) {
	const n = 200_000
	keys := requests(n)
	deadline := time.Now().Add(time.Hour)
	q := deadlinequeue.New("", deadlinequeue.Options[request]{Deadline: func(request) (time.Time, bool) { return deadline, true }})
	defer q.ShutDown()
	empty := heapInUse()
	wait := func(k request) { q.AddAfter(k, 10*time.Minute) }
	for _, k := range keys {
		wait(k)
	}
	full := heapInUse()
	q.AddWithOpts(priorityqueue.AddOpts{}, keys...)
	for range keys {
		k, _ := q.Get()
		wait(k)
		q.Done(k)
	}
	assert.Equal(t, n, q.Load().Objects, "the deadlines are still to come")
	for i, k := range keys { // half of them ready
		if i%2 == 0 {
			q.Add(k)
		}
	}
	q.ShutDown()
	drained := heapInUse()
	runtime.KeepAlive(keys)
	require.Greater(t, full, empty+n*100)
	assert.Less(t, drained, empty+(full-empty)/10, "after a drain")
}

// Many priorities, of which each is used once.
func TestQueue_givesTheMemoryOfPrioritiesBack(t *testing.T) {
	const n = 300_000
	q := deadlinequeue.New("", deadlinequeue.Options[int]{})
	defer q.ShutDown()
	empty := heapInUse()
	for i := range n {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(i)}, i)
	}
	full := heapInUse()
	for range n {
		k, _ := q.Get()
		q.Done(k)
	}
	runtime.GC() // what sync.Pool keeps for one more
	drained := heapInUse()
	require.Greater(t, full, empty+n*100)
	assert.Less(t, drained, empty+1<<20)
	runtime.KeepAlive(q)
}

// More priorities than there are levels kept for, again and again.
func TestPriority_many(t *testing.T) {
	inBubble(t, deadlinequeue.Options[string]{OldestEvery: -1}, func(_ *testing.T, _ deadlinequeue.Queue[string], p *probe) {
		const n = 101
		for range 3 {
			want := make([]string, 2*n)
			for i := range 2 * n {
				rank := i * 37 % n // every rank twice, as n is prime
				item := fmt.Sprint("item ", rank, i/n)
				want[2*rank+i/n] = item
				p.priority(-rank, 0, item)
			}
			// One that comes and goes before all the others.
			for range 3 {
				p.priority(1, 0, "first")
				p.takes("first")
				p.q.Done("first")
			}
			for _, item := range want {
				p.takes(item)
				p.q.Done(item)
			}
		}
	})
}
