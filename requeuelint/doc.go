// Package requeuelint finds waits of Kubernetes controllers that are lost, late or a hot
// loop: analyzers for golang.org/x/tools/go/analysis, one for each rule.
//
// The rules, and the command that runs them, are described in docs/lint.md of the
// repository. How a wait is looked at:
//
//   - A wait, and what it is compared with, is a sum of instants and spans (linear.go), so
//     that two ways to write the same are the same.
//   - The branches that lead to a place are bounds on such sums (guards.go).
//   - What can be 0 or negative is the time left until an instant that no bound is known
//     of (sign.go), where it is handed to a queue (sinks.go).
//   - What functions compute, and hand on, are facts (program.go).
//
// It reports what it can show, and nothing of what it does not see through.
package requeuelint
