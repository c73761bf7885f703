package queue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// givenFlags are the names of those that the command line has.
var givenFlags = sync.OnceValue(func() map[string]bool {
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
})

// inBubble checks a property in virtual time, on the same random input in every run, and
// so many times unless -rapid.checks says otherwise, or a fifth of that with -short.
// -rapid.seed begins elsewhere.
func inBubble(t *testing.T, checks int, property func(*rapid.T)) {
	t.Helper()
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(checks), "rapid.seed": "1", "rapid.nofailfile": "true"} {
		if !givenFlags()[name] {
			before := flag.Lookup(name).Value.String()
			require.NoError(t, flag.Set(name, value))
			t.Cleanup(func() { _ = flag.Set(name, before) })
		}
	}
	rapid.Check(t, func(r *rapid.T) { rapid.SyncTest(r, property) })
}

var _ workqueue.TypedRateLimiter[int] = (*fixedLimiter)(nil)

// run is one sequence: a queue, its model, and the world around them.
type run struct {
	t        *rapid.T
	q        deadlinequeue.Queue[int]
	m        *twin
	began    time.Time
	clock    *steppedClock // nil: the clock of the bubble
	instants []time.Time   // that were drawn
	asked    map[int]int   // how often the queue asked for a deadline
	priority map[int]int   // of the last hand-out
	steps    []string
}

func (r *run) now() reading {
	now := reading{wall: time.Now(), mono: time.Since(r.began)}
	if r.clock != nil {
		now.wall = now.wall.Add(time.Duration(r.clock.ahead.Load()))
	}
	return now
}

func (r *run) did(format string, a ...any) {
	r.steps = append(r.steps, fmt.Sprintf("%v: ", r.now().mono)+fmt.Sprintf(format, a...))
}

func (r *run) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	r.did("slept %v", d)
	r.m.wakeUp(r.now())
}

func (r *run) add(a add, keys ...int) {
	o := priorityqueue.AddOpts{After: a.after, RateLimited: a.limited}
	if a.priority != 0 || r.chance(2, "explicit") {
		o.Priority = ptr.To(a.priority)
	}
	r.q.AddWithOpts(o, keys...)
	r.did("add %v %+v", keys, a)
	for _, key := range keys {
		r.m.add(r.now(), key, a)
	}
}

func (r *run) decide(key int) requeue.Decision {
	d := r.drawDecision(key)
	if r.chance(5, "slow") {
		r.sleep(drawSleep.Draw(r.t, "lag"))
	}
	r.did("Decide %d %v, overdue %v, not before %v", key, d, r.span(d.Overdue), r.span(d.NotBefore))
	require.Equal(r.t, r.m.decide(r.now(), key, d), r.q.Decide(key, d), "Decide")
	return d
}

func (r *run) forget(key int) {
	r.q.Forget(key)
	delete(r.m.limited, key)
}

func (r *run) done(key int) {
	r.q.Done(key)
	r.did("Done %d", key)
	r.m.done(r.now(), key)
}

// end does what controller-runtime does with the end of a reconcile, up to Done.
func (r *run) end(key int, how string) {
	again := add{priority: r.priority[key]}
	switch how {
	case "success":
		if r.chance(5, "twice") {
			r.decide(key)
		}
		again.after = r.decide(key).After
		r.forget(key)
		if again.after > 0 {
			r.add(again, key)
		}
	case "failure":
		r.decide(key)
		again.limited = true
		r.add(again, key)
	case "bare failure":
		again.limited = true
		r.add(again, key)
	case "RequeueAfter":
		r.forget(key)
		again.after = drawInterval.Draw(r.t, "requeue after")
		r.add(again, key)
	case "nothing":
		r.forget(key)
	}
}

