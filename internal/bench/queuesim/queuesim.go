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
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// MostDeadlines is the share of the workers' time that deadlines take at most.
// Under overload the rest is left for polls, whatever the order: where deadlines
// are on time, polls wait up to 1/(1 - MostDeadlines) as long as in a queue that
// lets both wait.
const MostDeadlines = 0.08

// Scenario is a workload.
type Scenario struct {
	// Name is for the reader of the table.
	Name string
	// Objects is how many there are; 0 is 10,000.
	Objects int
	// Share of the objects has deadlines, from 0 to 1.
	Share float64
	// Distance is the mean distance of the deadlines of an object; 0 is what the
	// package comment says.
	Distance time.Duration
	// Herd gives every object that has deadlines a single one, so long after the
	// start; 0 is not to.
	Herd time.Duration
	// Finish is the share of the deadlines that finish their object, from 0 to 1.
	Finish float64
	// Events is the mean distance of the events of an object that has deadlines;
	// 0 is no events.
	Events time.Duration
	// Shorten has an event make the deadline sooner, also so that it has passed:
	// to half a minute before the event or later, at an exponential distance of a
	// minute. Otherwise the event draws a deadline as any other.
	Shorten bool
	// Conflicts is how often the write at each deadline fails before it succeeds.
	Conflicts int
	// Outage is how long all writes at deadlines fail, every 10 minutes; 0 is never.
	Outage time.Duration
	// Failing is how many further objects there are whose deadline passed before
	// the start and whose reconcile always fails.
	Failing int
	// Backoff is the longest wait of the rate limiter, which begins with 5 ms; 0
	// is 1000 s.
	Backoff time.Duration
	// Poll is how often a reconciler wants to see an object; 0 is 5 minutes.
	Poll time.Duration
	// Service is how long a reconcile takes; 0 is 100 ms.
	Service time.Duration
	// Workers is how many reconciles run at a time; 0 is 2.
	Workers int
	// Resync is how often all objects are added at once, each time in another
	// order, as the resync of an informer does; 0 is never.
	Resync time.Duration
	// Restart has all objects come in at once, by an initial list. Otherwise
	// they are there already, and their first polls are spread over Poll.
	Restart bool
	// Known has the queue of package deadlinequeue ask for the deadline of an
	// object that is added (Options.Deadline), and the outside timer be set by a list.
	Known bool
	// WarmUp goes before what is measured.
	WarmUp time.Duration
	// Measured is how long the workload is measured; 0 is an hour.
	Measured time.Duration
	// Seed of all draws.
	Seed uint64
}

func (s Scenario) withDefaults() Scenario {
	orElse(&s.Objects, 10_000)
	orElse(&s.Poll, 5*time.Minute)
	orElse(&s.Service, 100*time.Millisecond)
	orElse(&s.Workers, 2)
	orElse(&s.Measured, time.Hour)
	orElse(&s.Backoff, 1000*time.Second)
	return s
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// withDeadlines is the number of objects that have deadlines.
func (s Scenario) withDeadlines() int { return int(s.Share * float64(s.Objects)) }

// distance is the mean distance of the deadlines of an object.
func (s Scenario) distance() time.Duration {
	if s.Distance > 0 {
		return s.Distance
	}
	atLeast := float64(s.withDeadlines()) * float64(s.Service) / (MostDeadlines * float64(s.Workers))
	return max(10*time.Minute, time.Duration(atLeast))
}

// firstBackoff is the first wait of the rate limiter.
const firstBackoff = 5 * time.Millisecond

func (s Scenario) limiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackoff, s.Backoff)
}

