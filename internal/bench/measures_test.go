package main

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func measuringFor(t *testing.T) *measuring { return &measuring{t, json.NewEncoder(io.Discard)} }

func smallFleet() fleet {
	return fleet{
		Name: "small", Promotions: 200, Over: time.Hour, Shortest: time.Minute, Longest: 20 * time.Minute,
		Interval: 5 * time.Minute, Look: 50 * time.Millisecond, Patch: 50 * time.Millisecond, Workers: 10,
	}
}

func TestFleet_idle(t *testing.T) {
	f := smallFleet()
	f.runAll(measuringFor(t), fixedInterval, nextRequeue, withQueue)
	fixed, next, queue := f.Ways[0], f.Ways[1], f.Ways[2]
	assert.InDelta(t, 150, fixed.Late.P50, 40, "half of the interval")
	assert.LessOrEqual(t, fixed.Late.Max, 300.1)
	for _, w := range []fleetWay{next, queue} {
		assert.Zero(t, w.Lost, w.Name)
		assert.Equal(t, f.Promotions, w.Failed, w.Name)
		assert.LessOrEqual(t, w.Late.Max, 0.2, w.Name)
		assert.InEpsilon(t, fixed.Reconciles, w.Reconciles, 0.1, w.Name)
	}
}

func TestFleet_busy(t *testing.T) {
	f := smallFleet()
	f.Promotions, f.Workers = 20_000, 1
	require.Greater(t, f.load(), 1.1)
	f.runAll(measuringFor(t), nextRequeue, withQueue)
	next, queue := f.Ways[0], f.Ways[1]
	assert.Greater(t, next.Late.P99, 10.0, "behind the backlog")
	assert.Less(t, queue.Late.P99, 1.0)
	assert.Zero(t, queue.Lost)
}

// By hand, the deadlines that pass during the patch are lost: of promotions that are
// looked at each interval and each patch, the share that the patch is of both.
func TestFleet_race(t *testing.T) {
	f := fleet{
		Promotions: 2000, Over: time.Hour, Shortest: time.Minute, Longest: 3 * time.Minute,
		Interval: raceInterval, Look: raceLook, Patch: time.Second, Workers: 500,
	}
	f.runAll(measuringFor(t), byHand, nextRequeue)
	assert.InDelta(t, 0.091, float64(f.Ways[0].Lost)/float64(f.Promotions), 0.02)
	assert.Zero(t, f.Ways[1].Lost)
	assert.LessOrEqual(t, f.Ways[1].Late.Max, 2.1, "the patch, and as long again")
}

// A bare error is late by up to as long as the limiter has waited; a wait that knows of
// the timeout, and Tell, are on time.
func TestErroring(t *testing.T) {
	for i, f := range failingWays {
		way := f.run(t, 7*time.Minute, 20)
		assert.Zero(t, way.Lost, f.name)
		assert.Positive(t, way.Mean, f.name)
		if i == 0 {
			assert.Greater(t, way.Spread.Max, 60.0, f.name)
			continue
		}
		assert.LessOrEqual(t, way.Spread.Max, 0.1, f.name)
		assert.LessOrEqual(t, way.Late, 0.1, f.name)
	}
}

// No retry starves the healthy ones.
func TestAway(t *testing.T) {
	for _, queue := range []string{controllerRuntimeName, oursName, knownName} {
		a := away{Queue: queue, After: time.Minute, Objects: 100}
		a.run(t)
		assert.GreaterOrEqual(t, a.Last, 9.9, "they take 10 s themselves")
		assert.LessOrEqual(t, a.Last, 40.0)
		assert.GreaterOrEqual(t, a.Reconciles, a.Objects)
	}
}

func TestHandled(t *testing.T) {
	h := measureHandled(measuringFor(t))
	require.Len(t, h, 4)
	hot, lost, timeouts, handled := h[0], h[1], h[2], h[3]
	assert.Greater(t, hot.Reconciles, 50_000, "a reconcile every 50 ms for 50 minutes")
	assert.True(t, lost.Lost)
	assert.False(t, timeouts.Lost)
	assert.InDelta(t, 60, timeouts.Reconciles, 15, "17 in the first minute, then one a minute")
	assert.False(t, handled.Lost)
	assert.Equal(t, 2, handled.Reconciles, "at the first deadline, and at the second")
	assert.LessOrEqual(t, handled.Late, 0.1)
}

func TestQueueCost_small(t *testing.T) {
	c := costOf(measuringFor(t), costSizes{
		rounds: 1, depths: []int{100, 200}, calls: 320, waiting: 1000, pauseDepth: 1000, pauseCalls: 100, lateSamples: 3, latenessLoad: 10,
	})
	assert.Len(t, c.AddGetDone, 6)
	assert.Len(t, c.Metrics, 3)
	assert.Len(t, c.Pauses, 5)
	for _, rows := range [][]costRow{c.AddGetDone, c.Metrics, c.Others, c.Pauses} {
		for _, r := range rows {
			if r.Name == "the same with a deadline" {
				continue // ours alone knows any
			}
			for _, name := range queueNames {
				require.Len(t, r.Values[name], 1, "%s %s", r.Name, name)
			}
		}
	}
	require.Len(t, c.Decide, 1)
	assert.Len(t, c.Decide[0].Values, 2)
	s := c.show()
	assert.Contains(t, s.values["others"], "heap of a waiting item")
}

func TestScale_small(t *testing.T) {
	s := scaleOf(measuringFor(t), 1, 500, 1000)
	require.Len(t, s.Rows, 2)
	for _, r := range s.Rows {
		for _, name := range queueNames {
			require.Len(t, r.NS[name], 1, name)
			require.Len(t, r.Bytes[name], 1, name)
		}
	}
}

// Twice the objects at the same cost each are twice the cost: an exponent of 1. At
// twice the cost each, 2.
func TestScale_exponent(t *testing.T) {
	s := scale{Rows: []scaleRow{
		{Objects: 1000, NS: map[string][]float64{"same": {7}, "dearer": {10}}},
		{Objects: 2000, NS: map[string][]float64{"same": {7}, "dearer": {20}}},
		{Objects: 4000, NS: map[string][]float64{"same": {7}, "dearer": {40}}},
	}}
	assert.InDelta(t, 1, s.exponent("same"), 1e-9)
	assert.InDelta(t, 2, s.exponent("dearer"), 1e-9)
}

func TestSpreadOf(t *testing.T) {
	var sample []time.Duration
	for i := 1000; i >= 0; i-- {
		sample = append(sample, time.Duration(i)*time.Second)
	}
	s := spreadOf(sample)
	assert.Equal(t, []float64{500, 990, 1000}, []float64{s.P50, s.P99, s.Max})
	assert.Len(t, s.CDF, len(shares))
	assert.Zero(t, spreadOf(nil))
}

func TestDemo_showsTwoPromotions(t *testing.T) {
	d := demo{"starting\n\n 1s  a  timeout 1s  requeue  timed out 1ms late\n 2s  b  timeout 2s  requeue  timed out 2ms late\n" +
		" 3s  c  timeout 2s  requeue  timed out 3ms late\n 5s  a  timeout 1s  fixed interval  timed out 4s late\n\nlate, p50   2s\n"}
	assert.Equal(t, "\n\n```\nstarting\n\n 1s  a  timeout 1s  requeue  timed out 1ms late\n 2s  b  timeout 2s  requeue  timed out 2ms late\n"+
		" 5s  a  timeout 1s  fixed interval  timed out 4s late\n\nlate, p50   2s\n```\n\n", d.show().values["output"])
}
