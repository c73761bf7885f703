package flow

import (
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A Pair is the result and the error that a return statement returns, in one of the ways
// that it can.
type Pair struct {
	Return *ssa.Return
	Err    ssa.Value // nil of a function that returns none
	After  Sum       // the RequeueAfter of the result
	Wait   bool      // it has one: it is not 0, and not what another function returns
	None   bool      // it has none
	Failed bool      // the error cannot be nil
	Tested bool      // the error is compared with nil somewhere
	Known  Known
}

// Pairs are the ways that a function returns a result of a reconciler and an error, wherever
// they stand among its results. What a function of the package returns is looked at there.
func (p *Program) Pairs(fn *ssa.Function) (all []Pair) {
	result, err := pairOf(fn.Signature.Results())
	if result < 0 {
		return nil
	}
	for _, r := range Returns(fn) {
		if r.Block() == fn.Recover || result >= len(r.Results) {
			continue
		}
		if p.setByClosure(r.Results[result], fn) {
			continue // what a deferred function sets is not known
		}
		v := written(r.Results[result], r)
		whole := p.loc(v)
		if p.lookedAtThere(v) {
			continue
		}
		pair := Pair{Return: r, Known: p.Known(r.Block()), After: p.After(v, r)}
		if err >= 0 {
			pair.Err = written(r.Results[err], r)
			if clearedByClosure(r.Results[err], fn) {
				pair.Err = r.Results[err]
			}
			pair.Tested = p.comparedWithNil(pair.Err)
		}
		if IsNil(v) && canBeNil(v.Type()) {
			pair.None = true
			all = append(all, pair)
			continue
		}
		for _, c := range p.Cases(pair.After, pair.Known, func(Sum, Known) bool { return false }) {
			one := pair
			one.After, one.Known = c.Sum, c.Known
			one.None = c.Sum.IsConst() && c.Sum.C == 0
			one.Wait = !one.None && !p.ofACall(c.Sum)
			one.None = one.None && c.Whole && whole.kind != aResult
			one.Failed = pair.Err != nil && p.neverNil(pair.Err, c.Known)
			all = append(all, one)
		}
	}
	return all
}

// lookedAtThere reports whether a result is that of a function of the package which returns
// it with an error.
func (p *Program) lookedAtThere(v ssa.Value) bool {
	call, ok := p.loc(v).site.(*ssa.Call)
	if !ok || p.loc(v).kind != aResult || !p.hasBody(call) {
		return false
	}
	_, err := pairOf(call.Call.Signature().Results())
	return err >= 0
}

func pairOf(results *types.Tuple) (result, err int) {
	result, err = -1, -1
	for i := range results.Len() {
		switch t := results.At(i).Type(); {
		case isResult(t):
			result = i
		case IsError(t):
			err = i
		}
	}
	return result, err
}

// written is what a return statement returns as it is written. In a function with a defer it
// is stored, and read again when the deferred functions have run: one may put an error in
// place of another.
func written(v ssa.Value, r *ssa.Return) ssa.Value {
	load, ok := v.(*ssa.UnOp)
	if !ok {
		return v
	}
	for _, instr := range r.Block().Instrs {
		if s, ok := instr.(*ssa.Store); ok && s.Addr == load.X {
			v = s.Val
		}
	}
	return v
}

// setByClosure reports whether a closure sets the RequeueAfter of a result, as a deferred
// one may when there is no error.
func (p *Program) setByClosure(v ssa.Value, fn *ssa.Function) bool {
	where := p.field(p.loc(v), requeueAfter, durationOf(v.Type()))
	return slices.ContainsFunc(p.setters(fn, where), func(s *ssa.Store) bool { return s.Parent() != fn })
}

// clearedByClosure reports whether a closure sets an error to nil.
func clearedByClosure(v ssa.Value, fn *ssa.Function) bool {
	load, ok := v.(*ssa.UnOp)
	if !ok {
		return false
	}
	return slices.ContainsFunc(stores(load.X), func(s *ssa.Store) bool { return s.Parent() != fn && IsNil(s.Val) })
}

// ofACall reports whether a RequeueAfter is that of the result of a call, or unknown.
func (p *Program) ofACall(s Sum) bool {
	a, ok := s.Only()
	if !ok {
		return false
	}
	return a.kind == aField && a.name == requeueAfter || a.kind == aCopy && a.base.name == requeueAfter
}

// neverNil reports whether an error cannot be nil where something is known.
func (p *Program) neverNil(err ssa.Value, k Known) bool {
	for _, c := range p.NilWhen(err, true) {
		if consistent(join(k.Facts, c)) {
			return false
		}
	}
	return true
}

// NeverNil reports whether an error cannot be nil in a block.
func (p *Program) NeverNil(err ssa.Value, b *ssa.BasicBlock) bool { return p.neverNil(err, p.Known(b)) }

// IsNilIn reports whether an error is nil in a block.
func (p *Program) IsNilIn(err ssa.Value, k Known) bool {
	for _, c := range p.NilWhen(err, false) {
		if consistent(join(k.Facts, c)) {
			return false
		}
	}
	return true
}

func (p *Program) comparedWithNil(v ssa.Value) bool {
	if v.Referrers() == nil {
		return false
	}
	for _, r := range *v.Referrers() {
		if b, ok := r.(*ssa.BinOp); ok && (IsNil(b.X) || IsNil(b.Y)) {
			return true
		}
	}
	return false
}
