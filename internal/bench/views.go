package main

import "slices"

// The keys of the lateness of deadlines.
var late = []string{"late p50 (s)", "late p99 (s)", "late max (s)"}

// measures are all that there are, in the order in which their rows are written.
var measures = []measure{
	{"calculation", alone, benchmarks("Calculation", 6), []view{{
		only: "Calculation", titles: []string{""}, keys: []string{"time (s)", "allocs"},
	}}},
	{"queuecost", alone, benchmarks("QueueCost(Metrics|Others)?", 6), []view{
		{only: "QueueCost", titles: []string{"keys", "goroutines that add, and that get"}, across: true, keys: []string{"CPU (s)"},
			figure: &figure{title: "CPU of an Add, a Get and a Done, by keys and goroutines", keys: []string{"CPU (s)"}, floor: 1e-7}},
		{name: ".metrics", only: "QueueCostMetrics", titles: []string{"keys", "goroutines that add, and that get"}, across: true},
		{name: ".others", only: "QueueCostOthers", titles: []string{"", "measured"}, across: true},
	}},
	{"pauses", alone, benchmarks("Pauses", 3), []view{{only: "Pauses", titles: []string{"1,000,000 keys", "longest"}, across: true}}},
	{"upstream", alone, benchmarks("(AddGetDone|AddOnly|AddLockContended)", 6), []view{{titles: []string{"1,000 items"}, keys: []string{"time (s)"}, across: true}}},
	{"scale", alone, tested("bench", "scale"), []view{{
		titles: []string{"objects", "of each"}, keys: []string{"CPU of a wake-up (s)", "heap (B)"}, across: true,
		figure: &figure{title: "CPU of a wake-up, by number of objects", keys: []string{"CPU of a wake-up (s)"}, floor: 1e-7},
	}}},
	{"fleet", virtual, tested("bench", "fleet"), []view{
		{titles: []string{"fleet", "waits"}, keys: slices.Concat(late, []string{"reconciles", "promotions", "wake-ups lost"}),
			figure: &figure{title: "lateness of the timeouts, p99", keys: late[1:2], floor: 1e-2}},
		{name: ".short", titles: []string{"", ""}, keys: []string{late[1], "wake-ups lost"}, across: true},
	}},
	{"race", virtual, tested("bench", "race"), []view{{
		titles: []string{"patch latency", "waits"}, keys: []string{"promotions", "lost (%)", "expected (%)", "late max (s)"},
		figure: &figure{title: "never failed, as nothing looks at them again, by the latency of the patch", keys: []string{"lost (%)"}, floor: 1e-2},
	}}},
	{"erroring", virtual, tested("bench", "erroring"), []view{{
		titles: []string{"timeout T", "answer"}, keys: []string{"late (s)", "reconciles", "T to 2T: late p50 (s)", "T to 2T: late max (s)", "reconciles, mean", "never given up"},
		figure: &figure{title: "how late a failing step is given up at most, with timeouts of T to 2T", keys: []string{"T to 2T: late max (s)"}, floor: 1e-3},
	}}},
	{"handled", virtual, tested("bench", "handled"), []view{{titles: []string{"waits"}, keys: []string{"reconciles", "second deadline late (s)", "never acted on"}}}},
	{"overload", virtual, tested("bench", "overload"), queues},
	{"storm", virtual, tested("bench", "storm"), queues},
	{"herd", virtual, tested("bench", "herd"), queues},
	{"failing", virtual, tested("bench", "failing"), queues},
	{"outages", virtual, tested("bench", "outages"), []view{{
		only: "outages", titles: []string{"queue"}, keys: []string{"after p50 (s)", "after p99 (s)", "after max (s)", "limiter p50 (s)", "limiter p99 (s)", "limiter max (s)"},
	}}},
	{"conflicts", virtual, tested("bench", "conflicts"), []view{{only: "two conflicts", titles: []string{"queue"}, keys: late}}},
	{"away", virtual, tested("bench", "away"), []view{{
		titles: []string{"they come after", "queue"}, keys: []string{"served p50 (s)", "served max (s)", "reconciles of the overdue"},
	}}},
	{"moved", virtual, tested("bench", "moved"), []view{{titles: []string{"deadlines", "queue"}, keys: late}}},
	{"restart", virtual, tested("bench", "restart"), queues},
	{"faults", idle, tested("faults", "faults"), []view{{
		titles: []string{"scenario", "what happens", "faults injected"}, keys: slices.Concat([]string{"due", "met", "lost", "doubled", "early"}, late, []string{"bound (s)"}),
		figure: &figure{title: "lateness of the deadlines, and how late they may be", keys: slices.Concat(late, []string{"bound (s)"}), floor: 1e-3},
	}}},
	{"demo", idle, []string{"go", "run", "./examples/promotion"}, nil},
	{"whole", alone, nil, nil},
}

// queues shows queues under load.
var queues = []view{{
	titles: []string{"scenario", "queue"},
	keys:   slices.Concat(late, []string{"wait p50 (s)", "wait p99 (s)", "poll late p50 (s)", "poll late p99 (s)", "reconciles", "never served"}),
	figure: &figure{title: "lateness of the deadlines, p99", keys: late[1:2], floor: 1e-3},
}}