// Report is what was measured of one policy in one scenario. Hand-outs of objects
// that always fail count in Reconciles and Failures only.
type Report struct {
	// Scenario and Policy are the names of what was run.
	Scenario, Policy string
	// Lateness of the deadlines. One of an object that was never served counts
	// as late as it was at the end.
	Lateness Spread
	// Moved is the lateness of those that an event has moved, since the event if
	// they had passed then.
	Moved Spread
	// AfterOutage is, of the deadlines that passed in an outage, how long after its end
	// they are acted on, and Limiter is how much of that the wait of the rate
	// limiter takes.
	AfterOutage, Limiter Spread
	// Wait of the other hand-outs: since the object was added or its poll was due.
	Wait Spread
	// PollLateness of the other hand-outs: since the poll of the object was due.
	// Each poll that is asked for counts once, when its object is handed out next.
	// If that is before it was due, because the object was added, the poll is not
	// late and counts as 0. So an add neither hides that a poll is late nor makes
	// it late.
	PollLateness Spread
	// Interval from one hand-out to the next of an object without deadlines.
	Interval Spread
	// Reconciles is the number of all hand-outs.
	Reconciles int
	// Failures is the number of those that failed.
	Failures int
	// Deadlines is the number of hand-outs at a deadline or after it.
	Deadlines int
	// NeverServed is the number of objects that were not handed out once, warm-up
	// included.
	NeverServed int
	// Uncalled is the number of hand-outs of objects that were not added and had
	// no poll or deadline due.
	Uncalled int
}

// Spread is the distribution of a duration; all zero if there was none.
type Spread struct{ Min, P50, P99, Max time.Duration }

func spread(sample []time.Duration) Spread {
	if len(sample) == 0 {
		return Spread{}
	}
	slices.Sort(sample)
	at := func(q float64) time.Duration { return sample[int(q*float64(len(sample)-1)+0.5)] }
	return Spread{Min: at(0), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// Table writes reports for a reader, in seconds.
func Table(reports ...Report) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "scenario\tpolicy\tlate p50\tp99\tmax\twait p50\tp99\tpoll late p50\tp99\tinterval p50\treconciles\tdeadlines\tnever served\t")
	for _, r := range reports {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.1f\t%d\t%d\t%d\t\n", r.Scenario, r.Policy,
			r.Lateness.P50.Seconds(), r.Lateness.P99.Seconds(), r.Lateness.Max.Seconds(),
			r.Wait.P50.Seconds(), r.Wait.P99.Seconds(),
			r.PollLateness.P50.Seconds(), r.PollLateness.P99.Seconds(), r.Interval.P50.Seconds(),
			r.Reconciles, r.Deadlines, r.NeverServed)
	}
	_ = w.Flush()
	return b.String()
}

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

// Policy is a queue and what the reconciler does with it: one column of a
// comparison.
type Policy struct {
	// Name is what the table calls it.
	Name string

	fixed bool // the reconciler knows nothing of deadlines
	open  func(Scenario, deadlineOf) queue
}

type deadlineOf = func(reconcile.Request) (time.Time, bool)

// queue is one of the real queues, with what differs in their use.
type queue struct {
	workqueue.TypedInterface[reconcile.Request]
	get func() (key reconcile.Request, priority int, shutdown bool) // priority is 0 where there is none
	// list is what an informer does with all objects.
	list func([]reconcile.Request)
	// event is what a handler does with an object that now has the deadline.
	event func(key reconcile.Request, deadline time.Time)
	// requeue is what the reconciler and the controller do after the reconcile of
	// an object that has the deadline, zero if it has none. It has not finished.
	requeue func(key reconcile.Request, handed int, d requeue.Decision, deadline time.Time)
	// fail is requeue after a reconcile that failed.
	fail func(key reconcile.Request, handed int, d requeue.Decision)
	// finish is requeue after the last reconcile of an object.
	finish func(key reconcile.Request)
	// poll is the interval that the reconciler asks for, given the one wanted.
	poll func(time.Duration) time.Duration
	// keepsWaits says that a wait goes on when its key is added or handed out.
	keepsWaits bool
}

// FixedInterval is client-go's queue and a reconciler that answers with the poll
// interval, whatever the deadline.
func FixedInterval() Policy {
	return Policy{Name: "client-go, fixed interval", fixed: true, open: clientGo}
}

// ExactRequeue is client-go's queue and a reconciler that waits for the sooner of
// poll and deadline.
func ExactRequeue() Policy {
	return Policy{Name: "client-go, exact", open: clientGo}
}

// PriorityQueue is the priority queue of controller-runtime and a reconciler that
// waits for the sooner of poll and deadline, at priority 0.
func PriorityQueue() Policy {
	return Policy{Name: "controller-runtime, exact", open: controllerRuntime(always(ptr.To(0)))}
}

// KeptPriority is [PriorityQueue] with a reconciler that names no priority: the
// object keeps the one that it was handed out with.
func KeptPriority() Policy {
	return Policy{Name: "controller-runtime, kept", open: controllerRuntime(always(nil))}
}

