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
	// Poll is how often a reconciler wants to see an object; 0 is 5 minutes.
	Poll time.Duration
	// Service is how long a reconcile takes; 0 is 100 ms.
	Service time.Duration
	// Workers is how many reconciles run at a time; 0 is 2.
	Workers int
	// Resync is how often all objects are added at once, as the resync of an
	// informer does; 0 is never.
	Resync time.Duration
	// Restart has all objects come in at once, by an initial list. Otherwise
	// they are there already, and their first polls are spread over Poll.
	Restart bool
	// Known has the queue of package deadlinequeue ask for the deadline of an
	// object that is added without one (Options.DeadlineOf).
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
	atLeast := float64(s.withDeadlines()) * float64(s.Service) / (MostDeadlines * float64(s.Workers))
	return max(10*time.Minute, time.Duration(atLeast))
}

// Report is what was measured of one policy in one scenario.
type Report struct {
	// Scenario and Policy are the names of what was run.
	Scenario, Policy string
	// Lateness of the deadlines. One of an object that was never served counts
	// as late as it was at the end.
	Lateness Spread
	// Wait of the other hand-outs: since the object was added or its poll was due.
	Wait Spread
	// Interval from one hand-out to the next of an object without deadlines.
	Interval Spread
	// Reconciles is the number of all hand-outs.
	Reconciles int
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
	_, _ = fmt.Fprintln(w, "scenario\tpolicy\tlate p50\tp99\tmax\twait p50\tp99\tinterval p50\treconciles\tdeadlines\tnever served\t")
	for _, r := range reports {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.1f\t%d\t%d\t%d\t\n", r.Scenario, r.Policy,
			r.Lateness.P50.Seconds(), r.Lateness.P99.Seconds(), r.Lateness.Max.Seconds(),
			r.Wait.P50.Seconds(), r.Wait.P99.Seconds(), r.Interval.P50.Seconds(),
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
	byKey    map[reconcile.Request]*object
	from, to time.Time // what is measured

	mu                       sync.Mutex // guards all below, and the objects
	lateness, wait, interval []time.Duration
	report                   Report
}

// object is what the simulation knows of an object. A time is zero if there is
// none.
type object struct {
	key      reconcile.Request
	draws    *rand.Rand // nil: the object has no deadlines
	first    time.Duration
	deadline time.Time
	ready    time.Time // since when the queue should hand it out
	due      time.Time // when its poll makes it ready
	handed   time.Time // the last hand-out
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

// draw draws the next deadline, to the millisecond.
func (o *object) draw(now time.Time, mean time.Duration) {
	if o.draws != nil {
		o.deadline = now.Add(time.Duration(o.draws.ExpFloat64() * float64(mean)).Truncate(time.Millisecond))
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
		o.draw(now, s.distance())
		r.objects = append(r.objects, o)
		r.byKey[o.key] = o
	}
	r.queue = p.open(s, r.deadlineOf)
	return r
}

func (r *run) deadlineOf(key reconcile.Request) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	deadline := r.byKey[key].deadline
	return deadline, !deadline.IsZero()
}

func (r *run) run() Report {
	if r.scenario.Restart {
		r.addAll()
	} else {
		for _, o := range r.objects {
			r.requeue(o, 0, o.first)
		}
	}
	var workers sync.WaitGroup
	for range r.scenario.Workers {
		workers.Go(r.work)
	}
	if every := r.scenario.Resync; every > 0 {
		// Apart from all else, which comes at whole milliseconds, so that it is
		// clear which of an add and a hand-out was first.
		time.Sleep(time.Millisecond / 2)
		for next := time.Now().Add(every); next.Before(r.to); next = next.Add(every) {
			time.Sleep(time.Until(next))
			r.addAll()
		}
	}
	time.Sleep(time.Until(r.to) + r.scenario.Service)
	synctest.Wait()
	r.queue.ShutDown()
	workers.Wait()
	return r.finish()
}

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
		acted := r.handedOut(o, now)
		time.Sleep(r.scenario.Service)
		if acted {
			r.mu.Lock()
			o.draw(time.Now(), r.scenario.distance())
			r.mu.Unlock()
		}
		r.requeue(o, priority, r.queue.poll(r.scenario.Poll))
		r.queue.Done(key)
	}
}

// addAll adds all objects at once.
func (r *run) addAll() {
	r.mu.Lock()
	now := time.Now()
	keys := make([]reconcile.Request, 0, len(r.objects))
	for _, o := range r.objects {
		o.wakes(now)
		if o.ready.IsZero() {
			o.ready = now
		}
		if !r.queue.keepsWaits {
			o.due = time.Time{}
		}
		keys = append(keys, o.key)
	}
	r.mu.Unlock()
	r.queue.list(keys)
}

