package requeuelint

import (
	"go/ast"
	"go/constant"
	"go/token"
	"iter"
	"math"
	"slices"
	"time"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq006 = Rule{
	Code: "RQ006",
	Doc:  "arithmetic of durations that overflows",
	run:  (*code).overflows,
}

var (
	scaledOverflows = finding{
		cause:       "d * n / m overflows in d * n before it is divided",
		consequence: "a long duration becomes a negative one",
		remedy:      "use requeue.Between, or divide first",
	}
	powerOverflows = finding{
		cause:       "2^n overflows",
		consequence: "from some number of failures on, the wait is 0 or negative, and no comparison with a ceiling finds it",
		remedy:      "use requeue.Backoff, or put a ceiling on n",
	}
	unitTwice = finding{
		cause:       "a duration is multiplied by a unit, which it has already",
		consequence: "nine seconds times a second are 285 years, and ten a negative wait",
		remedy:      "leave the unit out, or convert from a number of them",
	}
	unitsOverflow = finding{
		cause:       "a number of 64 bits times a unit overflows",
		consequence: "from 292 years on, which a user may write for never, the wait is negative",
		remedy:      "put a ceiling on the number",
	}
)

// overflows looks at all that computes a duration.
func (c *code) overflows() {
	for instr := range c.instructions() {
		switch v := instr.(type) {
		case *ssa.BinOp:
			if flow.IsDuration(v.Type()) {
				c.computed(v)
			}
		case *ssa.Convert: // time.Duration(math.Pow(2, n) * float64(base))
			c.converted(v, v.X)
		case *ssa.ChangeType: // time.Duration(int64(base) << n)
			c.converted(v, v.X)
		case *ssa.Phi:
			c.doubled(v)
		}
	}
}

// computed looks at an operation on durations.
func (c *code) computed(v *ssa.BinOp) {
	switch v.Op {
	case token.QUO:
		c.scaled(v)
	case token.SHL:
		if !isConst(v.Y) && !isZero(c.flow.Resolve(v.X)) {
			c.power(v, v.Y)
		}
	case token.MUL:
		c.multiplied(v)
	}
}

// converted reports 2^n as a number that is made a duration.
func (c *code) converted(v, from ssa.Value) {
	if !flow.IsDuration(v.Type()) || flow.IsDuration(from.Type()) {
		return
	}
	if n := c.exponent(from, 0, true); n != nil && !onlyFactor(v) {
		c.power(v, n)
	}
}

// onlyFactor reports whether a value is a factor of a product, which is reported in its
// place.
func onlyFactor(v ssa.Value) bool {
	for _, r := range *v.Referrers() {
		if b, ok := r.(*ssa.BinOp); !ok || b.Op != token.MUL {
			return false
		}
	}
	return len(*v.Referrers()) > 0
}

// scaled reports d * n / m, of which d * n can overflow although the whole would not: with
// a constant n if that is so for a d below 10 years.
func (c *code) scaled(quo *ssa.BinOp) {
	mul, ok := quo.X.(*ssa.BinOp)
	if !ok || mul.Op != token.MUL || !flow.IsDuration(mul.Type()) {
		return
	}
	x, y := c.flow.Resolve(mul.X), c.flow.Resolve(mul.Y)
	if isConst(x) {
		x, y = y, x
	}
	if isConst(x) || c.bounded(x, mul.Block()) {
		return
	}
	if n, ok := y.(*ssa.Const); ok {
		n, _ := constant.Int64Val(constant.ToInt(n.Value))
		if n < 0 {
			n = -n
		}
		const tenYears = 10 * 365 * 24 * time.Hour
		if n == 0 || math.MaxInt64/n >= int64(tenYears) || !spans(mul.X) && !spans(mul.Y) {
			return
		}
	} else if !spans(mul.X) && !spans(mul.Y) || c.bounded(y, mul.Block()) || c.isIndex(x) || c.isIndex(y) {
		return
	}
	c.overflow(quo, scaledOverflows)
}

// isIndex tells the parameter of a function literal: in d * i / n, the i of n.
func (c *code) isIndex(v ssa.Value) bool {
	param, ok := c.flow.Resolve(v).(*ssa.Parameter)
	return ok && param.Parent().Parent() != nil && !flow.IsDuration(param.Type())
}

// spans reports whether a factor is a span of time, and not a number that was converted to
// the type.
func spans(v ssa.Value) bool {
	switch v := v.(type) {
	case *ssa.Const:
		return false
	case *ssa.Convert:
		return flow.IsDuration(v.X.Type())
	case *ssa.ChangeType:
		return flow.IsDuration(v.X.Type())
	}
	return true
}

// multiplied reports base * 2^n, and a number of an API object of 64 bits times a unit.
func (c *code) multiplied(mul *ssa.BinOp) {
	for _, v := range []ssa.Value{mul.X, mul.Y} {
		if n := c.exponent(v, 0, false); n != nil {
			c.power(mul, n)
			return
		}
	}
	for _, x := range [][2]ssa.Value{{mul.X, mul.Y}, {mul.Y, mul.X}} {
		unit, ok := x[1].(*ssa.Const)
		if !ok {
			continue
		}
		n, _ := constant.Int64Val(constant.ToInt(unit.Value))
		if n >= int64(time.Millisecond) && c.flow.IsSpan(x[0]) {
			c.overflow(mul, unitTwice)
			return
		}
		a, ok := c.flow.Sum(x[0]).Only()
		if ok && n >= int64(time.Millisecond) && a.Wide && a.API && !a.Unsigned && !c.bounded(x[0], mul.Block()) && c.flow.EndsInWait(mul) {
			c.overflow(mul, unitsOverflow)
		}
	}
}

// doubled reports a wait that a loop doubles without end.
func (c *code) doubled(v *ssa.Phi) {
	if !flow.IsDuration(v.Type()) {
		return
	}
	for i, e := range v.Edges {
		mul, ok := e.(*ssa.BinOp)
		if !ok || !v.Block().Dominates(v.Block().Preds[i]) || mul.Op != token.MUL && mul.Op != token.SHL || mul.X != ssa.Value(v) || !isConst(mul.Y) {
			continue
		}
		compared := func(instr ssa.Instruction) bool { return isOrder(instr) && flow.Reaches(instr.Block(), v.Block()) }
		counted := slices.ContainsFunc(*v.Referrers(), compared) || slices.ContainsFunc(*mul.Referrers(), compared) || c.loopEnds(v.Block())
		if !counted && !c.cutLater(mul) {
			c.overflow(mul, powerOverflows)
		}
	}
}

// loopEnds reports whether a loop goes round at most a constant number of times.
func (c *code) loopEnds(header *ssa.BasicBlock) bool {
	branch, ok := header.Instrs[len(header.Instrs)-1].(*ssa.If)
	if !ok {
		return false
	}
	cmp, ok := branch.Cond.(*ssa.BinOp)
	return ok && (isConst(cmp.X) || isConst(cmp.Y) || slices.ContainsFunc(slices.Collect(ordersBefore(header)), func(op *ssa.BinOp) bool {
		return op != cmp && (c.within(cmp.Y, op.X) && !small(op.Y) || c.within(cmp.Y, op.Y) && !small(op.X))
	}))
}

// cutLater reports whether a product is cut by min.
func (c *code) cutLater(v ssa.Value) bool {
	return slices.ContainsFunc(*v.Referrers(), func(r ssa.Instruction) bool {
		call, ok := r.(*ssa.Call)
		if !ok {
			return false
		}
		b, ok := call.Call.Value.(*ssa.Builtin)
		return ok && b.Name() == "min"
	})
}

// exponent returns n if a number is 1 << n or 2^n, through conversions and products; of
// floats that are cut to a ceiling it is none.
func (c *code) exponent(v ssa.Value, depth int, product bool) ssa.Value {
	v = c.flow.Resolve(v)
	if depth > flow.MaxDepth {
		return nil
	}
	switch v := v.(type) {
	case *ssa.Convert:
		return c.exponent(v.X, depth+1, true)
	case *ssa.BinOp:
		switch v.Op {
		case token.SHL:
			if flow.IsDuration(v.Type()) {
				return nil // reported itself
			}
			if !isConst(v.Y) {
				return v.Y
			}
		case token.MUL:
			if !product {
				return nil
			}
			if n := c.exponent(v.X, depth+1, true); n != nil {
				return n
			}
			return c.exponent(v.Y, depth+1, true)
		}
	case *ssa.Call:
		fn := v.Call.StaticCallee()
		if fn == nil {
			return nil
		}
		switch flow.FullName(fn) {
		case "math.Pow":
			if n, ok := v.Call.Args[0].(*ssa.Const); ok && n.Value != nil {
				if base, _ := constant.Float64Val(constant.ToFloat(n.Value)); base <= 1 {
					return nil
				}
			}
			if !isConst(v.Call.Args[1]) && !compared(v) {
				return v.Call.Args[1]
			}
		case "math.Exp2", "math.Exp":
			if !isConst(v.Call.Args[0]) && !compared(v) {
				return v.Call.Args[0]
			}
		}
	}
	return nil
}

// power reports 2^n unless n has a ceiling, or the result is looked at for a wrong sign.
func (c *code) power(v ssa.Value, n ssa.Value) {
	if block := v.(ssa.Instruction).Block(); !c.bounded(n, block) && !floatCeiling(v) && !c.looksAtSign(v) {
		c.overflow(v, powerOverflows)
	}
}

// bounded reports whether a number has a ceiling where it is used: it is compared with
// something in the function before, cut by min, or a small type; or each call of the
// function has one.
func (c *code) bounded(v ssa.Value, b *ssa.BasicBlock) bool { return c.boundedAt(v, b, 0) }

func (c *code) boundedAt(v ssa.Value, b *ssa.BasicBlock, depth int) bool {
	if depth > flow.MaxDepth {
		return false
	}
	v = c.flow.Resolve(v)
	if c.comparedBefore(v, b) {
		return true
	}
	switch v := v.(type) {
	case *ssa.Const:
		return true
	case *ssa.Convert:
		return c.boundedAt(v.X, b, depth+1)
	case *ssa.BinOp:
		switch v.Op {
		case token.ADD, token.SUB, token.MUL:
			return c.boundedAt(v.X, b, depth+1) && c.boundedAt(v.Y, b, depth+1)
		case token.QUO, token.SHR:
			return c.boundedAt(v.X, b, depth+1)
		case token.REM, token.AND:
			return true
		}
	case *ssa.Phi:
		return c.boundedPhi(v, b, depth)
	case *ssa.Call:
		return c.boundedCall(v, b, depth)
	case *ssa.Parameter:
		calls := c.flow.Callers(v.Parent())
		i := slices.Index(v.Parent().Params, v)
		for _, call := range calls {
			if i >= len(call.Call.Args) || !c.boundedAt(call.Call.Args[i], call.Block(), depth+2) {
				return false
			}
		}
		return len(calls) > 0
	}
	return false
}

func (c *code) boundedPhi(v *ssa.Phi, b *ssa.BasicBlock, depth int) bool {
	for i, e := range v.Edges {
		from := v.Block().Preds[i]
		if e != ssa.Value(v) && !isConst(e) && !c.comparedBefore(e, from) && !steps(e, v) && !c.boundedAt(e, from, depth+2) {
			return false
		}
		if steps(e, v) && !c.comparedBefore(v, b) {
			return false // counts up, with no end
		}
	}
	return true
}

func (c *code) boundedCall(v *ssa.Call, b *ssa.BasicBlock, depth int) bool {
	if bi, ok := v.Call.Value.(*ssa.Builtin); ok {
		return bi.Name() == "min" || bi.Name() == "max" && !slices.ContainsFunc(v.Call.Args, func(a ssa.Value) bool { return !c.boundedAt(a, b, depth+1) })
	}
	fn := v.Call.StaticCallee()
	if fn == nil {
		return false
	}
	switch flow.FullName(fn) {
	case "math.Min", "math.Max", "math.Log", "math.Log2":
		return true
	}
	return fn.Pkg != nil && (fn.Pkg.Pkg.Path() == "math/rand" || fn.Pkg.Pkg.Path() == "math/rand/v2")
}

// steps reports whether a value is a loop variable plus a constant.
func steps(v ssa.Value, phi *ssa.Phi) bool {
	b, ok := v.(*ssa.BinOp)
	return ok && b.Op == token.ADD && (b.X == ssa.Value(phi) || b.Y == ssa.Value(phi))
}

// comparedBefore reports whether a number is compared with something other than 0 before a
// block.
func (c *code) comparedBefore(v ssa.Value, b *ssa.BasicBlock) bool {
	for op := range ordersBefore(b) {
		if c.within(v, op.X) && !small(op.Y) || c.within(v, op.Y) && !small(op.X) {
			return true
		}
	}
	return false
}

// ordersBefore iterates over the comparisons by <, <=, > and >= that can lead to a block.
func ordersBefore(b *ssa.BasicBlock) iter.Seq[*ssa.BinOp] {
	return func(yield func(*ssa.BinOp) bool) {
		for _, from := range b.Parent().Blocks {
			if !flow.Reaches(from, b) {
				continue
			}
			for _, instr := range from.Instrs {
				if isOrder(instr) && !yield(instr.(*ssa.BinOp)) {
					return
				}
			}
		}
	}
}

func isOrder(instr ssa.Instruction) bool {
	op, ok := instr.(*ssa.BinOp)
	if !ok {
		return false
	}
	switch op.Op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		return true
	}
	return false
}

