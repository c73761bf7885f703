// Package queue_test holds the work queue against a model and its promises, on
// random input.
package queue_test

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
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

// model is the slow, obvious twin of the queue: a slice of keys, scanned each
// time, and what has happened to each as facts.
type model struct {
	keys       []*modelKey // those that the queue holds
	every      int         // 0: never the oldest
	turn       int
	seq        int
	down       bool
	drain      bool
	deadlineOf map[int]time.Time // nil: the option is not set
	asked      map[int]int       // how often DeadlineOf was asked for a key
	failures   map[int]int       // of the limiter
}

type modelKey struct {
	key        int
	processing bool
	ready      bool
	readySince int // counted, as place is
	place      int
	priority   int
	wait       time.Time // its end; zero: no wait of its own

	handedOut   bool      // ever, since the queue knows the key
	lastHandOut time.Time // if handedOut

	// While it is not processed.
	deadline time.Time // not spent; zero: none
	retry    bool

	// While it is processed.
	with    time.Time // the deadline it was handed out with, or what a reconcile put in its place; zero: none
	passed  bool      // one that has been spent has not been handled, as far as is known
	spoke   bool      // the reconcile said a word
	others  time.Time // the latest word of others; zero: none, or spent
	limited bool      // there was a rate-limited add: the reconcile failed
}

// word is what somebody says of the deadline of a key.
type word struct {
	said    bool
	at      time.Time // zero: there is none
	spent   bool      // whatever the instant
	silent  bool      // about deadlines that have passed
	overdue bool      // there is one that has passed, besides
}

// modelAdd is an add of any kind.
type modelAdd struct {
	key      int
	priority int
	after    time.Duration
	limited  bool
	word     *time.Time        // of others
	decision *requeue.Decision // of a reconcile: Result or Requeue
	failed   bool              // the decision was passed to Failed
	requeue  bool              // by Requeue
}

func limit(key int) time.Duration { return time.Duration(key) * 10 * time.Second } // 0 for the key 0

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// rounded is a deadline as the queue gets to know it.
func rounded(t, now time.Time) time.Time {
	switch left := t.Sub(now); { // 292 years are as far as the queue can see
	case t.IsZero(), left == math.MaxInt64:
		return time.Time{}
	case left == math.MinInt64: // all alike
		return time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
	}
	if r := t.Truncate(time.Microsecond); r.Before(t) {
		return r.Add(time.Microsecond)
	}
	return t
}

func (m *model) find(key int) *modelKey {
	for _, k := range m.keys {
		if k.key == key {
			return k
		}
	}
	return nil
}

func (m *model) number() int {
	m.seq++
	return m.seq
}

func (m *model) ask(key int, now time.Time) word {
	m.asked[key]++
	return word{said: true, at: rounded(m.deadlineOf[key], now)}
}

func (m *model) add(now time.Time, a modelAdd) {
	if m.down {
		return
	}
	k := m.find(a.key)
	if k == nil {
		k = &modelKey{key: a.key}
		m.keys = append(m.keys, k)
	}
	wait := a.after
	if a.limited {
		m.failures[a.key]++
		if l := limit(a.key); a.after <= 0 || l < a.after {
			wait = l
		}
	}
	if a.failed { // the limiter counts the failure, and a floor holds
		wait = max(wait, floorOf(a.decision))
	}

	var w word
	switch {
	case a.word != nil:
		w = word{said: true, at: rounded(*a.word, now)}
	case a.decision != nil:
		w = k.decided(a.decision, a.failed, now)
	}
	unknown := !k.processing && !k.ready && k.wait.IsZero() && k.deadline.IsZero()
	m.prioritize(k, a.priority, w.said || a.requeue)
	byReconcile := w.said && a.decision != nil
	if !w.said && m.deadlineOf != nil {
		w = m.ask(a.key, now)
	}
	switch passed := !w.spent && !w.at.IsZero() && !w.at.After(now); {
	case unknown && passed && wait > 0 && byReconcile:
		k.retry = true
	case unknown && passed && wait > 0:
		k.deadline = now.Add(wait)
	default:
		k.hear(w, byReconcile)
	}
	k.limited = k.limited || k.processing && a.limited

	switch {
	case k.ready:
	case wait <= 0:
		m.makeReady(k) // at the place of the first add of a wait that this ends
	default:
		k.wait = sooner(k.wait, now.Add(wait))
	}
	k.align()
	m.wakeUp(now)
}

