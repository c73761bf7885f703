package main

import (
	"slices"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue/internal/bench/queuesim"
)

// What a scenario of the queues under load is run with, ours last.
var (
	sameWait = []queuesim.Policy{queuesim.ExactRequeue(), queuesim.PriorityQueue()}
	ours     = queuesim.DeadlineQueue()
	knowing  = slices.Concat(sameWait, []queuesim.Policy{queuesim.RaisedPriority(), queuesim.OutsideTimer(), ours})
	everyone = slices.Concat([]queuesim.Policy{queuesim.FixedInterval()}, knowing)
	timers   = slices.Concat(sameWait, []queuesim.Policy{queuesim.OutsideTimer(), queuesim.LowTimer(), queuesim.KeptTimer(), ours})
	adaptive = slices.Concat(everyone, []queuesim.Policy{queuesim.Strict(), queuesim.AdaptivePoll()})
	restarts = slices.Concat(sameWait, []queuesim.Policy{queuesim.KeptPriority(), queuesim.OutsideTimer(), queuesim.LowTimer(), ours})
	known    = []queuesim.Policy{queuesim.OutsideTimer(), queuesim.LowTimer(), ours}
)

// onTime is the p99 of a lateness of deadlines that is as good as none: two reconciles.
const onTime = 200 * time.Millisecond

// simulate runs a scenario under policies, tells of it, and checks what our queue owes the
// objects everywhere.
func (m measuring) simulate(s queuesim.Scenario, policies []queuesim.Policy) map[string]queuesim.Report {
	m.Helper()
	reports := map[string]queuesim.Report{}
	for _, p := range policies {
		r := queuesim.Run(m.T, s, p)
		values := map[string]float64{"reconciles": float64(r.Reconciles), "never served": float64(r.NeverServed), "deadlines": float64(r.Deadlines)}
		for key, spread := range map[string]queuesim.Spread{
			"late": r.Lateness, "wait": r.Wait, "poll late": r.PollLateness, "interval": r.Interval,
			"moved": r.Moved, "after": r.AfterOutage, "limiter": r.Limiter,
		} {
			if spread == (queuesim.Spread{}) && (key == "moved" || key == "after" || key == "limiter" || key == "interval") {
				continue // the scenario has none
			}
			values[key+" p50 (s)"], values[key+" p99 (s)"], values[key+" max (s)"] = spread.P50.Seconds(), spread.P99.Seconds(), spread.Max.Seconds()
		}
		m.tell(values, s.Name, p.Name)
		reports[p.Name] = r
		if p.Name == ours.Name {
			assert.Zero(m, r.NeverServed, "%s: objects never served", s.Name)
			assert.Zero(m, r.Uncalled, "%s: hand-outs that nothing asked for", s.Name)
		}
	}
	return reports
}

// noDearer asserts that deadlines on time cost little, in reconciles and in how long other
// items wait, against the peers that serve every object.
func (m measuring) noDearer(all map[string]queuesim.Report, peers ...queuesim.Policy) {
	m.Helper()
	own := all[ours.Name]
	for _, p := range peers {
		peer := all[p.Name]
		if peer.NeverServed > 0 {
			continue
		}
		assert.LessOrEqual(m, float64(own.Reconciles), 1.01*float64(peer.Reconciles), "%s: reconciles, against %s", own.Scenario, p.Name)
		assert.LessOrEqual(m, own.Wait.P99.Seconds(), 1.1*peer.Wait.P99.Seconds(), "%s: p99 wait of ordinary items, against %s", own.Scenario, p.Name)
	}
}

// medianNoLater asserts the same of the median wait, against a peer that does as many
// reconciles. In a storm client-go does half as many again: its waits go on when their keys are
// added, and those polls find the workers idle.
func (m measuring) medianNoLater(own, peer queuesim.Report) {
	m.Helper()
	assert.LessOrEqual(m, own.Wait.P50.Seconds(), 1.1*peer.Wait.P50.Seconds(), "%s: p50 wait of ordinary items, against %s", own.Scenario, peer.Policy)
}

func measureOverload(m measuring) {
	m.long()
	for _, share := range []float64{0.01, 1} {
		all := m.simulate(queuesim.Overload(share), adaptive)
		own, raised, polled := all[ours.Name], all[queuesim.RaisedPriority().Name], all[queuesim.AdaptivePoll().Name]
		assert.LessOrEqual(m, own.Lateness.P99, onTime, own.Scenario)
		assert.Less(m, own.Lateness.P99, raised.Lateness.P99, "%s: a deadline that comes after the poll", own.Scenario)
		m.noDearer(all, knowing...)
		m.medianNoLater(own, all[queuesim.PriorityQueue().Name])

		assert.LessOrEqual(m, polled.Lateness.P99, onTime, own.Scenario)
		assert.Less(m, polled.Wait.P99, 5*time.Second, "%s: p99 wait of ordinary items that are polled less often", own.Scenario)
		if share < 1 {
			// With more deadlines this one is cheaper: its polls serve them.
			m.noDearer(all, queuesim.FixedInterval())
			assert.InEpsilon(m, 625, polled.Interval.Min.Seconds(), 0.05, "shortest interval of polls")
			assert.InEpsilon(m, 625, polled.Interval.Max.Seconds(), 0.05, "longest interval of polls")
		}
	}
}

