// Package golangci makes requeuelint a module plugin of golangci-lint v2.
//
// docs/lint.md of the repository says how to build a golangci-lint with the plugin, and how
// to configure the plugin.
package golangci

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/requeue-go/requeue/requeuelint"
)

// Name is the name of the linter in the configuration of golangci-lint.
const Name = "requeuelint"

func init() { register.Plugin(Name, New) }

// Settings are the keys of linters.settings.custom.requeuelint.settings.
type Settings struct {
	// Rules are the codes of the rules to run. If it is empty, all rules run that are not advice.
	Rules []string `json:"rules"`
	// Disable are the codes of the rules not to run.
	Disable []string `json:"disable"`
	// Tests says whether to report findings in _test.go files.
	Tests bool `json:"tests"`
	// Sinks are further methods that take a wait, as pkg.Type.Method:index.
	Sinks []string `json:"sinks"`
}

// New makes the plugin. golangci-lint calls it with the settings of its configuration.
func New(settings any) (register.LinterPlugin, error) {
	s, err := register.DecodeSettings[Settings](settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	for _, codes := range [][]string{s.Rules, s.Disable} {
		for i, code := range codes {
			codes[i] = strings.ToUpper(code)
			if len(requeuelint.Analyzers(codes[i])) == 0 {
				return nil, fmt.Errorf("%s: there is no rule %q", Name, code)
			}
		}
	}
	flags := &requeuelint.Base().Flags
	if err := flags.Set("tests", strconv.FormatBool(s.Tests)); err != nil {
		return nil, fmt.Errorf("%s: tests: %w", Name, err)
	}
	for _, sink := range s.Sinks {
		if err := flags.Set("sink", sink); err != nil {
			return nil, fmt.Errorf("%s: sinks: %w", Name, err)
		}
	}
	return plugin{s}, nil
}

type plugin struct{ Settings }

// BuildAnalyzers returns an analyzer for each rule that is to be reported.
func (p plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return slices.DeleteFunc(requeuelint.Analyzers(p.Rules...), func(a *analysis.Analyzer) bool {
		return slices.Contains(p.Disable, strings.ToUpper(a.Name))
	}), nil
}

// GetLoadMode says that types are needed.
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