// raised is the priority of those who raise that of deadlines.
const raised = 100

// RaisedPriority is [PriorityQueue] with a reconciler that asks for priority 100
// where it waits for a deadline, and for 0 where it waits for a poll: had it named
// none then, an object would keep the 100 for ever.
func RaisedPriority() Policy {
	return Policy{Name: "controller-runtime, raised", open: controllerRuntime(func(d requeue.Decision) *int {
		if d.Cause == requeue.CauseDeadline || d.Cause == requeue.CauseOverdue {
			return ptr.To(raised)
		}
		return ptr.To(0)
	})}
}

// OutsideTimer is the priority queue of controller-runtime, a reconciler that
// waits for the poll, at priority 0, and beside them a timer for each object, that
// adds it with priority 100 at its deadline. The timer is set by the reconciler,
// by the handler of events, and where the deadlines are known by that of a list.
func OutsideTimer() Policy {
	return outsideTimer("controller-runtime, timer", ptr.To(0), ptr.To(0))
}

// LowTimer is [OutsideTimer] with polls and errors at the priority of a list.
func LowTimer() Policy {
	return outsideTimer("controller-runtime, timer, low", ptr.To(handler.LowPriority), ptr.To(handler.LowPriority))
}

// KeptTimer is [OutsideTimer] with a reconciler that names no priority with an error, so
// that the object keeps the one that it was handed out with.
func KeptTimer() Policy {
	return outsideTimer("controller-runtime, timer, kept", ptr.To(0), nil)
}

func outsideTimer(name string, poll, withError *int) Policy {
	return Policy{Name: name, fixed: true, open: func(s Scenario, of deadlineOf) queue {
		q, pq := priorityQueue(s, always(poll))
		q.fail = func(key reconcile.Request, handed int, _ requeue.Decision) {
			failed(pq, key, handed, reconcile.Result{Priority: withError})
		}
		ts := timers{set: map[reconcile.Request]timer{}, fire: func(key reconcile.Request) {
			pq.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(raised)}, key)
		}}
		list, event, again := q.list, q.event, q.requeue
		q.list = func(keys []reconcile.Request) {
			for _, key := range keys {
				if deadline, ok := of(key); ok && s.Known {
					ts.reset(key, deadline)
				}
			}
			list(keys)
		}
		q.event = func(key reconcile.Request, deadline time.Time) {
			ts.reset(key, deadline)
			event(key, deadline)
		}
		q.requeue = func(key reconcile.Request, handed int, d requeue.Decision, deadline time.Time) {
			ts.reset(key, deadline)
			again(key, handed, d, deadline)
		}
		return q
	}}
}

// timers is a timer for each object that has a deadline.
type timers struct {
	fire func(reconcile.Request)
	mu   sync.Mutex
	set  map[reconcile.Request]timer
}

type timer struct {
	at time.Time
	*time.Timer
}

// reset sets the timer of an object, unless it is the one that it has or had last.
func (t *timers) reset(key reconcile.Request, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, ok := t.set[key]
	if ok && was.at.Equal(at) {
		return
	}
	if ok {
		was.Stop()
		delete(t.set, key)
	}
	if !at.IsZero() {
		t.set[key] = timer{at, time.AfterFunc(time.Until(at), func() { t.fire(key) })}
	}
}

// DeadlineQueue is the queue of package deadlinequeue, which is told the plan of every
// reconcile but the last of an object.
func DeadlineQueue() Policy {
	return Policy{Name: "deadlinequeue", open: func(s Scenario, of deadlineOf) queue {
		q, _ := deadlineQueue(s, of, 0)
		return q
	}}
}

// Strict is [DeadlineQueue] without the hand-outs for what has been ready longest.
func Strict() Policy {
	return Policy{Name: "deadlinequeue, strict", open: func(s Scenario, of deadlineOf) queue {
		q, _ := deadlineQueue(s, of, -1)
		return q
	}}
}

// AdaptivePoll is [DeadlineQueue] with polls that take at most 80 % of the
// workers' time.
func AdaptivePoll() Policy {
	return Policy{Name: "deadlinequeue, adaptive", open: func(s Scenario, of deadlineOf) queue {
		q, load := deadlineQueue(s, of, 0)
		q.poll = func(wanted time.Duration) time.Duration { return load().Stretch(wanted, 0.8) }
		return q
	}}
}

