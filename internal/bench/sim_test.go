package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// The model of the queues under load: the real queues run through one workload in virtual time.
// Every queue meets the same objects and the same draws.
//
// A few workers poll objects. A worker gets a key, sleeps for the service time, requeues the key
// and is done with it. A share of the objects has deadlines. A deadline is acted on when its object
// is handed out at it or after it. How much after is its lateness. The object then draws the next
// one, at an exponential distance. A hand-out before the deadline is a poll and changes nothing.
//
// No order of hand-outs helps if deadlines alone keep the workers busy. So their mean distance is
// 10 minutes, or what keeps them below 8 % of what the workers can do.
//
// A deadline may finish its object. An event brings that back with another deadline. An event of an
// object that is not finished moves the deadline, unless that has passed. Some objects fail at every
// reconcile. The write that acts on a deadline may fail, in conflicts and in outages. Then the
// deadline is still to be acted on.
//
// When an object should be handed out is computed here, by the words of the queues' documentation
// and not by their code. An add calls for the object at once, a wait when it is over. In client-go's
// queue a wait goes on when its key is added or handed out. In the others a hand-out ends it.

// scenario is a workload. What is zero has its default or does not happen.
type scenario struct {
	name             string
	objects, workers int           // 10,000 and 2
	poll             time.Duration // how often a reconciler wants to see an object: 5 minutes
	service          time.Duration // how long a reconcile takes: 100 ms
	backoff          time.Duration // the longest wait of the rate limiter: 1000 s
	warmUp, measured time.Duration // one after the other: 0 and an hour

	share     float64       // of the objects has deadlines
	deadlines int           // how many that are, set by withDefaults
	distance  time.Duration // the mean of their deadlines; by default that of the model
	herd      time.Duration // each of these objects has a single deadline, so long after the start
	finish    float64       // the share of the deadlines that finish their object
	events    time.Duration // the mean distance of the events of an object that has deadlines
	shorten   bool          // an event only makes the deadline sooner
	onlyMoved bool          // of the deadlines only those count that an event has moved

	failing   int           // further objects whose deadline has passed and whose reconcile always fails
	conflicts int           // how often the write at each deadline fails before it succeeds
	outage    time.Duration // how long all writes at deadlines fail, every 10 minutes

	resync  time.Duration // how often all objects are added at once, each time in another order
	restart bool          // all objects come in by one list; else their first polls are spread
	known   bool          // ours has Options.Deadline, and timers are set by a list, too
}

func (s scenario) withDefaults() scenario {
	s.objects, s.workers = cmp.Or(s.objects, 10_000), cmp.Or(s.workers, 2)
	s.poll, s.service = cmp.Or(s.poll, 5*time.Minute), cmp.Or(s.service, 100*time.Millisecond)
	s.backoff, s.measured = cmp.Or(s.backoff, 1000*time.Second), cmp.Or(s.measured, time.Hour)
	s.deadlines = int(s.share * float64(s.objects))
	atLeast := float64(s.deadlines) * float64(s.service) / (0.08 * float64(s.workers))
	s.distance = cmp.Or(s.distance, max(10*time.Minute, time.Duration(atLeast)))
	return s
}

// with is the scenario with so many workers, and that share of deadlines.
func (s scenario) with(workers int, share float64) scenario {
	s.name = fmt.Sprintf("%s, %d workers, %v %%", s.name, workers, 100*share)
	s.workers, s.share = workers, share
	return s
}

// andKnown is the scenario where the deadlines are known.
func (s scenario) andKnown() scenario {
	s.name, s.known = s.name+", known", true
	return s
}

// report is what was measured of a policy in a scenario.
type report struct {
	scenario, policy string
	// samples are in order. Of hand-outs at deadlines: "late", since the event that moved the deadline
	// if it had passed then; of those that passed in an outage, "after" its end, and "limiter", how
	// much of that the wait of the rate limiter takes. Of others: "wait", since the object was added
	// or its poll was due; and "poll late", where each poll counts once, when its object is handed out
	// next, and as 0 if an add made that sooner than the poll was due. And "interval", between two
	// hand-outs of an object without deadlines.
	samples map[string][]time.Duration
	// counts are hand-outs: "reconciles" are all, "failures" those that failed, "uncalled" those that
	// nothing had asked for. And objects "never served", warm-up included: a deadline of these is as
	// late as it was at the end.
	counts map[string]int
}