// align has a wait that ends less than a microsecond before the deadline end with it.
func (k *modelKey) align() {
	if apart := k.deadline.Sub(k.wait); !k.processing && !k.wait.IsZero() && 0 < apart && apart < time.Microsecond {
		k.wait = k.deadline
	}
}

// floorOf is how long the floor of a plan holds, as it is told to the queue.
func floorOf(d *requeue.Decision) time.Duration {
	if d.NotBefore.IsZero() {
		return 0
	}
	wait, unit := d.NotBefore.Sub(d.Now), time.Microsecond
	if !d.Deadline.IsZero() && !d.Deadline.Before(d.NotBefore) && wait <= 4*time.Hour {
		unit = 250 * time.Millisecond
	}
	return (wait + unit - 1).Truncate(unit)
}

// prioritize is what an add does to the priority and the place of a key.
func (m *model) prioritize(k *modelKey, priority int, keeps bool) {
	// Idle, or it waits for a deadline only: else it would be ready or wait.
	// So is a key that is processed, and was not added since its hand-out.
	first := !k.ready && k.wait.IsZero()
	switch {
	case keeps:
		priority = k.priority
	case !first:
		priority = max(priority, k.priority)
	}
	if first || priority > k.priority {
		k.place = m.number()
	}
	k.priority = priority
}

// decided is the word of a reconcile that ends with Result(d), Requeue(d) or
// Failed(d).
func (k *modelKey) decided(d *requeue.Decision, failed bool, now time.Time) word {
	floored := !d.NotBefore.IsZero()
	floor := now.Add(floorOf(d)) // counted from the add
	ahead, overdue := !d.Deadline.IsZero(), !d.Overdue.IsZero()
	switch {
	case floored && ahead && d.Deadline.Before(d.NotBefore):
		return word{said: true, at: floor}
	case floored && overdue && !ahead:
		// Of a key that is not processed nobody knows any more.
		if k.passed || !k.processing {
			return word{said: true, spent: true}
		}
		return word{said: true, at: floor}
	case floored && ahead && failed:
		at := rounded(d.Deadline.Add(time.Millisecond-1).Truncate(time.Millisecond), now)
		if d.Deadline.Year() > 2248 {
			return word{said: true}
		}
		return word{said: true, at: at, silent: true}
	case ahead && overdue && !floored:
		return word{said: true, at: rounded(d.Deadline, now), overdue: true}
	case ahead:
		return word{said: true, at: rounded(d.Deadline, now)}
	case overdue:
		return word{said: true, at: rounded(d.Overdue, now)}
	case failed:
		return word{said: true}
	}
	return word{}
}

// hear takes a word.
func (k *modelKey) hear(w word, byReconcile bool) {
	if !w.said {
		return
	}
	spent := w.spent || !w.at.IsZero() && k.handedOut && !w.at.After(k.lastHandOut)
	at := w.at
	if spent {
		at = time.Time{}
	}
	switch {
	case k.processing && byReconcile:
		k.with, k.spoke = at, true
		if !w.silent {
			k.passed = spent || w.overdue
		}
	case k.processing:
		k.others = at
	default:
		k.deadline, k.retry = at, k.retry && (spent || w.silent || w.overdue)
	}
}

func (m *model) makeReady(k *modelKey) {
	k.ready, k.wait, k.readySince = true, time.Time{}, m.number()
}

// wakes is when a wait or a deadline makes the key ready, zero if none does.
func (k *modelKey) wakes() time.Time {
	if k.processing { // its deadline is not looked at before Done
		return k.wait
	}
	return sooner(k.wait, k.deadline)
}

// wakeUp makes ready what has waited long enough, in the order of the ends and
// then of the places.
func (m *model) wakeUp(now time.Time) {
	if m.down {
		return
	}
	var due []*modelKey
	for _, k := range m.keys {
		if !k.ready && !k.wakes().IsZero() && !k.wakes().After(now) {
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b *modelKey) int {
		return cmp.Or(a.wakes().Compare(b.wakes()), a.place-b.place)
	})
	for _, k := range due {
		m.makeReady(k)
		k.place = m.number()
	}
}

