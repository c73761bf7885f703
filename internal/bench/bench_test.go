package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommand(t *testing.T) {
	assert.ErrorContains(t, command(t.Context(), []string{"-run", "("}), "-run")
	assert.ErrorContains(t, command(t.Context(), []string{"-run", "nonsense"}), "matches no measurement")
	assert.ErrorContains(t, command(t.Context(), []string{"-root", t.TempDir(), "-run", "race"}), "go test")
}

// Each measurement has been made, and each row stands in a line.
func TestResults(t *testing.T) {
	all, err := readResults(root)
	require.NoError(t, err)
	rows := 0
	for _, m := range measures() {
		assert.NotEmpty(t, all[m.name], "%s was never measured", m.name)
		rows += len(all[m.name])
		delete(all, m.name)
	}
	assert.Empty(t, all, "results that nothing measures")
	data, err := os.ReadFile(filepath.Join(root, resultsFile))
	require.NoError(t, err)
	assert.Equal(t, rows+2, strings.Count(string(data), "\n"))
}

// The figures are those of what was measured, and of nothing else.
func TestFigures(t *testing.T) {
	all, err := readResults(root)
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(root, "docs/figures/*.svg"))
	require.NoError(t, err)
	figures := all.show().figures
	assert.Len(t, files, len(figures))
	for _, f := range figures {
		svg, err := os.ReadFile(filepath.Join(root, f.path()))
		require.NoError(t, err)
		assert.True(t, string(f.svg()) == string(svg), "%s: run `go run ./internal/bench -write`", f.path())
	}
}

// Each figure that a document shows is there.
func TestDocuments_figuresAreThere(t *testing.T) {
	documents, err := documentsIn(root)
	require.NoError(t, err)
	found := 0
	for _, path := range documents {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, part := range strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune(`"()`, r) }) {
			if strings.HasSuffix(part, ".svg") {
				found++
				assert.FileExists(t, filepath.Join(filepath.Dir(path), part), path)
			}
		}
	}
	assert.Positive(t, found)
}

func TestFigure_svgOfEachKindIsWellFormed(t *testing.T) {
	svg := figure{name: "all", panels: []panel{
		{title: "lines & dots", logX: true, lines: []series{{"client-go", []float64{1, 10}, []float64{1, 100}}}},
		{title: "dots", unit: "s", floor: 0.1, rows: []string{"one", "two"}, dots: []series{{"a", nil, []float64{1, -1}}, {"b", nil, []float64{0, 2}}}},
		{title: "bars", unit: "%", x: "x", y: "y", rows: []string{"one"}, bars: []series{{"a", nil, []float64{1}}, {"b", nil, []float64{0}}}},
	}}.svg()
	decoder := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	text := string(svg)
	assert.Contains(t, text, "prefers-color-scheme: dark")
	assert.Equal(t, 2, strings.Count(text, "polyline"), "the style and a line")
	assert.Equal(t, 3, strings.Count(text, "<circle"), "one was not measured, and one series needs no legend")
	assert.NotContains(t, text, "NaN")
	assert.NotContains(t, text, "Inf")
}

func TestAxis_ticks(t *testing.T) {
	assert.Equal(t, []float64{0, 20, 40, 60, 80, 100, 120}, axis{most: 120}.ticks())
	assert.Equal(t, []float64{0, 2, 4, 6, 8}, axis{most: 9.5}.ticks())
	assert.InDeltaSlice(t, []float64{0.01, 0.1, 1}, axis{least: 0.01, most: 5, log: true}.ticks(), 1e-9)
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

func TestShowDemo_showsTwoPromotions(t *testing.T) {
	d := row{Text: "starting\n\n 1s  a  timeout 1s  requeue  failed 1ms late\n 2s  b  timeout 2s  requeue  failed 2ms late\n" +
		" 3s  c  timeout 2s  requeue  failed 3ms late\n 5s  a  timeout 1s  fixed interval  failed 4s late\n\nlate, p50   2s\n"}
	assert.Equal(t, "\n\n```\nstarting\n\n 1s  a  timeout 1s  requeue  failed 1ms late\n 2s  b  timeout 2s  requeue  failed 2ms late\n"+
		" 5s  a  timeout 1s  fixed interval  failed 4s late\n\nlate, p50   2s\n```\n\n", showDemo([]row{d}).values["output"])
}
