package requeue_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

func TestPlan_decide(t *testing.T) {
	plan := requeue.From(t0)
	in := t0.Add
	var none time.Time
	tests := []struct {
		why               string
		plan              requeue.Plan
		after             time.Duration
		cause             requeue.Cause
		deadline, overdue time.Time
	}{
		{"the shortest of two intervals counts", plan.Every(time.Hour).Every(time.Minute), time.Minute, requeue.CausePoll, none, none},
		{"no polling does not undo an interval", plan.Every(time.Minute).Every(0), time.Minute, requeue.CausePoll, none, none},
		{"the soonest deadline counts", plan.Deadline(in(time.Hour)).Timeout(t0, time.Minute), time.Minute, requeue.CauseDeadline, in(time.Minute), none},
		{"a poll before the deadline still names it", plan.Every(time.Second).Deadline(in(time.Minute)), time.Second, requeue.CausePoll, in(time.Minute), none},
		{"an overdue deadline does not hide the next", plan.Every(5 * time.Minute).Deadline(in(-time.Hour)).Deadline(in(30 * time.Second)), 30 * time.Second, requeue.CauseDeadline, in(30 * time.Second), in(-time.Hour)},
		{"nor does the next hide it", plan.Deadline(in(time.Hour)).Deadline(in(-time.Second)), time.Second, requeue.CauseOverdue, in(time.Hour), in(-time.Second)},
		{"of two that are overdue the earlier is named, the later decides", plan.Deadline(in(-time.Second)).Deadline(in(-time.Hour)), time.Second, requeue.CauseOverdue, none, in(-time.Hour)},
		{"an upcoming instant is a deadline while ahead", plan.Upcoming(in(time.Minute)).Deadline(in(time.Hour)), time.Minute, requeue.CauseDeadline, in(time.Minute), none},
		{"a passed upcoming instant is ignored", plan.Upcoming(in(-time.Minute)).Deadline(in(time.Hour)), time.Hour, requeue.CauseDeadline, in(time.Hour), none},
		{"an instant to look again is a poll", plan.Every(time.Hour).At(in(time.Minute)), time.Minute, requeue.CausePoll, none, none},
		{"also once it has passed, and it backs off", plan.At(in(-20 * time.Second)), 20 * time.Second, requeue.CausePoll, none, none},
		{"it does not hide a deadline", plan.At(in(time.Second)).Deadline(in(time.Minute)), time.Second, requeue.CausePoll, in(time.Minute), none},
		{"a retry that is never made is looked at once a minute", plan.At(in(-time.Hour)), time.Minute, requeue.CausePoll, none, none},
		{"a floor holds back a poll", plan.Every(time.Second).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, none, none},
		{"a floor holds back an instant to look again", plan.At(in(time.Second)).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, none, none},
		{"a floor holds back a deadline", plan.Deadline(in(time.Second)).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, in(time.Second), none},
		{"a floor holds back an overdue deadline", plan.Deadline(t0).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, none, t0},
		{"the latest of two floors counts", plan.Every(1).NotBefore(in(time.Hour)).NotBefore(in(time.Minute)), time.Hour, requeue.CauseNotBefore, none, none},
		{"a floor that has passed holds nothing back", plan.Every(time.Second).NotBefore(in(-time.Hour)), time.Second, requeue.CausePoll, none, none},
		{"a floor may come first", plan.NotBefore(in(time.Minute)).Every(time.Second), time.Minute, requeue.CauseNotBefore, none, none},
		{"a floor before the wake-up does nothing", plan.Every(time.Minute).NotBefore(in(time.Second)), time.Minute, requeue.CausePoll, none, none},
	}
	for _, tt := range tests {
		want := requeue.Decision{Now: t0, After: tt.after, Cause: tt.cause, Deadline: tt.deadline, Overdue: tt.overdue}
		got := tt.plan.Decide()
		got.NotBefore = time.Time{} // see TestDecision_NotBefore
		assert.Equal(t, want, got, tt.why)
		assert.Equal(t, tt.after, tt.plan.After(), tt.why)
		assert.Equal(t, !tt.overdue.IsZero(), tt.plan.Expired(), tt.why)
	}
}

