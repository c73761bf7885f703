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
)

// overflows reports RQ006: products and powers of durations that overflow.
func (p *program) overflows(fn *ssa.Function) {
	f := p.root(fn)
	for _, b := range fn.Blocks {
		for _, instr := range b.Instrs {
			switch v := instr.(type) {
			case *ssa.BinOp:
				if !isDuration(v.Type()) {
					continue
				}
				switch v.Op {
				case token.QUO:
					p.scaled(f, v)
				case token.SHL:
					if base := resolve(val{f, v.X}).v; !isConst(v.Y) && !isZero(base) {
						p.power(f, v, v.Y)
					}
				case token.MUL:
					p.multiplied(f, v)
				}
			case *ssa.Convert: // time.Duration(math.Pow(2, n) * float64(base))
				p.converted(f, v, v.X)
			case *ssa.ChangeType: // time.Duration(int64(base) << n)
				p.converted(f, v, v.X)
			}
		}
	}
}

// converted reports 2^n as a number that is made a duration.
func (p *program) converted(f *frame, v, from ssa.Value) {
	if !isDuration(v.Type()) || isDuration(from.Type()) {
		return
	}
	if n := exponent(f, from, 0, true); n != nil && !onlyFactor(v) {
		p.power(f, v, n)
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
func (p *program) scaled(f *frame, quo *ssa.BinOp) {
	mul, ok := quo.X.(*ssa.BinOp)
	if !ok || mul.Op != token.MUL || !isDuration(mul.Type()) {
		return
	}
	x, y := resolve(val{f, mul.X}).v, resolve(val{f, mul.Y}).v
	if isConst(x) {
		x, y = y, x
	}
	if isConst(x) || p.bounded(f, x, mul.Block()) {
		return
	}
	if c, ok := y.(*ssa.Const); ok {
		n, _ := constant.Int64Val(constant.ToInt(c.Value))
		if n < 0 {
			n = -n
		}
		const tenYears = 10 * 365 * 24 * time.Hour
		if n == 0 || math.MaxInt64/n >= int64(tenYears) || !spans(mul.X) && !spans(mul.Y) {
			return
		}
	} else if !spans(mul.X) && !spans(mul.Y) || p.bounded(f, y, mul.Block()) || isIndex(f, x) || isIndex(f, y) {
		return
	}
	p.overflow(quo, "d * n / m overflows in d * n before it is divided: a long duration becomes a negative one; use requeue.Between, or divide first")
}

// isIndex tells the parameter of a function literal: in d * i / n, the i of n.
func isIndex(f *frame, v ssa.Value) bool {
	if c, ok := v.(*ssa.Convert); ok {
		v = resolve(val{f, c.X}).v
	}
	param, ok := v.(*ssa.Parameter)
	return ok && param.Parent().Parent() != nil && !isDuration(param.Type())
}

// spans reports whether a factor is a span of time, and not a number that was converted to
// the type.
func spans(v ssa.Value) bool {
	switch v := v.(type) {
	case *ssa.Const:
		return false
	case *ssa.Convert:
		return isDuration(v.X.Type())
	case *ssa.ChangeType:
		return isDuration(v.X.Type())
	}
	return true
}

// multiplied reports base * 2^n.
func (p *program) multiplied(f *frame, mul *ssa.BinOp) {
	for _, v := range []ssa.Value{mul.X, mul.Y} {
		if n := exponent(f, v, 0, false); n != nil {
			p.power(f, mul, n)
			return
		}
	}
}

// exponent returns n if a number is 1 << n or 2^n, through conversions and products; of
// floats that are cut to a ceiling it is none.
func exponent(f *frame, v ssa.Value, depth int, product bool) ssa.Value {
	v = resolve(val{f, v}).v
	if depth > 4 {
		return nil
	}
	switch v := v.(type) {
	case *ssa.Convert:
		return exponent(f, v.X, depth+1, true)
	case *ssa.BinOp:
		switch v.Op {
		case token.SHL:
			if isDuration(v.Type()) {
				return nil // reported itself
			}
			if !isConst(v.Y) {
				return v.Y
			}
		case token.MUL:
			if !product {
				return nil
			}
			if n := exponent(f, v.X, depth+1, true); n != nil {
				return n
			}
			return exponent(f, v.Y, depth+1, true)
		}
	case *ssa.Call:
		fn := v.Call.StaticCallee()
		if fn == nil {
			return nil
		}
		switch fullName(fn) {
		case "math.Pow":
			if c, ok := v.Call.Args[0].(*ssa.Const); ok && c.Value != nil {
				if base, _ := constant.Float64Val(constant.ToFloat(c.Value)); base <= 1 {
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
func (p *program) power(f *frame, v ssa.Value, n ssa.Value) {
	block := v.(ssa.Instruction).Block()
	if p.bounded(f, n, block) || floatCeiling(v) || looksAtSign(f, v) {
		return
	}
	p.overflow(v, "2^n overflows: from some number of failures on, the wait is 0 or negative, and no comparison with a ceiling finds it; use requeue.Backoff, or put a ceiling on n")
}

// bounded reports whether a number has a ceiling where it is used: it is compared with
// something in the function before, cut by min, or a small type; or each call of the
// function has one.
func (p *program) bounded(f *frame, v ssa.Value, b *ssa.BasicBlock) bool {
	return p.boundedAt(f, v, b, 0)
}

func (p *program) boundedAt(f *frame, v ssa.Value, b *ssa.BasicBlock, depth int) bool {
	if depth > 6 {
		return false
	}
	v = resolve(val{f, v}).v
	if comparedBefore(f, v, b) {
		return true
	}
	switch v := v.(type) {
	case *ssa.Const:
		return true
	case *ssa.Convert:
		return p.boundedAt(f, v.X, b, depth+1)
	case *ssa.ChangeType:
		return p.boundedAt(f, v.X, b, depth+1)
	case *ssa.BinOp:
		switch v.Op {
		case token.ADD, token.SUB, token.MUL:
			return p.boundedAt(f, v.X, b, depth+1) && p.boundedAt(f, v.Y, b, depth+1)
		case token.QUO, token.SHR:
			return p.boundedAt(f, v.X, b, depth+1)
		case token.REM, token.AND:
			return true
		}
	case *ssa.Phi:
		for i, e := range v.Edges {
			from := v.Block().Preds[i]
			if e != ssa.Value(v) && !isConst(e) && !comparedBefore(f, e, from) && !steps(e, v) && !p.boundedAt(f, e, from, depth+2) {
				return false
			}
			if steps(e, v) && !comparedBefore(f, v, b) {
				return false // counts up, with no end
			}
		}
		return true
	case *ssa.Call:
		if bi, ok := v.Call.Value.(*ssa.Builtin); ok {
			if bi.Name() == "min" {
				return true
			}
			if bi.Name() == "max" {
				for _, a := range v.Call.Args {
					if !p.boundedAt(f, a, b, depth+1) {
						return false
					}
				}
				return true
			}
		}
		if fn := v.Call.StaticCallee(); fn != nil {
			switch fullName(fn) {
			case "math.Min":
				return true
			case "math.Max", "math.Log", "math.Log2":
				return true
			}
			if fn.Pkg != nil && (fn.Pkg.Pkg.Path() == "math/rand" || fn.Pkg.Pkg.Path() == "math/rand/v2") {
				return true
			}
		}
	case *ssa.Parameter:
		calls := p.calls[f.fn]
		if len(calls) == 0 {
			return false
		}
		i := paramIndex(v)
		for _, call := range calls {
			if i >= len(call.Call.Args) || !p.boundedAt(p.root(call.Parent()), call.Call.Args[i], call.Block(), depth+2) {
				return false
			}
		}
		return true
	}
	return false
}

// steps reports whether a value is a loop variable plus a constant.
func steps(v ssa.Value, phi *ssa.Phi) bool {
	b, ok := v.(*ssa.BinOp)
	return ok && b.Op == token.ADD && (b.X == ssa.Value(phi) || b.Y == ssa.Value(phi))
}

// comparedBefore reports whether a number is compared with something other than 0 before a
// block.
func comparedBefore(f *frame, v ssa.Value, b *ssa.BasicBlock) bool {
	k := key(val{f, v})
	for op := range orderedBefore(f.fn, b) {
		x, y := val{f, op.X}, val{f, op.Y}
		if within(k, x) && !small(op.Y) || within(k, y) && !small(op.X) {
			return true
		}
	}
	return false
}

// orderedBefore iterates over the comparisons by <, <=, > and >= that can lead to a block.
func orderedBefore(fn *ssa.Function, b *ssa.BasicBlock) iter.Seq[*ssa.BinOp] {
	return func(yield func(*ssa.BinOp) bool) {
		for _, from := range fn.Blocks {
			if !reaches(from, b) {
				continue
			}
			for _, instr := range from.Instrs {
				if op, ok := instr.(*ssa.BinOp); ok && orders(op) && !yield(op) {
					return
				}
			}
		}
	}
}

func orders(op *ssa.BinOp) bool {
	switch op.Op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		return true
	}
	return false
}

// within reports whether a compared value is the one with the key, or it with a constant
// added.
func within(k string, x val) bool {
	x = resolve(x)
	if c, ok := x.v.(*ssa.Convert); ok {
		return within(k, val{x.f, c.X})
	}
	if key(x) == k {
		return true
	}
	b, ok := x.v.(*ssa.BinOp)
	if ok && b.Op == token.SHR {
		return within(k, val{x.f, b.Y}) // base > ceiling >> n
	}
	return ok && (b.Op == token.ADD || b.Op == token.SUB) && (key(val{x.f, b.X}) == k && isConst(b.Y))
}

// small tells the constants that are no ceiling: 0, 1 and less.
func small(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	if !ok || c.Value == nil {
		return false
	}
	return constant.Compare(c.Value, token.LEQ, constant.MakeInt64(1))
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
	if b, ok := c.X.(*ssa.BinOp); ok {
		return compared(b.X) || compared(b.Y)
	}
	return false
}

// looksAtSign reports whether a result is compared with 0 or its base, as d <= 0 or
// d < base, which finds an overflow.
func looksAtSign(f *frame, v ssa.Value) bool {
	k := key(val{f, v})
	for _, b := range f.fn.Blocks {
		for _, instr := range b.Instrs {
			op, ok := instr.(*ssa.BinOp)
			if !ok {
				continue
			}
			x, y := op.X, op.Y
			switch op.Op {
			case token.LSS, token.LEQ:
			case token.GTR, token.GEQ:
				x, y = y, x
			default:
				continue
			}
			// x < y: the result is the smaller side, and the other is not a ceiling.
			if key(val{f, x}) == k && (isConst(y) && small(y) || isFactor(f, v, y)) {
				return true
			}
		}
	}
	return false
}

// compared reports whether a number is compared with another.
func compared(x ssa.Value) bool {
	return x.Referrers() != nil && slices.ContainsFunc(*x.Referrers(), func(r ssa.Instruction) bool {
		op, ok := r.(*ssa.BinOp)
		return ok && orders(op)
	})
}

func (p *program) overflow(v ssa.Value, message string) {
	pos, end := v.Pos(), v.Pos()
	if n, ok := p.node(v.Pos()).(ast.Expr); ok {
		pos, end = n.Pos(), n.End()
	}
	p.report(finding{rule: "RQ006", pos: pos, end: end, message: message})
}

func isConst(v ssa.Value) bool {
	_, ok := v.(*ssa.Const)
	return ok
}

// isFactor reports whether a value is what a product has been made of, as in d < base.
func isFactor(f *frame, product, v ssa.Value) bool {
	b, ok := product.(*ssa.BinOp)
	if !ok {
		return false
	}
	k := key(val{f, v})
	return key(val{f, b.X}) == k || key(val{f, b.Y}) == k
}
