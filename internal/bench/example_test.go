package main

import (
	"context"
	"os"
)

func Example() {
	_ = command(context.Background(), []string{"-list"}, os.Stdout)
	// Output:
	// calculation  what a decision costs, in ns
	// fleet        a fleet of promotions with timeouts: lateness, reconciles, wake-ups lost
	// race         a deadline that passes while the status is patched: objects lost
	// erroring     a step that fails until its timeout: lateness, reconciles
	// handled      a deadline that passed and was acted on: reconciles until the next
	// overload     queues with more polls than their workers can do
	// storm        queues to which all objects are added every 10 minutes
	// herd         queues whose deadlines all pass at one instant
	// failing      queues with objects that fail for ever
	// outage       queues whose reconciles fail: a dependency that is away, an outage, conflicts
	// moved        queues in overload, whose deadlines events move
	// restart      queues to which all objects come by one list
	// queuecost    what the queues cost: CPU, memory, longest pauses
	// scale        10,000 to 1,000,000 objects that wait: CPU a wake-up, memory
	// monitoring   what dashboard and alerts make of a controller in trouble
	// faults       a real API server and real processes, killed: deadlines lost, doubled, late
	// demo         what examples/promotion prints
}
