package requeuelint_test

import (
	"testing"

	"golang.org/x/tools/go/analysis"

	"github.com/requeue-go/requeue/requeuelint"
)

// runAll returns an analyzer that reports what those of all rules report, so that a test
// sees a finding of another rule than the one that it is about.
func runAll(t *testing.T) *analysis.Analyzer {
	t.Helper()
	all := requeuelint.Analyzers()
	return &analysis.Analyzer{
		Name: "all", Doc: "runs all rules", Requires: append(all, requeuelint.Base()),
		Run: func(pass *analysis.Pass) (any, error) {
			for _, a := range all {
				one := *pass
				one.Analyzer = a
				one.ResultOf = pass.ResultOf
				if _, err := a.Run(&one); err != nil {
					return nil, err
				}
			}
			return nil, nil
		},
	}
}
