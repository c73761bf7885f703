package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMeasure are the measurements in virtual time. Each is a test of what it measures, too:
// those that take long are small unless the command makes them.
func TestMeasure(t *testing.T) {
	for name, measure := range map[string]func(m measuring){
		"scale": measureScale, "fleet": measureFleets, "race": measureRaces, "erroring": measureErroring,
		"handled": measureHandled, "overload": measureOverload, "storm": measureStorm, "herd": measureHerd,
		"failing": measureFailing, "outages": measureOutages, "conflicts": measureConflicts, "away": measureAway,
		"moved": measureMoved, "restart": measureRestart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			measure(measuring{t})
		})
	}
}

// measuring is a measurement that goes on.
type measuring struct{ *testing.T }

// tell tells a row: what of, and what was measured.
func (m measuring) tell(values map[string]float64, of ...string) {
	m.Helper()
	data, err := json.Marshal(row{Of: of, Values: values})
	require.NoError(m, err)
	m.Attr("row", string(data))
}

// long skips a measurement of millions of reconciles.
func (m measuring) long() {
	m.Helper()
	if testing.Short() {
		m.Skip("millions of reconciles")
	}
}

// spread adds the median, the 99th percentile and the longest to values, in seconds.
func spread(values map[string]float64, key string, sample []time.Duration) {
	sorted := slices.Sorted(slices.Values(sample))
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		value := time.Duration(0)
		if len(sorted) > 0 {
			value = sorted[int(q.at*float64(len(sorted)-1)+0.5)]
		}
		values[key+" "+q.name+" (s)"] = value.Seconds()
	}
}

func TestSpread(t *testing.T) {
	var sample []time.Duration
	for i := 1000; i >= 0; i-- {
		sample = append(sample, time.Duration(i)*time.Second)
	}
	values := map[string]float64{}
	spread(values, "late", sample)
	spread(values, "none", nil)
	assert.Equal(t, map[string]float64{
		"late p50 (s)": 500, "late p99 (s)": 990, "late max (s)": 1000, "none p50 (s)": 0, "none p99 (s)": 0, "none max (s)": 0,
	}, values)
}

// What benchmarks print becomes their medians, and is held against ours.
func TestSummarized(t *testing.T) {
	const output = `goos: linux
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1000 CPU-ns/key
BenchmarkX/keys=1/queue=client-go-2      10  2000 CPU-ns/key  7 heap-B
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1100 CPU-ns/key
BenchmarkX/keys=1/queue=client-go-2      10  2200 CPU-ns/key  8 heap-B
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1200 CPU-ns/key
BenchmarkX/keys=1/queue=client-go-2      10  2200 CPU-ns/key  9 heap-B
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1100 CPU-ns/key
BenchmarkX/keys=1/queue=client-go-2      10  2300 CPU-ns/key  8 heap-B
BenchmarkX/a_b/call=NextRequeue-2        10  50 ns/op
PASS
`
	rows, err := summarized(output)
	require.NoError(t, err)
	require.Len(t, rows, 3)
	ours, peer := rows[0], rows[1]
	assert.Equal(t, []string{"X", "1", "client-go"}, peer.Of)
	assert.Equal(t, "1.1 µs", ours.cell("CPU (s)"))
	assert.Equal(t, "2.2 µs (2×, p 0.029)", peer.cell("CPU (s)"), "all of four are more than all of four")
	assert.Equal(t, "8 B", peer.cell("heap (B)"))
	assert.Equal(t, []string{"X", "a b", "NextRequeue"}, rows[2].Of)
	assert.Equal(t, "50 ns", rows[2].cell("time (s)"))
}
