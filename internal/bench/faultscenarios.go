package main

import (
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/requeue-go/requeue/internal/faults"
)

// faultReports is what came of each scenario of package faults, in their order.
type faultReports []faultReport

type faultReport struct {
	Name, Title string
	faults.Report
}

func measureFaults(m *measuring) (reports faultReports) {
	// A signal ends the scenario, so that it removes what it has made.
	ctx, stop := signal.NotifyContext(m.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, s := range faults.All() {
		m.say("%s", s.Title)
		r, err := s.Run(ctx, faults.Large(), func(text string) { m.say("%s: %s", s.Name, text) })
		if err != nil {
			m.Fatalf("%s: %v", s.Name, err)
		}
		reports = append(reports, faultReport{s.Name, s.Title, r})
	}
	return reports
}

func (reports faultReports) show() shown {
	s := shown{values: map[string]string{}}
	p := panel{Title: "lateness of the deadlines, and how late they may be", Unit: "s", Floor: 1e-3,
		Dots: []series{{Name: "p50"}, {Name: "p99"}, {Name: "max"}, {Name: "bound"}}}
	var rows [][]string
	due, lost, doubled := 0, 0, 0
	for _, r := range reports {
		var injected []string
		for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
			injected = append(injected, fmt.Sprintf("%d %s", r.Faults[kind], kind))
		}
		rows = append(rows, []string{r.Title, strings.Join(injected, ", "), whole(r.Due), whole(r.Met), whole(r.Lost), whole(r.Doubled), whole(r.Early),
			seconds(r.LateP50), seconds(r.LateP99), seconds(r.LateMax), seconds(r.Bound)})
		p.Rows = append(p.Rows, r.Name)
		for i, value := range []float64{r.LateP50, r.LateP99, r.LateMax, r.Bound} {
			p.Dots[i].Y = append(p.Dots[i].Y, value)
		}
		due, lost, doubled = due+r.Due, lost+r.Lost, doubled+r.Doubled
		s.values[r.Name+".inversions"] = whole(r.Inversions)
	}
	s.values["due"], s.values["lost"], s.values["doubled"] = whole(due), whole(lost), whole(doubled)
	s.values["table"] = table([]string{"what happens", "faults injected", "deadlines due", "met", "lost", "doubled", "early", "late p50", "p99", "max", "bound"}, rows...)
	s.figures = []figure{{Name: "faults", Panels: []panel{p}, Width: 2}}
	return s
}
