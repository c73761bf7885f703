package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// resultsFile has all that was measured, by the name of the measurement.
const resultsFile = "internal/bench/results.json"

type results map[string]*result

// result is one measurement. Each has its own machine and versions, as each can be
// repeated alone.
type result struct {
	Measured time.Time
	Seconds  float64
	Machine  machine
	Versions map[string]string
	Data     json.RawMessage
}

// compared are the modules whose versions matter.
var compared = []string{
	"github.com/cenkalti/backoff/v5",
	"go.etcd.io/etcd/server/v3",
	"k8s.io/apiextensions-apiserver",
	"k8s.io/client-go",
	"sigs.k8s.io/controller-runtime",
}

func versions() map[string]string {
	vs := map[string]string{"go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(compared, m.Path) {
				vs[m.Path] = m.Version
			}
		}
	}
	return vs
}

func readResults(root string) (results, error) {
	data, err := os.ReadFile(filepath.Join(root, resultsFile))
	if errors.Is(err, os.ErrNotExist) {
		return results{}, nil
	}
	if err != nil {
		return nil, err
	}
	all := results{}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", resultsFile, err)
	}
	return all, nil
}

func (all results) write(root string) error {
	data, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, resultsFile), append(data, '\n'), 0o644)
}

// show returns what all measurements show.
func (all results) show() (shown, error) {
	sum := shown{values: map[string]string{}}
	seconds := map[load]float64{}
	for _, m := range measures {
		r, ok := all[m.name]
		if !ok {
			continue
		}
		seconds[m.load] += r.Seconds
		s, err := m.show(r.Data)
		if err != nil {
			return shown{}, err
		}
		for key, value := range s.values {
			sum.values[m.name+"."+key] = value
		}
		sum.figures = append(sum.figures, s.figures...)
	}
	sum.values["minutes"] = fmt.Sprintf("%.0f", (seconds[processor]+max(seconds[virtual], seconds[idle]))/60)
	sum.values["machine"], sum.values["versions"] = all.machineText(), all.versionsText()
	return sum, nil
}

// machineText says on what was measured: on one machine, or on which ones.
func (all results) machineText() string {
	machines := map[string]bool{}
	for _, r := range all {
		m := r.Machine
		machines[fmt.Sprintf("%s, %d cores, %s/%s", m.CPU, m.Cores, m.OS, m.Arch)] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(machines)), "; ")
}

// versionsText says of what.
func (all results) versionsText() string {
	vs := map[string]bool{}
	for _, r := range all {
		for path, v := range r.Versions {
			vs[strings.TrimSpace(path+" "+strings.TrimPrefix(v, "go"))] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(vs)), ", ")
}
