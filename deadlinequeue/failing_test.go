package deadlinequeue_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// simulated is a controller in virtual time: workers that take a while for each key, and
// objects that may have a deadline and fail.
type simulated struct {
	q         workqueue.TypedRateLimitingInterface[int]
	mu        sync.Mutex // guards what follows, and is held where that is called
	deadlines map[int]time.Time
	fails     func(key int, now time.Time) bool
	poll      time.Duration
	unknown   bool // Options.Deadline knows none
	working   sync.WaitGroup
	once      sync.Once
	served    func(key int, began time.Time, failed bool)
}

// work has the workers work until the queue is shut down.
func (s *simulated) work(workers int, service time.Duration) {
	for range workers {
		s.working.Go(func() {
			for {
				key, down := s.q.Get()
				if down {
					return
				}
				began := time.Now()
				time.Sleep(service)
				s.end(key, began)
			}
		})
	}
}

// end is what controller-runtime does after a reconcile, which has told its plan.
func (s *simulated) end(key int, began time.Time) {
	s.mu.Lock()
	failed := s.fails(key, began)
	s.served(key, began, failed)
	plan := requeue.From(time.Now()).Every(s.poll).Deadline(s.deadlines[key])
	s.mu.Unlock()
	if ours, ok := s.q.(deadlinequeue.Queue[int]); ok {
		ours.Decide(key, plan.Decide())
	}
	if after := plan.After(); failed {
		s.q.AddRateLimited(key)
	} else if s.q.Forget(key); after > 0 {
		s.q.AddAfter(key, after)
	}
	s.q.Done(key)
}

// add adds a key; with a deadline that is not zero.
func (s *simulated) add(key int, deadline time.Time) {
	if !deadline.IsZero() {
		s.mu.Lock()
		s.deadlines[key] = deadline
		s.mu.Unlock()
	}
	s.q.Add(key)
}

// stop ends the workers. After it, what they have noted may be read.
func (s *simulated) stop() {
	s.once.Do(func() {
		s.q.ShutDown()
		s.working.Wait()
		synctest.Wait()
	})
}

// inSimulation runs a simulation with the queue of a peer.
func inSimulation(t *testing.T, p peer[int], l workqueue.TypedRateLimiter[int], test func(s *simulated)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		s := &simulated{deadlines: map[int]time.Time{}}
		s.q = p.new(l)
		if p.name == ours[int]().name {
			s.q = deadlinequeue.New("", deadlinequeue.Options[int]{RateLimiter: l, Deadline: func(key int) (time.Time, bool) {
				s.mu.Lock()
				defer s.mu.Unlock()
				at, ok := s.deadlines[key]
				return at, ok && !s.unknown
			}})
		}
		defer s.stop()
		test(s)
	})
}

func percentile(ds []time.Duration, p float64) time.Duration {
	slices.Sort(ds)
	return ds[int(float64(len(ds)-1)*p)]
}

// 240 objects whose deadline has passed fail for ever, and ordinary events take a quarter
// or four fifths of the workers' time. They wait no longer than with client-go, where the
// failing ones are like any others.
func TestRetries_costTheOthersLittle(t *testing.T) {
	for _, every := range []time.Duration{10 * time.Millisecond, 3125 * time.Microsecond} {
		p99 := map[string]time.Duration{}
		for _, p := range peers[int]() {
			l := workqueue.NewTypedItemExponentialFailureRateLimiter[int](5*time.Millisecond, time.Second)
			inSimulation(t, p, l, func(s *simulated) {
				const failing = 240
				added, waited := map[int]time.Time{}, []time.Duration(nil)
				s.fails = func(key int, _ time.Time) bool { return key < failing }
				s.served = func(key int, began time.Time, _ bool) {
					if key >= failing {
						waited = append(waited, began.Sub(added[key]))
					}
				}
				for key := range failing {
					s.add(key, time.Now())
				}
				s.work(4, 10*time.Millisecond)
				time.Sleep(time.Minute)
				for i := range int(2 * time.Minute / every) {
					s.mu.Lock()
					added[failing+i] = time.Now()
					s.mu.Unlock()
					s.q.Add(failing + i)
					time.Sleep(every)
				}
				s.stop()
				p99[p.name] = percentile(waited, 0.99)
			})
		}
		t.Log(every, p99)
		assert.LessOrEqual(t, p99["deadlinequeue"], p99["client-go"]*12/10)
	}
}

// 1,000 overdue objects need something that is away, and 1,000 healthy events come, at
// once or later. The last of them is served at least as soon as by controller-runtime's queue,
// but for a few retries: those before 100 have failed, where nobody knew the
// deadlines before the first look, and the probes.
func TestRetries_anOutageDoesNotDelayTheHealthy(t *testing.T) {
	for _, tt := range []struct {
		later   time.Duration
		unknown bool
		slack   float64
	}{
		{later: 0}, {later: time.Second}, {later: 30 * time.Second}, {later: 10 * time.Minute},
		{later: 2 * time.Hour, slack: 0.02}, {unknown: true, slack: 0.06},
	} {
		took := map[string]time.Duration{}
		for _, p := range []peer[int]{ours[int](), controllerRuntime[int]()} {
			inSimulation(t, p, workqueue.DefaultTypedControllerRateLimiter[int](), func(s *simulated) {
				const n = 1000
				var last time.Time
				left := n
				s.unknown = tt.unknown
				s.fails = func(key int, _ time.Time) bool { return key < n }
				s.served = func(key int, began time.Time, _ bool) {
					if key >= n {
						last = began
						left--
					}
				}
				for key := range n {
					s.add(key, time.Now().Add(-time.Hour))
				}
				s.work(1, 100*time.Millisecond)
				time.Sleep(tt.later)
				begin := time.Now()
				for key := range n {
					s.q.Add(n + key)
				}
				time.Sleep(time.Hour)
				s.stop()
				require.Zero(t, left)
				took[p.name] = last.Sub(begin)
			})
		}
		t.Logf("%+v: %v", tt, took)
		assert.LessOrEqual(t, took["deadlinequeue"].Seconds(), took["controller-runtime"].Seconds()*(1+tt.slack), "%+v", tt)
	}
}

