// Package queuesim drives work queues through one workload in virtual time, so
// that hours of a busy controller take seconds and every queue meets the same
// objects and the same random draws.
//
// The model: objects are polled every Scenario.Poll by a few workers, each of
// which gets a key, sleeps for the service time, requeues the key and is done
// with it. A share of the objects has deadlines. A deadline is acted on when its
// object is handed out at it or after it; how much after is its lateness. The
// object then draws its next deadline, at an exponential distance. A hand-out
// before the deadline is a poll: it changes nothing and the object is requeued.
//
// No order of hand-outs helps if deadlines alone keep the workers busy. So the
// mean distance of deadlines is 10 minutes, or longer where that is needed to
// keep the work for deadlines below [MostDeadlines] of what the workers can do.
//
// Objects may also come and go: one that has acted on a deadline may be finished,
// and an event brings it back with another deadline. An event of an object that is
// not finished moves its deadline, unless that has passed: then it is to be acted
// on. There may be objects that fail at every reconcile, for ever; and the write that
// acts on a deadline may fail, in conflicts and in outages. A deadline is acted on when
// its write has succeeded.
//
// All times that are drawn are whole milliseconds and the draws of an object are
// its own, so that every queue meets the same.
package queuesim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
)

// Run runs a scenario with a policy, in a bubble of virtual time of its own.
func Run(t *testing.T, s Scenario, p Policy) Report {
	t.Helper()
	var r Report
	synctest.Test(t, func(*testing.T) { r = newRun(s.withDefaults(), p).run() })
	return r
}

// run is a scenario that is being run.
type run struct {
	scenario Scenario
	policy   Policy
	queue    queue
	objects  []*object
	failing  []*object
	byKey    map[reconcile.Request]*object // of both
	events   []event                       // in order
	from, to time.Time                     // what is measured

	mu                       sync.Mutex // guards all below, and the objects
	lateness, wait, interval []time.Duration
	pollLateness, moved      []time.Duration
	afterOutage, limiter     []time.Duration
	report                   Report
}

// object is what the simulation knows of an object. A time is zero if there is
// none.
type object struct {
	key      reconcile.Request
	draws    *rand.Rand // nil: the object has no deadlines
	first    time.Duration
	failing  bool
	finished bool
	deadline time.Time
	moved    time.Time // when an event moved the deadline
	failures int       // of the writes at the deadline
	retry    time.Time // when the rate limiter lets the next one be
	ready    time.Time // since when the queue should hand it out
	due      time.Time // when its poll makes it ready
	poll     time.Time // when its poll was to be made; adds do not change it
	handed   time.Time // the last hand-out
}

// event gives an object the deadline at + ahead, or that if it is sooner.
type event struct {
	at     time.Time
	object *object
	ahead  time.Duration
}

// exponential is a draw to the millisecond.
func exponential(draws *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(draws.ExpFloat64() * float64(mean)).Truncate(time.Millisecond)
}

// wakes makes the object ready if its poll is due.
func (o *object) wakes(now time.Time) {
	if o.due.IsZero() || o.due.After(now) {
		return
	}
	if o.ready.IsZero() || o.due.Before(o.ready) {
		o.ready = o.due
	}
	o.due = time.Time{}
}

// begin draws the first deadline.
func (o *object) begin(now time.Time, s Scenario) {
	switch {
	case o.draws == nil:
	case s.Herd > 0:
		o.deadline = now.Add(s.Herd)
	default:
		o.deadline = now.Add(exponential(o.draws, s.distance()))
	}
}

// act draws what comes after the deadline.
func (o *object) act(now time.Time, s Scenario) {
	o.moved, o.failures = time.Time{}, 0
	switch {
	case s.Herd > 0:
		o.deadline = time.Time{}
	case s.Finish > 0 && o.draws.Float64() < s.Finish:
		o.deadline, o.finished = time.Time{}, true
	default:
		o.deadline = now.Add(exponential(o.draws, s.distance()))
	}
}