// within reports whether a compared value is another, or it with a constant added.
func (c *code) within(v, x ssa.Value) bool {
	x = c.flow.Resolve(x)
	if conv, ok := x.(*ssa.Convert); ok {
		x = conv.X
	}
	if c.flow.Same(v, x) {
		return true
	}
	b, ok := x.(*ssa.BinOp)
	if ok && b.Op == token.SHR {
		return c.within(v, b.Y) // base > ceiling >> n
	}
	return ok && (b.Op == token.ADD || b.Op == token.SUB) && c.flow.Same(v, b.X) && isConst(b.Y)
}

// small tells the constants that are no ceiling: 0, 1 and less.
func small(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value != nil && constant.Compare(c.Value, token.LEQ, constant.MakeInt64(1))
}

func isZero(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value != nil && c.Value.Kind() == constant.Int && constant.Sign(c.Value) == 0
}

func isConst(v ssa.Value) bool {
	_, ok := v.(*ssa.Const)
	return ok
}

// floatCeiling reports whether a conversion is of a float that was cut by a comparison or
// math.Min, which floats pass without an overflow.
func floatCeiling(v ssa.Value) bool {
	c, ok := v.(*ssa.Convert)
	if !ok {
		return false
	}
	if compared(c.X) {
		return true
	}
	b, ok := c.X.(*ssa.BinOp)
	return ok && (compared(b.X) || compared(b.Y))
}

