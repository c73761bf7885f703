package main

import (
	"fmt"
	"slices"

	"github.com/requeue-go/requeue/internal/bench/queuesim"
)

// simulated is what package queuesim reports of scenarios, each under some policies.
type simulated []queuesim.Report

type simulation struct {
	scenario queuesim.Scenario
	policies []queuesim.Policy
}

// What a scenario is run with, ours last.
var (
	sameWait = []queuesim.Policy{queuesim.ExactRequeue(), queuesim.PriorityQueue()}
	careful  = []queuesim.Policy{queuesim.RaisedPriority(), queuesim.OutsideTimer(), queuesim.DeadlineQueue()}
	knowing  = slices.Concat(sameWait, careful)
	everyone = slices.Concat([]queuesim.Policy{queuesim.FixedInterval()}, knowing)
	timers   = slices.Concat(sameWait, []queuesim.Policy{queuesim.OutsideTimer(), queuesim.LowTimer(), queuesim.KeptTimer(), queuesim.DeadlineQueue()})
	adaptive = slices.Concat(everyone, []queuesim.Policy{queuesim.Strict(), queuesim.AdaptivePoll()})
	restarts = slices.Concat(sameWait, []queuesim.Policy{queuesim.KeptPriority(), queuesim.OutsideTimer(), queuesim.LowTimer(), queuesim.DeadlineQueue()})
	known    = []queuesim.Policy{queuesim.OutsideTimer(), queuesim.LowTimer(), queuesim.DeadlineQueue()}
)

// simulations are the measurements of queues under load, by name.
var simulations = map[string][]simulation{
	"overload": {{queuesim.Overload(0.01), adaptive}, {queuesim.Overload(1), adaptive}},
	"storm": {
		{queuesim.Storm(2, 0.2), knowing}, {queuesim.Storm(2, 1), knowing},
		{queuesim.Storm(10, 0.01), knowing}, {queuesim.Storm(10, 0.2), knowing}, {queuesim.Storm(10, 1), knowing},
	},
	"herd":    {{queuesim.AtOnce(2, 0.2), everyone}, {queuesim.AtOnce(10, 0.2), everyone}, {queuesim.AtOnce(10, 1), everyone}},
	"failing": {{queuesim.FailingForEver(), timers}, {queuesim.FailingBeside(0.5), timers}, {queuesim.FailingBeside(0.8), timers}},
	"restart": {
		{queuesim.AfterRestart(2, 0.01, false), restarts}, {queuesim.AfterRestart(2, 0.01, true), known},
		{queuesim.AfterRestart(2, 0.2, false), restarts}, {queuesim.AfterRestart(2, 0.2, true), known},
		{queuesim.AfterRestart(2, 1, false), restarts}, {queuesim.AfterRestart(2, 1, true), known},
	},
}

// simulating is the measure of one of the simulations.
func simulating(name, title string) measure {
	return newMeasure(name, virtual, title, func(m *measuring) simulated { return simulate(m, simulations[name]...) },
		func(reports simulated) shown { return reports.show(name) })
}

func simulate(m *measuring, simulations ...simulation) (reports simulated) {
	for _, s := range simulations {
		for _, p := range s.policies {
			m.say("%s, %s", s.scenario.Name, p.Name)
			reports = append(reports, queuesim.Run(m.T, s.scenario, p))
		}
	}
	return reports
}

// cells are p50, p99 and max for a table.
func cells(s queuesim.Spread) []string {
	return []string{seconds(s.P50.Seconds()), seconds(s.P99.Seconds()), seconds(s.Max.Seconds())}
}

func (reports simulated) show(name string) shown {
	s := shown{values: map[string]string{}}
	p := panel{Title: "lateness of the deadlines, p99", Unit: "s", Floor: 1e-3}
	var rows [][]string
	row := map[string]int{}
	dots := map[string]int{}
	for _, r := range reports {
		if _, ok := row[r.Scenario]; !ok {
			row[r.Scenario] = len(p.Rows)
			p.Rows = append(p.Rows, r.Scenario)
		}
		if _, ok := dots[r.Policy]; !ok {
			dots[r.Policy] = len(p.Dots)
			p.Dots = append(p.Dots, series{Name: r.Policy})
		}
		at := &p.Dots[dots[r.Policy]]
		for len(at.Y) < row[r.Scenario] {
			at.Y = append(at.Y, notRun)
		}
		at.Y = append(at.Y, r.Lateness.P99.Seconds())

		never := "all"
		if r.NeverServed > 0 {
			never = whole(r.NeverServed) + " never"
		}
		rows = append(rows, []string{
			r.Scenario, r.Policy, seconds(r.Lateness.P50.Seconds()), seconds(r.Lateness.P99.Seconds()), seconds(r.Lateness.Max.Seconds()),
			seconds(r.Wait.P50.Seconds()), seconds(r.Wait.P99.Seconds()), seconds(r.PollLateness.P50.Seconds()), seconds(r.PollLateness.P99.Seconds()),
			whole(r.Reconciles), never,
		})
		key := fmt.Sprintf("%d.%s.", row[r.Scenario]+1, policyKeys[r.Policy])
		s.values[key+"p99"], s.values[key+"wait"] = seconds(r.Lateness.P99.Seconds()), seconds(r.Wait.P99.Seconds())
		s.values[key+"interval"] = seconds(r.Interval.P50.Seconds())
	}
	s.values["table"] = table([]string{"scenario", "queue", "deadline late p50", "p99", "max", "wait p50", "p99", "poll late p50", "p99", "reconciles", "served"}, rows...)
	s.figures = []figure{{Name: name, Panels: []panel{p}, Width: 2}}
	return s
}

// policyKeys are the names of policies in markers.
var policyKeys = map[string]string{
	queuesim.FixedInterval().Name: "fixed", queuesim.ExactRequeue().Name: "exact", queuesim.PriorityQueue().Name: "controllerruntime",
	queuesim.KeptPriority().Name: "kept", queuesim.RaisedPriority().Name: "raised", queuesim.OutsideTimer().Name: "timer",
	queuesim.LowTimer().Name: "low", queuesim.KeptTimer().Name: "kepttimer",
	queuesim.DeadlineQueue().Name: "queue", queuesim.Strict().Name: "strict", queuesim.AdaptivePoll().Name: "adaptive",
}
