package deadlinequeue_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// 16 producers and 16 workers, 200,000 adds of all kinds in real time: no key is
// processed by two workers, every key is handed out after its last add, and no
// goroutine is left. The race detector runs over it, too.
func TestQueue_concurrently(t *testing.T) {
	defer goleak.VerifyNone(t)
	const producers, workers, adds, keys = 16, 16, 200_000, 1000
	q := deadlinequeue.New("", deadlinequeue.Options[int]{
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[int](time.Microsecond, time.Millisecond),
		Deadline: func(k int) (time.Time, bool) {
			return time.Now().Add(time.Duration(k-keys/2) * time.Microsecond), k%2 == 0
		},
	})
	var (
		processing, version, seen [keys]atomic.Int64
		added                     sync.WaitGroup
		worked                    sync.WaitGroup
	)
	for w := range workers {
		worked.Go(func() {
			for i := 0; ; i++ {
				k, down := q.Get()
				if down {
					return
				}
				if processing[k].Add(1) != 1 {
					t.Errorf("key %d is processed twice at a time", k)
				}
				seen[k].Store(version[k].Load())
				if i%3 == 0 {
					q.Decide(k, requeue.From(time.Now()).Deadline(time.Now().Add(time.Duration(i%2000-1000)*time.Microsecond)).Decide())
				}
				if (i+w)%13 == 0 {
					q.AddRateLimited(k)
				} else {
					q.Forget(k)
				}
				processing[k].Add(-1)
				q.Done(k)
				if i%1000 == 0 {
					q.Load()
					q.Len()
				}
			}
		})
	}
	for p := range producers {
		added.Go(func() {
			r := rand.New(rand.NewPCG(uint64(p), 1))
			for range adds / producers {
				k := r.IntN(keys)
				version[k].Add(1)
				switch r.IntN(4) {
				case 0:
					q.Add(k)
				case 1:
					q.AddAfter(k, time.Duration(r.IntN(2000))*time.Microsecond)
				case 2:
					q.AddRateLimited(k)
				default:
					q.AddWithOpts(priorityqueue.AddOpts{
						After: time.Duration(r.IntN(2000)) * time.Microsecond, Priority: ptr.To(r.IntN(3)),
					}, k)
				}
			}
		})
	}
	added.Wait()
	for k := range keys {
		q.Add(k) // the last add of each
	}
	q.ShutDownWithDrain()
	worked.Wait()
	for k := range keys {
		require.Equal(t, version[k].Load(), seen[k].Load(), "key %d was not handed out after its last add", k)
	}
}

// 24 virtual hours of 10,000 keys with events, polls, deadlines and errors, and
// workers that come and go. Nothing is lost: each key that was to be looked at is,
// and each deadline is acted on, on time as the workers have time to spare.
func TestQueue_soak(t *testing.T) {
	keys, hours := 10_000, 24
	if testing.Short() {
		keys, hours = 500, 6
	}
	synctest.Test(t, func(t *testing.T) {
		const workers = 4
		service := 5 * time.Millisecond
		q := deadlinequeue.New("", deadlinequeue.Options[int]{RateLimiter: limiter[int]()})
		r := rand.New(rand.NewPCG(1, 2)) // used under mu
		events := rand.New(rand.NewPCG(3, 4))
		var mu sync.Mutex
		type state struct {
			processing bool
			event      bool // added and not handed out since
			deadline   time.Time
			lookBy     time.Time // the last promise made for it
		}
		states := make([]state, keys)
		var handOuts, deadlines, lateMost = 0, 0, time.Duration(0)
		poll := 30 * time.Minute

		worker := func(stop <-chan struct{}) {
			for {
				select {
				case <-stop:
					return
				default:
				}
				k, down := q.Get()
				if down {
					return
				}
				mu.Lock()
				now, s := time.Now(), &states[k]
				if s.processing {
					t.Errorf("key %d is processed twice at a time", k)
				}
				handOuts++
				s.processing, s.event = true, false
				mu.Unlock()
				time.Sleep(service)
				mu.Lock()
				failed := r.IntN(20) == 0
				if !failed && !s.deadline.After(now) {
					deadlines++
					lateMost = max(lateMost, now.Sub(s.deadline))
					s.deadline = time.Now().Add(time.Duration(r.Int64N(int64(2 * time.Hour))))
				}
				o := priorityqueue.AddOpts{After: poll}
				if failed {
					o = priorityqueue.AddOpts{RateLimited: true}
				} else {
					q.Forget(k)
					q.Decide(k, requeue.From(time.Now()).Deadline(s.deadline).Decide())
					s.lookBy = time.Now().Add(poll)
				}
				s.processing = false
				mu.Unlock()
				q.AddWithOpts(o, k)
				q.Done(k)
			}
		}
		var wg sync.WaitGroup
		stops := make([]chan struct{}, workers)
		startWorker := func(i int) {
			stop := make(chan struct{})
			stops[i] = stop
			wg.Go(func() { worker(stop) })
		}
		for k := range keys {
			// A minute, in which all are looked at for the first time.
			states[k].deadline = time.Now().Add(time.Minute + time.Duration(r.Int64N(int64(time.Hour))))
			q.Add(k)
		}
		for i := range stops {
			startWorker(i)
		}
		end := time.Now().Add(time.Duration(hours) * time.Hour)
		for time.Now().Before(end) {
			time.Sleep(time.Duration(events.Int64N(int64(2 * time.Second))))
			mu.Lock()
			k, restart := r.IntN(keys), r.IntN(200) == 0
			states[k].event = true
			i := r.IntN(workers)
			mu.Unlock()
			q.Add(k)
			if restart { // one stops after its item, another starts
				close(stops[i])
				startWorker(i)
			}
		}
		time.Sleep(10 * time.Second) // what is ready is handed out
		synctest.Wait()
		mu.Lock()
		for k, s := range states {
			assert.False(t, s.event, "the event of key %d is lost", k)
			assert.False(t, s.deadline.Before(time.Now().Add(-20*time.Minute)), "the deadline of key %d is lost: %v", k, s.deadline)
			assert.False(t, s.lookBy.Before(time.Now().Add(-20*time.Minute)), "the poll of key %d is lost: %v", k, s.lookBy)
		}
		t.Logf("%d hand-outs, %d deadlines, %v late at most", handOuts, deadlines, lateMost)
		assert.Greater(t, deadlines, keys*hours/3)
		assert.Less(t, lateMost, 5*time.Second, "a few failures in a row")
		mu.Unlock()
		q.ShutDown()
		wg.Wait()
	})
}
