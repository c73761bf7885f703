package queue_test

import (
	"math"
	"time"

	"github.com/requeue-go/requeue"
	"pgregory.net/rapid"
)

// fixedLimiter waits a time that depends on the key only.
type fixedLimiter struct{ failures map[int]int }

func (l *fixedLimiter) When(key int) time.Duration {
	l.failures[key]++
	return limit(key)
}

func (l *fixedLimiter) Forget(key int) { delete(l.failures, key) }

func (l *fixedLimiter) NumRequeues(key int) int { return l.failures[key] }

const (
	modelKeys = 6
	// tick is the shortest span: the queue may wake up a few microseconds late.
	tick = 100 * time.Microsecond
)

var (
	drawKey      = rapid.SampledFrom([]int{0, 1, 1, 1, 2, 2, 2, 3, 4, 5})
	drawDelay    = rapid.SampledFrom([]time.Duration{math.MinInt64, -1, 0, 0, tick, time.Millisecond, time.Second, 5 * time.Second, time.Minute, math.MaxInt64})
	drawInterval = rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, time.Minute})
	drawApart    = rapid.SampledFrom([]time.Duration{-time.Hour, -5 * time.Second, -tick, 0, tick, time.Second, 5 * time.Second, time.Minute, time.Hour})
	drawFloor    = rapid.SampledFrom([]time.Duration{-time.Second, time.Second, 5 * time.Second, 10 * time.Second, time.Minute, time.Hour})
	drawPriority = rapid.SampledFrom([]int{math.MinInt, -100, 0, 0, 0, 7, math.MaxInt})
	drawSleep    = rapid.SampledFrom([]time.Duration{0, tick, time.Millisecond, time.Second, 10 * time.Second, 2 * time.Minute})
	drawEnd      = rapid.SampledFrom([]string{"success", "success", "failure", "failure", "failure", "bare failure", "bare failure", "RequeueAfter", "nothing"})
	extremes     = rapid.SampledFrom([]time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2280, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	})
)

// instant is now, as a reconciler reads it.
func (r *run) instant() time.Time {
	if r.clock != nil {
		return r.clock.Now()
	}
	return time.Now()
}

func (r *run) chance(of int, label string) bool { return rapid.IntRange(1, of).Draw(r.t, label) == 1 }

// drawInstant draws an instant, often one that is there already.
func (r *run) drawInstant() time.Time {
	if len(r.instants) > 0 && rapid.Bool().Draw(r.t, "known") {
		return rapid.SampledFrom(r.instants[max(0, len(r.instants)-6):]).Draw(r.t, "at")
	}
	if r.chance(12, "extreme") {
		return extremes.Draw(r.t, "at")
	}
	at := r.instant().Add(drawApart.Draw(r.t, "in"))
	if rapid.Bool().Draw(r.t, "elsewhere") { // the same instant
		at = at.In(time.FixedZone("", 3600))
	}
	r.instants = append(r.instants, at)
	return at
}

// drawDecision makes a plan as a reconciler does.
func (r *run) drawDecision(key int) requeue.Decision {
	now := r.instant()
	if r.chance(6, "old") {
		now = now.Add(-time.Second)
	}
	p := requeue.From(now)
	if rapid.Bool().Draw(r.t, "polls") {
		p = p.Every(drawInterval.Draw(r.t, "interval"))
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3}).Draw(r.t, "deadlines") {
		at := r.m.answers[key] // as in the object
		if at.IsZero() || rapid.Bool().Draw(r.t, "another") {
			at = r.drawInstant()
		}
		at = at.Round(0) // as from the API server
		switch rapid.IntRange(0, 5).Draw(r.t, "given as") {
		case 0:
			p = p.Upcoming(at)
		case 1:
			p = p.Timeout(at.Add(-time.Minute), time.Minute)
		default:
			p = p.Deadline(at)
		}
	}
	if r.chance(3, "floor") {
		p = p.NotBefore(now.Add(drawFloor.Draw(r.t, "floor in")))
	}
	return p.Decide()
}
