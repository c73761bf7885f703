package requeuelint_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// Every shape of a real site has its verdict. One site has one finding at most.
func TestSites(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), runAll(t), "sites")
}