func (k *modelKey) isDue(now time.Time) bool { return !k.deadline.IsZero() && !k.deadline.After(now) }

// class is 0 for a deadline that has passed, 1 for a retry and 2 for the others.
func (k *modelKey) class(now time.Time) int {
	switch {
	case k.isDue(now):
		return 0
	case k.retry:
		return 1
	}
	return 2
}

// first is below 0 if a is handed out before b.
func first(a, b *modelKey, now time.Time) int {
	c := cmp.Compare(a.class(now), b.class(now))
	if c == 0 {
		switch a.class(now) {
		case 0:
			c = a.deadline.Compare(b.deadline)
		case 1:
			c = a.lastHandOut.Compare(b.lastHandOut) // zero if never
		case 2:
			c = cmp.Compare(b.priority, a.priority)
		}
	}
	return cmp.Or(c, a.place-b.place)
}

// available lists the keys that may be handed out.
func (m *model) available() (keys []*modelKey) {
	for _, k := range m.keys {
		if k.ready && !k.processing {
			keys = append(keys, k)
		}
	}
	return keys
}

// handOut hands out a key. There must be one that is available.
func (m *model) handOut(now time.Time) *modelKey {
	keys := m.available()
	k := slices.MinFunc(keys, func(a, b *modelKey) int { return first(a, b, now) })
	m.turn++
	if m.every > 0 && m.turn%m.every == 0 {
		oldest := slices.MinFunc(keys, func(a, b *modelKey) int { return a.readySince - b.readySince })
		if k.class(now) != 2 || oldest.class(now) != 2 || k.priority != oldest.priority {
			k = oldest
		}
	}
	k.passed = k.isDue(now) || k.retry
	k.with = k.deadline
	if k.isDue(now) {
		k.with = time.Time{}
	}
	k.ready, k.processing, k.retry, k.deadline = false, true, false, time.Time{}
	k.spoke, k.limited, k.others = false, false, time.Time{}
	k.handedOut, k.lastHandOut = true, now
	return k
}

func (m *model) done(now time.Time, key int) {
	k := m.find(key)
	if k == nil || !k.processing {
		return
	}
	if !k.spoke && !k.limited { // silence
		k.with = time.Time{}
		if m.deadlineOf != nil && !m.down {
			if w := m.ask(key, now); w.at.After(k.lastHandOut) {
				k.with = w.at
			}
		}
	}
	k.processing = false
	k.deadline = sooner(k.with, k.others)
	k.retry = k.limited && k.passed
	k.align()
	if k.ready {
		k.place, k.readySince = m.number(), m.number()
	}
	m.wakeUp(now)
	m.forget()
}

// forget drops the keys that are in no state.
func (m *model) forget() {
	m.keys = slices.DeleteFunc(m.keys, func(k *modelKey) bool {
		// A shutdown also drops a deadline that passes while its key is processed.
		return !k.processing && !k.ready && (m.down || k.wait.IsZero() && k.deadline.IsZero())
	})
}

func (m *model) shutDown(now time.Time) {
	m.wakeUp(now)
	m.down = true
	for _, k := range m.keys {
		k.wait, k.ready = time.Time{}, k.ready && m.drain
	}
	m.forget()
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
	return limit(key)
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
	set := func(name, value string) {
		before := flag.Lookup(name).Value.String()
		require.NoError(t, flag.Set(name, value))
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
	set("rapid.shrinktime", "100000h") // of virtual time
	seed, err := strconv.Atoi(flag.Lookup("rapid.seed").Value.String())
	require.NoError(t, err)
	sequences := 0
	synctest.Test(t, func(t *testing.T) {
		// rapid makes 100 at a time. The seeds are the same in every run, unless
		// -rapid.seed begins elsewhere.
		for ; sequences < checks; seed++ {
			set("rapid.seed", strconv.Itoa(seed+1))
			// Without its Deadline, which a bubble does not allow to ask for.
			rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { sequences++; likeItsModel(t) })
			if t.Failed() {
				return
			}
		}
	})
}

const modelKeys = 6

