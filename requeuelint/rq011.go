package requeuelint

import (
	"fmt"
	"go/ast"
	"time"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq011 = Rule{
	Code: "RQ011",
	Doc:  "a constant wait below a microsecond, which lacks its unit",
	run: func(c *code) {
		for _, fn := range c.functions() {
			for _, s := range c.flow.Sinks(fn) {
				for _, one := range c.flow.Cases(s.Wait, s.Known, nothing) {
					if c.lacksUnit(one.Sum, s.At) {
						break
					}
				}
			}
			// The default of an option.
			for instr := range flow.Instructions(fn) {
				s, ok := instr.(*ssa.Store)
				if !ok {
					continue
				}
				switch c.flow.Node(s.Pos()).(type) {
				case *ast.KeyValueExpr, *ast.AssignStmt: // with its name
				default:
					continue
				}
				if fa, ok := s.Addr.(*ssa.FieldAddr); ok && flow.IsDuration(s.Val.Type()) && isWaitName(flow.FieldVar(fa.X.Type(), fa.Field).Name()) {
					c.lacksUnit(c.flow.Sum(s.Val), s)
				}
			}
		}
	},
}

func isWaitName(name string) bool {
	return intervalName.MatchString(name) || timeoutName.MatchString(name)
}

// lacksUnit reports a wait that is a number below a microsecond; 1 is taken for meant.
func (c *code) lacksUnit(wait flow.Sum, at ssa.Instruction) bool {
	n := wait.C
	if !wait.IsConst() || n <= 1 || n >= float64(time.Microsecond) {
		return false
	}
	pos, end := c.place(at)
	c.report(finding{
		pos: pos, end: end,
		cause:       fmt.Sprintf("this wait is %v, as a time.Duration counts nanoseconds", time.Duration(n)),
		consequence: "the object is looked at again at once, over and over",
		remedy:      fmt.Sprintf("write the unit, such as %v * time.Second", n),
	})
	return true
}
