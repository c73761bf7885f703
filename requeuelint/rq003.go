package requeuelint

import (
	"fmt"
	"go/token"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq003 = Rule{
	Code: "RQ003",
	Doc:  "a deadline that is tested on one reading of the clock and waited for on another",
	run: func(c *code) {
		for _, w := range c.waits() {
			if !w.Stale || w.slow() {
				continue // RQ001
			}
			pos, end := c.place(w.at())
			c.report(finding{
				pos: pos, end: end, fixes: c.fixWait(w),
				cause:       fmt.Sprintf("the clock is read once to decide%s and again to wait (%s)", c.decided(w), c.made(w)),
				consequence: fmt.Sprintf("where the deadline passes in between, %s is 0 or less and is dropped, and nothing wakes the object", w.Name),
				remedy:      onePlan,
			})
		}
		for _, fn := range c.functions() {
			c.passedSince(fn)
		}
	},
}

const onePlan = "decide and wait on one requeue.Plan"

// passedSince reports a return without a wait, where a deadline had not come on one reading
// of the clock and has on another: what is done when it comes is not done.
func (c *code) passedSince(fn *ssa.Function) {
	for _, r := range c.flow.Pairs(fn) {
		branch := decides(r.Return.Block())
		if branch == nil || !r.None || r.Err == nil || !c.flow.IsNilIn(r.Err, r.Known) || c.flow.Requeues(r.Return) || c.flow.TellsQueue(fn) {
			continue
		}
		for _, f := range r.Known.Facts {
			if f.Op > flow.Above0 || f.At != ssa.Instruction(branch) {
				continue
			}
			check, ok := c.flow.PassedSince(f.Sum.Times(-1), r.Known)
			if !ok || !c.endsReconcile(fn, 0) {
				continue
			}
			pos := r.Return.Pos()
			c.report(finding{
				pos: pos, end: pos + token.Pos(len("return")),
				cause:       fmt.Sprintf("the clock is read once to decide (%s) and again to wait (%s)", c.tested(*check), c.tested(f)),
				consequence: "where the deadline passes in between, nothing is done and nothing wakes the object",
				remedy:      onePlan,
			})
			break
		}
	}
}

// decided is the test of a deadline that was made on another reading of the clock.
func (c *code) decided(w wait) string {
	if w.Check == nil || w.Check.At == nil {
		return ""
	}
	return " (" + c.tested(*w.Check) + ")"
}
