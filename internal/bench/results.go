package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/requeue-go/requeue/internal/documents"
)

// resultsFile has all that was measured, a row a line.
const resultsFile = "internal/bench/results.json"

// row is what was measured of one thing: a queue in a scenario, a call.
type row struct {
	Measure string
	Of      []string
	Values  map[string]float64 `json:",omitempty"`
	Text    string             `json:",omitempty"` // what a program has printed
}

// about is the name of a row with the machine and the versions that a measurement was made
// with. Each has its own, as each can be repeated alone.
const about = "about"

func thisMachine() string {
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, versions())
}

// cpuModel is what Linux calls the processor; unknown elsewhere.
func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// compared are the modules whose versions matter.
var compared = []string{
	"github.com/cenkalti/backoff/v5",
	"go.etcd.io/etcd/server/v3",
	"k8s.io/apiextensions-apiserver",
	"k8s.io/client-go",
	"sigs.k8s.io/controller-runtime",
}

func versions() string {
	list := exec.Command("go", append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, compared...)...)
	output, _ := list.Output()
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return strings.Join(append(lines, "go "+strings.TrimPrefix(runtime.Version(), "go")), ", ")
}

// results are rows by measurement.
type results map[string][]row

func readResults() (results, error) {
	data, err := os.ReadFile(resultsFile)
	if errors.Is(err, os.ErrNotExist) {
		return results{}, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w", resultsFile, err)
	}
	all := results{}
	for _, r := range rows {
		all[r.Measure] = append(all[r.Measure], r)
	}
	return all, nil
}

func (all results) write() error {
	var lines []string
	for _, m := range measures {
		for _, r := range all[m.name] {
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			lines = append(lines, string(line))
		}
	}
	return os.WriteFile(resultsFile, []byte("[\n"+strings.Join(lines, ",\n")+"\n]\n"), 0o644)
}

// marker returns what stands at a marker: the machines, a table, what a program printed, or a
// value.
func (all results) marker(key string) (string, bool) {
	if strings.Contains(key, ";") {
		return all.value(key)
	}
	var lines []string
	for _, m := range measures {
		for _, v := range m.views {
			if m.name+v.name == key {
				return v.table(v.of(all[m.name])), true
			}
		}
		for _, r := range all[m.name] {
			if m.name == key && r.Text != "" && r.Of[0] != about {
				return "\n\n```\n" + strings.TrimSpace(r.Text) + "\n```\n\n", true
			}
			if line := "> " + r.Text; r.Of[0] == about && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return "\n\n" + strings.Join(lines, "\n") + "\n\n", key == "machine"
}

// files are the figures, and the documents filled, by path.
func (all results) files() (map[string]string, error) {
	files := map[string]string{}
	for _, m := range measures {
		for _, v := range m.views {
			if rows := v.of(all[m.name]); v.figure != nil && len(rows) > 0 {
				files["docs/figures/"+m.name+v.name+".svg"] = v.figure.svg(rows)
			}
		}
	}
	pages, err := filepath.Glob("docs/*.md")
	for _, path := range append(pages, "README.md") {
		text, readErr := os.ReadFile(path)
		filled, fillErr := documents.Fill(string(text), all.marker)
		if fillErr != nil {
			fillErr = fmt.Errorf("%s: %w", path, fillErr)
		}
		files[path], err = filled, errors.Join(err, readErr, fillErr)
	}
	return files, err
}
