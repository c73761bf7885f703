package requeue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

func TestPlan_decide(t *testing.T) {
	plan := requeue.From(t0)
	in := t0.Add
	tests := []struct {
		why      string
		plan     requeue.Plan
		after    time.Duration
		cause    requeue.Cause
		deadline time.Time
	}{
		{"the shortest of two intervals counts", plan.Every(time.Hour).Every(time.Minute), time.Minute, requeue.CausePoll, time.Time{}},
		{"no polling does not undo an interval", plan.Every(time.Minute).Every(0), time.Minute, requeue.CausePoll, time.Time{}},
		{"the soonest deadline counts", plan.Deadline(in(time.Hour)).Timeout(t0, time.Minute), time.Minute, requeue.CauseDeadline, in(time.Minute)},
		{"a poll before the deadline still names it", plan.Every(time.Second).Deadline(in(time.Minute)), time.Second, requeue.CausePoll, in(time.Minute)},
		{"an upcoming instant is a deadline while ahead", plan.Upcoming(in(time.Minute)).Deadline(in(time.Hour)), time.Minute, requeue.CauseDeadline, in(time.Minute)},
		{"a passed upcoming instant is ignored", plan.Upcoming(in(-time.Minute)).Deadline(in(time.Hour)), time.Hour, requeue.CauseDeadline, in(time.Hour)},
		{"a floor holds back a poll", plan.Every(time.Second).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, time.Time{}},
		{"a floor holds back a deadline", plan.Deadline(in(time.Second)).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, in(time.Second)},
		{"a floor holds back an overdue deadline", plan.Deadline(t0).NotBefore(in(time.Minute)), time.Minute, requeue.CauseNotBefore, t0},
		{"the latest of two floors counts", plan.Every(1).NotBefore(in(time.Hour)).NotBefore(in(time.Minute)), time.Hour, requeue.CauseNotBefore, time.Time{}},
		{"a floor that has passed holds nothing back", plan.Every(time.Second).NotBefore(in(-time.Hour)), time.Second, requeue.CausePoll, time.Time{}},
		{"a floor may come first", plan.NotBefore(in(time.Minute)).Every(time.Second), time.Minute, requeue.CauseNotBefore, time.Time{}},
		{"a floor before the wake-up does nothing", plan.Every(time.Minute).NotBefore(in(time.Second)), time.Minute, requeue.CausePoll, time.Time{}},
	}
	for _, tt := range tests {
		want := requeue.Decision{After: tt.after, Cause: tt.cause, Deadline: tt.deadline}
		assert.Equal(t, want, tt.plan.Decide(), tt.why)
		assert.Equal(t, tt.after, tt.plan.After(), tt.why)
	}
}

func TestDecision_String(t *testing.T) {
	deadline := time.Date(2026, 1, 1, 6, 5, 0, 0, time.FixedZone("Almaty", 6*3600))
	for want, d := range map[string]requeue.Decision{
		"none":                                   {},
		"in 5m0s (poll)":                         {After: 5 * time.Minute, Cause: requeue.CausePoll},
		"in 30s (deadline 2026-01-01T00:05:00Z)": {After: 30 * time.Second, Cause: requeue.CauseDeadline, Deadline: deadline},
		"in 10s (poll, deadline 2026-01-01T00:05:00Z)":        {After: 10 * time.Second, Cause: requeue.CausePoll, Deadline: deadline},
		"in 20ms (overdue, deadline 2026-01-01T00:05:00Z)":    {After: 20 * time.Millisecond, Cause: requeue.CauseOverdue, Deadline: deadline},
		"in 1m0s (not-before, deadline 2026-01-01T00:05:00Z)": {After: time.Minute, Cause: requeue.CauseNotBefore, Deadline: deadline},
		"in 1m0s (not-before)":                                {After: time.Minute, Cause: requeue.CauseNotBefore},
	} {
		assert.Equal(t, want, d.String())
	}
}

func TestCause_String(t *testing.T) {
	for cause, want := range []string{"none", "poll", "deadline", "overdue", "not-before", "Cause(5)"} {
		assert.Equal(t, want, requeue.Cause(cause).String())
	}
}
