package requeuelint

import (
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// A Rule is one thing that requeuelint reports.
type Rule struct {
	Code   string // RQ001, as in messages and in docs/lint.md
	Doc    string // what the rule finds, in a sentence
	Advice bool   // the rule finds no bug but a better way, and is off unless it is named

	run func(*code)
}

// URL returns the address of the rule's description.
func (r Rule) URL() string {
	return "https://github.com/requeue-go/requeue/blob/main/docs/lint.md#" + strings.ToLower(r.Code)
}

// Rules returns all rules, in the order of their codes.
func Rules() []Rule {
	return []Rule{rq001, rq002, rq003, rq004, rq005, rq006, rq007, rq009, rq010, rq011}
}

// Analyzers returns an analyzer for each rule with one of the given codes. Without codes it
// returns an analyzer for each rule that is not advice. The name of an analyzer is the code
// in lower case. Analyzers ignores unknown codes.
func Analyzers(codes ...string) []*analysis.Analyzer {
	var all []*analysis.Analyzer
	for i, r := range Rules() {
		if len(codes) == 0 && !r.Advice || slices.Contains(codes, r.Code) {
			all = append(all, analyzers[i])
		}
	}
	return all
}

var analyzers = func() (all []*analysis.Analyzer) {
	for _, r := range Rules() {
		all = append(all, &analysis.Analyzer{
			Name:     strings.ToLower(r.Code),
			Doc:      "report " + r.Doc,
			URL:      r.URL(),
			Requires: []*analysis.Analyzer{base},
			Run: func(pass *analysis.Pass) (any, error) {
				s := pass.ResultOf[base].(*shared)
				if s.flow == nil {
					return nil, nil
				}
				// The rules run in parallel, and what one works out another uses.
				s.mu.Lock()
				defer s.mu.Unlock()
				return nil, s.guard(func() { r.run(&code{shared: s, pass: pass, rule: r}) })
			},
		})
	}
	return all
}()
