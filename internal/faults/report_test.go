package faults

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/requeue-go/requeue/examples/promotion/audit"
)

// Report is what came of a scenario. All times are in seconds.
type Report struct {
	// Faults is how many were injected, of each kind.
	Faults map[string]int
	// Due is how many deadlines passed. Each is met, lost, doubled (acted on twice) or
	// early (acted on before it passed).
	Due     int
	Met     int
	Lost    int
	Doubled int
	Early   int
	// Finished is how many promotions finished before their deadline; one that is failed
	// all the same counts as early. Moved is how many had their deadline moved.
	Finished int
	Moved    int
	// LateP50, LateP99 and LateMax are how late the deadlines were acted on.
	LateP50 float64
	LateP99 float64
	LateMax float64
	// Bound is how late a deadline may be.
	Bound float64
	// Inversions is how many were acted on right after one with a later deadline. It is
	// counted where all are overdue from the start.
	Inversions int
}

func newReport(faults map[string]int, c audit.Count, bound time.Duration) Report {
	return Report{
		Faults: faults, Due: c.Due, Met: c.Met, Lost: c.Lost, Doubled: c.Doubled, Early: c.Early,
		LateP50: c.LateAt(0.5).Seconds(), LateP99: c.LateAt(0.99).Seconds(), LateMax: c.LateAt(1).Seconds(),
		Bound: bound.Seconds(),
	}
}

// values are the report as a row of the results of internal/bench.
func (r Report) values() map[string]float64 {
	return map[string]float64{
		"due": float64(r.Due), "met": float64(r.Met), "lost": float64(r.Lost), "doubled": float64(r.Doubled), "early": float64(r.Early),
		"late p50 (s)": r.LateP50, "late p99 (s)": r.LateP99, "late max (s)": r.LateMax, "bound (s)": r.Bound, "inversions": float64(r.Inversions),
	}
}

// injected are the faults, for a reader.
func (r Report) injected() string {
	var faults []string
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		faults = append(faults, fmt.Sprintf("%d %s", r.Faults[kind], kind))
	}
	return strings.Join(faults, ", ")
}

// Check returns what is wrong: a deadline that was not acted on once and in time, or one
// that is later than the bound.
func (r Report) Check() error {
	var wrong []error
	if r.Due == 0 {
		wrong = append(wrong, errors.New("no deadline was due"))
	}
	if r.Lost > 0 || r.Doubled > 0 || r.Early > 0 || r.Met != r.Due {
		wrong = append(wrong, fmt.Errorf("of %d deadlines %d were met, %d lost, %d doubled, %d early", r.Due, r.Met, r.Lost, r.Doubled, r.Early))
	}
	if r.LateMax > r.Bound {
		wrong = append(wrong, fmt.Errorf("a deadline was %.3f s late; want %.3f s at most", r.LateMax, r.Bound))
	}
	// deadlinequeue hands out every 16th by its age.
	if most := (r.Due+r.Finished)/16 + 1; r.Inversions > most {
		wrong = append(wrong, fmt.Errorf("%d were acted on right after one with a later deadline; want %d at most", r.Inversions, most))
	}
	return errors.Join(wrong...)
}
