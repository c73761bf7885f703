package flow

import (
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// instance are the ways that a call returns: those of the function, with the arguments in
// place of the parameters.
func (p *Program) instance(call *ssa.Call) []returned {
	if all, ok := p.instances[call]; ok {
		return all
	}
	p.instances[call] = nil
	s := p.of(call)
	if s == nil || len(s.Returns) == 0 {
		if s == nil {
			delete(p.instances, call) // it may be known later
		}
		return nil
	}
	at := p.caller(call)
	var all []returned
	for _, r := range s.Returns {
		facts, ok := at.facts(r.Facts)
		if !ok {
			continue
		}
		one := returned{Facts: facts, Acted: r.Acted}
		for _, res := range r.Results {
			res.Sum, res.After = res.Sum.replace(at.sum), res.After.replace(at.sum)
			if res.When != nil {
				res.When = []Formula{at.formula(res.When[0]), at.formula(res.When[1])}
			}
			one.Results = append(one.Results, res)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil
	}
	forget(all)
	p.instances[call] = all
	return all
}

// forget drops what is the same in all ways: an error that is never returned, a boolean
// that is a constant. Such a function is one that is not written yet.
func forget(all []returned) {
	for i := range all[0].Results {
		for _, never := range []int{0, 1} {
			if len(all[0].Results[i].When) == 0 || never == 1 && !all[0].Results[i].Bool {
				continue
			}
			if !slices.ContainsFunc(all, func(r returned) bool { return len(r.Results[i].When[never]) > 0 }) {
				for _, r := range all {
					r.Results[i].When = nil
				}
				break
			}
		}
	}
}

// A calling puts what a caller knows in place of what a callee says.
type calling struct {
	p      *Program
	call   *ssa.Call
	callee *ssa.Function
	done   map[*Atom]Sum
	args   *Atom
	stable bool     // what is local is the same each time
	twin   *calling // that is stable
}

func (p *Program) caller(call *ssa.Call) *calling {
	return &calling{p: p, call: call, callee: call.Call.StaticCallee(), done: map[*Atom]Sum{}}
}

func (c *calling) sum(a *Atom) (Sum, bool) {
	s, ok := c.done[a]
	if !ok {
		s = c.put(a)
		c.done[a] = s
	}
	return s, true
}

func (c *calling) put(a *Atom) Sum {
	p := c.p
	switch a.kind {
	case aGlobal, aZero:
		return Of(a)
	case aParam:
		if a.site != nil && a.site.Parent() != c.callee {
			return Of(a) // of the function that a closure is in
		}
		if a.index < len(c.call.Call.Args) {
			arg := c.call.Call.Args[a.index]
			if isMeasure(arg.Type()) {
				return p.Sum(arg)
			}
			return Of(p.ident(arg))
		}
	case aField, aElem, aMethod, aOp:
		k := a.atomKey
		base, ok := c.only(a.base)
		if !ok {
			break
		}
		k.base = base
		if a.other != nil {
			// The element that a loop finds is the same each time.
			of := c
			if a.kind == aElem {
				of = c.same()
			}
			if k.other, ok = of.only(a.other); !ok {
				break
			}
		}
		b := p.atom(k, a.typ)
		clock := b.Clock
		b.Traits = a.Traits
		b.Clock = b.Clock || clock
		if a.derived != nil && b.derived == nil {
			b.derived, _ = c.only(a.derived)
		}
		if a.kind == aField {
			return p.read(b, c.call)
		}
		return Of(b)
	case aCopy:
		// What was read from what was handed in.
		if a.site == nil && a.base != nil && a.other != nil {
			if args, ok := c.only(a.other); ok {
				b := p.atom(atomKey{kind: aCopy, base: a.base, other: args, name: a.name}, a.typ)
				b.Traits = a.Traits
				return Of(b)
			}
		}
	case aUnknown:
		if a.site == nil && a.typ != nil {
			return Of(a) // a constant
		}
	default:
	}
	if a.site != nil && a.site.Parent() != nil && c.callee != nil && a.site.Parent() != c.callee && a.kind != aCopy {
		return Of(a)
	}
	k := atomKey{kind: aCopy, base: a, name: a.Name(), site: c.call}
	if (a.Time || a.Duration || c.stable) && !a.Clock && !a.random() && a.Root().kind != aResult {
		k.site, k.other = nil, c.arguments() // read from what was handed in: the same each time
	}
	b := p.atom(k, a.typ)
	b.Traits = a.Traits
	if a.derived != nil {
		b.derived, _ = c.only(a.derived)
	}
	if a.bound != nil {
		bound := a.bound.replace(c.sum)
		b.bound = &bound
	}
	b.isRandom = a.random()
	return Of(b)
}

// same is a calling in which what is local to the callee is the same each time.
func (c *calling) same() *calling {
	if c.stable {
		return c
	}
	if c.twin == nil {
		c.twin = &calling{p: c.p, call: c.call, callee: c.callee, done: map[*Atom]Sum{}, stable: true}
	}
	return c.twin
}

// arguments is an atom for what a call hands in.
func (c *calling) arguments() *Atom {
	if c.args == nil {
		for _, v := range c.call.Call.Args {
			if !isContext(v.Type()) {
				c.args = c.p.atom(atomKey{kind: aOp, name: ",", base: c.p.ident(v), other: c.args}, nil)
			}
		}
		if c.args == nil {
			c.args = c.p.atom(atomKey{kind: aUnknown, site: c.call}, nil)
		}
	}
	return c.args
}

func (c *calling) only(a *Atom) (*Atom, bool) {
	s, _ := c.sum(a)
	return s.Only()
}

// facts are those of the callee as the caller sees them. They are not ok if they cannot be.
func (c *calling) facts(all []Fact) (out []Fact, ok bool) {
	for _, f := range all {
		f.At = c.call
		if f.Op < True {
			f.Sum = f.Sum.replace(c.sum)
			out = join(out, []Fact{f})
			continue
		}
		// Of a parameter, the caller may know more.
		if f.Atom.kind == aParam && (f.Atom.site == nil || f.Atom.site.Parent() == c.callee) && f.Atom.index < len(c.call.Call.Args) {
			arg := c.call.Call.Args[f.Atom.index]
			var when Formula
			if f.Op == True {
				when = c.p.When(arg, f.Truth)
			} else {
				when = c.p.NilWhen(arg, f.Truth)
			}
			if len(when) == 0 {
				return nil, false
			}
			out = join(out, when.at(c.call).shared())
			continue
		}
		var has bool
		if f.Atom, has = c.only(f.Atom); has {
			var uses []*Atom
			for _, u := range f.Uses {
				s, _ := c.sum(u)
				uses = append(uses, s.Atoms()...)
			}
			f.Uses = uses
			out = join(out, []Fact{f})
		}
	}
	return out, consistent(out)
}

func (c *calling) formula(f Formula) (out Formula) {
	for _, one := range f {
		if facts, ok := c.facts(one); ok {
			if len(facts) == 0 {
				return always
			}
			out = append(out, facts)
		}
	}
	return out
}

// After is the RequeueAfter of the result of a reconciler, or of what a pointer to one
// points at, at an instruction.
func (p *Program) After(v ssa.Value, at ssa.Instruction) Sum {
	switch w := v.(type) {
	case *ssa.ChangeType:
		return p.After(w.X, at)
	case *ssa.Const:
		return Constant(0)
	}
	whole := p.loc(v)
	part := p.field(whole, requeueAfter, durationOf(v.Type()))
	return p.member(v, whole, part, at)
}

// afterOfCall is the RequeueAfter of what a call returns, if it returns in one way.
func (p *Program) afterOfCall(whole *Atom) (Sum, bool) {
	call, ok := whole.site.(*ssa.Call)
	if !ok || whole.kind != aResult {
		return Sum{}, false
	}
	if all := p.instance(call); len(all) == 1 && whole.index < len(all[0].Results) && all[0].Results[whole.index].HasAfter {
		return all[0].Results[whole.index].After, true
	}
	return Sum{}, false
}

// durationOf is the type of the field RequeueAfter of a result.
func durationOf(t types.Type) types.Type {
	st := Deref(t).Underlying().(*types.Struct)
	for i := range st.NumFields() {
		if st.Field(i).Name() == requeueAfter {
			return st.Field(i).Type()
		}
	}
	return types.Typ[types.Int64]
}
