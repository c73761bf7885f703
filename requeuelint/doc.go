// Package requeuelint finds waits of Kubernetes controllers that are lost, late or a hot
// loop: analyzers for golang.org/x/tools/go/analysis, one for each rule.
//
// The rules, and the command that runs them, are described in docs/lint.md of the
// repository. It reports what it can show, and nothing of what it does not see through.
//
// # How it is built
//
// A rule is a file: rq001.go, rq002.go and so on. It is run by an analyzer of its own, over
// what one more analyzer, in facts.go, has made of the package. What rules have in common is
// in rooms that are named for what they know:
//
//   - waits.go: which waits can be 0 or negative, for RQ001 and RQ003.
//   - report.go: how a finding is told, and where.
//   - comments.go: which findings a comment accepts.
//   - fixes.go: how a wait is written with this library.
//   - internal/flow: what the values of a package are, as sums of instants and spans; what is
//     known where they are used; and what its functions do with them.
//
// # To add a rule
//
// A rule is a variable of the type Rule with a function that is handed the code of a package.
// This one reports waits by time.Sleep in a reconciler:
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
// Functions and calls are those of golang.org/x/tools/go/ssa. A rule that looks at the
// source alone inspects c.pass.Files, as rq010.go does. What remains:
//
//  1. Name the variable in Rules, in analyzers.go.
//  2. Write testdata/src/rq012/rq012.go, with what is reported, by // want, and with what is
//     like it and right; and add the folder to TestRules.
//  3. Describe it in docs/lint.md: a line in the table, and a section with a wrong and a
//     right piece of code.
//  4. Run it on operators that nobody has looked at for it. Count what is true the first time.
//
// TestRules_areWhole fails where one of the first three is missing.
package requeuelint