// at is a quantile of a sample, in hundredths.
func (r report) at(name string, q float64) time.Duration {
	sample := r.samples[name]
	if len(sample) == 0 {
		return 0
	}
	return sample[int(q/100*float64(len(sample)-1)+0.5)]
}

func (r report) sample(name string, d time.Duration) { r.samples[name] = append(r.samples[name], d) }

// simulated is what the simulation knows of an object. A time is zero if there is none.
type simulated struct {
	key      request
	draws    *rand.Rand // nil: the object has no deadlines
	broken   bool       // it always fails
	finished bool
	deadline time.Time
	moved    time.Time   // when an event moved the deadline
	failures int         // of the writes at the deadline
	retry    time.Time   // when the rate limiter lets the next one be
	timer    *time.Timer // that of the policy
	timed    time.Time   // what it was set to
	calls    []time.Time // when it was added, and when its wait is over, in order
	poll     time.Time   // when its poll was to be made; adds do not change it
	handed   time.Time   // the last hand-out
}

const (
	firstBackoff = 5 * time.Millisecond // the first wait of the rate limiter
	// apart is how far adds are from all else, which comes at whole milliseconds, so that it is
	// clear which of an add and a hand-out was first.
	apart = time.Millisecond / 2
)

// What draws are of. Each object has its own.
const ofObject, ofBroken, ofEvents, ofResync = 0, 1, 2, 4

func drawsOf(what, i int) *rand.Rand { return rand.New(rand.NewPCG(0, uint64(what<<32|i))) }

// exponential is a draw in whole milliseconds.
func exponential(draws *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(draws.ExpFloat64() * float64(mean)).Truncate(time.Millisecond)
}

// simulation is a scenario that is run with a policy.
type simulation struct {
	scenario
	policy   policy
	queue    priorityQueue
	all      []*simulated
	byKey    map[request]*simulated
	from, to time.Time // what is measured

	mu sync.Mutex // guards the report and the objects
	report
}

// simulate runs a scenario with a policy, in a bubble of virtual time of its own.
func simulate(t *testing.T, in scenario, with policy) report {
	t.Helper()
	r := report{in.name, with.name, map[string][]time.Duration{}, map[string]int{}}
	synctest.Test(t, func(*testing.T) {
		s := &simulation{scenario: in.withDefaults(), policy: with, byKey: map[request]*simulated{}, report: r}
		s.run()
		for _, o := range s.all {
			if !o.handed.IsZero() || o.broken {
				continue
			}
			r.counts["never served"]++
			if !o.deadline.IsZero() && o.deadline.Before(s.to) {
				r.sample("late", s.to.Sub(o.deadline))
			}
		}
	})
	for _, sample := range r.samples {
		slices.Sort(sample)
	}
	return r
}

func (s *simulation) run() {
	s.from = time.Now().Add(s.warmUp)
	s.to = s.from.Add(s.measured)
	s.queue = s.policy.open(s.scenario, s.deadlineOf)
	for i, key := range requests(s.objects + s.failing) {
		s.begin(i, key)
	}
	if s.restart {
		s.addAll(s.all)
	}
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(s.work)
	}
	draws, order := drawsOf(ofResync, 0), slices.Clone(s.all)
	for at := time.Now().Add(s.resync + apart); s.resync > 0 && at.Before(s.to); at = at.Add(s.resync) {
		time.Sleep(time.Until(at))
		draws.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		s.addAll(order)
	}
	time.Sleep(time.Until(s.to) + s.service)
	synctest.Wait()
	s.queue.ShutDown()
	workers.Wait()
}

// begin draws an object, and has it and its events begin.
func (s *simulation) begin(i int, key request) {
	now, draws := time.Now(), drawsOf(ofObject, i)
	o := &simulated{key: key, broken: i >= s.objects}
	s.all, s.byKey[key] = append(s.all, o), o
	if o.broken {
		o.deadline = now.Add(-time.Minute - exponential(drawsOf(ofBroken, i-s.objects), time.Minute))
		s.setTimer(o)
		s.queue.Add(key)
		return
	}
	first := time.Duration(draws.Int64N(int64(s.poll))).Truncate(time.Millisecond)
	// Those with deadlines are spread evenly.
	if n := s.deadlines; (i+1)*n/s.objects > i*n/s.objects {
		o.draws, o.deadline = draws, now.Add(cmp.Or(s.herd, exponential(draws, s.distance)))
		go s.happen(o, drawsOf(ofEvents, i))
	}
	if !s.restart {
		s.requeue(o, 0, first, false)
	}
}

