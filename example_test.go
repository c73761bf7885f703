package requeue_test

import (
	"fmt"
	"time"

	"github.com/requeue-go/requeue"
)

// The promotion step of a delivery controller such as Kargo started at midnight
// and times out after 5 minutes. The controller polls every 5 minutes, and looks
// at it at 00:04:30.
func ExampleNextRequeue() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := requeue.ClockFunc(func() time.Time { return started.Add(4*time.Minute + 30*time.Second) })

	fmt.Println(requeue.NextRequeue(started, 5*time.Minute, 5*time.Minute, clock))

	// A step without a timeout, and one that has not started, are polled.
	fmt.Println(requeue.NextRequeue(started, 0, 5*time.Minute, clock))
	fmt.Println(requeue.NextRequeue(time.Time{}, 5*time.Minute, 5*time.Minute, clock))
	// Output:
	// 30s
	// 5m0s
	// 5m0s
}

// A reconciler checks and waits on one reading of the clock, so that the deadline
// cannot pass in between.
func ExamplePlan_Expired() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const timeout, poll = 5 * time.Minute, 5 * time.Minute

	reconcile := func(now time.Time) string {
		plan := requeue.From(now).Every(poll).Timeout(started, timeout)
		if plan.Expired() {
			return "timed out"
		}
		return fmt.Sprint("look again in ", plan.After())
	}
	fmt.Println(reconcile(started.Add(4 * time.Minute)))
	fmt.Println(reconcile(started.Add(5 * time.Minute)))
	// Output:
	// look again in 1m0s
	// timed out
}

// With one timeout and a clock, Expired and NextRequeue are enough. The two read
// the clock twice; a deadline that passes in between is not lost.
func ExampleExpired() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := requeue.ClockFunc(func() time.Time { return started.Add(5 * time.Minute) })

	fmt.Println(requeue.Expired(started, 5*time.Minute, clock))
	fmt.Println(requeue.Expired(started, 0, clock), "without a timeout")
	// Output:
	// true
	// false without a timeout
}

// A pipeline run has a timeout of its own and one for the tasks in its last
// phase, and must be deleted some time after it was created.
func ExamplePlan() {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	finally := created.Add(40 * time.Minute)
	now := created.Add(45 * time.Minute)

	plan := requeue.From(now).
		Timeout(created, time.Hour).
		Timeout(finally, 10*time.Minute).
		Deadline(created.Add(24 * time.Hour))

	fmt.Println(plan.Decide())
	// Output:
	// in 5m0s (deadline 2026-01-01T00:50:00Z)
}

// A step suggests how soon to look again. The controller takes the suggestion,
// but never less than 10 seconds, and does not let it delay the step's timeout.
func ExamplePlan_Every() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const timeout, floor = 5 * time.Minute, 10 * time.Second

	next := func(now time.Time, suggested time.Duration) requeue.Decision {
		return requeue.From(now).Every(max(suggested, floor)).Timeout(started, timeout).Decide()
	}
	fmt.Println(next(started.Add(4*time.Minute), 2*time.Second))
	fmt.Println(next(started.Add(4*time.Minute+55*time.Second), 2*time.Second))
	// Output:
	// in 10s (poll, deadline 2026-01-01T00:05:00Z)
	// in 5s (deadline 2026-01-01T00:05:00Z)
}

// A job runs on a schedule and has a deadline of its own. A run that is over is
// not waited for again, unlike a deadline that has passed.
func ExamplePlan_Upcoming() {
	nextRun := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	deadline := nextRun.Add(30 * time.Minute)

	plan := func(now time.Time) requeue.Decision {
		return requeue.From(now).Upcoming(nextRun).Deadline(deadline).Decide()
	}
	fmt.Println(plan(nextRun.Add(-10 * time.Minute)))
	fmt.Println(plan(nextRun))
	fmt.Println(plan(deadline.Add(time.Second)))
	// Output:
	// in 10m0s (deadline 2026-01-01T01:00:00Z)
	// in 30m0s (deadline 2026-01-01T01:30:00Z)
	// in 1s (overdue 2026-01-01T01:30:00Z)
}

// A registry asks to be left alone for a minute (Retry-After). That holds for
// everything the object waits for, its deadline too.
func ExamplePlan_NotBefore() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	plan := requeue.From(now).
		Every(30 * time.Second).
		Deadline(now.Add(45 * time.Second)).
		NotBefore(now.Add(time.Minute))
	fmt.Println(plan.Decide())
	// Output:
	// in 1m0s (not-before, deadline 2026-01-01T00:00:45Z)
}

// A step fails again and again. It is tried again after a backoff that doubles,
// but the wait ends at the step's deadline: returning the error instead would
// leave the next look to the queue's rate limiter, which knows no deadline.
func ExampleBackoff() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const timeout = time.Minute

	next := func(now time.Time, failures int) requeue.Decision {
		lastTry := now.Add(-2 * time.Millisecond) // it took that long to fail
		retry := requeue.Backoff(lastTry, failures, 5*time.Second, 10*time.Minute)
		return requeue.From(now).At(retry).Timeout(started, timeout).Decide()
	}
	fmt.Println(next(started.Add(10*time.Second), 1).After)
	fmt.Println(next(started.Add(15*time.Second), 2).After)
	fmt.Println(next(started.Add(25*time.Second), 3).After)
	fmt.Println(next(started.Add(45*time.Second), 4).After, "and not 40s")
	// Output:
	// 4.998s
	// 9.998s
	// 19.998s
	// 15s and not 40s
}

