package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
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

// markers are what stands between the markers of documents, but for single values.
func (all results) markers() map[string]string {
	machines, texts := map[string]bool{}, map[string]string{}
	for _, m := range measures {
		for _, v := range m.views {
			texts[m.name+v.name] = v.table(v.of(all[m.name]))
		}
		for _, r := range all[m.name] {
			if r.Of[0] == about {
				machines[r.Text] = true
			} else if r.Text != "" {
				texts[m.name] = "\n\n```\n" + strings.TrimSpace(r.Text) + "\n```\n\n"
			}
		}
	}
	texts["machine"] = "\n\n> " + strings.Join(slices.Sorted(maps.Keys(machines)), "\n> ") + "\n\n"
	return texts
}

// figures are the files of all figures, by name.
func (all results) figures() map[string][]byte {
	files := map[string][]byte{}
	for _, m := range measures {
		for _, v := range m.views {
			if rows := v.of(all[m.name]); v.figure != nil && len(rows) > 0 {
				files["docs/figures/"+m.name+v.name+".svg"] = v.figure.svg(rows)
			}
		}
	}
	return files
}