func (s *simulation) deadlineOf(key request) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := s.byKey[key].deadline
	return deadline, !deadline.IsZero()
}

func (s *simulation) work() {
	for {
		key, priority, shutdown := s.queue.GetWithPriority()
		if now := time.Now(); shutdown || !now.Before(s.to) {
			return
		}
		o := s.byKey[key]
		acts, fails := s.handedOut(o, time.Now())
		time.Sleep(s.service)
		interval := s.poll
		if s.policy.adaptive {
			interval = s.queue.(deadlinequeue.Queue[request]).Load().Stretch(interval, 0.8)
		}
		if fails { // no event moves the deadline, as it has passed
			s.policy.answer(s.queue, key, priority, requeue.From(time.Now()).Deadline(o.deadline).Decide(), true)
		} else {
			s.requeue(o, priority, interval, acts)
		}
		s.queue.Done(key)
	}
}

// addAll adds all objects in the order given, as the handlers of controller-runtime do for an
// initial list and a resync.
func (s *simulation) addAll(objects []*simulated) {
	s.mu.Lock()
	var keys []request
	for _, o := range objects {
		o.call(time.Now())
		if s.known {
			s.setTimer(o)
		}
		keys = append(keys, o.key)
	}
	s.mu.Unlock()
	s.queue.AddWithOpts(priorityqueue.AddOpts{Priority: pLow}, keys...)
}

// happen has the events of an object happen.
func (s *simulation) happen(o *simulated, draws *rand.Rand) {
	for at := time.Now().Add(exponential(draws, s.events)); s.events > 0 && at.Before(s.to); at = at.Add(exponential(draws, s.events)) {
		deadline := at.Add(exponential(draws, s.distance))
		if s.shorten { // so that it may have passed
			deadline = at.Add(exponential(draws, time.Minute) - time.Minute/2)
		}
		time.Sleep(time.Until(at.Add(apart)))
		s.mu.Lock()
		now := time.Now()
		if o.finished || o.deadline.After(now) && !(s.shorten && deadline.After(o.deadline)) {
			o.deadline, o.finished, o.moved = deadline, false, now
		}
		o.call(now)
		s.setTimer(o)
		s.mu.Unlock()
		s.queue.Add(o.key)
	}
}

// call has the queue hand out the object from an instant on. Of two waits the sooner counts.
func (o *simulated) call(at time.Time) {
	now := time.Now()
	o.calls = append(o.calls, at)
	slices.SortFunc(o.calls, time.Time.Compare)
	if i := slices.IndexFunc(o.calls, now.Before); i >= 0 {
		o.calls = o.calls[:i+1]
	}
}

// setTimer sets the timer of an object to its deadline, unless it is or was set to that.
func (s *simulation) setTimer(o *simulated) {
	if !s.policy.timer || o.timed.Equal(o.deadline) {
		return
	}
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.timed = o.deadline; !o.deadline.IsZero() {
		add := func() { s.queue.AddWithOpts(priorityqueue.AddOpts{Priority: p100}, o.key) }
		o.timer = time.AfterFunc(time.Until(o.deadline), add)
	}
}

// requeue draws what comes after a deadline that was acted on, and has the object looked at after
// the interval or at its deadline, unless it is finished.
func (s *simulation) requeue(o *simulated, handed int, interval time.Duration, acted bool) {
	s.mu.Lock()
	now := time.Now()
	if acted {
		o.moved, o.failures, o.deadline = time.Time{}, 0, time.Time{}
		o.finished = s.finish > 0 && o.draws.Float64() < s.finish
		if !o.finished && s.herd == 0 {
			o.deadline = now.Add(exponential(o.draws, s.distance))
		}
	}
	if o.finished {
		s.mu.Unlock()
		s.queue.Forget(o.key)
		return
	}
	plan := requeue.From(now).Every(interval)
	if !s.policy.fixed && !s.policy.timer {
		plan = plan.Deadline(o.deadline)
	}
	d := plan.Decide()
	o.poll = now.Add(interval)
	o.call(now.Add(d.After))
	s.setTimer(o)
	s.mu.Unlock()
	s.policy.answer(s.queue, o.key, handed, d, false)
}

