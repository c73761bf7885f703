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

// The command is run in the root of a clone, and so are its tests.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// The documents and the figures have what was measured, and code that compiles.
func TestDocuments(t *testing.T) {
	all, err := readResults()
	require.NoError(t, err)
	files, err := all.files()
	require.NoError(t, err)
	figures, err := filepath.Glob("docs/figures/*.svg")
	require.NoError(t, err)
	for _, path := range figures {
		_, ok := files[path]
		assert.True(t, ok, "%s is of nothing that is measured", path)
	}
	require.Greater(t, len(files), len(figures)+5)
	for path, want := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		lines := strings.Split(string(text), "\n")
		for i, want := range strings.Split(want, "\n") {
			if i >= len(lines) || lines[i] != want {
				assert.Fail(t, "run `go run ./internal/bench -write`", "%s:%d: want %q", path, i+1, want)
				break
			}
		}
		assert.Equal(t, len(want), len(text), path)
	}
}

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

func TestFigure_isWellFormed(t *testing.T) {
	rows := []row{
		{Of: []string{"one", "a & b"}, Values: map[string]float64{"late (s)": 0, "max (s)": 1}},
		{Of: []string{"one", "client-go"}, Values: map[string]float64{"late (s)": 3, "max (s)": 5}},
		{Of: []string{"two", "client-go"}, Values: map[string]float64{"late (s)": 30, "max (s)": 50}},
	}
	for keys, circles := range map[string]int{"late (s)": 3 + 2, "late (s);max (s)": 6 + 2} { // with the legend
		text := figure{title: "<late>", keys: strings.Split(keys, ";"), floor: 0.1}.svg(rows)
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

func TestResults_marker(t *testing.T) {
	late := func(of string, seconds float64) row {
		return row{Of: []string{of, "by hand"}, Values: map[string]float64{"late max (s)": seconds}}
	}
	all := results{
		"race":    {late("1s", 0.0123), late("2s", 1), {Of: []string{about}, Text: "a machine"}},
		"handled": {{Of: []string{"x"}, Values: map[string]float64{"reconciles": 1}}, {Of: []string{about}, Text: "a machine"}},
		"demo":    {{Of: []string{"demo"}, Text: "late\n"}},
	}
	for key, want := range map[string]string{
		"race;1s;by hand;late max (s)": "12 ms",
		"race;*;by hand;late max (s)":  "1 s",
		"handled":                      "\n\n| waits | reconciles | second deadline late | never acted on |\n| --- | --- | --- | --- |\n| x | 1 |  |  |\n\n",
		"demo":                         "\n\n```\nlate\n```\n\n",
		"machine":                      "\n\n> a machine\n\n",
	} {
		got, ok := all.marker(key)
		assert.True(t, ok, key)
		assert.Equal(t, want, got, key)
	}
	for _, key := range []string{"race;by hand;late max (s)", "race;1s;by hand;late", "nobody"} {
		_, ok := all.marker(key)
		assert.False(t, ok, key)
	}
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