var (
	drawKey      = rapid.SampledFrom([]int{0, 1, 1, 1, 2, 2, 2, 3, 4, 5})
	drawDelay    = rapid.SampledFrom([]time.Duration{math.MinInt64, -1, 0, 0, 1, time.Millisecond, time.Second, 5 * time.Second, time.Minute, math.MaxInt64})
	drawInterval = rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, time.Minute})
	drawApart    = rapid.SampledFrom([]time.Duration{-time.Hour, -5 * time.Second, -time.Microsecond, 0, time.Second, 5 * time.Second, time.Minute, time.Hour})
	drawFloor    = rapid.SampledFrom([]time.Duration{-time.Second, time.Second, 5 * time.Second, 10 * time.Second, time.Minute, time.Hour})
	drawPriority = rapid.SampledFrom([]int{math.MinInt, -100, 0, 0, 0, 7, math.MaxInt})
	drawSleep    = rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, time.Second, 10 * time.Second, 2 * time.Minute})
	drawEnd      = rapid.SampledFrom([]string{"Result", "Result", "Failed", "Failed", "Failed", "Requeue", "RequeueAfter", "error", "error", "nothing"})
)

// run is one sequence: a queue, its model, and the world around them.
type run struct {
	t         *rapid.T
	q         *deadlinequeue.Queue[int]
	m         *model
	deadlines map[int]time.Time // that the objects have; zero: known to be none
	asked     map[int]int       // how often the queue asked for them
	priority  map[int]int       // of the last hand-out
}

func now() time.Time { return time.Now().Round(0) }

func (r *run) chance(of int, label string) bool { return rapid.IntRange(1, of).Draw(r.t, label) == 1 }

// sleep sleeps to a whole microsecond if d is 0, so that a deadline may be now.
func (r *run) sleep(d time.Duration) {
	if d == 0 {
		d = time.Microsecond - time.Duration(now().Nanosecond())%time.Microsecond
	}
	time.Sleep(d)
	synctest.Wait()
	r.m.wakeUp(now())
}

// align sleeps unless now is a whole microsecond: a span from here, as of a floor,
// then ends at one, too.
func (r *run) align() {
	if now().Nanosecond()%1000 != 0 {
		r.sleep(0)
	}
}

// instant draws the deadline that the object has, or another one, which the object
// often has from now on.
func (r *run) instant(key int) time.Time {
	known := r.deadlines[key]
	at := now().Add(drawApart.Draw(r.t, "in")).Truncate(time.Microsecond)
	switch rapid.SampledFrom([]string{"known", "known", "new", "new", "extreme"}).Draw(r.t, "which") {
	case "known":
		if !known.IsZero() {
			return known
		}
	case "extreme":
		at = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
		if rapid.Bool().Draw(r.t, "ahead") {
			at = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		}
		return at
	}
	if rapid.Bool().Draw(r.t, "edit") {
		r.deadlines[key] = at
	}
	return at
}

// decision makes a plan as a reconciler does.
func (r *run) decision(key int) requeue.Decision {
	floor := rapid.Bool().Draw(r.t, "floor")
	if floor {
		r.align()
	}
	p := requeue.From(now())
	if rapid.Bool().Draw(r.t, "polls") {
		p = p.Every(drawInterval.Draw(r.t, "interval"))
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3}).Draw(r.t, "instants") {
		switch at := r.instant(key); rapid.IntRange(0, 5).Draw(r.t, "given as") {
		case 0:
			p = p.At(at)
		case 1:
			p = p.Upcoming(at)
		case 2:
			p = p.Timeout(at.Add(-time.Minute), time.Minute)
		default:
			p = p.Deadline(at)
		}
	}
	if floor {
		p = p.NotBefore(now().Add(drawFloor.Draw(r.t, "floor in")))
	}
	return p.Decide()
}

// add adds by AddWithOpts, and says nothing but what others say.
func (r *run) add(a modelAdd) {
	o := priorityqueue.AddOpts{After: a.after, RateLimited: a.limited}
	switch {
	case a.word != nil:
		o.Priority = ptr.To(deadlinequeue.Priority(*a.word))
	case a.priority != 0 || r.chance(2, "explicit"):
		o.Priority = ptr.To(a.priority)
	}
	r.q.AddWithOpts(o, a.key)
	r.m.add(now(), a)
}

func (r *run) forget(key int) {
	r.q.Forget(key)
	delete(r.m.failures, key)
}