// overloaded is a simulation of 2 workers with 100 ms a reconcile, and so many polls that
// there is a backlog of minutes at all times. Objects from polled on have a deadline each, one
// every 625 ms, which is acted on by the first reconcile after it that does not fail.
type overloaded struct {
	*simulated
	acted map[int]time.Time
}

const polled = 3000

func inOverload(t *testing.T, deadlines int, fails func(key, looks int, began time.Time) bool, test func(o overloaded, start time.Time)) {
	t.Helper()
	inSimulation(t, ours[int](), workqueue.DefaultTypedControllerRateLimiter[int](), func(s *simulated) {
		o := overloaded{s, map[int]time.Time{}}
		looks := map[int]int{}
		s.poll = 90 * time.Second
		s.fails = func(key int, began time.Time) bool {
			at, ok := s.deadlines[key]
			if !ok || began.Before(at) {
				return false
			}
			looks[key]++
			return fails(key, looks[key], began)
		}
		s.served = func(key int, began time.Time, failed bool) {
			if at, ok := s.deadlines[key]; ok && !began.Before(at) && !failed {
				o.acted[key] = began
				delete(s.deadlines, key)
			}
		}
		for key := range polled {
			s.q.Add(key)
		}
		s.work(2, 100*time.Millisecond)
		time.Sleep(10 * time.Minute)
		start := time.Now()
		for i := range deadlines {
			s.add(polled+i, start.Add(time.Duration(i)*625*time.Millisecond))
		}
		test(o, start)
	})
}

// Each deadline meets two conflicts, in overload: it is acted on within the work of its
// retries, which need not wait for the backlog.
func TestRetries_ofAConflictDoNotWait(t *testing.T) {
	const n = 400
	fails := func(_, looks int, _ time.Time) bool { return looks <= 2 }
	inOverload(t, n, fails, func(o overloaded, start time.Time) {
		time.Sleep(n*625*time.Millisecond + time.Minute)
		o.stop()
		require.Len(t, o.acted, n)
		var late []time.Duration
		for key, at := range o.acted {
			if due := start.Add(time.Duration(key-polled) * 625 * time.Millisecond); key >= polled+200 { // known by then
				late = append(late, at.Sub(due))
			}
		}
		t.Log(percentile(late, 0.5), percentile(late, 0.99), percentile(late, 1))
		// Three reconciles, each behind one that runs and one that goes first.
		assert.Less(t, percentile(late, 1), 900*time.Millisecond)
	})
}

// Every write fails for 30 s, in overload. The deadlines that pass meanwhile are acted on as
// soon after the outage as with workers that do nothing else, where all of it is the wait of
// the limiter; also if no other deadline passes after the outage.
func TestRetries_afterAnOutage(t *testing.T) {
	const before, during, every = 200, 48, 625 * time.Millisecond
	var alone time.Duration // the latest, if each is tried as soon as the limiter lets it
	for i := range during {
		l := workqueue.DefaultTypedControllerRateLimiter[int]()
		at := time.Duration(i) * every
		for at < during*every {
			at += 100*time.Millisecond + l.When(i)
		}
		alone = max(alone, at-during*every)
	}
	for _, after := range []int{0, 200} {
		var begin, end time.Time
		fails := func(_, _ int, began time.Time) bool { return !began.Before(begin) && began.Before(end) }
		inOverload(t, before+during+after, fails, func(o overloaded, start time.Time) {
			o.mu.Lock()
			begin, end = start.Add(before*every), start.Add((before+during)*every)
			o.mu.Unlock()
			time.Sleep(time.Until(end) + time.Hour)
			o.stop()
			require.Len(t, o.acted, before+during+after)
			var latest time.Duration
			for key := polled + before; key < polled+before+during; key++ {
				latest = max(latest, o.acted[key].Sub(end))
			}
			t.Logf("%d deadlines after the outage: acted on within %v of its end, alone within %v", after, latest, alone)
			assert.LessOrEqual(t, latest, alone)
		})
	}
}

// Some of the objects fail for ever and others do not: those are never late for it.
func TestRetries_doNotDelayOtherDeadlines(t *testing.T) {
	const n = 400
	fails := func(key, _ int, _ time.Time) bool { return key%2 == 0 }
	inOverload(t, n, fails, func(o overloaded, start time.Time) {
		time.Sleep(n*625*time.Millisecond + time.Minute)
		o.stop()
		require.Len(t, o.acted, n/2)
		var late []time.Duration
		for key, at := range o.acted {
			if key >= polled+200 {
				late = append(late, at.Sub(start.Add(time.Duration(key-polled)*625*time.Millisecond)))
			}
		}
		assert.Less(t, percentile(late, 1), 200*time.Millisecond, fmt.Sprint("of ", len(late)))
	})
}
