package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommand(t *testing.T) {
	assert.ErrorContains(t, command(t.Context(), []string{"-run", "("}), "-run")
	assert.ErrorContains(t, command(t.Context(), []string{"-run", "nonsense"}), "matches no measurement")
	t.Chdir(t.TempDir())
	assert.ErrorContains(t, command(t.Context(), []string{"-run", "race"}), "go test")
}

// Each measurement has been made, and each row stands in a line.
func TestResults(t *testing.T) {
	all, err := readResults()
	require.NoError(t, err)
	rows := 0
	for _, m := range measures {
		assert.NotEmpty(t, all[m.name], "%s was never measured", m.name)
		rows += len(all[m.name])
		delete(all, m.name)
	}
	assert.Empty(t, all, "results that nothing measures")
	data, err := os.ReadFile(resultsFile)
	require.NoError(t, err)
	assert.Equal(t, rows+2, strings.Count(string(data), "\n"))
}

// The figures are those of what was measured, and of nothing else.
func TestFigures(t *testing.T) {
	all, err := readResults()
	require.NoError(t, err)
	files, err := filepath.Glob("docs/figures/*.svg")
	require.NoError(t, err)
	figures := all.figures()
	assert.Len(t, files, len(figures))
	for path, want := range figures {
		svg, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, string(want) == string(svg), "%s: run `go run ./internal/bench -write`", path)
	}
}

func TestFigure_isWellFormed(t *testing.T) {
	rows := []row{
		{Of: []string{"one", "a & b"}, Values: map[string]float64{"late (s)": 0, "max (s)": 1}},
		{Of: []string{"one", "client-go"}, Values: map[string]float64{"late (s)": 3, "max (s)": 5}},
		{Of: []string{"two", "client-go"}, Values: map[string]float64{"late (s)": 30, "max (s)": 50}},
	}
	for keys, circles := range map[string]int{"late (s)": 3 + 2, "late (s);max (s)": 6 + 2} { // with the legend
		text := string(figure{title: "<late>", keys: strings.Split(keys, ";"), floor: 0.1}.svg(rows))
		decoder := xml.NewDecoder(strings.NewReader(text))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		assert.Contains(t, text, "prefers-color-scheme: dark")
		assert.Equal(t, circles, strings.Count(text, "<circle"))
		assert.NotContains(t, text, "NaN")
		assert.NotContains(t, text, "Inf")
	}
}

// A line has the rows whose names differ in nothing but their last part, and one of its own for
// each key.
func TestView_across(t *testing.T) {
	rows := []row{
		{Of: []string{"A", "x", "ours"}, Values: map[string]float64{"time (s)": 1, "heap (B)": 5}},
		{Of: []string{"A", "x", "peer"}, Values: map[string]float64{"time (s)": 2, "time (s) times": 2, "time (s) p": 0.5}},
		{Of: []string{"A", "y", "ours"}, Values: map[string]float64{"time (s)": 3}},
		{Of: []string{"B", "y", "ours"}, Values: map[string]float64{"time (s)": 4}},
	}
	v := view{only: "A", titles: []string{"of", "what"}, across: true}
	assert.Equal(t, "\n\n| of | what | ours | peer |\n| --- | --- | --- | --- |\n| x | heap | 5 B |  |\n| x | time | 1 s | 2 s (2×, p 0.500) |\n| y | time | 3 s |  |\n\n", v.table(v.of(rows)))
}

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "s", "0"}, {0.000123, "s", "123 µs"}, {4.7e-8, "s", "47 ns"}, {0.0894, "s", "89 ms"}, {0.9999, "s", "1 s"}, {1.49, "s", "1.5 s"}, {200.6, "s", "201 s"}, {7075.5, "s", "7,076 s"},
		{0.4749, "%", "0.47 %"}, {99.9, "%", "100 %"}, {1234567, "", "1,234,567"}, {0.0123, "", "0.012"}, {99.6, "", "100"},
	} {
		assert.Equal(t, c.want, amount(c.value, c.unit), "%v %s", c.value, c.unit)
	}
}