func (r *run) done(key int) {
	r.q.Done(key)
	r.m.done(now(), key)
}

// end does what controller-runtime does with the end of a reconcile, up to Done.
func (r *run) end(key int, how string) {
	priority := r.priority[key]
	switch how {
	case "Result", "Failed", "Requeue":
		d := r.decision(key)
		if r.chance(5, "slow") {
			r.sleep(drawSleep.Draw(r.t, "lag"))
		}
		if d.Cause == requeue.CauseNotBefore {
			r.align()
		}
		none := d.Deadline.IsZero() && d.Overdue.IsZero()
		a := modelAdd{key: key, priority: priority, after: d.After, decision: &d}
		switch how {
		case "Result":
			result := deadlinequeue.Result(d)
			require.Equal(r.t, d.After, result.RequeueAfter)
			require.Equal(r.t, none, result.Priority == nil)
			r.forget(key)
			if d.After == 0 {
				return
			}
			r.q.AddWithOpts(priorityqueue.AddOpts{After: d.After, Priority: cmp.Or(result.Priority, &priority)}, key)
		case "Failed":
			result := deadlinequeue.Failed(d)
			require.Zero(r.t, result.RequeueAfter)
			require.NotNil(r.t, result.Priority)
			r.q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: result.Priority}, key)
			a.after, a.limited, a.failed = 0, true, true
		case "Requeue":
			r.q.Requeue(key, d)
			if d.After == 0 {
				return
			}
			a.requeue = true
		}
		r.m.add(now(), a)
	case "RequeueAfter":
		r.forget(key)
		r.add(modelAdd{key: key, priority: priority, after: drawInterval.Draw(r.t, "requeue after")})
	case "error":
		r.add(modelAdd{key: key, priority: priority, limited: true})
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

// get hands out a key; false if there is none.
func (r *run) get() (int, bool) {
	left := r.m.count(func(k *modelKey) bool { return k.ready })
	isThere := len(r.m.available()) > 0
	if !isThere && !(r.m.down && left == 0) {
		return 0, false // it would wait
	}
	type got struct {
		key, priority int
		down          bool
	}
	c := make(chan got, 1)
	go func() {
		key, priority, down := r.q.GetWithPriority()
		c <- got{key, priority, down}
	}()
	synctest.Wait()
	select {
	case g := <-c:
		if !isThere {
			require.True(r.t, g.down)
			return 0, false
		}
		var held string
		for _, k := range r.m.keys {
			held += fmt.Sprintf("%+v\n", *k)
		}
		want := r.m.handOut(now())
		require.Equal(r.t, got{want.key, want.priority, false}, g, "of\n%s at %v", held, now())
		r.priority[g.key] = g.priority
		return g.key, true
	default:
		require.Fail(r.t, "Get waits")
		return 0, false
	}
}

// collide gives many keys of an empty queue the same hash, as chance never does. The
// queue has no such option, so its field is set as it is.
func collide(q *deadlinequeue.Queue[int]) {
	hash := reflect.ValueOf(q).Elem().FieldByName("entries").Elem().FieldByName("hash")
	hash = reflect.NewAt(hash.Type(), unsafe.Pointer(hash.UnsafeAddr())).Elem()
	hash.Set(reflect.ValueOf(func(key int) uint64 { return uint64(key) % 2 }))
}

func (r *run) agree(t *rapid.T) {
	require.Equal(t, r.m.count(func(k *modelKey) bool { return k.ready }), r.q.Len(), "Len")
	require.Equal(t, len(r.m.keys), r.q.Load().Objects, "Objects")
	require.Equal(t, r.m.down, r.q.ShuttingDown())
	require.Equal(t, r.m.asked, r.asked, "how often DeadlineOf was asked")
	for key := range modelKeys {
		require.Equal(t, r.m.failures[key], r.q.NumRequeues(key), "NumRequeues")
	}
}