func TestDecision_NotBefore(t *testing.T) {
	plan := requeue.From(t0)
	floor := t0.Add(time.Minute)
	for why, tt := range map[string]struct {
		plan requeue.Plan
		want time.Time
	}{
		"a floor that decides":   {plan.Every(time.Second).NotBefore(floor), floor},
		"one before the wake-up": {plan.Every(time.Hour).NotBefore(floor), floor},
		"the latest of two":      {plan.Every(time.Hour).NotBefore(floor).NotBefore(t0.Add(time.Second)), floor},
		"one that has passed":    {plan.Every(time.Hour).NotBefore(t0), time.Time{}},
		"none":                   {plan.Every(time.Hour), time.Time{}},
		"alone it is no wake-up": {plan.NotBefore(floor), floor}, // but holds back a retry
	} {
		assert.Equal(t, tt.want, tt.plan.Decide().NotBefore, why)
	}
	now := time.Now()
	assert.Equal(t, now.Add(time.Minute).Round(0), requeue.From(now).Every(1).NotBefore(now.Add(time.Minute)).Decide().NotBefore, "no monotonic reading")
	year9999 := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Equal(t, t0.Add(forever), plan.Every(1).NotBefore(year9999).Decide().NotBefore, "292 years are all that fit")
}

func TestDecision_Left(t *testing.T) {
	plan := requeue.From(t0)
	assert.Equal(t, time.Minute, plan.Every(time.Second).Deadline(t0.Add(time.Minute)).Decide().Left())
	assert.Equal(t, time.Minute, plan.Deadline(t0.Add(-time.Hour)).Deadline(t0.Add(time.Minute)).Decide().Left(), "of the one ahead")
	assert.Zero(t, plan.Every(time.Second).Deadline(t0).Decide().Left(), "none is ahead")
	assert.Zero(t, requeue.Decision{}.Left())
	assert.Equal(t, forever, plan.Deadline(time.Unix(math.MaxInt64/2, 0)).Decide().Left())
}

// Work that is due: until then a wait, from then on at once, without backing off.
func TestPlan_Due(t *testing.T) {
	for _, tt := range []struct {
		why       string
		in, again time.Duration
		want      time.Duration
	}{
		{"ahead: exactly until then", time.Hour, time.Second, time.Hour},
		{"ahead by less than Immediate", 1, time.Second, requeue.Immediate},
		{"now", 0, 100 * time.Millisecond, 100 * time.Millisecond},
		{"overdue", -time.Second, 100 * time.Millisecond, 100 * time.Millisecond},
		{"overdue for a year: it does not back off", -365 * 24 * time.Hour, 100 * time.Millisecond, 100 * time.Millisecond},
		{"again at once", -time.Second, 0, requeue.Immediate},
		{"a negative again", -time.Second, never, requeue.Immediate},
	} {
		plan := requeue.From(t0).Due(t0.Add(tt.in), tt.again)
		assert.Equal(t, requeue.Decision{Now: t0, After: tt.want, Cause: requeue.CausePoll}, plan.Decide(), tt.why)
		assert.False(t, plan.Expired(), tt.why)
	}
	plan := requeue.From(t0).Due(t0.Add(time.Minute), time.Second)
	assert.Equal(t, time.Second, plan.Every(time.Second).After(), "the soonest of all waits wins")
	assert.Equal(t, 30*time.Second, plan.Deadline(t0.Add(30*time.Second)).After())
	assert.Equal(t, time.Hour, plan.NotBefore(t0.Add(time.Hour)).After(), "a floor holds it back")
	assert.Zero(t, requeue.From(t0).Due(time.Time{}, time.Second).After(), "never done is for the caller")
}

// Three controllers whose work is due: what they wait by hand, and with Due.
func TestPlan_Due_asInTheField(t *testing.T) {
	const ms, second, minute, hour = time.Millisecond, time.Second, time.Minute, time.Hour
	last := t0
	// Kargo's warehouse: max(last + interval - now, 100 ms).
	for _, now := range []time.Duration{0, minute, 5*minute - 50*ms, 5 * minute, hour} {
		byHand := max(last.Add(5*minute).Sub(t0.Add(now)), 100*ms)
		plan := requeue.From(t0.Add(now)).Due(last.Add(5*minute), 100*ms)
		if left := 5*minute - now; left > 0 && left < 100*ms {
			byHand = left // exactly when it is due
		}
		assert.Equal(t, byHand, plan.After(), now)
	}
	// A cron: the tick of 1:00 was missed, as the controller was away until 1:20. It is made up
	// for at once; as an Upcoming it would be forgotten, as a Deadline it would wait a minute.
	tick, now := t0.Add(hour), t0.Add(hour+20*minute)
	assert.Equal(t, requeue.Immediate, requeue.From(now).Due(tick, 0).After())
	assert.Zero(t, requeue.From(now).Upcoming(tick).After())
	assert.Equal(t, minute, requeue.From(now).Deadline(tick).After())
	// A cache is refreshed a minute before it is stale, and if that fails, every 10 s.
	refresh := t0.Add(30*minute - minute)
	for at, want := range map[time.Duration]time.Duration{0: 29 * minute, 29 * minute: 10 * second, hour: 10 * second} {
		assert.Equal(t, want, requeue.From(t0.Add(at)).Due(refresh, 10*second).After(), at)
	}
}

