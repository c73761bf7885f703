package flow

import (
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// Known is what has been tested on every path to a place.
type Known struct {
	Facts []Fact
	Any   []Formula // of each of which a case holds
}

func (k Known) with(f Formula) Known {
	switch {
	case len(f) == 1:
		k.Facts = join(k.Facts, f[0])
	case len(f) > 1:
		k.Facts = join(k.Facts, f.shared())
		k.Any = append(k.Any[:len(k.Any):len(k.Any)], f)
	}
	return k
}

// Tests are the facts, and those of the tests that are made of several: of a predicate that
// says that there is a timeout, and that it has passed.
func (k Known) Tests() (all []Fact) {
	all = slices.Clone(k.Facts)
	for _, f := range k.Any {
		come := slices.ContainsFunc(f, func(c []Fact) bool {
			return slices.ContainsFunc(c, func(fact Fact) bool { _, ok := fact.Come(); return ok })
		})
		if come {
			continue // both ways come together again
		}
		for _, c := range f {
			all = join(all, c)
		}
	}
	return all
}

// Known is what has been tested on every path to a block.
func (p *Program) Known(b *ssa.BasicBlock) Known {
	if k, ok := p.known[b]; ok {
		return k
	}
	var k Known
	if d := b.Idom(); d != nil {
		k = p.Known(d).with(p.local(b))
	}
	p.known[b] = k
	return k
}

// local is when control comes to a block from the one that dominates it.
func (p *Program) local(b *ssa.BasicBlock) Formula {
	if f, ok := p.locals[b]; ok {
		return f
	}
	p.locals[b] = always
	f := p.makeLocal(b)
	p.locals[b] = f
	return f
}

func (p *Program) makeLocal(b *ssa.BasicBlock) Formula {
	d := b.Idom()
	if d == nil {
		return always
	}
	if len(b.Preds) == 1 {
		return p.edge(b.Preds[0], b)
	}
	var f Formula
	for _, pred := range b.Preds {
		if b.Dominates(pred) { // a loop: what was known when it began need not hold again
			return always
		}
		way := and(p.between(d, pred), p.edge(pred, b))
		if f = or(f, way); len(f) == 1 && len(f[0]) == 0 {
			return always
		}
	}
	return f
}

// between is when control comes from a block to one that it dominates.
func (p *Program) between(from, to *ssa.BasicBlock) Formula {
	f := always
	for b := to; b != from && b.Idom() != nil; b = b.Idom() {
		f = and(p.local(b), f)
	}
	return f
}

// edge is when a branch is taken.
func (p *Program) edge(from, to *ssa.BasicBlock) Formula {
	branch, ok := from.Instrs[len(from.Instrs)-1].(*ssa.If)
	if !ok || from.Succs[0] == from.Succs[1] {
		return always
	}
	f := p.When(branch.Cond, to == from.Succs[0])
	at := make(Formula, len(f))
	for i, c := range f {
		at[i] = make([]Fact, len(c))
		for j, fact := range c {
			if fact.At == nil {
				fact.At = branch
			}
			at[i][j] = fact
		}
	}
	return at
}

// ident is the atom that a value is.
func (p *Program) ident(v ssa.Value) *Atom {
	if a, ok := p.Sum(v).Only(); ok {
		return a
	}
	return p.loc(v)
}

func (p *Program) truth(v ssa.Value, truth bool) Formula {
	return Formula{{Fact{Op: True, Atom: p.ident(v), Truth: truth}}}
}

// When is when a boolean has a value.
func (p *Program) When(v ssa.Value, truth bool) Formula {
	return p.once(asked{v, truth, false}, func() Formula { return p.when(v, truth, 0) })
}

// asked is what When and NilWhen are asked.
type asked struct {
	v            ssa.Value
	truth, isNil bool
}

// once keeps the answer for a variable that is assigned in branches. One depends on the one
// before it in two ways, by its value and by the test of it, so without this a chain of
// them, as if err == nil { err = f() }, takes twice as long with each.
func (p *Program) once(q asked, answer func() Formula) Formula {
	if _, ok := q.v.(*ssa.Phi); !ok {
		return answer()
	}
	if f, ok := p.answers[q]; ok {
		return f
	}
	p.answers[q] = always // of itself it says nothing
	f := answer()
	p.answers[q] = f
	return f
}

func (p *Program) when(v ssa.Value, truth bool, depth int) Formula {
	if b, ok := constBool(v); ok {
		if b == truth {
			return always
		}
		return nil
	}
	self := p.truth(v, truth)
	if depth > MaxDepth {
		return self
	}
	switch v := v.(type) {
	case *ssa.UnOp:
		switch v.Op {
		case token.NOT:
			return p.when(v.X, !truth, depth+1)
		case token.MUL:
			if a, ok := v.X.(*ssa.Alloc); ok {
				if all := p.definitions(p.loc(a), v); len(all) == 1 && all[0].store != nil && !all[0].whole {
					return p.when(all[0].store.Val, truth, depth+1)
				}
			}
		}
	case *ssa.BinOp:
		return p.comparison(v, truth, depth)
	case *ssa.Phi:
		return and(self, p.phiWhen(v, func(e ssa.Value) Formula { return p.when(e, truth, depth+2) }))
	case *ssa.Extract:
		if call, ok := v.Tuple.(*ssa.Call); ok {
			return p.calledWhen(call, v.Index, truth, self)
		}
	case *ssa.Call:
		return p.predicate(v, truth, self)
	}
	return self
}

// phiWhen is when a variable that is assigned in branches is as each edge tells.
func (p *Program) phiWhen(v *ssa.Phi, of func(ssa.Value) Formula) Formula {
	var all Formula
	for i, e := range v.Edges {
		if e == ssa.Value(v) {
			continue
		}
		pred := v.Block().Preds[i]
		if v.Block().Dominates(pred) {
			return always
		}
		way := and(and(p.between(v.Block().Idom(), pred), p.edge(pred, v.Block())), of(e))
		all = or(all, way)
		if len(all) == 1 && len(all[0]) == 0 {
			return always
		}
	}
	return all
}

var negated = map[token.Token]token.Token{
	token.LSS: token.GEQ, token.LEQ: token.GTR, token.GTR: token.LEQ, token.GEQ: token.LSS,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
}

func (p *Program) comparison(v *ssa.BinOp, truth bool, depth int) Formula {
	op := v.Op
	if !truth {
		if negated[op] == 0 {
			return p.truth(v, truth)
		}
		op = negated[op]
	}
	switch {
	case IsNil(v.Y) && canBeNil(v.X.Type()):
		return p.NilWhen(v.X, op == token.EQL)
	case IsNil(v.X) && canBeNil(v.Y.Type()):
		return p.NilWhen(v.Y, op == token.EQL)
	}
	if b, ok := constBool(v.Y); ok {
		return p.when(v.X, b == (op == token.EQL), depth+1)
	}
	// t.Compare(u) < 0
	if call, ok := v.X.(*ssa.Call); ok {
		if fn := call.Call.StaticCallee(); fn != nil && FullName(fn) == "time.Time.Compare" {
			if n, ok := constNumber(v.Y); ok && n == 0 {
				return ordered(p.Sum(call.Call.Args[0]).Plus(p.Sum(call.Call.Args[1]), -1), op)
			}
		}
	}
	if !isMeasure(v.X.Type()) || canBeNil(v.X.Type()) {
		equal := p.atom(atomKey{kind: aOp, base: p.ident(v.X), other: p.ident(v.Y), name: "=="}, v.Type())
		return Formula{{Fact{Op: True, Atom: equal, Truth: op == token.EQL}}}
	}
	return ordered(p.Sum(v.X).Plus(p.Sum(v.Y), -1), op)
}

// ordered is what a comparison says of a difference.
func ordered(d Sum, op token.Token) Formula {
	fact := Fact{Sum: d}
	switch op {
	case token.LSS:
		fact = Fact{Op: Above0, Sum: d.Times(-1)}
	case token.LEQ:
		fact = Fact{Op: AtLeast0, Sum: d.Times(-1)}
	case token.GTR:
		fact.Op = Above0
	case token.GEQ:
		fact.Op = AtLeast0
	case token.EQL:
		fact.Op = Is0
	case token.NEQ:
		fact.Op = IsNot0
	}
	if d.IsConst() {
		if fact.holds(fact.Sum.C) {
			return always
		}
		return nil
	}
	return Formula{{fact}}
}

// predicate is when a call returns a value.
func (p *Program) predicate(v *ssa.Call, truth bool, self Formula) Formula {
	obj := Called(&v.Call)
	args := v.Call.Args
	if obj != nil && len(args) > 0 {
		before := func(a, b ssa.Value) Formula {
			op := token.LSS
			if !truth {
				op = token.GEQ
			}
			return ordered(p.Sum(a).Plus(p.Sum(b), -1), op)
		}
		switch name := ObjName(obj); {
		case name == "time.Time.Before", name == metaPath+".Time.Before", name == metaPath+".MicroTime.Before":
			return before(args[0], args[1])
		case name == "time.Time.After":
			return before(args[1], args[0])
		case obj.Name() == "IsZero" && isResult(args[0].Type()):
			if truth {
				return and(self, Formula{{Fact{Op: Is0, Sum: p.After(args[0], v)}}})
			}
			return self
		case truth && isErrorTest(obj) && IsError(args[0].Type()):
			return and(self, p.NilWhen(args[0], false))
		}
	}
	return p.calledWhen(v, 0, truth, self)
}

// isErrorTest tells errors.Is, apierrors.IsNotFound and the like, which are false of nil.
func isErrorTest(obj *types.Func) bool {
	if obj.Pkg() == nil {
		return false
	}
	switch obj.Name() {
	case "Is", "As", "AsType":
		return obj.Pkg().Name() == "errors"
	}
	return PkgPath(obj.Pkg()) == "k8s.io/apimachinery/pkg/api/errors" && strings.HasPrefix(obj.Name(), "Is")
}

// calledWhen is when a result of a call is true, or false.
func (p *Program) calledWhen(v *ssa.Call, index int, truth bool, self Formula) Formula {
	all := p.instance(v)
	if len(all) == 0 {
		self[0][0].Uses = p.uses(v)
		return self
	}
	var when Formula
	for _, way := range all {
		if index >= len(way.Results) || way.Results[index].When == nil {
			return self
		}
		when = or(when, and(Formula{way.Facts}, way.Results[index].When[at(truth)]))
		if len(when) == 1 && len(when[0]) == 0 {
			return self
		}
	}
	return and(self, when)
}

func at(truth bool) int {
	if truth {
		return 1
	}
	return 0
}

// uses are the readings of the clock, and what they were computed with, that a call is
// given.
func (p *Program) uses(v *ssa.Call) (all []*Atom) {
	for _, a := range v.Call.Args {
		if isMeasure(a.Type()) {
			if s := p.Sum(a); s.HasClock() {
				all = append(all, s.Atoms()...)
			}
		}
	}
	return all
}

// Tested lists the facts of all branches from which control can come to an instruction.
// They do not hold on every path, but they tell that the author thought of it, as in two
// branches that both begin with if !deadline.IsZero().
func (p *Program) Tested(at ssa.Instruction) (found []Fact) {
	to := at.Block()
	for _, from := range to.Parent().Blocks {
		branch, ok := from.Instrs[len(from.Instrs)-1].(*ssa.If)
		if !ok || from == to || !Reaches(from, to) {
			continue
		}
		for _, next := range from.Succs {
			if next == from || !Reaches(next, to) {
				continue
			}
			for _, c := range p.edge(branch.Block(), next) {
				found = append(found, c...)
			}
		}
	}
	return found
}