func measureStorm(m measuring) {
	m.long()
	for _, s := range []queuesim.Scenario{
		queuesim.Storm(2, 0.2), queuesim.Storm(2, 1), queuesim.Storm(10, 0.01), queuesim.Storm(10, 0.2), queuesim.Storm(10, 1),
	} {
		all := m.simulate(s, knowing)
		own, peer := all[ours.Name], all[queuesim.PriorityQueue().Name]
		if s.Share < 1 {
			assert.LessOrEqual(m, own.Lateness.P99, onTime, s.Name)
		}
		m.noDearer(all, knowing...)
		m.medianNoLater(own, peer)
		if s.Workers == 10 {
			assert.LessOrEqual(m, own.PollLateness.P99.Seconds(), max(1.1*peer.PollLateness.P99.Seconds(), 1), "%s: p99 lateness of polls", s.Name)
		}
	}
}

// No order gets deadlines that pass at one instant done in time, but none should be later than
// another queue has them.
func measureHerd(m measuring) {
	m.long()
	for _, s := range []queuesim.Scenario{queuesim.AtOnce(2, 0.2), queuesim.AtOnce(10, 0.2), queuesim.AtOnce(10, 1)} {
		all := m.simulate(s, everyone)
		own := all[ours.Name]
		assert.EqualValues(m, 10_000*s.Share, own.Deadlines, "%s: deadlines acted on", s.Name)
		for _, peer := range all {
			m.noLater(own, peer, 1.1)
		}
	}
}

// noLater asserts that deadlines are at most so many times as late as with the peer.
func (m measuring) noLater(own, peer queuesim.Report, times float64) {
	m.Helper()
	assert.LessOrEqual(m, own.Lateness.P50.Seconds(), times*peer.Lateness.P50.Seconds(), "%s: p50 lateness, against %s", own.Scenario, peer.Policy)
	assert.LessOrEqual(m, own.Lateness.P99.Seconds(), times*peer.Lateness.P99.Seconds(), "%s: p99 lateness, against %s", own.Scenario, peer.Policy)
}

func measureFailing(m measuring) {
	m.long()
	all := m.simulate(queuesim.FailingForEver(), timers)
	own, exact := all[ours.Name], all[queuesim.ExactRequeue().Name]
	m.noLater(own, exact, 1)
	assert.LessOrEqual(m, own.Wait.P99.Seconds(), 1.2*exact.Wait.P99.Seconds(), "p99 wait of ordinary items")
	assert.GreaterOrEqual(m, float64(own.Deadlines), 0.99*float64(exact.Deadlines), "deadlines acted on")
	assert.GreaterOrEqual(m, float64(own.Failures), 0.9*float64(exact.Failures), "failures: these are served, too")
	m.simulate(queuesim.FailingBeside(0.5), timers)
	m.simulate(queuesim.FailingBeside(0.8), timers)
}

// measureOutages has writes fail. A write that failed does not wait in the backlog.
func measureOutages(m measuring) {
	m.long()
	own := m.simulate(queuesim.Outages(), timers)[ours.Name]
	// 63 hand-outs of others until one that finds out, and then the deadlines of 30 s.
	assert.LessOrEqual(m, own.AfterOutage.P99, own.Limiter.P99+10*time.Second)
}

func measureConflicts(m measuring) {
	m.long()
	own := m.simulate(queuesim.Conflicting(), timers)[ours.Name]
	assert.LessOrEqual(m, own.Lateness.P99, time.Second, own.Scenario)
}

// measureMoved has events move deadlines in overload.
func measureMoved(m measuring) {
	m.long()
	for _, shorten := range []bool{false, true} {
		s := queuesim.MovedByEvents(shorten, false)
		unknown := m.simulate(s, []queuesim.Policy{queuesim.PriorityQueue(), queuesim.OutsideTimer(), ours})[ours.Name]
		assert.Greater(m, unknown.Moved.P99, time.Minute, "%s: nothing tells the queue", s.Name)
		own := m.simulate(queuesim.MovedByEvents(shorten, true), []queuesim.Policy{ours})[ours.Name]
		assert.Positive(m, own.Moved.P50, s.Name)
		assert.LessOrEqual(m, own.Moved.P99, onTime, s.Name)
	}
}

func measureRestart(m measuring) {
	m.long()
	for _, share := range []float64{0.01, 0.2, 1} {
		unknown := m.simulate(queuesim.AfterRestart(2, share, false), restarts)
		all := m.simulate(queuesim.AfterRestart(2, share, true), known)
		own := all[ours.Name]
		assert.LessOrEqual(m, own.Lateness.Max, 1200*time.Millisecond, own.Scenario)
		kept := unknown[queuesim.KeptPriority().Name]
		m.noDearer(unknown, restarts...)
		m.medianNoLater(unknown[ours.Name], kept)
		unknown[ours.Name] = own // against the peers that do not know the deadlines
		m.noDearer(unknown, restarts...)
		m.medianNoLater(own, kept)
	}
}
