package flow

import (
	"fmt"
	"go/token"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// Sum is what a value is. What is not seen through is an atom.
func (p *Program) Sum(v ssa.Value) Sum {
	if s, ok := p.sums[v]; ok {
		return s
	}
	p.sums[v] = Of(p.loc(v)) // of a variable of a loop that is set from itself
	s := p.makeSum(v)
	p.sums[v] = s
	return s
}

func (p *Program) makeSum(v ssa.Value) Sum {
	switch v := v.(type) {
	case *ssa.Const:
		if n, ok := constNumber(v); ok {
			return Constant(n)
		}
		if v.Value == nil && IsTime(v.Type()) && !canBeNil(v.Type()) {
			return Of(p.atom(atomKey{kind: aZero}, v.Type()))
		}
	case *ssa.BinOp:
		if isMeasure(v.Type()) {
			return p.arithmetic(v)
		}
	case *ssa.UnOp:
		switch v.Op {
		case token.SUB:
			return p.Sum(v.X).Times(-1)
		case token.MUL:
			if g, ok := v.X.(*ssa.Global); ok {
				if init := onlyInit(g); init != nil {
					return p.Sum(init)
				}
			}
			return p.load(v.X, v)
		}
	case *ssa.Convert:
		if isMeasure(v.X.Type()) {
			return p.Sum(v.X)
		}
	case *ssa.ChangeType:
		return p.Sum(v.X)
	case *ssa.MakeInterface:
		return p.Sum(v.X)
	case *ssa.ChangeInterface:
		return p.Sum(v.X)
	case *ssa.Field:
		if isWrapper(v.X.Type()) {
			return p.Sum(v.X)
		}
		return p.read(p.loc(v), v)
	case *ssa.Alloc:
		// The address of a time, as methods of metav1.Time take it.
		if s := p.onlyStore(v); s != nil && isMeasure(v.Type()) {
			return p.Sum(s.Val)
		}
	case *ssa.FieldAddr:
		if isMeasure(v.Type()) {
			return p.load(v, v)
		}
	case *ssa.Phi:
		if s, ok := p.sameOnAllEdges(v); ok {
			return s
		}
	case *ssa.Extract:
		if call, ok := v.Tuple.(*ssa.Call); ok {
			return p.result(call, v.Index)
		}
	case *ssa.Call:
		return p.result(v, 0)
	}
	a := p.loc(v)
	if a.Time && !a.Clock && a.derived == nil {
		a.derived = p.derivedFrom(v, 0)
	}
	return Of(a)
}

func (p *Program) sameOnAllEdges(v *ssa.Phi) (first Sum, ok bool) {
	for _, e := range v.Edges {
		if e == ssa.Value(v) {
			continue
		}
		s := p.Sum(e)
		if ok && !s.Equal(first) {
			return Sum{}, false
		}
		first, ok = s, true
	}
	return first, ok
}

func (p *Program) arithmetic(v *ssa.BinOp) Sum {
	x, y := p.Sum(v.X), p.Sum(v.Y)
	switch v.Op {
	case token.ADD:
		return x.Plus(y, 1)
	case token.SUB:
		return x.Plus(y, -1)
	case token.MUL:
		return p.product(x, y, v)
	case token.QUO:
		if y.IsConst() && y.C != 0 {
			return x.Times(1 / y.C)
		}
	case token.SHL:
		if y.IsConst() && y.C >= 0 && y.C < 63 {
			return x.Times(float64(int64(1) << int(y.C)))
		}
	}
	return Of(p.loc(v))
}

// product multiplies by a number, or by a random one.
func (p *Program) product(x, y Sum, v ssa.Value) Sum {
	if x.IsConst() || randomFactor(x) && !y.IsConst() {
		x, y = y, x
	}
	if y.IsConst() {
		return x.Times(y.C)
	}
	if !randomFactor(y) {
		return Of(p.loc(v))
	}
	all := x.Times(y.C)
	for _, t := range y.Terms {
		r := p.atom(atomKey{kind: aRandom, base: t.Atom, site: v}, v.Type())
		bound := x.Times(t.Atom.bound.C)
		r.bound = &bound
		all = all.Plus(Of(r), t.Coef)
	}
	return all
}

// randomFactor tells sums of random numbers below a constant.
func randomFactor(s Sum) bool {
	for _, t := range s.Terms {
		if !t.Atom.random() || !t.Atom.bound.IsConst() {
			return false
		}
	}
	return len(s.Terms) > 0
}

// load is what an address has at an instruction.
func (p *Program) load(addr ssa.Value, at ssa.Instruction) Sum {
	if a, ok := addr.(*ssa.Alloc); ok {
		if s := p.onlyStore(a); s != nil && (s.Parent() != at.Parent() || Precedes(s, at)) {
			return p.Sum(s.Val)
		}
	}
	if fv, ok := addr.(*ssa.FreeVar); ok {
		if a, ok := captured(fv).(*ssa.Alloc); ok {
			if s := p.onlyStore(a); s != nil {
				return p.Sum(s.Val)
			}
		}
	}
	switch addr.(type) {
	case *ssa.Extract, *ssa.Call, *ssa.Phi:
		// A pointer stands for what it points at.
		if isMeasure(addr.Type()) && len(p.definitions(p.loc(addr), at)) == 0 {
			return p.Sum(addr)
		}
	}
	a := p.loc(addr)
	s := p.read(a, at)
	if only, ok := s.Only(); ok && only.Time && !only.Clock && only.derived == nil {
		only.derived = p.derivedFrom(addr, 0)
	}
	return s
}

// read is what a location has at an instruction.
func (p *Program) read(where *Atom, at ssa.Instruction) Sum {
	if at.Parent() == nil {
		return Of(where)
	}
	root := where.Root()
	all := p.definitions(where, at)
	switch len(all) {
	case 0:
		if local, ok := root.site.(*ssa.Alloc); ok && root.kind == aLocal && private(local) {
			return p.zero(where)
		}
		return Of(where)
	case 1:
		return p.defined(all[0], where)
	}
	var name strings.Builder
	for _, d := range all {
		fmt.Fprintf(&name, "%p ", d.store)
	}
	m := p.atom(atomKey{kind: aMemory, base: where, name: name.String()}, where.typ)
	p.memories[m] = all
	return Of(m)
}

// defined is what one of the definitions of a location gives.
func (p *Program) defined(d definition, where *Atom) Sum {
	switch {
	case d.store == nil && d.zero:
		return p.zero(where)
	case d.store == nil:
		return Of(where)
	case !d.whole:
		return p.Sum(d.store.Val)
	}
	return p.member(d.store.Val, p.loc(d.store.Addr), where, d.store)
}

// member is the part of a value that a path has behind the path of the value.
func (p *Program) member(v ssa.Value, whole, part *Atom, at ssa.Instruction) Sum {
	if c, ok := v.(*ssa.Const); ok && c.Value == nil {
		return p.zero(part)
	}
	to := p.loc(v)
	if part.kind == aField && part.base == whole && part.name == requeueAfter {
		if _, isLoad := v.(*ssa.UnOp); !isLoad {
			if s, ok := p.afterOfCall(to); ok {
				return s
			}
		}
	}
	if part.mentions(to) && to != whole {
		return Of(part) // of itself
	}
	if load, ok := v.(*ssa.UnOp); ok && load.Op == token.MUL {
		if g, ok := load.X.(*ssa.Global); ok {
			if s, ok := p.initialMember(g, whole, part); ok {
				return s
			}
		}
		at = load
	}
	return p.read(p.rebase(part, whole, to), at)
}

// rebase puts one path in place of another, of which a path is a member.
func (p *Program) rebase(a, from, to *Atom) *Atom {
	if a == from {
		return to
	}
	if a.base == nil {
		return a
	}
	k := a.atomKey
	k.base = p.rebase(a.base, from, to)
	b := p.atom(k, a.typ)
	b.Traits, b.derived, b.bound = a.Traits, a.derived, a.bound
	return b
}

func (p *Program) zero(a *Atom) Sum {
	if a.Time {
		return Of(p.atom(atomKey{kind: aZero}, a.typ))
	}
	return Constant(0)
}

// private reports whether nothing but loads and stores is done with a local variable.
func private(a *ssa.Alloc) bool { return onlyLoadsAndStores(a, 0) }

func onlyLoadsAndStores(addr ssa.Value, depth int) bool {
	if depth > MaxDepth {
		return false
	}
	for _, r := range *addr.Referrers() {
		switch r := r.(type) {
		case *ssa.UnOp, *ssa.DebugRef, *ssa.Return:
		case *ssa.Store:
			if r.Addr != addr {
				return false
			}
		case *ssa.FieldAddr:
			if !onlyLoadsAndStores(r, depth+1) {
				return false
			}
		case *ssa.Call:
			// A method of a result only looks at it.
			if obj := Called(&r.Call); obj == nil || obj.Name() != "IsZero" {
				return false
			}
		case *ssa.MakeClosure:
			for i, b := range r.Bindings {
				if b == addr && !onlyLoadsAndStores(r.Fn.(*ssa.Function).FreeVars[i], depth+1) {
					return false
				}
			}
		case *ssa.Phi: // one of several pointers
			if !onlyLoadsAndStores(r, depth+1) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// onlyInit returns what a variable of the package is set to where it is declared, if
// nothing else sets it.
func onlyInit(g *ssa.Global) ssa.Value {
	var only ssa.Value
	for _, s := range initStores(g) {
		if only != nil || s.Addr != ssa.Value(g) {
			return nil
		}
		only = s.Val
	}
	if only == nil || !isMeasure(only.Type()) {
		return nil
	}
	return only
}

// initStores are the stores by which a variable of the package is initialized.
func initStores(g *ssa.Global) (all []*ssa.Store) {
	if g.Pkg == nil {
		return nil
	}
	init := g.Pkg.Func("init")
	if init == nil {
		return nil
	}
	for instr := range Instructions(init) {
		s, ok := instr.(*ssa.Store)
		if !ok {
			continue
		}
		if fa, ok := s.Addr.(*ssa.FieldAddr); ok && fa.X == ssa.Value(g) || s.Addr == ssa.Value(g) {
			all = append(all, s)
		}
	}
	return all
}

// initialMember is a field of a variable of the package, as it is declared.
func (p *Program) initialMember(g *ssa.Global, whole, part *Atom) (Sum, bool) {
	for _, s := range initStores(g) {
		if fa, ok := s.Addr.(*ssa.FieldAddr); ok && part.base == whole && FieldVar(fa.X.Type(), fa.Field).Name() == part.name {
			return p.Sum(s.Val), true
		}
		if s.Addr == ssa.Value(g) {
			return p.member(s.Val, whole, part, s), true
		}
	}
	return Sum{}, false
}
