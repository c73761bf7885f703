// Package golangci makes requeuelint a module plugin of golangci-lint v2.
//
// docs/lint.md of the repository says how to build a golangci-lint with it and how to
// configure it.
package golangci

import (
	"fmt"
	"slices"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/requeue-go/requeue/requeuelint"
)

// Name is what the linter is called in the configuration of golangci-lint.
const Name = "requeuelint"

func init() { register.Plugin(Name, New) }

// Settings are what linters.settings.custom.requeuelint.settings may have.
type Settings struct {
	// Rules are the codes of the rules to report. None are all.
	Rules []string `json:"rules"`
	// Disable are the codes of rules not to report.
	Disable []string `json:"disable"`
	// Tests has findings in _test.go files reported, too.
	Tests bool `json:"tests"`
}

// New makes the plugin. It is what golangci-lint calls, with the settings as it has read
// them.
func New(settings any) (register.LinterPlugin, error) {
	s, err := register.DecodeSettings[Settings](settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	for _, code := range slices.Concat(s.Rules, s.Disable) {
		if len(requeuelint.Analyzers(code)) == 0 {
			return nil, fmt.Errorf("%s: there is no rule %q", Name, code)
		}
	}
	return plugin{s}, nil
}

type plugin struct{ Settings }

// BuildAnalyzers returns an analyzer for each rule that is to be reported.
func (p plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	if p.Tests {
		if err := requeuelint.Base().Flags.Set("tests", "true"); err != nil {
			return nil, err
		}
	}
	var all []*analysis.Analyzer
	for _, r := range requeuelint.Rules() {
		if !slices.Contains(p.Disable, r.Code) && (len(p.Rules) == 0 || slices.Contains(p.Rules, r.Code)) {
			all = append(all, requeuelint.Analyzers(r.Code)...)
		}
	}
	return all, nil
}

// GetLoadMode says that types are needed.
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