func newRun(s Scenario, p Policy) *run {
	now := time.Now()
	r := &run{
		scenario: s, policy: p,
		byKey: make(map[reconcile.Request]*object, s.Objects),
		from:  now.Add(s.WarmUp), to: now.Add(s.WarmUp + s.Measured),
		report: Report{Scenario: s.Name, Policy: p.Name},
	}
	for i := range s.Objects {
		draws := rand.New(rand.NewPCG(s.Seed, uint64(i)))
		o := &object{
			first: time.Duration(draws.Int64N(int64(s.Poll))).Truncate(time.Millisecond),
		}
		o.key.Namespace, o.key.Name = "default", fmt.Sprintf("object-%05d", i)
		// Those with deadlines are spread evenly.
		if n := s.withDeadlines(); (i+1)*n/s.Objects > i*n/s.Objects {
			o.draws = draws
		}
		o.begin(now, s)
		r.objects = append(r.objects, o)
		r.byKey[o.key] = o
	}
	for i := range s.Failing {
		draws := rand.New(rand.NewPCG(s.Seed, uint64(i)|failingDraws))
		o := &object{failing: true, deadline: now.Add(-time.Minute - exponential(draws, time.Minute))}
		o.key.Namespace, o.key.Name = "default", fmt.Sprintf("failing-%05d", i)
		r.failing = append(r.failing, o)
		r.byKey[o.key] = o
	}
	r.drawEvents(now)
	r.queue = p.open(s, r.deadlineOf)
	return r
}

// Apart from the draws of the objects.
const (
	failingDraws = 1 << 32
	eventDraws   = 1 << 33
	resyncDraws  = 1 << 34
)

func (r *run) drawEvents(now time.Time) {
	s := r.scenario
	if s.Events == 0 {
		return
	}
	for i, o := range r.objects {
		if o.draws == nil {
			continue
		}
		draws := rand.New(rand.NewPCG(s.Seed, uint64(i)|eventDraws))
		for at := now.Add(exponential(draws, s.Events)); at.Before(r.to); at = at.Add(exponential(draws, s.Events)) {
			ahead := exponential(draws, s.distance())
			if s.Shorten {
				ahead = exponential(draws, time.Minute) - time.Minute/2
			}
			r.events = append(r.events, event{at, o, ahead})
		}
	}
	slices.SortStableFunc(r.events, func(a, b event) int { return a.at.Compare(b.at) })
}

func (r *run) deadlineOf(key reconcile.Request) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	deadline := r.byKey[key].deadline
	return deadline, !deadline.IsZero()
}

func (r *run) run() Report {
	for _, o := range r.failing {
		r.queue.event(o.key, o.deadline)
	}
	if r.scenario.Restart {
		r.addAll(r.objects)
	} else {
		for _, o := range r.objects {
			r.requeue(o, 0, o.first)
		}
	}
	var workers sync.WaitGroup
	for range r.scenario.Workers {
		workers.Go(r.work)
	}
	workers.Go(r.happen)
	if every := r.scenario.Resync; every > 0 {
		time.Sleep(apart)
		draws := rand.New(rand.NewPCG(r.scenario.Seed, resyncDraws))
		order := slices.Clone(r.objects)
		for next := time.Now().Add(every); next.Before(r.to); next = next.Add(every) {
			time.Sleep(time.Until(next))
			draws.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			r.addAll(order)
		}
	}
	time.Sleep(time.Until(r.to) + r.scenario.Service)
	synctest.Wait()
	r.queue.ShutDown()
	workers.Wait()
	return r.finish()
}

// apart is how far adds are from all else, which comes at whole milliseconds, so
// that it is clear which of an add and a hand-out was first.
const apart = time.Millisecond / 2

func (r *run) work() {
	for {
		key, priority, shutdown := r.queue.get()
		now := time.Now()
		if shutdown {
			return
		}
		if !now.Before(r.to) {
			r.queue.Done(key)
			return
		}
		o := r.byKey[key]
		acted, failed := r.handedOut(o, now)
		time.Sleep(r.scenario.Service)
		r.mu.Lock()
		if acted {
			o.act(time.Now(), r.scenario)
		}
		plan := requeue.From(time.Now()).Deadline(o.deadline)
		r.mu.Unlock()
		if failed {
			r.queue.fail(key, priority, plan.Decide())
		} else {
			r.requeue(o, priority, r.queue.poll(r.scenario.Poll))
		}
		r.queue.Done(key)
	}
}

// addAll adds all objects at once, in the order given.
func (r *run) addAll(objects []*object) {
	r.mu.Lock()
	now := time.Now()
	keys := make([]reconcile.Request, 0, len(objects))
	for _, o := range objects {
		r.added(o, now)
		keys = append(keys, o.key)
	}
	r.mu.Unlock()
	r.queue.list(keys)
}

// added makes the object ready.
func (r *run) added(o *object, now time.Time) {
	o.wakes(now)
	if o.ready.IsZero() {
		o.ready = now
	}
	if !r.queue.keepsWaits {
		o.due = time.Time{}
	}
}