// outageOf returns the end of the outage of an instant, false if there is none then. Outages begin
// every 10 minutes, the first after 5: a bubble begins at midnight.
func (s *simulation) outageOf(at time.Time) (end time.Time, ok bool) {
	const every = 10 * time.Minute
	end = at.Add(-every / 2).Truncate(every).Add(every/2 + s.outage)
	return end, at.Before(end)
}

// handedOut records a hand-out, and reports whether it acts on a deadline, and whether it fails.
func (s *simulation) handedOut(o *simulated, now time.Time) (acts, fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ends := now.Add(s.service)
	acts = !o.deadline.IsZero() && !now.Before(o.deadline)
	_, out := s.outageOf(ends)
	fails = o.broken || acts && (out || o.failures < s.conflicts)
	if !now.Before(s.from) {
		s.record(o, now, acts, fails)
	}
	if fails {
		o.failures++
		o.retry = requeue.Backoff(ends, o.failures, firstBackoff, s.backoff)
		return false, true
	}
	o.poll, o.handed = time.Time{}, now
	o.calls = slices.DeleteFunc(o.calls, func(at time.Time) bool { return !s.policy.keepsWaits() || !at.After(now) })
	return acts, false
}

// record records a hand-out, before that changes the object.
func (s *simulation) record(o *simulated, now time.Time, acts, fails bool) {
	s.counts["reconciles"]++
	switch {
	case fails:
		s.counts["failures"]++
		return
	case acts && s.onlyMoved && o.moved.IsZero():
	case acts:
		s.sample("late", min(now.Sub(o.deadline), now.Sub(o.moved)))
		if end, ok := s.outageOf(o.deadline); ok {
			s.sample("after", max(now.Sub(end), 0))
			s.sample("limiter", max(o.retry.Sub(end), 0))
		}
	case len(o.calls) == 0 || o.calls[0].After(now):
		s.counts["uncalled"]++
	default:
		s.sample("wait", now.Sub(o.calls[0]))
		if !o.poll.IsZero() {
			s.sample("poll late", max(now.Sub(o.poll), 0))
		}
	}
	if o.draws == nil && !o.handed.Before(s.from) {
		s.sample("interval", now.Sub(o.handed))
	}
}

// With workers to spare everything is on time, whatever the queue. What is late is what passed or
// was added while its object was reconciled.
func TestSimulate(t *testing.T) {
	idle := scenario{name: "idle", objects: 100, share: 0.5, workers: 10}
	comeAndGo := idle
	comeAndGo.name, comeAndGo.distance, comeAndGo.finish = "come and go", 2*time.Minute, 0.5
	comeAndGo.events, comeAndGo.known = 2*time.Minute, true
	for _, in := range []scenario{idle, comeAndGo} {
		exact := simulate(t, in, runtimeExact)
		for _, p := range []policy{clientExact, runtimeExact, runtimeKept, runtimeRaised, runtimeTimer, ours, oursAdaptive} {
			r, what := simulate(t, in, p), in.name+", "+p.name
			assert.Zero(t, r.counts["never served"], what)
			assert.LessOrEqual(t, r.at("late", 100), 100*time.Millisecond, what)
			assert.LessOrEqual(t, r.at("wait", 100), 100*time.Millisecond, what)
			assert.InEpsilon(t, len(exact.samples["late"]), len(r.samples["late"]), 0.01, "%s: the draws are the same", what)
			if p == ours {
				assert.Zero(t, r.counts["uncalled"], what)
				assert.InEpsilon(t, exact.counts["reconciles"], r.counts["reconciles"], 0.01, what)
			}
		}
	}
	fixed := simulate(t, idle, clientFixed)
	assert.InDelta(t, 150, fixed.at("late", 50).Seconds(), 30, "half of the interval")
	assert.Zero(t, fixed.at("poll late", 100)+fixed.at("wait", 100))
	for _, q := range []float64{0, 100} {
		assert.Equal(t, 300100*time.Millisecond, fixed.at("interval", q), "the poll and the service time")
	}
}
