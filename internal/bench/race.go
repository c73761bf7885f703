package main

import (
	"fmt"
	"time"
)

// races are fleets whose status patch takes longer and longer. A deadline that passes
// in that time has been tested for, and not been waited for yet.
type races []fleet

const (
	raceInterval = 10 * time.Second // the shortest that a step of Kargo suggests
	// raceLook is what it takes to see the object: with none at all, an object that is
	// woken at its deadline tests for it at that very instant, which no clock but a
	// simulated one ever shows.
	raceLook = 5 * time.Millisecond
)

func measureRaces(m *measuring) (rs races) {
	for _, patch := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		f := fleet{
			Name: fmt.Sprintf("patch takes %v", patch), Promotions: 20_000, Over: time.Hour, Shortest: time.Minute, Longest: 3 * time.Minute,
			Interval: raceInterval, Look: raceLook, Patch: patch, Workers: 2000, // one for each promotion, and to spare
		}
		f.runAll(m, byHand, nextRequeue)
		rs = append(rs, f)
	}
	return rs
}

func (rs races) show() shown {
	s := shown{values: map[string]string{}}
	hand, ours := series{Name: byHand.name}, series{Name: nextRequeue.name}
	p := panel{Title: "never failed, as nothing looks at them again", Y: "% of the promotions that time out", Unit: "%"}
	var rows [][]string
	for _, f := range rs {
		byHand, next := f.Ways[0], f.Ways[1]
		p.Rows = append(p.Rows, "patch "+f.Patch.String())
		hand.Y = append(hand.Y, 100*float64(byHand.Lost)/float64(f.Promotions))
		ours.Y = append(ours.Y, 100*float64(next.Lost)/float64(f.Promotions))
		expected := 100 * float64(f.Patch) / float64(f.Interval+f.Look+f.Patch)
		rows = append(rows, []string{f.Patch.String(), whole(f.Promotions), percent(byHand.Lost, f.Promotions),
			amount(expected, "%"), percent(next.Lost, f.Promotions), seconds(next.Late.Max)})
		s.values[f.Patch.String()+".lost"] = percent(byHand.Lost, f.Promotions)
	}
	p.Bars = []series{hand, ours}
	s.values["table"] = table([]string{"patch latency", "promotions", "lost by hand", "to be expected", "lost with `NextRequeue`", "latest with it"}, rows...)
	s.figures = []figure{{Name: "race", Panels: []panel{p}}}
	return s
}