// happen has the events happen.
func (r *run) happen() {
	for _, e := range r.events {
		time.Sleep(time.Until(e.at.Add(apart)))
		o := e.object
		r.mu.Lock()
		now := time.Now()
		moved := e.at.Add(e.ahead)
		if o.finished || o.deadline.After(now) && !(r.scenario.Shorten && moved.After(o.deadline)) {
			o.deadline, o.finished, o.moved = moved, false, now
		}
		r.added(o, now)
		deadline := o.deadline
		r.mu.Unlock()
		r.queue.event(o.key, deadline)
	}
}

// requeue has the object looked at after the interval or at its deadline, unless
// it is finished. The priority is the one that it was handed out with.
func (r *run) requeue(o *object, priority int, poll time.Duration) {
	r.mu.Lock()
	now := time.Now()
	if o.finished {
		r.mu.Unlock()
		r.queue.finish(o.key)
		return
	}
	o.poll = now.Add(poll)
	deadline := o.deadline
	plan := requeue.From(now).Every(poll)
	if !r.policy.fixed {
		plan = plan.Deadline(o.deadline)
	}
	d := plan.Decide()
	o.wakes(now)
	if due := now.Add(d.After); r.queue.keepsWaits || o.ready.IsZero() {
		if o.due.IsZero() || due.Before(o.due) {
			o.due = due
		}
	}
	r.mu.Unlock()
	r.queue.requeue(o.key, priority, d, deadline)
}

// outageEnd returns the end of the last outage that began before an instant. They come
// every 10 minutes, the first after 5.
func (r *run) outageEnd(at time.Time) time.Time {
	const every = 10 * time.Minute
	began := r.from.Add(-r.scenario.WarmUp)
	return began.Add((at.Sub(began)+every/2)/every*every - every/2 + r.scenario.Outage)
}

// writeFails reports whether the write of a hand-out at a deadline fails.
func (r *run) writeFails(o *object, now time.Time) bool {
	at := now.Add(r.scenario.Service)
	return o.failures < r.scenario.Conflicts || r.scenario.Outage > 0 && at.Before(r.outageEnd(at))
}

// handedOut records a hand-out, and reports whether it acts on a deadline, and whether it
// fails.
func (r *run) handedOut(o *object, now time.Time) (acted, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := !o.deadline.IsZero() && !now.Before(o.deadline)
	if o.failing || due && r.writeFails(o, now) {
		o.failures++
		o.retry = requeue.Backoff(now.Add(r.scenario.Service), o.failures, firstBackoff, r.scenario.Backoff)
		if !now.Before(r.from) {
			r.report.Reconciles++
			r.report.Failures++
		}
		return false, true
	}
	o.wakes(now)
	ready, poll, last := o.ready, o.poll, o.handed
	o.ready, o.poll, o.handed = time.Time{}, time.Time{}, now
	if !r.queue.keepsWaits {
		o.due = time.Time{}
	}
	if now.Before(r.from) {
		return due, false
	}
	r.report.Reconciles++
	switch {
	case due:
		r.lateness = append(r.lateness, now.Sub(o.deadline))
		r.report.Deadlines++
		if !o.moved.IsZero() {
			r.moved = append(r.moved, min(now.Sub(o.deadline), now.Sub(o.moved)))
		}
		if end := r.outageEnd(o.deadline); r.scenario.Outage > 0 && o.deadline.Before(end) {
			r.afterOutage = append(r.afterOutage, max(now.Sub(end), 0))
			r.limiter = append(r.limiter, max(o.retry.Sub(end), 0))
		}
	case ready.IsZero():
		r.report.Uncalled++
	default:
		r.wait = append(r.wait, now.Sub(ready))
		if !poll.IsZero() {
			r.pollLateness = append(r.pollLateness, max(now.Sub(poll), 0))
		}
	}
	if o.draws == nil && !last.Before(r.from) {
		r.interval = append(r.interval, now.Sub(last))
	}
	return due, false
}

func (r *run) finish() Report {
	for _, o := range r.objects {
		if !o.handed.IsZero() {
			continue
		}
		r.report.NeverServed++
		if !o.deadline.IsZero() && o.deadline.Before(r.to) {
			r.lateness = append(r.lateness, r.to.Sub(o.deadline))
		}
	}
	r.report.Lateness, r.report.Wait, r.report.Interval = spread(r.lateness), spread(r.wait), spread(r.interval)
	r.report.PollLateness, r.report.Moved = spread(r.pollLateness), spread(r.moved)
	r.report.AfterOutage, r.report.Limiter = spread(r.afterOutage), spread(r.limiter)
	return r.report
}
