package queuesim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue/internal/bench/queuesim"
)

func runAll(t *testing.T, s queuesim.Scenario, policies ...queuesim.Policy) []queuesim.Report {
	t.Helper()
	var reports []queuesim.Report
	for _, p := range policies {
		reports = append(reports, queuesim.Run(t, s, p))
	}
	return reports
}

func TestRun_idle(t *testing.T) {
	s := queuesim.Scenario{Name: "idle", Objects: 100, Share: 0.5, Workers: 10}
	reports := runAll(t, s, queuesim.FixedInterval(), queuesim.ExactRequeue(), queuesim.PriorityQueue(),
		queuesim.KeptPriority(), queuesim.RaisedPriority(), queuesim.OutsideTimer(),
		queuesim.DeadlineQueue(), queuesim.AdaptivePoll())
	for _, r := range reports {
		assert.Zero(t, r.NeverServed, r.Policy)
		assert.Zero(t, r.Uncalled, r.Policy)
		assert.Zero(t, r.Wait.P99, r.Policy)
		assert.Zero(t, r.PollLateness.P99, r.Policy)
		// The poll and the service time.
		assert.Equal(t, queuesim.Spread{Min: 300100e6, P50: 300100e6, P99: 300100e6, Max: 300100e6}, r.Interval, r.Policy)
		assert.Positive(t, r.Deadlines, r.Policy)
	}
	assert.InDelta(t, 150, reports[0].Lateness.P50.Seconds(), 30, "a fixed interval is late by half of it")
	for _, r := range reports[1:] {
		assert.LessOrEqual(t, r.Lateness.Max, 100*time.Millisecond, r.Policy) // drawn so near that it passed before the requeue
		assert.Equal(t, reports[1].Deadlines, r.Deadlines, "%s: the draws are the same", r.Policy)
	}
}

// Half of the deadlines finish their object, and events bring it back or move its
// deadline.
func TestRun_comeAndGo(t *testing.T) {
	s := queuesim.Scenario{
		Name: "come and go", Objects: 100, Share: 0.5, Workers: 10,
		Distance: 2 * time.Minute, Finish: 0.5, Events: 2 * time.Minute, Known: true,
	}
	reports := runAll(t, s, queuesim.ExactRequeue(), queuesim.PriorityQueue(), queuesim.KeptPriority(),
		queuesim.RaisedPriority(), queuesim.OutsideTimer(), queuesim.DeadlineQueue())
	for _, r := range reports {
		assert.Zero(t, r.NeverServed, r.Policy)
		assert.LessOrEqual(t, r.Lateness.Max, 100*time.Millisecond, r.Policy) // passed while the object was reconciled
		assert.LessOrEqual(t, r.Wait.Max, 100*time.Millisecond, r.Policy)     // added while it was
		assert.InEpsilon(t, reports[0].Deadlines, r.Deadlines, 0.01, r.Policy)
	}
	ours := reports[len(reports)-1]
	assert.Zero(t, ours.Uncalled)
	assert.InEpsilon(t, reports[1].Reconciles, ours.Reconciles, 0.01, "against %s", reports[1].Policy)
}
