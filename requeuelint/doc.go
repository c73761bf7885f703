// Package requeuelint finds waits of Kubernetes controllers that are lost, late or a hot
// loop. It has an analyzer for golang.org/x/tools/go/analysis for each rule.
//
// The file docs/lint.md of the repository describes the rules and the command that runs
// them. An analyzer reports only what it can show, and nothing about code that it cannot
// follow.
//
// # How it is built
//
// A rule is a file: rq001.go, rq002.go and so on. Each rule has its own analyzer, which uses
// the result of one shared analyzer, in facts.go. The rules share this code:
//
//   - waits.go: which waits can be 0 or negative, for RQ001 and RQ003.
//   - report.go: the text and the place of a finding.
//   - comments.go: which findings a comment accepts.
//   - fixes.go: how to write a wait with this library.
//   - internal/flow: the values of a package as sums of instants and spans; the facts that
//     are known where the package uses a value; and what its functions do with values.
//
// # To add a rule
//
// A rule is a variable of the type Rule, with a function that takes the code of a package.
// This rule reports waits by time.Sleep in a reconciler:
//
//	var rq012 = Rule{
//		Code: "RQ012",
//		Doc:  "a reconciler that sleeps, and keeps a worker from the other objects",
//		run: func(c *code) {
//			for _, fn := range c.functions() {
//				if !isReconcile(fn) {
//					continue
//				}
//				for call := range flow.Calls(fn) {
//					obj := flow.Called(&call.Call)
//					if obj == nil || flow.ObjName(obj) != "time.Sleep" {
//						continue
//					}
//					pos, end := c.place(call)
//					c.report(finding{
//						pos: pos, end: end,
//						cause:       "a reconciler sleeps",
//						consequence: "its worker is kept from the other objects",
//						remedy:      "return the wait as RequeueAfter",
//					})
//				}
//			}
//		},
//	}
//
// Functions and calls have the types of golang.org/x/tools/go/ssa. A rule that needs only the
// source inspects c.pass.Files, as rq010.go does. Then do this:
//
//  1. Name the variable in Rules, in analyzers.go.
//  2. Write testdata/src/rq012/rq012.go, with wrong code, marked by // want, and with similar
//     code that is right. Add the folder to TestRules.
//  3. Describe the rule in docs/lint.md: a line in the table, and a section with a wrong and
//     a right piece of code.
//  4. Run the rule on operators on which it was not tuned. Count the true findings of the
//     first run.
//
// TestRules_areWhole fails if one of the first three is missing.
package requeuelint
