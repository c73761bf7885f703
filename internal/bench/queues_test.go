package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
)

// What a scenario of the queues under load is run with, ours last.
var (
	sameWait = []policy{clientExact, runtimeExact}
	knowing  = slices.Concat(sameWait, []policy{runtimeRaised, runtimeTimer, ours})
	everyone = slices.Concat([]policy{clientFixed}, knowing)
	timers   = slices.Concat(sameWait, []policy{runtimeTimer, runtimeTimerLow, runtimeTimerKept, ours})
	restarts = slices.Concat(sameWait, []policy{runtimeKept, runtimeTimer, runtimeTimerLow, ours})
)

// onTime is the p99 of a lateness of deadlines that is as good as none: two reconciles.
const onTime = 200 * time.Millisecond

// underLoad are the samples that most tables show.
var underLoad = []string{"late", "wait", "poll late"}

// compare runs a scenario with policies, tells samples of each, and checks what our queue owes the
// objects everywhere.
func (m measuring) compare(in scenario, policies []policy, samples ...string) map[policy]report {
	m.Helper()
	m.long()
	reports := map[policy]report{}
	for _, p := range policies {
		r := simulate(m.T, in, p)
		reports[p] = r
		values := map[string]float64{"reconciles": float64(r.counts["reconciles"]), "never served": float64(r.counts["never served"])}
		for _, name := range samples {
			spread(values, name, r.samples[name])
		}
		m.tell(values, in.name, p.name)
	}
	assert.Zero(m, reports[ours].counts["never served"], "%s: objects never served", in.name)
	assert.Zero(m, reports[ours].counts["uncalled"], "%s: hand-outs that nothing asked for", in.name)
	return reports
}

// noLonger asserts that quantiles of a sample are at most so many times those of a peer.
func (m measuring) noLonger(own, peer report, times float64, sample string, hundredths ...float64) {
	m.Helper()
	for _, q := range hundredths {
		assert.LessOrEqual(m, own.at(sample, q).Seconds(), times*peer.at(sample, q).Seconds(),
			"%s: p%g of %q, against %s", own.scenario, q, sample, peer.policy)
	}
}

// noDearer asserts that deadlines on time cost little, in reconciles and in how long other items
// wait, against the peers that serve every object.
func (m measuring) noDearer(own report, all map[policy]report, peers ...policy) {
	m.Helper()
	for _, p := range peers {
		if peer := all[p]; peer.counts["never served"] == 0 {
			assert.LessOrEqual(m, float64(own.counts["reconciles"]), 1.01*float64(peer.counts["reconciles"]),
				"%s: reconciles, against %s", own.scenario, p.name)
			m.noLonger(own, peer, 1.1, "wait", 99)
		}
	}
}

// overload is steady: 10,000 objects polled every 5 minutes are 167 % of what two workers can do.
func overload(name string, share float64) scenario {
	return scenario{name: name, share: share, warmUp: time.Hour, measured: 2 * time.Hour}
}

func measureOverload(m measuring) {
	for _, share := range []float64{0.01, 1} {
		in := overload(fmt.Sprintf("steady overload, %v %%", 100*share), share)
		all := m.compare(in, slices.Concat(everyone, []policy{oursStrict, oursAdaptive}), append(underLoad, "interval")...)
		own, polled := all[ours], all[oursAdaptive]
		assert.LessOrEqual(m, own.at("late", 99), onTime, in.name)
		assert.Less(m, own.at("late", 99), all[runtimeRaised].at("late", 99), "%s: a deadline that comes after the poll", in.name)
		m.noDearer(own, all, knowing...)
		m.noLonger(own, all[runtimeExact], 1.1, "wait", 50)

		assert.LessOrEqual(m, polled.at("late", 99), onTime, in.name)
		assert.Less(m, polled.at("wait", 99), 5*time.Second, "%s: p99 wait of ordinary items that are polled less often", in.name)
		if share < 1 {
			// With more deadlines this one is cheaper: its polls serve them.
			m.noDearer(own, all, clientFixed)
			assert.InEpsilon(m, 625, polled.at("interval", 0).Seconds(), 0.05, "shortest interval of polls")
			assert.InEpsilon(m, 625, polled.at("interval", 100).Seconds(), 0.05, "longest interval of polls")
		}
	}
}

// measureStorm adds all objects every 10 minutes, as a resync does.
func measureStorm(m measuring) {
	storm := scenario{name: "storm", resync: 10 * time.Minute, warmUp: 20 * time.Minute, measured: 40 * time.Minute}
	for _, in := range []scenario{storm.with(2, 0.2), storm.with(2, 1), storm.with(10, 0.01), storm.with(10, 0.2), storm.with(10, 1)} {
		all := m.compare(in, knowing, underLoad...)
		own, peer := all[ours], all[runtimeExact]
		if in.share < 1 {
			assert.LessOrEqual(m, own.at("late", 99), onTime, in.name)
		}
		m.noDearer(own, all, knowing...)
		// client-go does half as many reconciles again: its waits go on when their keys are added, and
		// those polls find the workers idle.
		m.noLonger(own, peer, 1.1, "wait", 50)
		if in.workers == 10 {
			most := max(1.1*peer.at("poll late", 99).Seconds(), 1)
			assert.LessOrEqual(m, own.at("poll late", 99).Seconds(), most, "%s: p99 lateness of polls", in.name)
		}
	}
}

