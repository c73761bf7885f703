package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/requeue-go/requeue/internal/faults"
)

func TestMain(m *testing.M) {
	if faults.Child() {
		return
	}
	if name := os.Getenv(childEnv); name != "" {
		runChild(name)
	}
	os.Exit(m.Run())
}

func readAll(t *testing.T) results {
	t.Helper()
	all, err := readResults(root)
	require.NoError(t, err)
	return all
}

func TestResults_haveEachMeasurement(t *testing.T) {
	all := readAll(t)
	for _, m := range measures {
		r, ok := all[m.name]
		if !assert.True(t, ok, "%s was never measured", m.name) {
			continue
		}
		assert.NotZero(t, r.Measured, m.name)
		assert.NotZero(t, r.Machine.Cores, m.name)
		assert.Contains(t, r.Versions, "go", m.name)
		delete(all, m.name)
	}
	assert.Empty(t, all, "results that nothing measures")
}

func TestFigure_svgOfEachKindIsWellFormed(t *testing.T) {
	f := figure{Name: "all", Panels: []panel{
		{Title: "lines", LogX: true, Room: true, Lines: []series{{Name: "a", X: []float64{1, 10}, Y: []float64{1, 100}}}},
		{Title: "dots", Unit: "s", Floor: 0.1, Rows: []string{"one", "two"}, Dots: []series{{Name: "a", Y: []float64{1, notRun}}, {Name: "b", Y: []float64{0, 2}}}},
		{Title: "bars", Unit: "%", Rows: []string{"one"}, Bars: []series{{Name: "a", Y: []float64{1}}, {Name: "b", Y: []float64{0}}}},
	}}
	for _, theme := range themes {
		svg, err := f.svg(theme)
		require.NoError(t, err)
		decoder := xml.NewDecoder(strings.NewReader(string(svg)))
		for err == nil {
			_, err = decoder.Token()
		}
		assert.ErrorIs(t, err, io.EOF)
		assert.Contains(t, string(svg), f.fingerprint())
	}
	other := f
	other.Name = "other"
	assert.NotEqual(t, f.fingerprint(), other.fingerprint())
}

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "s", "0"}, {0.000123, "s", "123 µs"}, {0.0894, "s", "89 ms"}, {0.9999, "s", "1 s"}, {1.49, "s", "1.5 s"}, {200.6, "s", "201 s"}, {7075.5, "s", "7,076 s"},
		{0.4749, "%", "0.47 %"}, {99.9, "%", "100 %"}, {1234567, "", "1,234,567"}, {0.0123, "", "0.012"}, {99.6, "", "100"},
	} {
		assert.Equal(t, c.want, amount(c.value, c.unit), "%v %s", c.value, c.unit)
	}
}

func TestSpanOf(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 20 * time.Hour: "20h",
		90 * time.Second: "1m30s", 10 * time.Second: "10s", 90 * time.Minute: "1h30m",
	} {
		assert.Equal(t, want, spanOf(d))
	}
}

func TestCommand(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer out.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-nonsense"}, "flag provided but not defined"},
		{[]string{"nonsense"}, `"nonsense" is not a flag`},
		{[]string{"-run", "("}, "-run"},
		{[]string{"-root", t.TempDir()}, "is not the root of a clone"},
		{[]string{"-root", root, "-run", "nonsense"}, "matches nothing"},
	} {
		assert.ErrorContains(t, command(t.Context(), c.args, out), c.want)
	}
	require.NoError(t, command(t.Context(), []string{"-h"}, out))
	help, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	assert.Contains(t, string(help), "Usage: go run ./internal/bench")
}

// A measurement is made in a process of its own, which tells how far it is and what
// came out; and it can be stopped.
func TestRunInChild(t *testing.T) {
	for _, m := range measures {
		if m.name != "handled" {
			continue
		}
		var said []string
		r, err := runInChild(t.Context(), root, m, func(text string) { said = append(said, text) })
		require.NoError(t, err)
		assert.Equal(t, len(handledWays), len(said))
		var h handled
		require.NoError(t, json.Unmarshal(r.Data, &h))
		assert.Len(t, h, len(handledWays))

		stopped, stop := context.WithCancelCause(t.Context())
		stop(errors.New("stopped"))
		_, err = runInChild(stopped, root, m, func(string) {})
		require.Error(t, err)
	}
	_, err := runInChild(t.Context(), root, measure{name: "nonsense"}, func(string) {})
	assert.ErrorContains(t, err, "which is no measurement")
}
