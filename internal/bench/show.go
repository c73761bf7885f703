package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// seconds and count write a value for a table.
func (r row) seconds(key string) string { return seconds(r.Values[key]) }
func (r row) count(key string) string   { return digits(r.Values[key]) }

// late are p50, p99 and max of a distribution.
func (r row) late(key string) []string {
	return []string{r.seconds(key + " 50"), r.seconds(key + " 99"), r.seconds(key + " 100")}
}

// quantiles are the hundredths of a distribution that a figure is drawn of.
var quantiles = []float64{0, 1, 5, 10, 15, 20, 25, 50, 75, 90, 95, 99, 100}

func quantile(key string, q float64) string { return fmt.Sprintf("%s %g", key, q) }

// soonest is the left end of the figure of lateness, in seconds.
const soonest = 1e-2

func showFleets(rows []row) shown {
	s := shown{values: map[string]string{}}
	picture := figure{name: "fleet"}
	var all, short [][]string
	load := func(r row) string { return fmt.Sprintf("%.0f %%", 100*r.Values["load"]) }
	for _, r := range rows {
		all = append(all, slices.Concat(r.Of, r.late("late"), []string{r.count("reconciles"), r.count("lost") + " of " + r.count("promotions")}))
		if n := len(picture.panels); n == 0 || r.Of[1] == rows[0].Of[1] {
			picture.panels = append(picture.panels, panel{
				title: r.Of[0] + ": polls take " + load(r) + " of their time",
				x:     "late by at most", y: "share of the timeouts", unit: "s", logX: true,
			})
		}
		p := &picture.panels[len(picture.panels)-1]
		line := series{name: r.Of[1]}
		for _, q := range quantiles {
			line.x = append(line.x, max(r.Values[quantile("late", q)], soonest))
			line.y = append(line.y, q/100*r.Values["failed"]/r.Values["promotions"])
		}
		// Up from the axis, and on to the right.
		line.x, line.y = append([]float64{soonest, line.x[0]}, append(line.x, 1000)...), append([]float64{0, 0}, append(line.y, line.y[len(line.y)-1])...)
		p.lines = append(p.lines, line)
	}
	idle, busy := rows[:len(rows)/2], rows[len(rows)/2:]
	for i, r := range idle {
		lost, promotions := r.Values["lost"]+busy[i].Values["lost"], r.Values["promotions"]+busy[i].Values["promotions"]
		short = append(short, []string{r.Of[1], r.seconds("late 50"), r.seconds("late 99"), busy[i].seconds("late 50"), busy[i].seconds("late 99"), digits(lost) + " of " + digits(promotions)})
	}
	s.values["busy.load"] = load(busy[0])
	s.values["short"] = table([]string{"waits", "workers idle: late p50", "p99", "overloaded: late p50", "p99", "never failed"}, short...)
	s.values["table"] = table([]string{"fleet", "waits", "late p50", "p99", "max", "reconciles", "wake-ups lost"}, all...)
	s.figures = []figure{picture}
	return s
}

func showRaces(rows []row) shown {
	p := panel{title: "never failed, as nothing looks at them again", y: "% of the promotions that time out", unit: "%", bars: []series{{name: "by hand"}, {name: "NextRequeue"}}}
	var cells [][]string
	share := func(r row) float64 { return 100 * r.Values["lost"] / r.Values["promotions"] }
	for i := 0; i < len(rows); i += 2 {
		hand, next := rows[i], rows[i+1]
		p.rows = append(p.rows, "patch "+hand.Of[0])
		p.bars[0].y, p.bars[1].y = append(p.bars[0].y, share(hand)), append(p.bars[1].y, share(next))
		cells = append(cells, []string{hand.Of[0], hand.count("promotions"), amount(share(hand), "%"), amount(100*hand.Values["expected"], "%"),
			amount(share(next), "%"), next.seconds("late 100")})
	}
	return shown{map[string]string{
		"table": table([]string{"patch latency", "promotions", "lost by hand", "to be expected", "lost with `NextRequeue`", "latest with it"}, cells...),
	}, []figure{{"race", []panel{p}}}}
}

func showErroring(rows []row) shown {
	s := shown{values: map[string]string{"objects": rows[0].count("objects")}}
	p := panel{title: "a step that fails until its timeout: how late it is given up, at most", unit: "s", floor: 1e-3}
	dots := map[string]*series{}
	var names []string
	var cells [][]string
	for i, r := range rows {
		timeout, way := r.Of[0], r.Of[1]
		cells = append(cells, []string{timeout, way, r.seconds("late"), r.count("reconciles"), r.seconds("others 50"), r.seconds("others 100"), r.count("mean"), r.count("lost")})
		if dots[way] == nil {
			dots[way] = &series{name: unquoted(way)}
			names = append(names, way)
		}
		if row := timeout + " to twice that"; !slices.Contains(p.rows, row) {
			p.rows = append(p.rows, row)
		}
		dots[way].y = append(dots[way].y, r.Values["others 100"])
		key := timeout + "." + []string{"error", "wait", "failed"}[i%3]
		s.values[key+".late"], s.values[key+".reconciles"] = r.seconds("late"), r.count("reconciles")
	}
	for _, name := range names {
		p.dots = append(p.dots, *dots[name])
	}
	s.values["table"] = table([]string{"timeout T", "answer", "late", "reconciles", "T to 2T: late p50", "max", "reconciles, mean", "never given up"}, cells...)
	s.figures = []figure{{"erroring", []panel{p}}}
	return s
}