// requeue has the object looked at after the interval or at its deadline. The
// priority is the one that it was handed out with.
func (r *run) requeue(o *object, priority int, poll time.Duration) {
	r.mu.Lock()
	now := time.Now()
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
	r.queue.requeue(o.key, priority, d)
}

// handedOut records a hand-out, and reports whether it acts on a deadline.
func (r *run) handedOut(o *object, now time.Time) (acted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.wakes(now)
	ready, last := o.ready, o.handed
	o.ready, o.handed = time.Time{}, now
	if !r.queue.keepsWaits {
		o.due = time.Time{}
	}
	acted = !o.deadline.IsZero() && !now.Before(o.deadline)
	if now.Before(r.from) {
		return acted
	}
	r.report.Reconciles++
	switch {
	case acted:
		r.lateness = append(r.lateness, now.Sub(o.deadline))
		r.report.Deadlines++
	case ready.IsZero():
		r.report.Uncalled++
	default:
		r.wait = append(r.wait, now.Sub(ready))
	}
	if o.draws == nil && !last.Before(r.from) {
		r.interval = append(r.interval, now.Sub(last))
	}
	return acted
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
	// requeue is what the controller does with the answer of the reconciler.
	requeue func(key reconcile.Request, handed int, d requeue.Decision)
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
	return Policy{Name: "controller-runtime, exact", open: controllerRuntime(ptr.To(0))}
}

// KeptPriority is [PriorityQueue] with a reconciler that names no priority: the
// object keeps the one that it was handed out with.
func KeptPriority() Policy {
	return Policy{Name: "controller-runtime, kept", open: controllerRuntime(nil)}
}

// DeadlineQueue is the queue of package deadlinequeue, which is told the deadline
// at every requeue.
func DeadlineQueue() Policy {
	return Policy{Name: "deadlinequeue", open: func(s Scenario, of deadlineOf) queue {
		q, _ := deadlineQueue(s, of)
		return q
	}}
}

// AdaptivePoll is [DeadlineQueue] with polls that take at most 80 % of the
// workers' time.
func AdaptivePoll() Policy {
	return Policy{Name: "deadlinequeue, adaptive", open: func(s Scenario, of deadlineOf) queue {
		q, load := deadlineQueue(s, of)
		q.poll = func(wanted time.Duration) time.Duration { return max(wanted, load().Interval(0.8)) }
		return q
	}}
}

func clientGo(Scenario, deadlineOf) queue {
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
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
		requeue:    func(key reconcile.Request, _ int, d requeue.Decision) { q.AddAfter(key, d.After) },
		poll:       asWanted,
		keepsWaits: true,
	}
}

func controllerRuntime(priority *int) func(Scenario, deadlineOf) queue {
	return func(Scenario, deadlineOf) queue {
		q := priorityqueue.New[reconcile.Request]("")
		return queue{
			TypedInterface: q,
			get:            q.GetWithPriority,
			list:           atLowPriority(q),
			requeue: func(key reconcile.Request, handed int, d requeue.Decision) {
				answer(q, key, handed, reconcile.Result{RequeueAfter: d.After, Priority: priority})
			},
			poll: asWanted,
		}
	}
}

func deadlineQueue(s Scenario, of deadlineOf) (queue, func() requeue.Load) {
	if !s.Known {
		of = nil
	}
	q := deadlinequeue.New("", deadlinequeue.Options[reconcile.Request]{DeadlineOf: of})
	return queue{
		TypedInterface: q,
		get:            q.GetWithPriority,
		list:           atLowPriority(q),
		requeue: func(key reconcile.Request, handed int, d requeue.Decision) {
			answer(q, key, handed, deadlinequeue.Result(d))
		},
		poll: asWanted,
	}, q.Load
}

// answer does with the result of a reconcile what controller-runtime does: the
// priority of the hand-out goes for one that the result does not name.
func answer(q priorityqueue.PriorityQueue[reconcile.Request], key reconcile.Request, handed int, result reconcile.Result) {
	priority := ptr.Deref(result.Priority, handed)
	q.AddWithOpts(priorityqueue.AddOpts{After: result.RequeueAfter, Priority: &priority}, key)
}

// atLowPriority adds as the handlers of controller-runtime do for an initial list
// and a resync.
func atLowPriority(q priorityqueue.PriorityQueue[reconcile.Request]) func([]reconcile.Request) {
	return func(keys []reconcile.Request) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, keys...)
	}
}

func asWanted(poll time.Duration) time.Duration { return poll }
