package queuesim

import (
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
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

// Overload is steady: 10,000 objects polled every 5 minutes are 167 % of what two
// workers can do.
func Overload(share float64) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("steady overload, %v %%", 100*share),
		Share: share, WarmUp: time.Hour, Measured: 2 * time.Hour,
	}
}

// Storm adds all objects every 10 minutes, as a resync does.
func Storm(workers int, share float64) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("storm, %d workers, %v %%", workers, 100*share),
		Share: share, Workers: workers, Resync: 10 * time.Minute,
		WarmUp: 20 * time.Minute, Measured: 40 * time.Minute,
	}
}

// AtOnce has all deadlines pass at one instant.
func AtOnce(workers int, share float64) Scenario {
	return Scenario{
		Name:    fmt.Sprintf("herd, %d workers, %v %%", workers, 100*share),
		Workers: workers, Share: share, Herd: 30 * time.Minute,
		WarmUp: 20 * time.Minute, Measured: 30 * time.Minute,
	}
}

// FailingForEver is 240 objects whose deadline has passed and which fail for ever,
// more than what two workers can do, next to 120 that come and go and are to be acted on
// in time.
func FailingForEver() Scenario {
	return Scenario{
		Name: "failing", Failing: 240, Backoff: time.Second, Service: 10 * time.Millisecond, Known: true,
		Objects: 120, Share: 1, Distance: 30 * time.Second, Finish: 0.2, Events: 30 * time.Second,
		WarmUp: time.Minute, Measured: 5 * time.Minute,
	}
}

// FailingBeside is the same beside objects whose events alone take that share of what the
// workers can do.
func FailingBeside(share float64) Scenario {
	s := FailingForEver()
	s.Name = fmt.Sprintf("failing, events take %v %%", 100*share)
	s.Objects, s.Distance, s.Finish, s.Poll = 8000, 100*time.Hour, 0, 10*time.Hour
	s.Events = time.Duration(40 / share * float64(time.Second)).Round(time.Second)
	s.Measured = 20 * time.Minute
	return s
}

// Outages is steady overload, with writes that fail for 30 s every 10 minutes.
func Outages() Scenario {
	s := Overload(1)
	s.Name, s.Outage = "outages", 30*time.Second
	return s
}

// Conflicting is steady overload, with two conflicts at each deadline.
func Conflicting() Scenario {
	s := Overload(0.2)
	s.Name, s.Conflicts = "two conflicts", 2
	return s
}

// MovedByEvents is steady overload, with an event of each object that has deadlines every
// hour, which moves the deadline, or only makes it sooner.
func MovedByEvents(shorten, known bool) Scenario {
	s := Overload(0.2)
	s.Name, s.Events, s.Shorten, s.Known = "moved", time.Hour, shorten, known
	if shorten {
		s.Name = "shortened"
	}
	if known {
		s.Name += ", known"
	}
	return s
}

// AfterRestart has all objects come in by one list. Where the deadlines are known,
// the queue of package deadlinequeue asks for them.
func AfterRestart(workers int, share float64, known bool) Scenario {
	s := Scenario{
		Name:    fmt.Sprintf("restart, %d workers, %v %%", workers, 100*share),
		Workers: workers, Share: share, Restart: true, Known: known, Measured: 2 * time.Hour,
	}
	if known {
		s.Name += ", known"
	}
	if workers > 2 {
		s.Measured = 30 * time.Minute // they have done with the list by then
	}
	return s
}
