package main

import (
	"strings"

	"github.com/requeue-go/requeue/internal/bench/queuesim"
)

// measureMoved has events move deadlines in overload.
func measureMoved(m *measuring) simulated {
	ours := []queuesim.Policy{queuesim.DeadlineQueue()}
	peers := []queuesim.Policy{queuesim.PriorityQueue(), queuesim.OutsideTimer(), queuesim.DeadlineQueue()}
	return simulate(m,
		simulation{queuesim.MovedByEvents(false, false), peers}, simulation{queuesim.MovedByEvents(false, true), ours},
		simulation{queuesim.MovedByEvents(true, false), peers}, simulation{queuesim.MovedByEvents(true, true), ours})
}

func (reports simulated) showMoved() shown {
	var rows [][]string
	for _, r := range reports {
		what, known := strings.CutSuffix(r.Scenario, ", known")
		queue := r.Policy
		if known {
			queue += " with `Options.Deadline`"
		}
		rows = append(rows, append([]string{what, queue}, cells(r.Moved)...))
	}
	return shown{values: map[string]string{"table": table([]string{"deadlines", "queue", "late p50", "p99", "max"}, rows...)}}
}