func likeItsModel(t *rapid.T) {
	every := rapid.SampledFrom([]int{-1, 1, 2, 0, 16}).Draw(t, "oldest every")
	r := &run{t: t, deadlines: map[int]time.Time{}, asked: map[int]int{}, priority: map[int]int{}}
	r.m = &model{every: max(every, 0), asked: map[int]int{}, failures: map[int]int{}}
	if every == 0 {
		r.m.every = 16
	}
	r.m.drain = rapid.Bool().Draw(t, "drain on shutdown")
	o := deadlinequeue.Options[int]{
		RateLimiter: &fixedLimiter{map[int]int{}}, OldestEvery: every, DrainOnShutDown: r.m.drain,
	}
	if rapid.Bool().Draw(t, "DeadlineOf") {
		r.m.deadlineOf = r.deadlines
		o.DeadlineOf = func(key int) (time.Time, bool) {
			r.asked[key]++
			if at, ok := r.deadlines[key]; ok {
				return at, true
			}
			return now(), false
		}
	}
	r.q = deadlinequeue.New("", o)
	defer r.q.ShutDown()
	if rapid.Bool().Draw(t, "hashes collide") {
		collide(r.q)
	}
	r.sleep(time.Second - time.Duration(now().Nanosecond())) // a sequence begins at a whole second

	someKey := func() int {
		if rapid.Bool().Draw(t, "one that is processed") {
			if key, ok := r.processed(); ok {
				return key
			}
		}
		return drawKey.Draw(t, "key")
	}
	edit := func(key int) {
		switch rapid.IntRange(0, 5).Draw(t, "edit") {
		case 0:
			delete(r.deadlines, key)
		case 1:
			r.deadlines[key] = time.Time{}
		default:
			r.deadlines[key] = r.instant(key)
		}
	}
	// Others say the deadline that the object has, or one of their own.
	addWithWord := func(key int) {
		a := modelAdd{key: key, after: drawDelay.Draw(t, "after"), limited: r.chance(4, "limited")}
		at := r.deadlines[key]
		if rapid.Bool().Draw(t, "of their own") {
			at = r.instant(key)
			if r.chance(5, "odd") {
				at = at.Add(1) // is rounded up
			}
		}
		a.word = &at
		r.add(a)
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

	t.Repeat(map[string]func(*rapid.T){
		"Add": func(*rapid.T) {
			a := modelAdd{key: someKey()}
			r.q.Add(a.key)
			r.m.add(now(), a)
		},
		"AddAfter": func(*rapid.T) {
			a := modelAdd{key: someKey(), after: drawDelay.Draw(t, "after")}
			r.q.AddAfter(a.key, a.after)
			r.m.add(now(), a)
		},
		"AddRateLimited": func(*rapid.T) {
			a := modelAdd{key: someKey(), limited: true}
			r.q.AddRateLimited(a.key)
			r.m.add(now(), a)
		},
		"AddWithPriority": func(*rapid.T) {
			r.add(modelAdd{key: someKey(), priority: drawPriority.Draw(t, "priority"), after: drawDelay.Draw(t, "after"), limited: r.chance(3, "limited")})
		},
		"AddWithWord":       func(*rapid.T) { addWithWord(someKey()) },
		"AddWithWord again": func(*rapid.T) { addWithWord(someKey()) },
		"Edit":              func(*rapid.T) { edit(drawKey.Draw(t, "key")) },
		"Recreate": func(*rapid.T) {
			if key, ok := r.processed(); ok {
				r.end(key, "nothing")
				r.done(key)
				edit(key)
				addWithWord(key)
			}
		},
		"Get":             func(*rapid.T) { r.get() },
		"Reconcile":       reconcile,
		"Reconcile again": reconcile,
		"Reconcile more":  reconcile,
		// Without a Done, or after it.
		"End":    func(*rapid.T) { r.end(someKey(), drawEnd.Draw(t, "end")) },
		"Done":   func(*rapid.T) { r.done(drawKey.Draw(t, "key")) },
		"Forget": func(*rapid.T) { r.forget(drawKey.Draw(t, "key")) },
		"Sleep":  func(*rapid.T) { r.sleep(drawSleep.Draw(t, "for")) },
		"SleepUntilDeadline": func(*rapid.T) {
			if d := r.deadlines[drawKey.Draw(t, "key")].Sub(now()); d > 0 && d <= time.Hour {
				r.sleep(d)
			}
		},
		"ShutDown": func(*rapid.T) {
			if r.chance(20, "really") {
				r.q.ShutDown()
				r.m.shutDown(now())
			}
		},
		"": r.agree,
	})
	synctest.Wait()
}