func showHandled(rows []row) shown {
	p := panel{title: "reconciles in the 50 minutes between a deadline that was acted on and the next", floor: 0.5, dots: []series{{name: "reconciles"}}}
	var cells [][]string
	for _, r := range rows {
		late := r.seconds("late") + " late"
		if r.Values["lost"] > 0 {
			late = "never acted on"
		}
		cells = append(cells, []string{r.Of[0], r.count("reconciles"), late})
		p.rows, p.dots[0].y = append(p.rows, unquoted(r.Of[0])), append(p.dots[0].y, r.Values["reconciles"])
	}
	return shown{map[string]string{"table": table([]string{"waits", "reconciles", "the second deadline"}, cells...)}, []figure{{"handled", []panel{p}}}}
}

// showQueues is for the queues under load, of which a row is a queue in a scenario.
func showQueues(name string) func(rows []row) shown {
	return func(rows []row) shown {
		s := shown{values: map[string]string{}}
		p := panel{title: "lateness of the deadlines, p99", unit: "s", floor: 1e-3}
		var cells [][]string
		for _, r := range rows {
			at := slices.Index(p.rows, r.Of[0])
			if at < 0 {
				at, p.rows = len(p.rows), append(p.rows, r.Of[0])
			}
			dot := slices.IndexFunc(p.dots, func(s series) bool { return s.name == r.Of[1] })
			if dot < 0 {
				dot, p.dots = len(p.dots), append(p.dots, series{name: r.Of[1]})
			}
			missing := slices.Repeat([]float64{-1}, at-len(p.dots[dot].y))
			p.dots[dot].y = append(append(p.dots[dot].y, missing...), r.Values["late 99"])
			served := "all"
			if r.Values["never"] > 0 {
				served = r.count("never") + " never"
			}
			cells = append(cells, slices.Concat(r.Of, r.late("late"), r.late("wait")[:2], r.late("poll")[:2], []string{r.count("reconciles"), served}))
			s.values[fmt.Sprintf("%d.%s.interval", at+1, strings.TrimPrefix(r.Of[1], "deadlinequeue, "))] = r.seconds("interval 50")
		}
		s.values["table"] = table([]string{"scenario", "queue", "deadline late p50", "p99", "max", "wait p50", "p99", "poll late p50", "p99", "reconciles", "served"}, cells...)
		s.figures = []figure{{name, []panel{p}}}
		return s
	}
}

func showOutage(rows []row) shown {
	cells := map[string][][]string{}
	for _, r := range rows {
		var c []string
		switch r.Of[0] {
		case "outages":
			c = slices.Concat(r.Of[1:], r.late("after"), r.late("limiter"))
		case "two conflicts":
			c = slices.Concat(r.Of[1:], r.late("late"))
		default:
			c = slices.Concat(r.Of[1:], []string{r.seconds("late 50"), r.seconds("late 100"), r.count("reconciles")})
		}
		cells[r.Of[0]] = append(cells[r.Of[0]], c)
	}
	return shown{values: map[string]string{
		"outages":   table([]string{"queue", "acted on after the outage, p50", "p99", "max", "of that the rate limiter's wait: p50", "p99", "max"}, cells["outages"]...),
		"conflicts": table([]string{"queue", "late p50", "p99", "max"}, cells["two conflicts"]...),
		"away":      table([]string{"they come after", "queue", "served after, p50", "the last", "reconciles of the overdue ones"}, cells["away"]...),
	}}
}

func showMoved(rows []row) shown {
	var cells [][]string
	for _, r := range rows {
		what, known := strings.CutSuffix(r.Of[0], ", known")
		queue := r.Of[1]
		if known {
			queue += " with `Options.Deadline`"
		}
		cells = append(cells, append([]string{what, queue}, r.late("moved")...))
	}
	return shown{values: map[string]string{"table": table([]string{"deadlines", "queue", "late p50", "p99", "max"}, cells...)}}
}