// measureHerd has all deadlines pass at one instant. No order gets them done in time, but none
// should be later than another queue has them.
func measureHerd(m measuring) {
	herd := scenario{name: "herd", herd: 30 * time.Minute, warmUp: 20 * time.Minute, measured: 30 * time.Minute}
	for _, in := range []scenario{herd.with(2, 0.2), herd.with(10, 0.2), herd.with(10, 1)} {
		all := m.compare(in, everyone, underLoad...)
		assert.EqualValues(m, 10_000*in.share, len(all[ours].samples["late"]), "%s: deadlines acted on", in.name)
		for _, peer := range all {
			m.noLonger(all[ours], peer, 1.1, "late", 50, 99)
		}
	}
}

// measureFailing is 240 objects whose deadline has passed and which fail for ever, more than what
// two workers can do. Next to them are 120 that come and go and are to be acted on in time, or
// objects whose events alone take a share of what the workers can do.
func measureFailing(m measuring) {
	in := scenario{
		name: "failing", failing: 240, backoff: time.Second, service: 10 * time.Millisecond, known: true,
		objects: 120, share: 1, distance: 30 * time.Second, finish: 0.2, events: 30 * time.Second,
		warmUp: time.Minute, measured: 5 * time.Minute,
	}
	all := m.compare(in, timers, underLoad...)
	own, exact := all[ours], all[clientExact]
	m.noLonger(own, exact, 1, "late", 50, 99)
	m.noLonger(own, exact, 1.2, "wait", 99)
	assert.GreaterOrEqual(m, float64(len(own.samples["late"])), 0.99*float64(len(exact.samples["late"])), "deadlines acted on")
	assert.GreaterOrEqual(m, float64(own.counts["failures"]), 0.9*float64(exact.counts["failures"]), "failures: these are served, too")
	in.objects, in.distance, in.finish, in.poll, in.measured = 8000, 100*time.Hour, 0, 10*time.Hour, 20*time.Minute
	for _, share := range []float64{50, 80} {
		in.name = fmt.Sprintf("failing, events take %v %%", share)
		in.events = time.Duration(4000/share) * time.Second
		m.compare(in, timers, underLoad...)
	}
}

// measureOutages has all writes fail for 30 s every 10 minutes.
func measureOutages(m measuring) {
	in := overload("outages", 1)
	in.outage = 30 * time.Second
	own := m.compare(in, timers, "after", "limiter")[ours]
	// 63 hand-outs of others until one that finds out, and then the deadlines of 30 s.
	assert.LessOrEqual(m, own.at("after", 99), own.at("limiter", 99)+10*time.Second)
}

// measureConflicts has the write at each deadline meet two conflicts before it succeeds. One that
// failed does not wait in the backlog.
func measureConflicts(m measuring) {
	in := overload("two conflicts", 0.2)
	in.conflicts = 2
	own := m.compare(in, timers, "late")[ours]
	assert.LessOrEqual(m, own.at("late", 99), time.Second)
}

// measureMoved has an event an hour move the deadline of each object, or only make it sooner.
func measureMoved(m measuring) {
	for _, name := range []string{"moved", "shortened"} {
		in := overload(name, 0.2)
		in.events, in.onlyMoved, in.shorten = time.Hour, true, name == "shortened"
		own := m.compare(in, []policy{runtimeExact, runtimeTimer, ours}, "late")[ours]
		assert.Greater(m, own.at("late", 99), time.Minute, "%s: nothing tells the queue", name)
		own = m.compare(in.andKnown(), []policy{ours}, "late")[ours]
		assert.Positive(m, own.at("late", 50), name)
		assert.LessOrEqual(m, own.at("late", 99), onTime, name)
	}
}

// measureRestart has all objects come in by one list.
func measureRestart(m measuring) {
	for _, share := range []float64{0.01, 0.2, 1} {
		in := scenario{name: "restart", restart: true, measured: 2 * time.Hour}.with(2, share)
		all := m.compare(in, restarts, underLoad...)
		known := m.compare(in.andKnown(), []policy{runtimeTimer, runtimeTimerLow, ours}, underLoad...)[ours]
		assert.LessOrEqual(m, known.at("late", 100), 1200*time.Millisecond, known.scenario)
		for _, own := range []report{all[ours], known} {
			m.noDearer(own, all, restarts...)
			m.noLonger(own, all[runtimeKept], 1.1, "wait", 50)
		}
	}
}
