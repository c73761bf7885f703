package flow

import (
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A Summary is what a function does, in terms of its parameters, of globals, and of what
// only it knows of, such as readings of the clock.
type Summary struct {
	Returns []returned
	Sinks   []*Sink // those that a caller decides on
}

// returned is one of the ways that a function returns.
type returned struct {
	Facts   []Fact
	Results []Result
	Acted   bool // something was done after the last test
}

// A Result is what is known of a result of a function.
type Result struct {
	Sum      Sum // of a number, a time, a span
	HasSum   bool
	After    Sum // the RequeueAfter of a result of a reconciler
	HasAfter bool
	When     []Formula // when a boolean is false and true; or a pointer is not nil and nil
	Bool     bool
}

// maxReturns is how many ways to return are kept of a function. One with more is not seen
// through. The reconcilers that were looked at have up to 40.
const maxReturns = 48

// Summary returns the summary of a function with a body. It is nil while it is worked out,
// as for a function that calls itself.
func (p *Program) Summary(fn *ssa.Function) *Summary {
	if s, ok := p.summaries[fn]; ok {
		return s
	}
	p.summaries[fn] = nil
	s := &Summary{Returns: p.returned(fn)}
	p.summaries[fn] = s
	s.Sinks = p.pending(fn)
	return s
}

// of returns the summary of the function that a call calls.
func (p *Program) of(call *ssa.Call) *Summary {
	if fn := call.Call.StaticCallee(); fn != nil && len(fn.Blocks) > 0 {
		return p.Summary(fn)
	}
	if obj := Called(&call.Call); obj != nil && !call.Call.IsInvoke() {
		return p.Imported(obj)
	}
	return nil
}

// returned are the ways that a function returns.
func (p *Program) returned(fn *ssa.Function) (all []returned) {
	if !tells(fn.Signature) {
		return nil
	}
	steps := 0
	for _, r := range Returns(fn) {
		if r.Block() == fn.Recover {
			continue
		}
		k := p.Known(r.Block())
		cases := Formula{k.Facts}
		if slices.ContainsFunc(r.Results, func(v ssa.Value) bool { _, ok := constBool(v); return ok }) {
			for _, f := range k.Any {
				cases = and(cases, f)
			}
		}
		for _, facts := range cases {
			one := returned{Facts: facts, Acted: acted(r)}
			for _, v := range r.Results {
				one.Results = append(one.Results, p.resultOf(v, r))
			}
			all = append(all, p.expand(one, nil, &steps)...)
		}
		if len(all) > maxReturns {
			return nil
		}
	}
	for i := range all {
		for _, res := range all[i].Results {
			all[i].Facts = join(all[i].Facts, p.thoughtOf(res.Sum))
		}
		all[i].Facts = telling(all[i])
	}
	return all
}

// thoughtOf is the test of a deadline that precedes the computation of the time left until
// it, if not on every path.
func (p *Program) thoughtOf(s Sum) []Fact {
	if instr, ok := clockSite(s); ok && s.Left() {
		if state, where := check(s, p.Tested(instr)); state != unchecked {
			return []Fact{*where}
		}
	}
	return nil
}

// acted reports whether something was done between the last test that is more than one of
// an error and a return.
func acted(r *ssa.Return) bool {
	for b := r.Block(); ; b = b.Idom() {
		for _, instr := range b.Instrs {
			if call, ok := instr.(*ssa.Call); ok && TakesTime(call) {
				return true
			}
		}
		d := b.Idom()
		if d == nil || len(b.Preds) != 1 {
			return false
		}
		if branch, ok := d.Instrs[len(d.Instrs)-1].(*ssa.If); ok {
			if cmp, ok := branch.Cond.(*ssa.BinOp); !ok || !IsError(cmp.X.Type()) {
				return false
			}
		}
	}
}

// tells reports whether results can tell of waits: numbers, times, booleans, errors.
func tells(sig *types.Signature) bool {
	for i := range sig.Results().Len() {
		t := sig.Results().At(i).Type()
		if isMeasure(t) || isBoolean(t) || IsError(t) || isResult(t) {
			return true
		}
	}
	return false
}

func (p *Program) resultOf(v ssa.Value, at *ssa.Return) (r Result) {
	t := v.Type()
	switch {
	case isResult(t):
		r.After, r.HasAfter = p.After(v, at), true
	case isMeasure(t):
		r.Sum, r.HasSum = p.Sum(v), true
	}
	switch {
	case isBoolean(t):
		r.When, r.Bool = []Formula{p.When(v, false), p.When(v, true)}, true
	case canBeNil(t):
		r.When = []Formula{p.NilWhen(v, false), p.NilWhen(v, true)}
	}
	return r
}

// expand takes a way to return apart until nothing in its numbers can be split.
func (p *Program) expand(r returned, done []*Atom, steps *int) []returned {
	if !consistent(r.Facts) {
		return nil
	}
	if *steps++; *steps > maxSteps {
		return []returned{r}
	}
	var a *Atom
	for _, res := range r.Results {
		if a == nil && res.HasSum {
			a = p.split(res.Sum, done)
		}
		if a == nil && res.HasAfter {
			a = p.split(res.After, done)
		}
		if a == nil && res.Bool {
			a = p.splitFormula(res.When[1], done)
		}
	}
	if a == nil || len(done) > MaxDepth {
		return []returned{r}
	}
	var all []returned
	for _, w := range p.ways(a) {
		k, ok := w.apply(Known{Facts: r.Facts})
		if !ok {
			continue
		}
		next := returned{Facts: k.Facts, Acted: r.Acted}
		for _, res := range r.Results {
			res.Sum, res.After = res.Sum.replace(w.sum), res.After.replace(w.sum)
			if res.When != nil {
				res.When = []Formula{w.formula(res.When[0]), w.formula(res.When[1])}
			}
			next.Results = append(next.Results, res)
		}
		all = append(all, p.expand(next, append(done[:len(done):len(done)], a), steps)...)
		if len(all) > maxCases {
			return []returned{r}
		}
	}
	return all
}

// splitFormula returns the atom by which the comparisons of a formula can be taken apart.
func (p *Program) splitFormula(f Formula, done []*Atom) *Atom {
	for _, c := range f {
		for _, fact := range c {
			if fact.Op < True {
				if a := p.split(fact.Sum, done); a != nil {
					return a
				}
			}
		}
	}
	return nil
}

// telling are the facts of a way to return that say something to a caller: of what it can
// see, of the clock, or of what the results are made of.
func telling(r returned) []Fact {
	var made []*Atom
	for _, res := range r.Results {
		made = append(made, res.Sum.Atoms()...)
		made = append(made, res.After.Atoms()...)
		for _, f := range res.When {
			for _, c := range f {
				for _, fact := range c {
					made = append(made, fact.atoms()...)
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Facts), func(f Fact) bool {
		return !slices.ContainsFunc(f.atoms(), func(a *Atom) bool {
			root := a.Root().kind
			return a.Clock || root == aParam || root == aGlobal || slices.Contains(made, a)
		})
	})
}

func (f Fact) atoms() []*Atom {
	if f.Op >= True {
		return []*Atom{f.Atom}
	}
	return f.Sum.Atoms()
}
