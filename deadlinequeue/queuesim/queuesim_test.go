package queuesim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue/deadlinequeue/queuesim"
)

// Lateness of deadlines that is as good as none, p99: two reconciles.
const onTime = 200 * time.Millisecond

func runAll(t *testing.T, s queuesim.Scenario, policies ...queuesim.Policy) []queuesim.Report {
	t.Helper()
	var reports []queuesim.Report
	for _, p := range policies {
		reports = append(reports, queuesim.Run(t, s, p))
	}
	return reports
}

// servesAll asserts what the queue owes the objects in every scenario.
func servesAll(t *testing.T, ours queuesim.Report) {
	t.Helper()
	assert.Zero(t, ours.NeverServed, "%s: objects never served", ours.Scenario)
	assert.Zero(t, ours.Uncalled, "%s: hand-outs that nothing asked for", ours.Scenario)
}

// noDearer asserts that deadlines on time cost little, in reconciles and in how
// long other items wait, against the peers that serve every object.
func noDearer(t *testing.T, ours queuesim.Report, peers ...queuesim.Report) {
	t.Helper()
	for _, peer := range peers {
		if peer.NeverServed > 0 {
			continue
		}
		assert.LessOrEqual(t, float64(ours.Reconciles), 1.01*float64(peer.Reconciles),
			"%s: reconciles, against %s", ours.Scenario, peer.Policy)
		assert.LessOrEqual(t, ours.Wait.P99.Seconds(), 1.1*peer.Wait.P99.Seconds(),
			"%s: p99 wait of ordinary items, against %s", ours.Scenario, peer.Policy)
	}
}

// medianNoLater asserts the same of the median wait, against a peer that does as
// many reconciles. In a storm client-go does half as many again: its waits go on
// when their keys are added, and those polls find the workers idle.
func medianNoLater(t *testing.T, ours, peer queuesim.Report) {
	t.Helper()
	assert.LessOrEqual(t, ours.Wait.P50.Seconds(), 1.1*peer.Wait.P50.Seconds(),
		"%s: p50 wait of ordinary items, against %s", ours.Scenario, peer.Policy)
}

func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("millions of reconciles")
	}
}

func TestRun_idle(t *testing.T) {
	s := queuesim.Scenario{Name: "idle", Objects: 100, Share: 0.5, Workers: 10}
	reports := runAll(t, s, queuesim.FixedInterval(), queuesim.ExactRequeue(), queuesim.PriorityQueue(),
		queuesim.KeptPriority(), queuesim.DeadlineQueue(), queuesim.AdaptivePoll())
	t.Log("\n" + queuesim.Table(reports...))
	for _, r := range reports {
		assert.Zero(t, r.NeverServed, r.Policy)
		assert.Zero(t, r.Uncalled, r.Policy)
		assert.Zero(t, r.Wait.P99, r.Policy)
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

// 10,000 objects polled every 5 minutes are 167 % of what two workers can do.
func TestRun_steadyOverload(t *testing.T) {
	long(t)
	s := queuesim.Scenario{Name: "steady overload, 1 %", Share: 0.01, WarmUp: time.Hour, Measured: 2 * time.Hour}
	reports := runAll(t, s, queuesim.FixedInterval(), queuesim.ExactRequeue(), queuesim.PriorityQueue(),
		queuesim.DeadlineQueue(), queuesim.AdaptivePoll())
	t.Log("\n" + queuesim.Table(reports...))

	fixed, exact, priority, ours, adaptive := reports[0], reports[1], reports[2], reports[3], reports[4]
	servesAll(t, ours)
	assert.LessOrEqual(t, ours.Lateness.P99, onTime)
	noDearer(t, ours, fixed, exact, priority)
	medianNoLater(t, ours, priority)

	servesAll(t, adaptive)
	assert.LessOrEqual(t, adaptive.Lateness.P99, onTime)
	assert.Less(t, adaptive.Wait.P99, 5*time.Second, "p99 wait of ordinary items that are polled less often")
	assert.InEpsilon(t, 625, adaptive.Interval.Min.Seconds(), 0.05, "shortest interval of polls")
	assert.InEpsilon(t, 625, adaptive.Interval.Max.Seconds(), 0.05, "longest interval of polls")
}

func TestRun_resyncStorm(t *testing.T) {
	long(t)
	var all []queuesim.Report
	for _, workers := range []int{2, 10} {
		for _, share := range []float64{0.01, 0.05, 0.2, 1} {
			s := queuesim.Scenario{
				Name:  fmt.Sprintf("storm, %d workers, %v %%", workers, 100*share),
				Share: share, Workers: workers, Resync: 10 * time.Minute,
				WarmUp: 20 * time.Minute, Measured: 40 * time.Minute,
			}
			reports := runAll(t, s, queuesim.ExactRequeue(), queuesim.PriorityQueue(), queuesim.DeadlineQueue())
			all = append(all, reports...)

			exact, priority, ours := reports[0], reports[1], reports[2]
			servesAll(t, ours)
			if share <= 0.2 {
				assert.LessOrEqual(t, ours.Lateness.P99, onTime, s.Name)
			}
			noDearer(t, ours, exact, priority)
			medianNoLater(t, ours, priority)
		}
	}
	t.Log("\n" + queuesim.Table(all...))
}

func TestRun_restart(t *testing.T) {
	long(t)
	var all []queuesim.Report
	for _, c := range []struct {
		workers int
		share   float64
	}{{2, 0.01}, {2, 0.2}, {2, 1}, {10, 0.2}} {
		s := queuesim.Scenario{
			Name:    fmt.Sprintf("restart, %d workers, %v %%", c.workers, 100*c.share),
			Workers: c.workers, Share: c.share, Restart: true, Measured: 2 * time.Hour,
		}
		if c.workers == 10 {
			s.Measured = 30 * time.Minute
		}
		peers := runAll(t, s, queuesim.ExactRequeue(), queuesim.PriorityQueue(), queuesim.KeptPriority())
		unknown := queuesim.Run(t, s, queuesim.DeadlineQueue())
		s.Name, s.Known = s.Name+", known", true
		known := queuesim.Run(t, s, queuesim.DeadlineQueue())
		all = append(all, append(peers, unknown, known)...)

		for _, ours := range []queuesim.Report{unknown, known} {
			servesAll(t, ours)
			noDearer(t, ours, peers...)
			medianNoLater(t, ours, peers[2])
		}
		assert.LessOrEqual(t, known.Lateness.Max, 1200*time.Millisecond, s.Name)
	}
	t.Log("\n" + queuesim.Table(all...))
}