func showFaults(rows []row) shown {
	s := shown{values: map[string]string{}}
	p := panel{title: "lateness of the deadlines, and how late they may be", unit: "s", floor: 1e-3, dots: []series{{name: "p50"}, {name: "p99"}, {name: "max"}, {name: "bound"}}}
	var cells [][]string
	sums := map[string]float64{}
	for _, r := range rows {
		var injected []string
		for _, key := range slices.Sorted(maps.Keys(r.Values)) {
			if fault, ok := strings.CutPrefix(key, "fault "); ok {
				injected = append(injected, r.count(key)+" "+fault)
			}
		}
		cells = append(cells, slices.Concat([]string{r.Of[1], strings.Join(injected, ", "), r.count("due"), r.count("met"), r.count("lost"), r.count("doubled"), r.count("early")},
			r.late("late"), []string{r.seconds("bound")}))
		p.rows = append(p.rows, r.Of[0])
		for i, key := range []string{"late 50", "late 99", "late 100", "bound"} {
			p.dots[i].y = append(p.dots[i].y, r.Values[key])
		}
		for _, key := range []string{"due", "lost", "doubled"} {
			sums[key] += r.Values[key]
		}
		s.values[r.Of[0]+".inversions"] = r.count("inversions")
	}
	for key, sum := range sums {
		s.values[key] = digits(sum)
	}
	s.values["table"] = table([]string{"what happens", "faults injected", "deadlines due", "met", "lost", "doubled", "early", "late p50", "p99", "max", "bound"}, cells...)
	s.figures = []figure{{"faults", []panel{p}}}
	return s
}

// showDemo leaves out all but two of the promotions, each with both controllers.
func showDemo(rows []row) shown {
	var b strings.Builder
	b.WriteString("\n\n```\n")
	var names []string
	for line := range strings.Lines(rows[0].Text) {
		if fields := strings.Fields(line); strings.HasSuffix(line, " late\n") && len(fields) > 2 {
			if name := fields[1]; len(names) < 2 && !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !slices.Contains(names, fields[1]) {
				continue
			}
		}
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("```\n\n")
	return shown{values: map[string]string{"output": b.String()}}
}

// The queues that are compared, and what they are held against besides.
const (
	oursName, clientGoName, controllerRuntimeName = "deadlinequeue", "client-go", "controller-runtime"
	bareName, timerName                           = "mutex + heap + map", "bare timer"
)

var queueNames = []string{oursName, clientGoName, controllerRuntimeName}

// scaleInterval is how often each of the objects that wait is woken.
const scaleInterval = 5 * time.Minute

func showScale(rows []row) shown {
	s := shown{values: map[string]string{}}
	cpu := panel{title: "CPU of one wake-up", x: "objects that wait", y: "ns", logX: true}
	heap := panel{title: "heap of one waiting object, key included", y: "bytes"}
	var cells [][]string
	fitted := []string{"fitted exponent"}
	for _, name := range append(slices.Clone(queueNames), timerName) {
		line, bars := series{name: name}, series{name: name}
		at := 0
		for _, r := range rows {
			if r.Of[1] != name {
				continue
			}
			line.x, line.y, bars.y = append(line.x, r.Values["objects"]), append(line.y, r.Values["ns"]), append(bars.y, r.Values["bytes"])
			if name == oursName {
				cells, heap.rows = append(cells, []string{r.count("objects")}), append(heap.rows, r.count("objects"))
			}
			cells[at] = append(cells[at], r.count("ns"))
			at++
		}
		cpu.lines = append(cpu.lines, line)
		if name != timerName {
			heap.bars = append(heap.bars, bars)
		}
		fitted = append(fitted, fmt.Sprintf("%.2f", exponent(line)))
	}
	for _, bars := range heap.bars {
		for i := range cells {
			cells[i] = append(cells[i], digits(bars.y[i]))
		}
	}
	cells = append(cells, append(fitted, "", "", ""))
	s.values["table"] = table([]string{"objects", "deadlinequeue: CPU ns a wake-up", "client-go", "controller-runtime", "a bare timer",
		"deadlinequeue: bytes an object", "client-go", "controller-runtime"}, cells...)

	// What the queue takes of one core and of memory, if so many objects are polled in
	// the interval.
	last := len(cpu.lines[0].x) - 1
	most := cpu.lines[0].x[last]
	rate := most / scaleInterval.Seconds()
	s.values["most.objects"], s.values["most.rate"] = digits(most), digits(rate)
	s.values["most.core"] = amount(100*rate*cpu.lines[0].y[last]/1e9, "%")
	s.values["most.heap"] = amount(most*heap.bars[0].y[last]/1e6, "MB")
	s.figures = []figure{{"scale", []panel{cpu, heap}}}
	return s
}

// exponent is by which power of the number of objects the cost of all wake-ups grows, by a
// least-squares fit of the logarithms.
func exponent(s series) float64 {
	var n, sx, sy, sxx, sxy float64
	for i := range s.x {
		x, y := math.Log(s.x[i]), math.Log(s.y[i]*s.x[i])
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
