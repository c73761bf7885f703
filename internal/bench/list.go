package main

// measures is the list, in the order in which they are run.
var measures []measure

func init() { // not in the declaration: a child process looks itself up in the list
	measures = []measure{
		newMeasure("calculation", processor, "what a decision costs, in ns", measureCalculation, calculation.show),
		newMeasure("fleet", virtual, "a fleet of promotions with timeouts: lateness, reconciles, wake-ups lost", measureFleets, fleets.show),
		newMeasure("race", virtual, "a deadline that passes while the status is patched: objects lost", measureRaces, races.show),
		newMeasure("erroring", virtual, "a step that fails until its timeout: lateness, reconciles", measureErroring, erroring.show),
		newMeasure("handled", virtual, "a deadline that passed and was acted on: reconciles until the next", measureHandled, handled.show),
		simulating("overload", "queues with more polls than their workers can do"),
		simulating("storm", "queues to which all objects are added every 10 minutes"),
		simulating("herd", "queues whose deadlines all pass at one instant"),
		simulating("failing", "queues with objects that fail for ever"),
		newMeasure("outage", virtual, "queues whose reconciles fail: a dependency that is away, an outage, conflicts", measureOutage, outage.show),
		newMeasure("moved", virtual, "queues in overload, whose deadlines events move", measureMoved, simulated.showMoved),
		simulating("restart", "queues to which all objects come by one list"),
		newMeasure("queuecost", processor, "what the queues cost: CPU, memory, longest pauses", measureQueueCost, queueCost.show),
		newMeasure("scale", processor, "10,000 to 1,000,000 objects that wait: CPU a wake-up, memory", measureScale, scale.show),
		newMeasure("monitoring", virtual, "what dashboard and alerts make of a controller in trouble", measureMonitoring, watched.show),
		newMeasure("faults", idle, "a real API server and real processes, killed: deadlines lost, doubled, late", measureFaults, faultReports.show),
		newMeasure("demo", processor, "what examples/promotion prints", measureDemo, demo.show),
	}
}
