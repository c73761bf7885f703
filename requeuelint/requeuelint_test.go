package requeuelint_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// Every shape of a real site has its verdict. One site has one finding at most.
func TestSites(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), runAll(t), "sites")
}

// Of every rule, what it reports and what it does not.
func TestRules(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), runAll(t),
		"rq001", "rq002", "rq003", "rq004", "rq005", "rq006", "rq007", "rq008/controllers", "rq008/with", "rq008/without")
}
