package queue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

var simulations = flag.Int("simulations", 3, "how many of each kind")

// object is what a controller looks after.
type object struct {
	deadlines []*deadline // up to two
	poll      time.Duration
	fails     bool // for ever
	random    *rand.Rand

	causes []cause // of looks to come
	looked time.Time
	busy   bool // a worker has it
	free   time.Time
	known  time.Time // what the queue was told last, where the option is not set, and a failure keeps
}

// deadline is an instant that must be acted on.
type deadline struct {
	at     time.Time // no two are the same
	since  time.Time // the queue can know it since then; zero: it cannot
	looked bool      // a look has begun since it passed
	outs   int       // hand-outs when it had passed and the queue could hand it out; -1: not yet
	bypass int       // of them, those that may not go before it
}

// cause is something that may make a key ready, from an instant on.
type cause struct {
	at, recorded time.Time
	what         string
}

// world is many objects, users who edit them, and workers who reconcile them.
type world struct {
	t       *testing.T
	mu      sync.Mutex // around all but Get
	q       deadlinequeue.Queue[int]
	random  *rand.Rand // of the users; each object has its own, so that the order of workers changes nothing
	objects []*object
	option  bool // Options.Deadline is set
	outs    int
	unique  time.Duration
	looks   int
	acted   int
	most    int // hand-outs from the passing of a deadline to its look
}

// earliest returns the first deadline of an object, nil if there is none.
func (o *object) earliest() *deadline {
	if len(o.deadlines) == 0 {
		return nil
	}
	return slices.MinFunc(o.deadlines, func(a, b *deadline) int { return a.at.Compare(b.at) })
}

// fresh returns the earliest deadline that has passed and that no look has begun since.
func (o *object) fresh(now time.Time) *deadline {
	var found *deadline
	for _, d := range o.deadlines {
		if !d.looked && !d.at.After(now) && (found == nil || d.at.Before(found.at)) {
			found = d
		}
	}
	return found
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)))
}

// newDeadline makes one at an instant that no other has.
func (w *world) newDeadline(in time.Duration) *deadline {
	w.unique++
	d := &deadline{at: time.Now().Add(in).Truncate(time.Millisecond).Add(w.unique % time.Millisecond), outs: -1}
	if w.option {
		d.since = time.Now()
	}
	return d
}

func (w *world) add(key int, o priorityqueue.AddOpts, what string) {
	now := time.Now()
	w.objects[key].causes = append(w.objects[key].causes, cause{now.Add(o.After), now, what})
	w.q.AddWithOpts(o, key)
}

// edit changes the deadlines of an object, and tells by an event.
func (w *world) edit(key int) {
	o := w.objects[key]
	in := between(w.random, -time.Minute, 2*time.Minute)
	switch what := w.random.IntN(6); {
	case what == 0: // finished
		o.deadlines = nil
	case what == 1 && len(o.deadlines) == 1: // a second one
		d := w.newDeadline(in)
		if o.deadlines[0].looked && o.deadlines[0].at.Before(d.at) {
			d.since = time.Time{} // the option answers the first, which is spent
		}
		o.deadlines = append(o.deadlines, d)
	case what == 2 && len(o.deadlines) > 0: // shortened into the past
		o.deadlines = []*deadline{w.newDeadline(between(w.random, -time.Minute, 0))}
	default: // moved, or created
		o.deadlines = []*deadline{w.newDeadline(in)}
	}
	w.add(key, priorityqueue.AddOpts{Priority: ptr.To(w.random.IntN(3))}, "event")
}

// handedOut checks that a key had a cause to be handed out, and that it was not handed
// out before its turn.
func (w *world) handedOut(key int) {
	now := time.Now()
	o := w.objects[key]
	w.looks++
	w.outs++
	o.looked, o.busy = now, true

	first := o.fresh(now)
	var passed time.Time // the deadline that the queue may have handed it out for
	if first != nil {
		passed = first.at
	}
	if !o.known.After(now) { // also if it is not the object's any more
		passed, o.known = sooner(passed, o.known), time.Time{}
	}
	is := func(c cause) bool { return !c.at.After(now) }
	if !slices.ContainsFunc(o.causes, is) && passed.IsZero() {
		assert.Fail(w.t, "a look without a cause", "key %d at %v: %v", key, now, o.causes)
	}
	// What is recorded in the instant of the hand-out may have come after it.
	o.causes = slices.DeleteFunc(o.causes, func(c cause) bool { return is(c) && c.recorded.Before(now) })

	for other, x := range w.objects {
		d := x.fresh(now)
		if d == nil || x.fails || d.since.IsZero() || x.busy && other != key || !d.at.Before(now) || !d.since.Before(now) || !x.free.Before(now) {
			continue // it is not the queue's to hand it out since an instant before
		}
		if d.outs < 0 {
			d.outs = w.outs - 1
		}
		if other != key && (passed.IsZero() || passed.After(d.at)) {
			d.bypass++
		}
		if n := w.outs - d.outs; d.bypass > n/16+1 {
			assert.Fail(w.t, "a deadline waits", "key %d: %d of %d hand-outs went to others since it passed", other, d.bypass, n)
		}
	}
	if first != nil && first.outs >= 0 {
		w.most = max(w.most, w.outs-first.outs)
	}
	for _, d := range o.deadlines {
		d.looked = d.looked || !d.at.After(now)
	}
}