// The remote is checked at a certain time. That is no deadline: where nobody looks,
// nothing has expired.
func ExamplePlan_At() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	plan := requeue.From(now).At(now.Add(10*time.Second)).Timeout(now, 5*time.Minute)
	fmt.Println(plan.Decide())
	// Output:
	// in 10s (poll, deadline 2026-01-01T00:05:00Z)
}

// The tasks of a run have timed out and were stopped, which its status says. The
// timeout is over and handled, so nothing waits for it any more.
func ExampleDeadlineOf() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := started.Add(45 * time.Minute)
	stopped := true // the status says so

	plan := requeue.From(now).Timeout(started, time.Hour)
	if !stopped {
		plan = plan.Timeout(started, 40*time.Minute)
	}
	fmt.Println("stopped at", requeue.DeadlineOf(started, 40*time.Minute))
	fmt.Println(plan.Decide())
	fmt.Println(requeue.DeadlineOf(started, 0).IsZero(), "without a timeout")
	// Output:
	// stopped at 2026-01-01 00:40:00 +0000 UTC
	// in 15m0s (deadline 2026-01-01T01:00:00Z)
	// true without a timeout
}

// A certificate is renewed when two thirds of its lifetime are over. Every hour
// it is checked that the secret is still there.
func ExampleBetween() {
	notBefore := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter := notBefore.AddDate(0, 0, 90)
	renewal := requeue.Between(notBefore, notAfter, 2.0/3)

	now := renewal.Add(-20 * time.Minute)
	fmt.Println(requeue.From(now).Every(time.Hour).Deadline(renewal).Decide())
	// Output:
	// in 20m0s (deadline 2026-03-02T00:00:00Z)
}

// Three sub-reconcilers say when each wants to be called again. The second has
// nothing to wait for, and that must not win.
func ExampleSoonest() {
	issuer, dns, certificate := 10*time.Minute, time.Duration(0), 30*time.Second
	fmt.Println(requeue.Soonest(issuer, dns, certificate))
	fmt.Println(requeue.Soonest(dns, 0))
	// Output:
	// 30s
	// 0s
}

// After a restart all objects are listed at once. Jitter spreads their polls,
// each object at its own place; the deadline is not moved.
func ExampleJitter() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, key := range []string{"default/a", "default/b"} {
		poll := requeue.Jitter(5*time.Minute, 0.1, key)
		fmt.Println(key, requeue.From(now).Every(poll).Deadline(now.Add(time.Hour)).After().Round(time.Second))
	}
	// Output:
	// default/a 5m2s
	// default/b 4m48s
}

// An optional field of an API object may be nil.
func ExampleTimeOf() {
	var status struct{ StartedAt *time.Time } // in an API type: *metav1.Time
	fmt.Println(requeue.TimeOf(status.StartedAt).IsZero())

	started := time.Date(2026, 1, 1, 1, 0, 0, 0, time.FixedZone("CET", 3600))
	status.StartedAt = &started
	fmt.Println(requeue.TimeOf(status.StartedAt))
	// Output:
	// true
	// 2026-01-01 00:00:00 +0000 UTC
}

// 10,000 objects polled every 5 minutes, at 100 ms each, are more than 2 workers
// can do. At 80 % of their time they can poll each object every 625 s.
func ExampleLoad_Stretch() {
	load := requeue.Load{Objects: 10_000, Workers: 2, Service: 100 * time.Millisecond}
	poll := load.Stretch(5*time.Minute, 0.8)
	fmt.Println(poll)
	// Output:
	// 10m25s
}

// Work that is due is done now, without backing off: an interval since the last run.
func ExamplePlan_Due() {
	last := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	due := last.Add(time.Hour)
	fmt.Println(requeue.From(last.Add(50*time.Minute)).Due(due, 100*time.Millisecond).After())
	fmt.Println(requeue.From(last.Add(3*time.Hour)).Due(due, 100*time.Millisecond).After())
	// Output:
	// 10m0s
	// 100ms
}

// A poll that grows with the age: something new is looked at often, something that takes
// hours every few minutes.
func ExampleByAge() {
	for _, age := range []time.Duration{5 * time.Second, 10 * time.Minute, 10 * time.Hour} {
		fmt.Println(requeue.ByAge(age, 0.1, time.Second, 5*time.Minute))
	}
	// Output:
	// 1s
	// 1m0s
	// 5m0s
}

// How long is left, for a message.
func ExampleDecision_Left() {
	now := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	d := requeue.From(now).Every(time.Minute).Timeout(now.Add(-10*time.Minute), 15*time.Minute).Decide()
	fmt.Printf("times out in %v\n", d.Left())
	// Output: times out in 5m0s
}
