package flow

import (
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A way is one of several that a value came about: what stands in the place of its atoms,
// and what is known then.
type way struct {
	facts Formula
	sum   func(*Atom) (Sum, bool)
	when  func(a *Atom, truth bool) (Formula, bool) // of a boolean, or of a pointer being nil
	acted bool                                      // something was done on the way
}

// split returns the atom by which a sum can be taken apart: a variable that is assigned in
// branches, a function that returns in several ways, min or max.
func (p *Program) split(s Sum, done []*Atom) *Atom {
	for _, t := range s.Terms {
		for a := t.Atom; a != nil; a = a.base {
			if slices.Contains(done, a) {
				break
			}
			switch a.kind {
			case aPhi, aMemory, aLeast, aMost:
				return a
			case aMethod:
				if p.getters[a] != nil {
					return a
				}
			case aResult:
				if call, ok := a.site.(*ssa.Call); ok && !a.parsed() && len(p.instance(call)) > 1 {
					return a
				}
			default:
			}
		}
	}
	return nil
}

// ways are the ways that an atom by which a sum is split came about.
func (p *Program) ways(a *Atom) []way {
	switch a.kind {
	case aPhi:
		return p.edges(a.site.(*ssa.Phi))
	case aMemory:
		return p.memory(a)
	case aLeast, aMost:
		return p.extremes(a)
	case aResult:
		return p.returns(a.site.(*ssa.Call), nil)
	case aMethod:
		return p.returns(p.getters[a], a)
	default:
	}
	return nil
}

func (p *Program) edges(v *ssa.Phi) (all []way) {
	b := v.Block()
	for i, pred := range b.Preds {
		if v.Edges[i] == ssa.Value(v) {
			continue
		}
		edge := func(root *Atom) ssa.Value {
			if phi, ok := root.site.(*ssa.Phi); ok && root.kind == aPhi && phi.Block() == b {
				return phi.Edges[i]
			}
			return nil
		}
		last := pred.Instrs[len(pred.Instrs)-1]
		w := way{facts: always}
		if !b.Dominates(pred) {
			w.facts = and(p.between(b.Idom(), pred), p.edge(pred, b))
		} else {
			w.facts = Formula{p.Known(pred).with(p.edge(pred, b)).Facts}
		}
		w.sum = func(a *Atom) (Sum, bool) {
			root := a.Root()
			e := edge(root)
			switch {
			case e == nil:
				return Sum{}, false
			case a == root:
				return p.Sum(e), true
			}
			return p.member(e, root, a, last), true
		}
		w.when = func(a *Atom, truth bool) (Formula, bool) {
			e := edge(a)
			if e == nil {
				return nil, false
			}
			if isBoolean(e.Type()) {
				return p.When(e, truth), true
			}
			return p.NilWhen(e, truth), true
		}
		all = append(all, w)
	}
	return all
}

func (p *Program) memory(m *Atom) (all []way) {
	for _, d := range p.memories[m] {
		w := way{facts: always}
		if d.store != nil {
			w.facts = Formula{p.Known(d.store.Block()).Facts}
		}
		w.sum = func(a *Atom) (Sum, bool) {
			if a != m {
				return Sum{}, false
			}
			return p.defined(d, m.base), true
		}
		w.when = func(a *Atom, truth bool) (Formula, bool) {
			if a != m || d.store == nil || d.whole {
				return nil, false
			}
			if isBoolean(d.store.Val.Type()) {
				return p.When(d.store.Val, truth), true
			}
			return p.NilWhen(d.store.Val, truth), true
		}
		all = append(all, w)
	}
	return all
}

func (p *Program) extremes(m *Atom) (all []way) {
	args := m.site.(*ssa.Call).Call.Args
	for i, arg := range args {
		var facts []Fact
		for j, other := range args {
			if j == i {
				continue
			}
			d := p.Sum(other).Plus(p.Sum(arg), -1)
			if m.kind == aMost {
				d = d.Times(-1)
			}
			facts = append(facts, Fact{Op: AtLeast0, Sum: d})
		}
		if !consistent(facts) {
			continue
		}
		all = append(all, way{
			facts: Formula{facts},
			sum:   func(a *Atom) (Sum, bool) { return p.Sum(arg), a == m },
			when:  func(*Atom, bool) (Formula, bool) { return nil, false },
		})
	}
	return all
}

// returns are the ways that a call returns; getter is its result, if that is the same each
// time.
func (p *Program) returns(call *ssa.Call, getter *Atom) (all []way) {
	for _, r := range p.instance(call) {
		of := func(a *Atom) (Result, bool) {
			if getter != nil {
				return r.Results[0], a == getter
			}
			if a.kind == aResult && a.site == ssa.Value(call) && a.index < len(r.Results) {
				return r.Results[a.index], true
			}
			return Result{}, false
		}
		all = append(all, way{
			facts: Formula{r.Facts},
			acted: r.Acted,
			sum: func(a *Atom) (Sum, bool) {
				if res, ok := of(a); ok && res.HasSum {
					return res.Sum, true
				}
				if a.kind == aField && a.name == requeueAfter {
					if res, ok := of(a.base); ok && res.HasAfter {
						return res.After, true
					}
				}
				return Sum{}, false
			},
			when: func(a *Atom, truth bool) (Formula, bool) {
				if res, ok := of(a); ok && res.When != nil {
					return res.When[at(truth)], true
				}
				return nil, false
			},
		})
	}
	return all
}

// apply puts what a way tells into what is known, or reports that both cannot be.
func (w way) apply(k Known) (out Known, ok bool) {
	f := Formula{nil}
	for _, fact := range k.Facts {
		one := Formula{{fact.replace(w.sum)}}
		if fact.Op >= True {
			if g, ok := w.when(fact.Atom, fact.Truth); ok {
				one = g.at(fact.At)
				if fact.Atom.kind == aResult { // of a call, which is asked about by its own name, too
					f[0] = join(f[0], []Fact{fact})
				}
			}
		}
		if len(one) == 0 {
			return Known{}, false
		}
		if len(one) > 1 {
			out = out.with(one)
			continue
		}
		f[0] = join(f[0], one[0])
	}
	for _, f := range k.Any {
		out = out.with(w.formula(f))
	}
	out = out.with(f).with(w.facts)
	return out, len(w.facts) > 0 && consistent(out.Facts)
}

// formula puts what a way tells into a formula.
func (w way) formula(f Formula) (out Formula) {
	for _, c := range f {
		if k, ok := w.only(c); ok {
			out = append(out, k)
		}
	}
	return out
}

// only is apply for the facts of a case, without those of the way.
func (w way) only(c []Fact) ([]Fact, bool) {
	var all []Fact
	for _, fact := range c {
		if fact.Op >= True {
			if g, ok := w.when(fact.Atom, fact.Truth); ok {
				if len(g) == 0 {
					return nil, false
				}
				all = join(all, g.shared())
				continue
			}
		}
		all = join(all, []Fact{fact.replace(w.sum)})
	}
	return all, consistent(all)
}

// at notes where the facts of a formula were tested.
func (f Formula) at(instr ssa.Instruction) Formula {
	out := make(Formula, len(f))
	for i, c := range f {
		out[i] = slices.Clone(c)
		for j := range out[i] {
			if out[i][j].At == nil {
				out[i][j].At = instr
			}
		}
	}
	return out
}

// narrow takes facts apart, and keeps what all ways have that can be, given the others.
func (p *Program) narrow(k Known) Known {
	var done []*Atom
	for i := 0; i < len(k.Facts) && len(done) < MaxDepth; i++ {
		sum := k.Facts[i].Sum
		if k.Facts[i].Op >= True {
			sum = Of(k.Facts[i].Atom)
		}
		a := p.split(sum, done)
		if a == nil || k.Facts[i].Op >= True && a.kind != aResult {
			continue
		}
		done = append(done, a)
		var left []Known
		for _, w := range p.ways(a) {
			if next, ok := w.apply(k); ok {
				left = append(left, next)
			}
		}
		switch {
		case len(left) == 1:
			k, i = left[0], -1
		case len(left) > 1:
			var f Formula
			for _, next := range left {
				f = append(f, next.Facts)
			}
			k.Facts = join(k.Facts, f.shared())
		}
	}
	return k
}

// A Case is one of the ways that a sum came about, all the way down.
type Case struct {
	Sum   Sum
	Known Known
	Split []Fact // what the ways have told
	Whole bool   // nothing was split
	Acted bool   // something was done on one of the ways
}

// maxSteps is how often a wait is split. A wait of the operators that were looked at takes
// fewer than 100; what takes more is not known.
const maxSteps = 300

// Cases takes a sum apart, as far as it is not settled. It is none if all is.
func (p *Program) Cases(s Sum, k Known, settled func(Sum, Known) bool) (all []Case) {
	steps := 0
	var seen []Sum // on the way to here
	var walk func(c Case, done []*Atom)
	walk = func(c Case, done []*Atom) {
		// What comes round unchanged in a loop came about in one of the other ways.
		if slices.ContainsFunc(seen, c.Sum.Equal) {
			return
		}
		seen = append(seen, c.Sum)
		defer func() { seen = seen[:len(seen)-1] }()
		if steps++; steps > maxSteps || !consistent(c.Known.Facts) || settled(c.Sum, c.Known) {
			return
		}
		a := p.split(c.Sum, done)
		if a == nil || len(done) > MaxDepth {
			if c.Known = p.narrow(c.Known); !settled(c.Sum, c.Known) {
				all = append(all, c)
			}
			return
		}
		for _, w := range p.ways(a) {
			known, ok := w.apply(c.Known)
			if !ok {
				continue
			}
			next := Case{Sum: c.Sum.replace(w.sum), Known: known, Split: join(c.Split, w.facts.shared()), Acted: c.Acted || w.acted}
			walk(next, append(done[:len(done):len(done)], a))
		}
	}
	walk(Case{Sum: s, Known: k, Whole: true}, nil)
	return all
}
