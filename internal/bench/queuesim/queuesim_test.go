package queuesim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue/internal/bench/queuesim"
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

// pollsNoLater asserts that polls are made about as soon after they are due as by
// the peer.
func pollsNoLater(t *testing.T, ours, peer queuesim.Report) {
	t.Helper()
	assert.LessOrEqual(t, ours.PollLateness.P99.Seconds(), max(1.1*peer.PollLateness.P99.Seconds(), 1),
		"%s: p99 lateness of polls, against %s", ours.Scenario, peer.Policy)
}

// noLater asserts that deadlines are at most so many times as late as with the
// peer.
func noLater(t *testing.T, ours, peer queuesim.Report, times float64) {
	t.Helper()
	assert.LessOrEqual(t, ours.Lateness.P50.Seconds(), times*peer.Lateness.P50.Seconds(),
		"%s: p50 lateness, against %s", ours.Scenario, peer.Policy)
	assert.LessOrEqual(t, ours.Lateness.P99.Seconds(), times*peer.Lateness.P99.Seconds(),
		"%s: p99 lateness, against %s", ours.Scenario, peer.Policy)
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
		queuesim.KeptPriority(), queuesim.RaisedPriority(), queuesim.OutsideTimer(),
		queuesim.DeadlineQueue(), queuesim.AdaptivePoll())
	t.Log("\n" + queuesim.Table(reports...))
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
	t.Log("\n" + queuesim.Table(reports...))
	for _, r := range reports {
		assert.Zero(t, r.NeverServed, r.Policy)
		assert.LessOrEqual(t, r.Lateness.Max, 100*time.Millisecond, r.Policy) // passed while the object was reconciled
		assert.LessOrEqual(t, r.Wait.Max, 100*time.Millisecond, r.Policy)     // added while it was
		assert.InEpsilon(t, reports[0].Deadlines, r.Deadlines, 0.01, r.Policy)
	}
	ours := reports[len(reports)-1]
	servesAll(t, ours)
	assert.InEpsilon(t, reports[1].Reconciles, ours.Reconciles, 0.01, "against %s", reports[1].Policy)
}

func TestRun_steadyOverload(t *testing.T) {
	long(t)
	for _, share := range []float64{0.01, 1} {
		s := queuesim.Overload(share)
		peers := runAll(t, s, queuesim.FixedInterval(), queuesim.ExactRequeue(), queuesim.PriorityQueue(),
			queuesim.RaisedPriority(), queuesim.OutsideTimer())
		both := runAll(t, s, queuesim.DeadlineQueue(), queuesim.AdaptivePoll())
		t.Log("\n" + queuesim.Table(append(peers, both...)...))

		priority, raised, ours, adaptive := peers[2], peers[3], both[0], both[1]
		servesAll(t, ours)
		assert.LessOrEqual(t, ours.Lateness.P99, onTime, s.Name)
		assert.Less(t, ours.Lateness.P99, raised.Lateness.P99, "%s: a deadline that comes after the poll", s.Name)
		noDearer(t, ours, peers[1:]...)
		medianNoLater(t, ours, priority)

		servesAll(t, adaptive)
		assert.LessOrEqual(t, adaptive.Lateness.P99, onTime, s.Name)
		assert.Less(t, adaptive.Wait.P99, 5*time.Second, "%s: p99 wait of ordinary items that are polled less often", s.Name)
		if share < 1 {
			// With more deadlines this one is cheaper: its polls serve them.
			noDearer(t, ours, peers[0])
			assert.InEpsilon(t, 625, adaptive.Interval.Min.Seconds(), 0.05, "shortest interval of polls")
			assert.InEpsilon(t, 625, adaptive.Interval.Max.Seconds(), 0.05, "longest interval of polls")
		}
	}
}

func TestRun_resyncStorm(t *testing.T) {
	long(t)
	var all []queuesim.Report
	for _, workers := range []int{2, 10} {
		for _, share := range []float64{0.01, 0.05, 0.2, 1} {
			s := queuesim.Storm(workers, share)
			peers := runAll(t, s, queuesim.ExactRequeue(), queuesim.PriorityQueue(),
				queuesim.RaisedPriority(), queuesim.OutsideTimer())
			ours := queuesim.Run(t, s, queuesim.DeadlineQueue())
			all = append(all, append(peers, ours)...)

			priority := peers[1]
			servesAll(t, ours)
			if share <= 0.2 {
				assert.LessOrEqual(t, ours.Lateness.P99, onTime, s.Name)
			}
			noDearer(t, ours, peers...)
			medianNoLater(t, ours, priority)
			if workers == 10 {
				pollsNoLater(t, ours, priority)
			}
		}
	}
	t.Log("\n" + queuesim.Table(all...))
}

