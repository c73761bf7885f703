package main

import (
	"fmt"
	"strings"
)

// cost has the medians of benchmarks by the name of each, but for its queue.
type cost map[string]map[string]row

func costOf(rows []row) cost {
	c := cost{}
	for _, r := range rows {
		name, last := strings.Join(r.Of[:len(r.Of)-1], "/"), r.Of[len(r.Of)-1]
		if c[name] == nil {
			c[name] = map[string]row{}
		}
		_, queue, _ := strings.Cut(last, "=")
		c[name][strings.ReplaceAll(queue, "_", " ")] = r // package testing writes spaces so
	}
	return c
}

// cell is a median, with the p of benchstat where it is compared.
func cell(r row, unit string) string {
	value, ok := r.Values[unit]
	if !ok {
		return ""
	}
	if strings.Contains(unit, "sec") { // benchstat has seconds for nanoseconds
		value *= 1e9
	}
	if p, ok := r.Values[unit+" p"]; ok {
		return fmt.Sprintf("%s (p %.3f)", digits(value), p)
	}
	return digits(value)
}

// cells are those of the three queues.
func (c cost) cells(name, unit string) (cells []string) {
	for _, queue := range queueNames {
		cells = append(cells, cell(c[name][queue], unit))
	}
	return cells
}

// times is how many times the cost of one is that of another.
func (c cost) times(name, unit, of, to string) float64 {
	return c[name][of].Values[unit] / c[name][to].Values[unit]
}

// calls are the rows of the table of what a decision costs, by the names of their benchmarks.
var calls = []struct{ name, title string }{
	{"now", "`time.Now()`, the reference"},
	{"by-hand", "by hand: check, then the sooner of interval and `time.Until(deadline)`"},
	{"by-hand-once", "by hand on one reading"},
	{"nextrequeue", "`NextRequeue`, system clock"},
	{"expired", "`Expired`, then `NextRequeue`"},
	{"plan", "a plan: `Expired()` and `After()` on one reading"},
	{"arithmetic", "`NextRequeue`, a clock that stands still: the arithmetic"},
	{"five-parts", "a plan of five parts, with its decision, without reading the clock"},
	{"backoff", "cenkalti/backoff, `NextBackOff()`"},
	{"wait-backoff", "`wait.Backoff`, `Step()`"},
}

func showCalculation(rows []row) shown {
	c := costOf(rows)["Calculation"]
	var cells [][]string
	for _, call := range calls {
		r := c[call.name]
		p := ""
		if value, ok := r.Values["sec/op p"]; ok {
			p = fmt.Sprintf("%.3f", value)
		}
		cells = append(cells, []string{call.title, fmt.Sprintf("%.0f", 1e9*r.Values["sec/op"]), fmt.Sprintf("%.2f", r.Values["sec/op"]/c["now"].Values["sec/op"]), p, digits(r.Values["allocs/op"])})
	}
	return shown{values: map[string]string{
		"rounds": rows[0].count("n"),
		"table":  table([]string{"", "ns", "times the reference", "p", "allocations"}, cells...),
	}}
}

