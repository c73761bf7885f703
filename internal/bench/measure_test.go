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
		"failing": measureFailing, "outage": measureOutage, "moved": measureMoved, "restart": measureRestart,
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

// at is a quantile, in hundredths.
func at(sample []time.Duration, q float64) time.Duration {
	if len(sample) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(sample))
	return sorted[int(q/100*float64(len(sorted)-1)+0.5)]
}

// spread adds quantiles of a distribution to values, in seconds.
func spread(values map[string]float64, key string, sample []time.Duration, hundredths ...float64) {
	for _, q := range hundredths {
		values[quantile(key, q)] = at(sample, q).Seconds()
	}
}

func TestAt(t *testing.T) {
	var sample []time.Duration
	for i := 1000; i >= 0; i-- {
		sample = append(sample, time.Duration(i)*time.Second)
	}
	values := map[string]float64{}
	spread(values, "late", sample, 50, 99, 100)
	assert.Equal(t, map[string]float64{"late 50": 500, "late 99": 990, "late 100": 1000}, values)
	assert.Zero(t, at(nil, 50))
}

// What benchmarks print becomes their medians, and a p where ours is compared.
func TestSummarized(t *testing.T) {
	const output = `goos: linux
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1000 ns/op
BenchmarkX/keys=1/queue=client-go-2      10  2000 ns/op  7 heap-B
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1200 ns/op
BenchmarkX/keys=1/queue=client-go-2      10  2100 ns/op  9 heap-B
BenchmarkX/keys=1/queue=deadlinequeue-2  10  1100 ns/op
BenchmarkX/keys=1/queue=client-go-2      10  2300 ns/op  8 heap-B
PASS
`
	rows, err := summarized([]byte(output))
	require.NoError(t, err)
	require.Len(t, rows, 2)
	ours, peer := rows[0], rows[1]
	assert.Equal(t, []string{"X", "keys=1", "queue=client-go"}, peer.Of)
	assert.InDelta(t, 1.1e-6, ours.Values["sec/op"], 1e-12)
	assert.NotContains(t, ours.Values, "sec/op p")
	assert.InDelta(t, 0.1, peer.Values["sec/op p"], 1e-9, "all of three are more than all of three")
	assert.InDelta(t, 8, peer.Values["heap-B"], 1e-9)
	assert.Equal(t, "2,100 (p 0.100)", cell(costOf(rows)["X/keys=1"][clientGoName], "sec/op"))
}