// No order gets deadlines that pass at one instant done in time, but none should be later than another queue has them.
func TestRun_herd(t *testing.T) {
	long(t)
	var all []queuesim.Report
	for _, c := range []struct {
		workers int
		share   float64
	}{{2, 0.2}, {10, 0.2}, {10, 1}} {
		s := queuesim.AtOnce(c.workers, c.share)
		peers := runAll(t, s, queuesim.FixedInterval(), queuesim.ExactRequeue(), queuesim.PriorityQueue(),
			queuesim.RaisedPriority(), queuesim.OutsideTimer())
		ours := queuesim.Run(t, s, queuesim.DeadlineQueue())
		all = append(all, append(peers, ours)...)

		servesAll(t, ours)
		assert.EqualValues(t, 10_000*c.share, ours.Deadlines, "%s: deadlines acted on", s.Name)
		for _, peer := range peers {
			noLater(t, ours, peer, 1.1)
		}
	}
	t.Log("\n" + queuesim.Table(all...))
}

func TestRun_failing(t *testing.T) {
	long(t)
	s := queuesim.FailingForEver()
	peers := runAll(t, s, queuesim.ExactRequeue(), queuesim.PriorityQueue(), queuesim.KeptPriority(),
		queuesim.RaisedPriority(), queuesim.OutsideTimer())
	ours := queuesim.Run(t, s, queuesim.DeadlineQueue())
	t.Log("\n" + queuesim.Table(append(peers, ours)...))

	exact := peers[0]
	servesAll(t, ours)
	noLater(t, ours, exact, 1)
	assert.LessOrEqual(t, ours.Wait.P99.Seconds(), 1.2*exact.Wait.P99.Seconds(), "p99 wait of ordinary items")
	assert.GreaterOrEqual(t, float64(ours.Deadlines), 0.99*float64(exact.Deadlines), "deadlines acted on")
	assert.GreaterOrEqual(t, float64(ours.Failures), 0.9*float64(exact.Failures), "failures: these are served, too")
}

// A write that failed does not wait in the backlog.
func TestRun_writesFail(t *testing.T) {
	long(t)
	ours := queuesim.Run(t, queuesim.Outages(), queuesim.DeadlineQueue())
	servesAll(t, ours)
	// 63 hand-outs of others until one that finds out, and then the deadlines of 30 s.
	assert.LessOrEqual(t, ours.AfterOutage.P99, ours.Limiter.P99+10*time.Second)
	s := queuesim.Conflicting()
	ours = queuesim.Run(t, s, queuesim.DeadlineQueue())
	servesAll(t, ours)
	assert.LessOrEqual(t, ours.Lateness.P99, time.Second, s.Name)
}

func TestRun_movedByEvents(t *testing.T) {
	long(t)
	for _, shorten := range []bool{false, true} {
		s := queuesim.MovedByEvents(shorten, true)
		ours := queuesim.Run(t, s, queuesim.DeadlineQueue())
		servesAll(t, ours)
		assert.Positive(t, ours.Moved.P50, s.Name)
		assert.LessOrEqual(t, ours.Moved.P99, onTime, s.Name)
		unknown := queuesim.Run(t, queuesim.MovedByEvents(shorten, false), queuesim.DeadlineQueue())
		assert.Greater(t, unknown.Moved.P99, time.Minute, "%s: nothing tells the queue", s.Name)
	}
}

func TestRun_restart(t *testing.T) {
	long(t)
	var all []queuesim.Report
	for _, c := range []struct {
		workers int
		share   float64
	}{{2, 0.01}, {2, 0.2}, {2, 1}, {10, 0.2}} {
		s := queuesim.AfterRestart(c.workers, c.share, false)
		peers := runAll(t, s, queuesim.ExactRequeue(), queuesim.PriorityQueue(), queuesim.KeptPriority())
		unknown := queuesim.Run(t, s, queuesim.DeadlineQueue())
		known := queuesim.Run(t, queuesim.AfterRestart(c.workers, c.share, true), queuesim.DeadlineQueue())
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
