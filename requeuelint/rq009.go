package requeuelint

import (
	"fmt"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq009 = Rule{
	Code: "RQ009",
	Doc:  "a deadline that is tested, has not come, and is not waited for",
	run: func(c *code) {
		for _, fn := range c.functions() {
			for _, r := range c.flow.Pairs(fn) {
				if !r.None || r.Err == nil || !c.flow.IsNilIn(r.Err, r.Known) || c.flow.Requeues(r.Return) {
					continue
				}
				f, ok := c.lastTest(r)
				if !ok || !c.actsThen(f, r.Return) || c.arms(fn, r.Return) || !c.endsReconcile(fn, 0) {
					continue
				}
				pos := r.Return.Pos()
				c.report(finding{
					pos: pos, end: pos + token.Pos(len("return")),
					cause:       fmt.Sprintf("a deadline is tested (%s), has not come, and nothing wakes the object when it does", c.tested(f)),
					consequence: "it is acted on by chance, at the next event or resync",
					remedy:      "return the wait of a requeue.Plan, or name the event that is sure to come in a requeue:ok",
				})
			}
		}
	},
}

// lastTest returns the test that decided on a return: nothing but errors was tested after
// it.
func (c *code) lastTest(r flow.Pair) (f flow.Fact, ok bool) {
	branch := decides(r.Return.Block())
	if branch == nil {
		return
	}
	for _, f := range r.Known.Tests() {
		if left, ok := f.NotCome(); ok && f.At != nil && f.At.Block() == branch.Block() && isDeadline(left) {
			return f, true
		}
	}
	return
}

// actsThen reports whether something is done when the deadline has come: more than what is
// kept or logged.
func (c *code) actsThen(f flow.Fact, not ssa.Instruction) bool {
	for _, next := range f.At.Block().Succs {
		if flow.Reaches(next, not.Block()) {
			continue
		}
		for _, b := range next.Parent().Blocks {
			if !flow.Reaches(next, b) {
				continue
			}
			for _, instr := range b.Instrs {
				if call, ok := instr.(*ssa.Call); ok && (flow.TakesTime(call) || call.Call.StaticCallee() == nil && !isLog(call)) {
					return true
				}
			}
		}
	}
	return false
}

func isLog(call *ssa.Call) bool {
	obj := flow.Called(&call.Call)
	return obj != nil && strings.Contains(flow.PkgPath(obj.Pkg()), "log")
}

// decides returns the last branch before a block that is more than the test of an error.
func decides(b *ssa.BasicBlock) *ssa.If {
	for ; b.Idom() != nil; b = b.Idom() {
		branch, ok := b.Idom().Instrs[len(b.Idom().Instrs)-1].(*ssa.If)
		if !ok {
			continue
		}
		if len(b.Preds) > 1 {
			return nil // it comes together after several branches
		}
		if !testsError(branch.Cond) {
			return branch
		}
	}
	return nil
}

func testsError(cond ssa.Value) bool {
	b, ok := cond.(*ssa.BinOp)
	return ok && (flow.IsError(b.X.Type()) || flow.IsError(b.Y.Type()))
}

// arms reports whether something else wakes the object: a wait for the deadline elsewhere
// in the function, or on the way to the return an addition to a queue, a timer, a message
// to a channel, or a goroutine.
func (c *code) arms(fn *ssa.Function, at ssa.Instruction) bool {
	if c.flow.TellsQueue(fn) {
		return true
	}
	seen := map[*ssa.Function]bool{fn: true}
	for instr := range flow.Instructions(fn) {
		if flow.Precedes(instr, at) && c.wakes(instr, seen) {
			return true
		}
	}
	return false
}

// wakes reports whether an instruction, or a function of the package that it calls, sees to
// it that the object is looked at again.
func (c *code) wakes(instr ssa.Instruction, seen map[*ssa.Function]bool) bool {
	switch instr := instr.(type) {
	case *ssa.Send, *ssa.Go, *ssa.Select:
		return true
	case *ssa.Call:
		if obj := flow.Called(&instr.Call); obj != nil && slices.Contains([]string{"time.AfterFunc", "time.NewTimer"}, flow.ObjName(obj)) {
			return true
		}
		if c.flow.AddsToQueue(instr) {
			return true
		}
		fn := instr.Call.StaticCallee()
		if fn == nil || seen[fn] {
			return false
		}
		seen[fn] = true
		for inner := range flow.Instructions(fn) {
			if c.wakes(inner, seen) {
				return true
			}
		}
	}
	return false
}

// endsReconcile reports whether what a function returns is what a reconciler returns: it is
// one, or a caller returns it as it is.
func (c *code) endsReconcile(fn *ssa.Function, depth int) bool {
	if c.flow.IsValue(fn) || depth > flow.MaxDepth {
		return false
	}
	if isReconcile(fn) {
		return true
	}
	calls := c.flow.Callers(fn)
	if len(calls) == 0 {
		return !isExported(fn) && fn.Parent() == nil
	}
	return slices.ContainsFunc(calls, func(call *ssa.Call) bool {
		return handsUp(call) && !setsWait(call) && c.endsReconcile(call.Parent(), depth+1)
	})
}

// setsWait reports whether a caller puts a wait into the result of a call.
func setsWait(call *ssa.Call) bool {
	for _, r := range *call.Referrers() {
		ex, ok := r.(*ssa.Extract)
		if !ok || !flow.IsResult(ex.Type()) {
			continue
		}
		for _, r := range *ex.Referrers() {
			s, ok := r.(*ssa.Store)
			if ok && s.Val == ssa.Value(ex) && s.Addr.Referrers() != nil && slices.ContainsFunc(*s.Addr.Referrers(), setsAField) {
				return true
			}
		}
	}
	return false
}

func setsAField(instr ssa.Instruction) bool {
	fa, ok := instr.(*ssa.FieldAddr)
	return ok && slices.ContainsFunc(*fa.Referrers(), func(r ssa.Instruction) bool {
		s, ok := r.(*ssa.Store)
		return ok && s.Addr == ssa.Value(fa)
	})
}