func clientGo(s Scenario, _ deadlineOf) queue {
	q := workqueue.NewTypedRateLimitingQueue(s.limiter())
	return queue{
		TypedInterface: q,
		get: func() (reconcile.Request, int, bool) {
			key, shutdown := q.Get()
			return key, 0, shutdown
		},
		list: func(keys []reconcile.Request) {
			for _, key := range keys {
				q.Add(key)
			}
		},
		event: func(key reconcile.Request, _ time.Time) { q.Add(key) },
		requeue: func(key reconcile.Request, _ int, d requeue.Decision, _ time.Time) {
			q.Forget(key)
			q.AddAfter(key, d.After)
		},
		fail:       func(key reconcile.Request, _ int, _ requeue.Decision) { q.AddRateLimited(key) },
		finish:     q.Forget,
		poll:       asWanted,
		keepsWaits: true,
	}
}

func controllerRuntime(priority func(requeue.Decision) *int) func(Scenario, deadlineOf) queue {
	return func(s Scenario, _ deadlineOf) queue {
		q, _ := priorityQueue(s, priority)
		return q
	}
}

// priorityQueue is controller-runtime's with the priority that the reconciler
// answers with. After a failure it answers with that of a poll.
func priorityQueue(s Scenario, priority func(requeue.Decision) *int) (queue, priorityqueue.PriorityQueue[reconcile.Request]) {
	q := priorityqueue.New("", func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = s.limiter() })
	return queue{
		TypedInterface: q,
		get:            q.GetWithPriority,
		list:           atLowPriority(q),
		event:          func(key reconcile.Request, _ time.Time) { q.Add(key) },
		requeue: func(key reconcile.Request, handed int, d requeue.Decision, _ time.Time) {
			answer(q, key, handed, reconcile.Result{RequeueAfter: d.After, Priority: priority(d)})
		},
		fail: func(key reconcile.Request, handed int, _ requeue.Decision) {
			failed(q, key, handed, reconcile.Result{Priority: priority(requeue.Decision{Cause: requeue.CausePoll})})
		},
		finish: q.Forget,
		poll:   asWanted,
	}, q
}

func deadlineQueue(s Scenario, of deadlineOf, oldestEvery int) (queue, func() requeue.Load) {
	if !s.Known {
		of = nil
	}
	q := deadlinequeue.New("", deadlinequeue.Options[reconcile.Request]{RateLimiter: s.limiter(), Deadline: of, OldestEvery: oldestEvery})
	return queue{
		TypedInterface: q,
		get:            q.GetWithPriority,
		list:           atLowPriority(q),
		event:          func(key reconcile.Request, _ time.Time) { q.Add(key) },
		requeue: func(key reconcile.Request, handed int, d requeue.Decision, _ time.Time) {
			q.Decide(key, d)
			answer(q, key, handed, reconcile.Result{RequeueAfter: d.After})
		},
		fail: func(key reconcile.Request, handed int, d requeue.Decision) {
			q.Decide(key, d)
			failed(q, key, handed, reconcile.Result{})
		},
		finish: q.Forget,
		poll:   asWanted,
	}, q.Load
}

// answer does with the result of a reconcile what controller-runtime does: the
// priority of the hand-out goes for one that the result does not name.
func answer(q priorityqueue.PriorityQueue[reconcile.Request], key reconcile.Request, handed int, result reconcile.Result) {
	q.Forget(key)
	priority := ptr.Deref(result.Priority, handed)
	q.AddWithOpts(priorityqueue.AddOpts{After: result.RequeueAfter, Priority: &priority}, key)
}

// failed is answer where the reconciler returned an error, too.
func failed(q priorityqueue.PriorityQueue[reconcile.Request], key reconcile.Request, handed int, result reconcile.Result) {
	priority := ptr.Deref(result.Priority, handed)
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &priority}, key)
}

// atLowPriority adds as the handlers of controller-runtime do for an initial list
// and a resync.
func atLowPriority(q priorityqueue.PriorityQueue[reconcile.Request]) func([]reconcile.Request) {
	return func(keys []reconcile.Request) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, keys...)
	}
}

func always(priority *int) func(requeue.Decision) *int {
	return func(requeue.Decision) *int { return priority }
}

func asWanted(poll time.Duration) time.Duration { return poll }
