package requeuelint

import (
	"cmp"
	"go/token"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// A Rule is one thing that requeuelint reports.
type Rule struct {
	Code string // RQ001, as in messages and in docs/lint.md
	Doc  string // what it finds, in a sentence
}

// URL is where the rule is described.
func (r Rule) URL() string {
	return "https://github.com/requeue-go/requeue/blob/main/docs/lint.md#" + lower(r.Code)
}

// Rules are all rules, in the order of their codes.
func Rules() []Rule {
	return []Rule{
		{"RQ001", "a wait that can be zero or negative, which controller-runtime drops and client-go takes for now"},
		{"RQ002", "RequeueAfter that is returned with an error, and so dropped"},
		{"RQ003", "a deadline that is tested on one reading of the clock and waited for on another"},
		{"RQ004", "a merge of waits in which 0 or a negative wins"},
		{"RQ005", "a fixed RequeueAfter where a deadline is tested, which is noticed late"},
		{"RQ006", "arithmetic of durations that overflows"},
		{"RQ007", "an optional time that is used for a wait and never tested for nil"},
	}
}

// Analyzers returns an analyzer for each of the rules, or for those with the codes given.
// Its name is the code in lower case. A code that there is not is left out.
func Analyzers(codes ...string) []*analysis.Analyzer {
	var all []*analysis.Analyzer
	for _, r := range Rules() {
		if len(codes) == 0 || slices.Contains(codes, r.Code) {
			all = append(all, analyzers[r.Code])
		}
	}
	return all
}

// Base returns the analyzer that those of the rules require. It reports nothing. A driver
// that parses flags takes it along for its flag, -requeuelint.tests, which has findings in
// test files reported, too.
func Base() *analysis.Analyzer { return base }

var analyzers = func() map[string]*analysis.Analyzer {
	all := map[string]*analysis.Analyzer{}
	for _, r := range Rules() {
		all[r.Code] = &analysis.Analyzer{
			Name:     lower(r.Code),
			Doc:      "report " + r.Doc,
			URL:      r.URL(),
			Requires: []*analysis.Analyzer{base},
			Run: func(pass *analysis.Pass) (any, error) {
				pass.ResultOf[base].(*program).tell(pass, r)
				return nil, nil
			},
		}
	}
	return all
}()

func lower(code string) string { return "rq" + code[2:] }

// A finding is what a rule has found.
type finding struct {
	rule     string
	pos, end token.Pos
	message  string
	fixes    []fix
}

type fix = analysis.SuggestedFix

// rules looks at each function of the package. From then on the program is only read: the
// analyzers of the rules run in parallel.
func (p *program) rules() {
	for _, fn := range p.funcs {
		if len(fn.Blocks) == 0 || p.skipped(fn.Pos()) {
			continue
		}
		all := p.sinks(fn)
		p.waits(fn, all)
		p.errors(fn)
		p.merges(fn)
		p.late(fn, all)
		p.overflows(fn)
		p.nils(fn, all)
	}
	slices.SortStableFunc(p.findings, func(a, b finding) int { return cmp.Compare(a.pos, b.pos) })
}

func (p *program) report(f finding) {
	if !f.end.IsValid() || f.end < f.pos {
		f.end = f.pos
	}
	for _, g := range p.findings {
		if g.rule == f.rule && g.pos == f.pos {
			return
		}
	}
	p.findings = append(p.findings, f)
}

// tell reports the findings of a rule that no comment has accepted.
func (p *program) tell(pass *analysis.Pass, r Rule) {
	for _, f := range p.findings {
		if f.rule != r.Code || !f.pos.IsValid() || p.skipped(f.pos) || p.accepted(f) {
			continue
		}
		pass.Report(analysis.Diagnostic{
			Pos: f.pos, End: f.end, Category: f.rule, Message: f.rule + ": " + f.message, URL: r.URL(), SuggestedFixes: f.fixes,
		})
	}
}