// processed picks a key that is processed, or hands one out for it; false if there
// is none.
func (r *run) processed() (int, bool) {
	var keys []int
	for key := range modelKeys {
		if k := r.m.find(key); k != nil && k.processing {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return r.get()
	}
	return rapid.SampledFrom(keys).Draw(r.t, "processed"), true
}

// got is what Get returns.
type got struct {
	key, priority int
	down          bool
}

// queueGet calls Get. It fails if that waits.
func (r *run) queueGet() got {
	c := make(chan got, 1)
	go func() {
		key, priority, down := r.q.GetWithPriority()
		c <- got{key, priority, down}
	}()
	synctest.Wait()
	select {
	case g := <-c:
		return g
	default:
		require.Fail(r.t, "Get waits", r.story())
		return got{}
	}
}

// get hands out a key; false if there is none.
func (r *run) get() (int, bool) {
	if len(r.m.available()) == 0 {
		if left, _ := r.m.len(r.now()); r.m.down && left == 0 {
			require.True(r.t, r.queueGet().down)
		}
		return 0, false // it would wait
	}
	g := r.queueGet()
	turn, _ := r.m.turn(r.now(), g.key)
	want := r.m.handOut(r.now(), g.key)
	if want := (got{want.key, want.priority, false}); g != want {
		require.Fail(r.t, fmt.Sprintf("Get returned %+v, not %+v; the turn was at %d", g, want, turn.key), r.story())
	}
	r.did("Get %d", want.key)
	r.priority[want.key] = want.priority
	return want.key, true
}

// span is an instant as a span since the beginning.
func (r *run) span(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Round(0).Sub(r.began).String()
}

// story tells what has happened, and what the model makes of it.
func (r *run) story() string {
	var b strings.Builder
	for _, s := range r.steps {
		fmt.Fprintln(&b, s)
	}
	fmt.Fprintf(&b, "now %v, wall %v; %d hand-outs, the last %d of group 3 to no retry, %d failed in a row, outage %v\n", r.now().mono, r.span(r.now().wall), r.m.outs, r.m.noRetry, r.m.failed, r.m.isOutage)
	for _, k := range r.m.keys {
		fmt.Fprintf(&b, "key %d: priority %d, place %d, ready %v since %d, waits %v until %v, deadline %v, floor %v, spent %v, failures %d, processing %v, answer now %v\n",
			k.key, k.priority, k.place, k.ready, k.since, k.waits, k.end, r.span(k.deadline), r.span(k.floor), r.span(k.spent), k.failures, k.processing, r.span(r.m.answers[k.key]))
	}
	return b.String()
}

func (r *run) agree() {
	n, more := r.m.len(r.now())
	got := r.q.Len()
	if got < n || got > n+more {
		require.Fail(r.t, fmt.Sprintf("Len is %d, not %d, and up to %d more", got, n, more), r.story())
	}
	if got := r.q.Load().Objects; len(r.m.keys) != got {
		require.Fail(r.t, fmt.Sprintf("%d Objects, not %d", got, len(r.m.keys)), r.story())
	}
	require.Equal(r.t, r.m.down, r.q.ShuttingDown())
	for key := range modelKeys {
		if r.m.asked[key] != r.asked[key] {
			require.Fail(r.t, fmt.Sprintf("asked %d times for the deadline of %d, not %d", r.asked[key], key, r.m.asked[key]), r.story())
		}
		require.Equal(r.t, r.m.limited[key], r.q.NumRequeues(key), "NumRequeues")
	}
}

// collide gives many keys of an empty queue the same hash, as chance never does. The
// queue has no such option, so its field is set as it is.
func collide(q deadlinequeue.Queue[int]) {
	hash := reflect.ValueOf(q).Elem().FieldByName("entries").Elem().FieldByName("hash")
	hash = reflect.NewAt(hash.Type(), unsafe.Pointer(hash.UnsafeAddr())).Elem()
	hash.Set(reflect.ValueOf(func(key int) uint64 { return uint64(key) % 2 }))
}

func newRun(t *rapid.T, clock *steppedClock) *run {
	every := rapid.SampledFrom([]int{-1, 1, 2, 0, 16}).Draw(t, "oldest every")
	r := &run{t: t, began: time.Now(), clock: clock, asked: map[int]int{}, priority: map[int]int{}}
	r.m = &twin{every: max(every, 0), asked: map[int]int{}, limited: map[int]int{}}
	if every == 0 {
		r.m.every = 16
	}
	o := deadlinequeue.Options[int]{RateLimiter: &fixedLimiter{map[int]int{}}, OldestEvery: every}
	if clock != nil {
		o.Clock = clock
	}
	if rapid.IntRange(0, 3).Draw(t, "Deadline") > 0 {
		r.m.answers = map[int]time.Time{}
		o.Deadline = func(key int) (time.Time, bool) {
			r.asked[key]++
			if at, ok := r.m.answers[key]; ok {
				return at, true
			}
			return r.began, false
		}
	}
	r.q = deadlinequeue.New("", o)
	if rapid.Bool().Draw(t, "hashes collide") {
		collide(r.q)
	}
	return r
}

// edit changes the deadline of the object of a key.
func (r *run) edit(key int) {
	if r.m.answers == nil {
		return
	}
	switch at := r.m.answers[key]; rapid.IntRange(0, 7).Draw(r.t, "edit") {
	case 0:
		delete(r.m.answers, key)
	case 1:
		r.m.answers[key] = time.Time{}
	case 2: // shortened into the past, maybe to before the last look
		if k := r.m.find(key); k != nil && !k.at.IsZero() {
			r.m.answers[key] = k.at.Add(-drawInterval.Draw(r.t, "before the last look"))
		}
	case 3:
		if at.Year() > 1 { // instants of more than 292 years ago are all alike
			r.m.answers[key] = at.Add(rapid.SampledFrom([]time.Duration{-time.Minute, -time.Second, time.Second, time.Minute}).Draw(r.t, "moved by"))
		}
	default:
		r.m.answers[key] = r.drawInstant()
	}
	r.did("the deadline of %d is %v", key, r.span(r.m.answers[key]))
}

// allFail has a reconcile for a passed deadline fail so often, and another key handed out
// so often after it.
func (r *run) allFail(times, others int) {
	down := requeue.From(r.instant()).Deadline(r.instant().Add(-time.Second)).Decide()
	r.add(add{}, 0)
	for range times {
		key, _ := r.get()
		r.did("Decide %d, overdue by 1s", key)
		require.Equal(r.t, r.m.decide(r.now(), key, down), r.q.Decide(key, down))
		r.add(add{limited: true}, key)
		r.done(key)
	}
	for range others {
		r.add(add{}, 1)
		if key, ok := r.get(); ok {
			r.add(add{limited: key == 0}, key)
			r.done(key)
		}
	}
}

// Random sequences of all operations in virtual time; the queue and its model
// must agree after each.
func TestQueue_likeItsModel(t *testing.T) {
	inBubble(t, 30_000, likeItsModel)
}

func likeItsModel(t *rapid.T) {
	r := newRun(t, nil)
	defer r.q.ShutDown()
	if r.chance(10, "all fail") {
		r.allFail(rapid.IntRange(outage-10, outage+2).Draw(t, "so often"), rapid.SampledFrom([]int{0, 1, 2, 3, probe - 1, probe, probe + 1}).Draw(t, "others"))
	}
	someKey := func() int {
		if r.chance(3, "one that is processed") {
			if key, ok := r.processed(); ok {
				return key
			}
		}
		return drawKey.Draw(t, "key")
	}
	reconcile := func(*rapid.T) {
		key, ok := r.processed()
		if !ok {
			return
		}
		if r.chance(2, "takes long") {
			r.sleep(drawSleep.Draw(t, "for"))
		}
		r.end(key, drawEnd.Draw(t, "end"))
		if r.chance(4, "late Done") {
			r.sleep(drawSleep.Draw(t, "until Done"))
		}
		r.done(key)
	}
	event := func(*rapid.T) {
		key := someKey()
		r.edit(key)
		r.q.Add(key)
		r.did("Add %d", key)
		r.m.add(r.now(), key, add{})
	}
	t.Repeat(map[string]func(*rapid.T){
		"Event":       event,
		"Event again": event,
		"Add": func(*rapid.T) {
			key := someKey()
			r.q.Add(key)
			r.did("Add %d", key)
			r.m.add(r.now(), key, add{})
		},
		"AddAfter": func(*rapid.T) {
			key, after := someKey(), drawDelay.Draw(t, "after")
			r.q.AddAfter(key, after)
			r.did("AddAfter %d %v", key, after)
			r.m.add(r.now(), key, add{after: after})
		},
		"AddRateLimited": func(*rapid.T) {
			key := someKey()
			r.q.AddRateLimited(key)
			r.did("AddRateLimited %d", key)
			r.m.add(r.now(), key, add{limited: true})
		},
		"AddWithOpts": func(*rapid.T) {
			keys := []int{someKey()}
			if r.chance(4, "two") {
				keys = append(keys, someKey())
			}
			r.add(add{priority: drawPriority.Draw(t, "priority"), after: drawDelay.Draw(t, "after"), limited: r.chance(3, "limited")}, keys...)
		},
		"Edit": func(*rapid.T) { r.edit(drawKey.Draw(t, "key")) },
		"Recreate": func(*rapid.T) {
			if key, ok := r.processed(); ok {
				delete(r.m.answers, key)
				r.end(key, "nothing")
				r.done(key)
				r.edit(key)
				r.add(add{after: drawDelay.Draw(t, "after"), limited: r.chance(3, "limited")}, key)
			}
		},
		"Get":             func(*rapid.T) { r.get() },
		"Reconcile":       reconcile,
		"Reconcile again": reconcile,
		"Reconcile more":  reconcile,
		"Decide":          func(*rapid.T) { r.decide(someKey()) },
		// Without a Done, or after it.
		"End":    func(*rapid.T) { r.end(someKey(), drawEnd.Draw(t, "end")) },
		"Done":   func(*rapid.T) { r.done(drawKey.Draw(t, "key")) },
		"Forget": func(*rapid.T) { r.forget(drawKey.Draw(t, "key")) },
		"Sleep":  func(*rapid.T) { r.sleep(drawSleep.Draw(t, "for")) },
		"SleepUntil": func(*rapid.T) {
			for _, k := range r.m.keys {
				if left, _ := k.wakes(r.now()); !k.ready && 0 < left && left <= time.Hour && r.chance(2, "key") {
					r.sleep(left + rapid.SampledFrom([]time.Duration{-tick, 0, 0, tick}).Draw(t, "and"))
					return
				}
			}
		},
		"ShutDown": func(*rapid.T) {
			if r.chance(20, "really") {
				r.q.ShutDown()
				r.did("ShutDown")
				r.m.shutDown()
			}
		},
		"": func(*rapid.T) { r.agree() },
	})
	synctest.Wait()
}

// Many keys fail until what they need is back, next to keys that need nothing. Each
// hand-out must be that of the model.
func TestQueue_likeItsModelInAnOutage(t *testing.T) {
	outages, over := 0, 0
	inBubble(t, 200, func(t *rapid.T) {
		r := newRun(t, nil)
		defer r.q.ShutDown()
		failing := rapid.IntRange(1, 60).Draw(t, "failing")
		others := rapid.IntRange(0, 60).Draw(t, "others")
		back := rapid.IntRange(outage, 4*outage).Draw(t, "back after so many hand-outs")
		seed := rapid.Uint64().Draw(t, "seed") // of what is too much to draw
		random := rand.New(rand.NewPCG(seed, 0))
		for key := range failing {
			r.add(add{}, 10*key) // its limiter waits 100 s more with each
		}
		was := false
		for range back + outage {
			if others > 0 && random.IntN(2) == 0 {
				key := 10*random.IntN(others) + 1
				r.add(add{priority: random.IntN(2)}, key)
			}
			if random.IntN(8) == 0 {
				r.sleep(time.Duration(random.IntN(100)) * time.Second)
			}
			key, ok := r.get()
			if !ok {
				r.sleep(10 * time.Second)
				continue
			}
			if key%10 == 0 {
				now := r.instant()
				d := requeue.From(now).Deadline(now.Add(-time.Minute)).Decide()
				if random.IntN(3) > 0 {
					require.True(t, r.q.Decide(key, d))
					r.m.decide(r.now(), key, d)
				}
				if r.m.outs < back {
					r.add(add{limited: true}, key)
				}
			}
			r.done(key)
			r.agree()
			if r.m.isOutage && !was {
				outages++
			} else if was && !r.m.isOutage {
				over++
			}
			was = r.m.isOutage
		}
	})
	t.Logf("%d outages, of which %d were over", outages, over)
	require.Positive(t, outages)
	require.Positive(t, over)
}