// A reconciler checks and waits on one reading: whatever the instant, it either
// finds the timeout over or waits until it.
func TestPlan_checksAndWaitsOnOneReading(t *testing.T) {
	for _, now := range []time.Duration{-time.Hour, 0, time.Minute - time.Millisecond, time.Minute, time.Minute + 1, time.Hour} {
		plan := requeue.From(t0.Add(now)).Every(5*time.Minute).Timeout(t0, time.Minute)
		assert.Equal(t, now >= time.Minute, plan.Expired(), now)
		assert.Equal(t, requeue.Expired(t0, time.Minute, at(now)), plan.Expired(), now)
		if !plan.Expired() {
			assert.Equal(t, min(5*time.Minute, time.Minute-now), plan.After(), now)
		}
	}
	passed := requeue.From(t0).Upcoming(t0).At(t0).Every(time.Minute).NotBefore(t0)
	assert.False(t, passed.Expired(), "nothing but deadlines counts")
	assert.True(t, passed.Deadline(t0).NotBefore(t0.Add(time.Hour)).Expired(), "a floor holds back the look, not the deadline")
}

func TestDecision_String(t *testing.T) {
	deadline := time.Date(2026, 1, 1, 6, 5, 0, 0, time.FixedZone("Almaty", 6*3600))
	overdue := t0
	for want, d := range map[string]requeue.Decision{
		"none":                                   {},
		"in 5m0s (poll)":                         {After: 5 * time.Minute, Cause: requeue.CausePoll},
		"in 30s (deadline 2026-01-01T00:05:00Z)": {After: 30 * time.Second, Cause: requeue.CauseDeadline, Deadline: deadline},
		"in 30s (deadline 2026-01-01T00:05:00Z, overdue 2026-01-01T00:00:00Z)":       {After: 30 * time.Second, Cause: requeue.CauseDeadline, Deadline: deadline, Overdue: overdue},
		"in 10s (poll, deadline 2026-01-01T00:05:00Z)":                               {After: 10 * time.Second, Cause: requeue.CausePoll, Deadline: deadline},
		"in 10s (poll, deadline 2026-01-01T00:05:00Z, overdue 2026-01-01T00:00:00Z)": {After: 10 * time.Second, Cause: requeue.CausePoll, Deadline: deadline, Overdue: overdue},
		"in 20ms (overdue 2026-01-01T00:00:00Z)":                                     {After: 20 * time.Millisecond, Cause: requeue.CauseOverdue, Overdue: overdue},
		"in 20ms (overdue 2026-01-01T00:00:00Z, deadline 2026-01-01T00:05:00Z)":      {After: 20 * time.Millisecond, Cause: requeue.CauseOverdue, Deadline: deadline, Overdue: overdue},
		"in 1m0s (not-before, deadline 2026-01-01T00:05:00Z)":                        {After: time.Minute, Cause: requeue.CauseNotBefore, Deadline: deadline},
		"in 1m0s (not-before, overdue 2026-01-01T00:00:00Z)":                         {After: time.Minute, Cause: requeue.CauseNotBefore, Overdue: overdue},
		"in 1m0s (not-before)": {After: time.Minute, Cause: requeue.CauseNotBefore},
		"in 1m0s (deadline 2026-01-01T00:01:00Z, overdue 2025-12-31T23:00:00Z)": requeue.From(t0).Every(5 * time.Minute).Deadline(t0.Add(-time.Hour)).Deadline(t0.Add(time.Minute)).Decide(),
	} {
		assert.Equal(t, want, d.String())
	}
}

func TestCause_String(t *testing.T) {
	for cause, want := range []string{"none", "poll", "deadline", "overdue", "not-before", "Cause(5)"} {
		assert.Equal(t, want, requeue.Cause(cause).String())
	}
}
