package requeuelint

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq004 = Rule{
	Code: "RQ004",
	Doc:  "a merge of waits in which 0 or a negative wins",
	run: func(c *code) {
		for instr := range c.instructions() {
			switch instr := instr.(type) {
			case *ssa.Call:
				if takesLeast(instr) && c.zeroWins(instr) {
					c.mergedByCall(instr)
				}
			case *ssa.BinOp:
				c.mergedByComparison(instr)
			}
		}
	},
}

const zeroIsTaken = "0, which means none, or a negative one wins, and the other wait is lost"

func (c *code) mergedByCall(call *ssa.Call) {
	pos, end := call.Pos(), call.Pos()
	var fixes []analysis.SuggestedFix
	if n, ok := c.flow.Node(call.Pos()).(*ast.CallExpr); ok {
		pos, end = n.Pos(), n.End()
		if flow.IsDuration(call.Type()) && len(call.Call.Args) > 1 {
			fixes = c.replaceCallee(n, "Soonest", "merge with requeue.Soonest")
		}
	}
	c.report(finding{
		pos: pos, end: end, fixes: fixes,
		cause:       "of these waits the least is taken",
		consequence: zeroIsTaken, remedy: "use requeue.Soonest",
	})
}

// takesLeast tells a call of min or slices.Min, or of a function of the package that returns
// the lesser of its two parameters.
func takesLeast(call *ssa.Call) bool {
	if bi, ok := call.Call.Value.(*ssa.Builtin); ok {
		return bi.Name() == "min"
	}
	fn := call.Call.StaticCallee()
	if fn == nil {
		return false
	}
	switch flow.FullName(fn) {
	case "math.Min", "slices.Min":
		return true
	}
	return len(fn.Params) == 2 && returnsLesser(fn)
}

func returnsLesser(fn *ssa.Function) bool {
	if len(fn.Blocks) != 3 {
		return len(fn.Blocks) == 1 && callsMin(fn)
	}
	branch, ok := fn.Blocks[0].Instrs[len(fn.Blocks[0].Instrs)-1].(*ssa.If)
	if !ok {
		return false
	}
	cmp, ok := branch.Cond.(*ssa.BinOp)
	if !ok {
		return false
	}
	less, more, ok := ordered(cmp)
	if !ok {
		return false
	}
	returns := func(b *ssa.BasicBlock, v ssa.Value) bool {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		return ok && len(r.Results) == 1 && r.Results[0] == v
	}
	return flow.IsDuration(less.Type()) && paramOf(fn, less) && paramOf(fn, more) &&
		returns(branch.Block().Succs[0], less) && returns(branch.Block().Succs[1], more)
}

// callsMin tells a function that returns min of its parameters.
func callsMin(fn *ssa.Function) bool {
	r, ok := fn.Blocks[0].Instrs[len(fn.Blocks[0].Instrs)-1].(*ssa.Return)
	if !ok || len(r.Results) != 1 {
		return false
	}
	call, ok := r.Results[0].(*ssa.Call)
	return ok && flow.IsDuration(call.Type()) && takesLeast(call) && !slices.ContainsFunc(call.Call.Args, func(v ssa.Value) bool { return !paramOf(fn, v) })
}

// ordered returns the lesser and the greater side of a comparison.
func ordered(cmp *ssa.BinOp) (less, more ssa.Value, ok bool) {
	switch cmp.Op {
	case token.LSS, token.LEQ:
		return cmp.X, cmp.Y, true
	case token.GTR, token.GEQ:
		return cmp.Y, cmp.X, true
	}
	return nil, nil, false
}

func paramOf(fn *ssa.Function, v ssa.Value) bool {
	p, ok := v.(*ssa.Parameter)
	return ok && p.Parent() == fn
}

// zeroWins reports whether an argument of min is a wait in which 0 means none, and which
// nothing has found to be above 0.
func (c *code) zeroWins(call *ssa.Call) bool {
	fields, none := 0, 0
	for _, a := range c.flow.Elements(call) {
		switch {
		case c.testedForZero(a, call.Block()):
		case c.flow.IsAfter(a):
			fields++
		case c.mayBeNone(a, c.flow.Known(call.Block())):
			none++
		}
	}
	return fields > 0 || none > 0 && c.flow.EndsInWait(call) && c.flow.IsWait(call)
}

// mayBeNone reports whether a wait can be a constant 0.
func (c *code) mayBeNone(v ssa.Value, k flow.Known) bool {
	if isConst(v) {
		return false
	}
	for _, one := range c.flow.Cases(c.flow.Sum(v), k, nothing) {
		if one.Sum.IsConst() && one.Sum.C == 0 {
			return true
		}
	}
	return false
}

// isAccumulated reports whether the soonest of several times left is kept in a variable that
// is 0 at first: one that has passed is the soonest; or, where 0 is not told from a wait,
// 0 stays.
func (c *code) isAccumulated(less, more ssa.Value, cmp *ssa.BinOp) bool {
	phi, ok := more.(*ssa.Phi)
	return ok && c.flow.IsLeft(less) && slices.ContainsFunc(phi.Edges, isZero) && slices.ContainsFunc(phi.Block().Preds, phi.Block().Dominates) &&
		cmp.Block() != phi.Block()
}