// looksAtSign reports whether a result is compared with 0 or its base, as d <= 0 or
// d < base, which finds an overflow.
func (c *code) looksAtSign(v ssa.Value) bool {
	for instr := range flow.Instructions(v.Parent()) {
		op, ok := instr.(*ssa.BinOp)
		if !ok || !isOrder(op) {
			continue
		}
		x, y := op.X, op.Y
		if op.Op == token.GTR || op.Op == token.GEQ {
			x, y = y, x
		}
		// x < y: the result is the smaller side, and the other is not a ceiling.
		if c.flow.Same(x, v) && (isConst(y) && small(y) || c.isFactor(v, y)) {
			return true
		}
	}
	return false
}

// compared reports whether a number is compared with another.
func compared(x ssa.Value) bool {
	return x.Referrers() != nil && slices.ContainsFunc(*x.Referrers(), isOrder)
}

// isFactor reports whether a value is what a product has been made of, as in d < base.
func (c *code) isFactor(product, v ssa.Value) bool {
	b, ok := product.(*ssa.BinOp)
	return ok && (c.flow.Same(b.X, v) || c.flow.Same(b.Y, v))
}

func (c *code) overflow(v ssa.Value, f finding) {
	f.pos, f.end = v.Pos(), v.Pos()
	if n, ok := c.flow.Node(v.Pos()).(ast.Expr); ok {
		f.pos, f.end = n.Pos(), n.End()
	}
	c.report(f)
}