// reconcile is a look at an object.
func (w *world) reconcile(key int) {
	w.mu.Lock()
	o := w.objects[key]
	read := time.Now()
	service := between(o.random, time.Millisecond, 150*time.Millisecond)
	w.mu.Unlock()

	time.Sleep(service)

	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	failed := o.fails && len(o.deadlines) > 0 || o.random.IntN(20) == 0
	if !failed { // it acts on what had passed when it read
		n := len(o.deadlines)
		o.deadlines = slices.DeleteFunc(o.deadlines, func(d *deadline) bool { return !d.at.After(read) && d.looked })
		w.acted += n - len(o.deadlines)
	}
	plan := requeue.From(now).Every(o.poll)
	for _, d := range o.deadlines {
		plan = plan.Deadline(d.at)
	}
	d := plan.Decide()
	// A failure without a plan keeps one deadline, and so does the option answer one.
	tells := !w.option && !failed || len(o.deadlines) > 1 || o.random.IntN(2) == 0
	if tells {
		require.True(w.t, w.q.Decide(key, d))
		if !w.option { // else an event replaces it
			o.known = d.Deadline
		}
		for _, x := range o.deadlines {
			switch {
			case x.at.Equal(d.Deadline):
				x.since = now
			case x.at.Equal(d.Overdue) && !x.at.After(o.looked):
				x.looked = true // it has been named
			case !w.option:
				x.since = time.Time{}
			}
		}
	}
	switch {
	case failed:
		// When it ends is the limiter's to say; not before now in any case.
		w.add(key, priorityqueue.AddOpts{RateLimited: true, Priority: ptr.To(o.random.IntN(3))}, "failure")
	case d.After > 0:
		w.q.Forget(key)
		w.add(key, priorityqueue.AddOpts{After: d.After}, "requeue")
	default:
		w.q.Forget(key)
	}
	o.busy, o.free = false, now
	w.q.Done(key)
}

// simulate runs ten minutes of edits and half an hour without, in virtual time.
func simulate(t *testing.T, seed uint64, workers int, option bool) {
	synctest.Test(t, func(t *testing.T) {
		const objects, longest = 150, 20 * time.Second
		w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), option: option}
		o := deadlinequeue.Options[int]{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[int](5*time.Millisecond, longest),
		}
		if option {
			o.Deadline = func(key int) (time.Time, bool) { // called where w.mu is held
				d := w.objects[key].earliest()
				if d == nil {
					return time.Time{}, false
				}
				return d.at, true
			}
		}
		w.q = deadlinequeue.New("", o)
		for key := range objects {
			o := &object{fails: key%10 == 0, random: rand.New(rand.NewPCG(seed, uint64(key)+1))}
			if key%3 > 0 {
				o.poll = between(w.random, time.Second, 10*time.Second)
			}
			w.objects = append(w.objects, o)
			w.edit(key)
		}

		var wg sync.WaitGroup
		next := make(chan struct{}, 1) // one Get at a time, so that their order is known
		for range workers {
			wg.Go(func() {
				for {
					next <- struct{}{}
					key, down := w.q.Get()
					if !down {
						w.mu.Lock()
						w.handedOut(key)
						w.mu.Unlock()
					}
					<-next
					if down {
						return
					}
					w.reconcile(key)
				}
			})
		}
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end) && !t.Failed(); {
			w.mu.Lock()
			pause := between(w.random, 0, 400*time.Millisecond)
			w.edit(w.random.IntN(objects))
			w.mu.Unlock()
			time.Sleep(pause)
		}
		time.Sleep(30 * time.Minute)

		w.mu.Lock()
		now := time.Now()
		for key, o := range w.objects {
			d := o.earliest()
			if late := now.Add(-time.Minute); !o.fails && d != nil && !d.at.After(late) {
				assert.Fail(t, "a deadline is lost", "key %d, late by %v", key, now.Sub(d.at))
			}
			if o.poll > 0 && now.Sub(o.looked) > time.Minute {
				assert.Fail(t, "a poll is lost", "key %d, looked at %v ago", key, now.Sub(o.looked))
			}
			if o.fails && len(o.deadlines) > 0 && now.Sub(o.looked) > longest+time.Minute {
				assert.Fail(t, "a retry is lost", "key %d, looked at %v ago", key, now.Sub(o.looked))
			}
		}
		w.mu.Unlock()
		w.q.ShutDown()
		wg.Wait()
		t.Logf("%d looks, %d deadlines acted on, at most %d hand-outs after they passed", w.looks, w.acted, w.most)
		require.Greater(t, w.acted, 500)
	})
}

// Objects finish, move their deadlines both ways, shorten them into the past, are created
// again, have two deadlines, and fail for ever. No wake-up is lost, none has no cause, and
// a deadline that passes waits for earlier ones, and for one other in 16 hand-outs.
func TestQueue_simulation(t *testing.T) {
	seeds := *simulations
	if testing.Short() {
		seeds = 1
	}
	for _, workers := range []int{4, 16, 64} {
		for _, option := range []bool{true, false} {
			for seed := range seeds {
				t.Run(fmt.Sprintf("workers=%d/option=%v/seed=%d", workers, option, seed), func(t *testing.T) {
					simulate(t, uint64(seed), workers, option)
				})
			}
		}
	}
}
