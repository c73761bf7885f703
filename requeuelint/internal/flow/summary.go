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
