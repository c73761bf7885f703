package requeue_test

import (
	"testing"
	"time"

	"github.com/requeue-go/requeue"
)

// The reference that NextRequeue on the system clock is held against.
func BenchmarkTimeNow(b *testing.B) {
	for b.Loop() {
		_ = time.Now()
	}
}

func BenchmarkNextRequeue_systemClock(b *testing.B) {
	start := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		_ = requeue.NextRequeue(start, 5*time.Minute, time.Minute, nil)
	}
}

// The clock stands still and has no lock, so this is the arithmetic.
func BenchmarkNextRequeue_fixedClock(b *testing.B) {
	now := t0.Add(time.Minute)
	clock := requeue.ClockFunc(func() time.Time { return now })
	b.ReportAllocs()
	for b.Loop() {
		_ = requeue.NextRequeue(t0, 5*time.Minute, time.Minute, clock)
	}
}

func BenchmarkNextRequeue_fakeClock(b *testing.B) {
	clock := at(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		_ = requeue.NextRequeue(t0, 5*time.Minute, time.Minute, clock)
	}
}

func BenchmarkPlan_fiveParts(b *testing.B) {
	now := t0.Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		_ = fivePartPlan(now).Decide()
	}
}

// fivePartPlan is a plan with a part of each kind.
func fivePartPlan(now time.Time) requeue.Plan {
	return requeue.From(now).
		Every(5*time.Minute).
		Timeout(t0, 10*time.Minute).
		Deadline(t0.Add(time.Hour)).
		Upcoming(t0.Add(30 * time.Minute)).
		NotBefore(now.Add(10 * time.Second))
}
