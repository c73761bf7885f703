package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/requeue-go/requeue"
)

// calculation is what a decision costs, beside the reference, which is to read the
// clock once, and what others compute.
type calculation struct {
	Rounds int
	Rows   []calculationRow
}

type calculationRow struct {
	Name   string
	NS     []float64 // of each round
	Allocs int64     // a call
}

const calculationRounds = 7

// nextRequeueRow is the row that README names.
const nextRequeueRow = "`NextRequeue`, system clock"

func measureCalculation(m *measuring) calculation {
	const timeout, interval = 30 * time.Minute, 5 * time.Minute
	started := time.Now()
	still := requeue.ClockFunc(func() time.Time { return started })
	d, ns := time.Duration(0), int64(0)
	exponential := backoff.NewExponentialBackOff()
	steps := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 1 << 30, Cap: time.Minute}

	each := []struct {
		name string
		call func()
	}{
		{"`time.Now()`, the reference", func() { ns += int64(time.Now().Nanosecond()) }},
		{"by hand: check, then the sooner of interval and `time.Until(deadline)`", func() {
			deadline := started.Add(timeout)
			if time.Now().After(deadline) {
				return
			}
			d += min(interval, time.Until(deadline))
		}},
		{"by hand on one reading", func() {
			now, deadline := time.Now(), started.Add(timeout)
			if now.After(deadline) {
				return
			}
			d += min(interval, deadline.Sub(now))
		}},
		{nextRequeueRow, func() { d += requeue.NextRequeue(started, timeout, interval, nil) }},
		{"`Expired`, then `NextRequeue`", func() {
			if !requeue.Expired(started, timeout, nil) {
				d += requeue.NextRequeue(started, timeout, interval, nil)
			}
		}},
		{"a plan: `Expired()` and `After()` on one reading", func() {
			plan := requeue.From(time.Now()).Every(interval).Timeout(started, timeout)
			if !plan.Expired() {
				d += plan.After()
			}
		}},
		{"`NextRequeue`, a clock that stands still: the arithmetic", func() { d += requeue.NextRequeue(started, timeout, interval, still) }},
		{"a plan of five parts, with its decision, without reading the clock", func() {
			d += requeue.From(started).Every(interval).Timeout(started, timeout).Deadline(started.Add(time.Hour)).
				Upcoming(started.Add(time.Minute)).NotBefore(started.Add(time.Second)).Decide().After
		}},
		{"cenkalti/backoff, `NextBackOff()`", func() { d += exponential.NextBackOff() }},
		{"`wait.Backoff`, `Step()`", func() { d += steps.Step() }},
	}
	if err := flag.Set("test.benchtime", "200ms"); err != nil {
		m.Fatal(err)
	}
	c := calculation{Rounds: calculationRounds}
	for _, e := range each {
		c.Rows = append(c.Rows, calculationRow{Name: e.name})
	}
	for round := range c.Rounds {
		m.say("round %d of %d", round+1, c.Rounds)
		for i, e := range each {
			r := testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					e.call()
				}
			})
			c.Rows[i].NS = append(c.Rows[i].NS, float64(r.T.Nanoseconds())/float64(r.N))
			c.Rows[i].Allocs = r.AllocsPerOp()
		}
	}
	runtime.KeepAlive(d) // the compiler must not drop what is measured
	runtime.KeepAlive(ns)
	return c
}

func (c calculation) show() shown {
	s := shown{values: map[string]string{"rounds": fmt.Sprint(c.Rounds)}}
	var rows [][]string
	reference := median(c.Rows[0].NS)
	for _, r := range c.Rows {
		if r.Name == nextRequeueRow {
			s.values["nextrequeue"] = fmt.Sprintf("%.1f", median(r.NS)/reference)
		}
		rows = append(rows, []string{r.Name, fmt.Sprintf("%.0f", median(r.NS)), fmt.Sprintf("%.2f", median(r.NS)/reference), fmt.Sprint(r.Allocs)})
	}
	s.values["table"] = table([]string{"", "ns", "times the reference", "allocations"}, rows...)
	return s
}

func median(xs []float64) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	return sorted[len(sorted)/2]
}
