package queuesim_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/requeue-go/requeue/internal/bench/queuesim"
)

// A test runs the scenario with each policy and prints what was measured:
//
//	reports = append(reports, queuesim.Run(t, scenario, queuesim.DeadlineQueue()))
func ExampleTable() {
	table := queuesim.Table(queuesim.Report{
		Scenario: "overload", Policy: queuesim.DeadlineQueue().Name, Reconciles: 144_000, Deadlines: 1138,
		Lateness: queuesim.Spread{P50: 34 * time.Millisecond, P99: 89 * time.Millisecond, Max: 99 * time.Millisecond},
	})
	for line := range strings.Lines(table) {
		fmt.Println(strings.Fields(line))
	}
	// Output:
	// [scenario policy late p50 p99 max wait p50 p99 poll late p50 p99 interval p50 reconciles deadlines never served]
	// [overload deadlinequeue 0.034 0.089 0.099 0.000 0.000 0.000 0.000 0.0 144000 1138 0]
}