// startsAtZero reports whether the variable of a loop is 0 at first, and nothing tells that
// from a wait.
func (c *code) startsAtZero(v ssa.Value) bool {
	phi, ok := v.(*ssa.Phi)
	if !ok || !slices.ContainsFunc(phi.Edges, isZero) || !slices.ContainsFunc(phi.Block().Preds, phi.Block().Dominates) {
		return false
	}
	return !slices.ContainsFunc(*phi.Referrers(), func(r ssa.Instruction) bool {
		return testsForZero(r) && flow.Reaches(r.Block(), phi.Block())
	})
}

// noneByTest reports whether what two fields are merged into is later tested for 0, which
// then means none.
func (c *code) noneByTest(less, more ssa.Value) bool {
	if !c.flow.IsField(less) || !c.flow.IsField(more) {
		return false
	}
	for _, r := range *less.Referrers() {
		if phi, ok := r.(*ssa.Phi); ok && slices.ContainsFunc(*phi.Referrers(), testsForZero) {
			return true
		}
	}
	// The field is read again to be taken.
	for _, r := range *more.Referrers() {
		phi, ok := r.(*ssa.Phi)
		if ok && slices.ContainsFunc(phi.Edges, func(e ssa.Value) bool { return c.flow.Same(e, less) }) && slices.ContainsFunc(*phi.Referrers(), testsForZero) {
			return true
		}
	}
	return false
}

func testsForZero(instr ssa.Instruction) bool {
	op, ok := instr.(*ssa.BinOp)
	return ok && (isZero(op.X) || isZero(op.Y)) && op.Op != token.ADD && op.Op != token.SUB
}

// testedForZero reports whether a value is compared with 0 anywhere before a block, or was
// found to be above it.
func (c *code) testedForZero(v ssa.Value, b *ssa.BasicBlock) bool {
	sum := c.flow.Sum(v)
	if sum.IsConst() {
		return true
	}
	for op := range ordersBefore(b) {
		if isZero(op.Y) && c.flow.Sum(op.X).Equal(sum) || isZero(op.X) && c.flow.Sum(op.Y).Equal(sum) {
			return true
		}
	}
	return c.flow.Checked(sum, c.flow.Known(b))
}

// mergedByComparison reports a merge by comparison: if a.RequeueAfter < b.RequeueAfter, a is
// taken, and nothing has told that it is above 0.
func (c *code) mergedByComparison(cmp *ssa.BinOp) {
	less, more, ok := ordered(cmp)
	if !ok || isConst(less) || isConst(more) || c.flow.Same(less, more) {
		return
	}
	if !c.flow.IsAfter(more) && !c.flow.IsWait(less) && !c.flow.IsWait(more) && !c.flow.IsLeft(less) {
		return
	}
	if c.flow.IsAfter(less) && !c.flow.IsAfter(more) {
		return // a ceiling
	}
	if !c.flow.IsAfter(less) && !c.noneByTest(less, more) && !c.mayBeNone(less, c.flow.Known(cmp.Block())) && !c.isAccumulated(less, more, cmp) {
		return
	}
	branch := c.branchOf(cmp)
	if branch == nil || !c.takes(branch.Block().Succs[0], branch.Block(), less) {
		return
	}
	if !c.startsAtZero(more) && (c.testedForZero(less, branch.Block().Succs[0]) || c.testedForZero(less, cmp.Block())) {
		return
	}
	pos, end := cmp.Pos(), cmp.Pos()
	var fixes []analysis.SuggestedFix
	if n, ok := c.flow.Node(cmp.Pos()).(*ast.BinaryExpr); ok {
		pos, end = n.Pos(), n.End()
		lesser := n.X
		if cmp.Op == token.GTR || cmp.Op == token.GEQ {
			lesser = n.Y
		}
		if c.flow.IsAfter(less) && c.flow.IsAfter(more) {
			fixes = c.replace(n, "merge with requeue.Soonest", func(q string) string {
				return fmt.Sprintf("%s.Soonest(%s, %s) == %s", q, c.flow.Text(n.X), c.flow.Text(n.Y), c.flow.Text(lesser))
			})
		}
	}
	c.report(finding{
		pos: pos, end: end, fixes: fixes,
		cause:       "of two waits the shorter is taken, and nothing has found it to be above 0",
		consequence: zeroIsTaken, remedy: "use requeue.Soonest",
	})
}

// branchOf returns the branch that a comparison decides.
func (c *code) branchOf(cmp *ssa.BinOp) *ssa.If {
	for _, r := range *cmp.Referrers() {
		if branch, ok := r.(*ssa.If); ok {
			return branch
		}
	}
	return nil
}

// takes reports whether the smaller of two waits, or the result that has it, is taken in a
// branch.
func (c *code) takes(succ, from *ssa.BasicBlock, smaller ssa.Value) bool {
	is := func(v ssa.Value) bool {
		return v != nil && !isConst(v) && (c.flow.Sum(v).Equal(c.flow.Sum(smaller)) || c.flow.Same(v, smaller) || c.flow.Owns(v, smaller))
	}
	phis := func(b, from *ssa.BasicBlock) bool {
		return slices.ContainsFunc(b.Instrs, func(instr ssa.Instruction) bool {
			phi, ok := instr.(*ssa.Phi)
			if !ok {
				return false
			}
			i := slices.Index(b.Preds, from)
			return i >= 0 && is(phi.Edges[i])
		})
	}
	for _, instr := range succ.Instrs {
		switch instr := instr.(type) {
		case *ssa.Return:
			if slices.ContainsFunc(instr.Results, is) {
				return true
			}
		case *ssa.Store:
			if is(instr.Val) {
				return true
			}
		}
	}
	if phis(succ, from) {
		return true
	}
	return len(succ.Succs) == 1 && phis(succ.Succs[0], succ)
}