func showQueueCost(rows []row) shown {
	c := costOf(rows)
	s := shown{values: map[string]string{"rounds": rows[0].count("n")}}
	const unit = "cpu-sec/key"
	picture := figure{name: "queuecost"}
	var costs, metrics, decides [][]string
	least, most := map[string]float64{}, map[string]float64{}
	for _, keys := range []string{"10000", "100000", "1000000"} {
		for i, goroutines := range []string{"1", "8", "32"} {
			of := "/keys=" + keys + "/goroutines=" + goroutines
			name := "QueueCost/add-get-done" + of
			head := []string{digits(number(keys)), goroutines + "/" + goroutines}
			costs = append(costs, append(append(head[:2:2], c.cells(name, unit)...), cell(c[name][bareName], unit)))
			if with := "QueueCost/with-metrics" + of; c[with] != nil {
				metrics = append(metrics, append(append(head[:2:2], c.cells(with, unit)...), fmt.Sprintf("%.2f", c.times(with, unit, oursName, clientGoName))))
			}
			for _, peer := range queueNames[1:] {
				times := c.times(name, unit, oursName, peer)
				if least[peer] == 0 || times < least[peer] {
					least[peer] = times
				}
				most[peer] = max(most[peer], times)
			}
			if len(picture.panels) == i {
				p := panel{title: goroutines + " that add, " + goroutines + " that get", x: "keys", y: "CPU ns of Add, Get and Done"}
				for _, queue := range queueNames {
					p.bars = append(p.bars, series{name: queue})
				}
				picture.panels = append(picture.panels, p)
			}
			p := &picture.panels[i]
			p.rows = append(p.rows, head[0])
			for j, queue := range queueNames {
				p.bars[j].y = append(p.bars[j].y, 1e9*c[name][queue].Values[unit])
			}
		}
		if name := "QueueCost/decide/keys=" + keys; c[name] != nil {
			decides = append(decides, []string{digits(number(keys)), cell(c[name][oursName], unit), cell(c[name]["without"], unit), fmt.Sprintf("%.2f", c.times(name, unit, oursName, "without"))})
		}
	}
	var others [][]string
	for _, other := range []struct{ name, title, unit string }{
		{"drain", "AddAfter of 100,000 within 100ms, and the drain: CPU ns an item", unit},
		{"add-again", "Add of an item that is ready: CPU ns", unit},
		{"late-idle", "hand-out after the end of a wait, idle: µs, p50", "µs-late"},
		{"late-crowd", "the same with 100,000 waiting and 10,000 a second due", "µs-late"},
		{"heap", "heap of a waiting item: bytes", "heap-B"},
		{"heap-deadline", "the same with a deadline", "heap-B"},
	} {
		name, reference := "QueueCost/"+other.name, ""
		if timer, ok := c[name][timerName]; ok {
			reference = cell(timer, other.unit) + ", a " + timerName
		}
		others = append(others, append(append([]string{other.title}, c.cells(name, other.unit)...), reference))
	}
	s.values["table"] = table(append(append([]string{"keys", "goroutines"}, queueNames...), bareName), costs...)
	s.values["metrics"] = table(append(append([]string{"keys", "goroutines"}, queueNames...), "deadlinequeue / client-go"), metrics...)
	s.values["decide"] = table([]string{"keys", "with a deadline", "without", "with / without"}, decides...)
	s.values["others"] = table(append(append([]string{""}, queueNames...), "reference"), others...)
	s.values["clientgo.ratios"] = fmt.Sprintf("%.1f to %.1f", least[clientGoName], most[clientGoName])
	s.values["controllerruntime.inverse"] = fmt.Sprintf("%.1f to %.1f", 1/most[controllerRuntimeName], 1/least[controllerRuntimeName])
	s.figures = []figure{picture}
	return s
}

func number(text string) (n float64) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

// showPauses shows the least of what was measured: what else the machine does only adds to it.
func showPauses(rows []row) shown {
	c := costOf(rows)
	least := func(name, queue, unit string) string {
		return digits(c["Pauses/"+name][queue].Values[unit+" low"])
	}
	var cells [][]string
	for _, pause := range []struct{ name, unit, title string }{
		{"waiting", "ms-ShutDown", "ShutDown, all waiting"},
		{"growth", "ms-ShutDown", "ShutDown, all ready"},
		{"due", "ms-Add", "all due at one instant: longest Add"},
		{"due", "ms-Get", "all due at one instant: longest Get or Done"},
		{"growth", "ms-Add", "growth from empty: longest Add"},
	} {
		row := []string{pause.title}
		for _, queue := range queueNames {
			row = append(row, least(pause.name, queue, pause.unit))
		}
		cells = append(cells, row)
	}
	return shown{values: map[string]string{
		"rounds": rows[0].count("n"), "table": table(append([]string{""}, queueNames...), cells...),
		"stall.queue": least("due", oursName, "ms-Get"), "stall.controllerruntime": least("due", controllerRuntimeName, "ms-Get"),
	}}
}

// showUpstream is for the benchmarks of controller-runtime's own queue.
func showUpstream(rows []row) shown {
	c := costOf(rows)
	var cells [][]string
	for _, name := range []string{"AddGetDone", "AddOnly", "AddLockContended"} {
		row := []string{"`Benchmark" + name + "`"}
		for _, queue := range queueNames {
			r := c[name][queue]
			text := digits(1e6*r.Values["sec/op"]) + " µs"
			if p, ok := r.Values["sec/op p"]; ok {
				text += fmt.Sprintf(" (p %.3f)", p)
			}
			row = append(row, text)
		}
		cells = append(cells, row)
	}
	return shown{values: map[string]string{"table": table(append([]string{"1,000 items"}, queueNames...), cells...)}}
}
