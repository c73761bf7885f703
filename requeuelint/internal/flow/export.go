package flow

import (
	"fmt"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// Portable is a fact of the analysis: a summary on its way to the packages that import this one. In
// it an atom is its index in a table.
type Portable struct {
	Atoms   []portableAtom
	Returns []portableReturn
	Sinks   []portableSink
	Tests   [][]string // the deadlines that it compares with the clock, each as its sources
	Nils    []string   // the optional times that it tests for nil, as package.Field
}

type portableAtom struct {
	Kind        kind
	Base, Other int // 1 is the first; 0 none
	Name        string
	Index       int
	Traits      Traits
	Random      bool
	Derived     int
	Local       bool
}

type (
	portableTerm struct {
		Coef float64
		Atom int
	}
	portableSum struct {
		Terms []portableTerm
		C     float64
	}
	portableFact struct {
		Op    Op
		Sum   portableSum
		Atom  int
		Truth bool
	}
	portableResult struct {
		Sum, After       portableSum
		HasSum, HasAfter bool
		When             [][][]portableFact
	}
	portableReturn struct {
		Facts   []portableFact
		Results []portableResult
		Acted   bool
		Says    string // how it computes the time left, with file:line
	}
	portableSink struct {
		Wait   portableSum
		Facts  []portableFact
		Family Family
		Name   string
		Where  string
	}
)

// AFact marks a summary as a fact of the analysis.
func (*Portable) AFact() {}

func (*Portable) String() string { return "wait" }

// Export returns what other packages may know of a function, or nil if it says nothing.
func (p *Program) Export(fn *ssa.Function) *Portable {
	s := p.Summary(fn)
	if s == nil {
		return nil
	}
	w := &writer{p: p, index: map[*Atom]int{}}
	if saysSomething(fn.Signature, s.Returns) {
		for _, r := range s.Returns {
			one := portableReturn{Facts: w.facts(r.Facts), Acted: r.Acted}
			for _, res := range r.Results {
				pr := portableResult{Sum: w.sum(res.Sum), After: w.sum(res.After), HasSum: res.HasSum, HasAfter: res.HasAfter}
				for _, f := range res.When {
					cases := [][]portableFact{}
					for _, c := range f {
						cases = append(cases, w.facts(c))
					}
					pr.When = append(pr.When, cases)
				}
				one.Results = append(one.Results, pr)
			}
			one.Says = p.says(fn, r)
			w.out.Returns = append(w.out.Returns, one)
		}
	}
	for _, sink := range s.Sinks {
		for _, v := range p.Judge(sink) {
			if v.Raw {
				pos := p.Pass.Fset.Position(sink.Origin.Pos())
				w.out.Sinks = append(w.out.Sinks, portableSink{w.sum(v.Sum), w.facts(sink.Known.Facts), sink.Family, sink.Name, shortPosition(pos.Filename, pos.Line)})
				break
			}
		}
	}
	for _, d := range p.deadlines(fn) {
		if isPredicate(fn) {
			w.out.Tests = append(w.out.Tests, d)
		}
	}
	return &w.out
}

// says tells how a function computes the time left that it returns, and where.
func (p *Program) says(fn *ssa.Function, r returned) string {
	for i, res := range r.Results {
		if !res.HasSum || !res.Sum.Left() {
			continue
		}
		for _, ret := range Returns(fn) {
			if i >= len(ret.Results) {
				continue
			}
			if v := p.Maker(ret.Results[i]); v != nil {
				if n := p.Node(v.Pos()); n != nil {
					pos := p.Pass.Fset.Position(v.Pos())
					return p.Text(n) + " at " + shortPosition(pos.Filename, pos.Line)
				}
			}
		}
	}
	return ""
}

// Says tells how the function of another package that a call calls computes the time left.
func (p *Program) Says(call *ssa.Call) string {
	if f := p.Fact(Called(&call.Call)); f != nil {
		for _, r := range f.Returns {
			if r.Says != "" {
				return r.Says
			}
		}
	}
	return ""
}

// Empty reports whether a summary says nothing.
func (f *Portable) Empty() bool {
	return len(f.Returns) == 0 && len(f.Sinks) == 0 && len(f.Tests) == 0 && len(f.Nils) == 0
}

// Waits reports whether a package that calls the function may have something to look at: it
// hands a wait to a queue, tests a deadline, or returns a number.
func (f *Portable) Waits() bool {
	return len(f.Sinks)+len(f.Tests) > 0 || slices.ContainsFunc(f.Returns, func(r portableReturn) bool {
		return slices.ContainsFunc(r.Results, func(res portableResult) bool { return res.HasSum || res.HasAfter })
	})
}

func isPredicate(fn *ssa.Function) bool {
	results := fn.Signature.Results()
	return results.Len() >= 1 && isBoolean(results.At(0).Type())
}

// saysSomething reports whether the ways that a function returns are worth to be told: a time
// or a span that is made of something, a boolean that is a comparison, an error that is never
// nil. A number may be one of seconds, unless it comes with an error, as a count of bytes does.
func saysSomething(sig *types.Signature, all []returned) bool {
	results := sig.Results()
	counts := results.Len() > 1 && IsError(results.At(results.Len()-1).Type())
	return slices.ContainsFunc(all, func(r returned) bool {
		for i, res := range r.Results {
			t := results.At(i).Type()
			if res.HasSum && res.Sum.told() && (!counts || IsDuration(t) || IsTime(t) || res.Sum.HasClock()) {
				return true
			}
		}
		return slices.ContainsFunc(r.Results, func(res Result) bool {
			if res.HasAfter {
				return true
			}
			if len(res.When) == 2 && (len(res.When[0]) == 0 || len(res.When[1]) == 0) && !res.HasSum && len(all) == 1 {
				return true
			}
			if len(res.When) == 2 && slices.ContainsFunc(r.Facts, func(f Fact) bool { return f.Sum.HasClock() }) {
				return true
			}
			for _, f := range res.When {
				for _, c := range f {
					if slices.ContainsFunc(c, func(f Fact) bool { return f.Sum.HasClock() || f.Op == Nil && f.Atom.kind == aParam }) {
						return true
					}
				}
			}
			return false
		})
	})
}

// told reports whether a sum is more than a value that only the function knows of.
func (s Sum) told() bool {
	return slices.ContainsFunc(s.Atoms(), func(a *Atom) bool {
		return a.Clock || a.random() || a.derived != nil || a.Root().kind == aParam
	}) || s.IsConst()
}

func shortPosition(file string, line int) string {
	parts := strings.Split(file, "/")
	return fmt.Sprintf("%s:%d", strings.Join(parts[max(0, len(parts)-2):], "/"), line)
}

type writer struct {
	p     *Program
	out   Portable
	index map[*Atom]int
}

func (w *writer) atom(a *Atom) int {
	if a == nil {
		return 0
	}
	if i, ok := w.index[a]; ok {
		return i
	}
	pa := portableAtom{Kind: a.kind, Name: a.name, Index: a.index, Traits: a.Traits, Random: a.random()}
	switch a.kind {
	case aParam, aGlobal, aZero:
	case aField, aElem, aMethod, aOp:
		pa.Base, pa.Other = w.atom(a.base), w.atom(a.other)
	default:
		pa.Name, pa.Local = a.Name(), true
	}
	pa.Derived = w.atom(a.derived)
	w.out.Atoms = append(w.out.Atoms, pa)
	w.index[a] = len(w.out.Atoms)
	return len(w.out.Atoms)
}

func (w *writer) sum(s Sum) portableSum {
	out := portableSum{C: s.C}
	for _, t := range s.Terms {
		out.Terms = append(out.Terms, portableTerm{t.Coef, w.atom(t.Atom)})
	}
	return out
}

func (w *writer) facts(all []Fact) []portableFact {
	out := make([]portableFact, 0, len(all))
	for _, f := range all {
		out = append(out, portableFact{f.Op, w.sum(f.Sum), w.atom(f.Atom), f.Truth})
	}
	return out
}

// Imported returns the summary of a function of another package, or nil.
func (p *Program) Imported(obj *types.Func) *Summary {
	obj = obj.Origin()
	if s, ok := p.imported[obj]; ok {
		return s
	}
	p.imported[obj] = nil
	if f := p.Fact(obj); f != nil {
		r := &reader{p: p, from: f, name: ObjName(obj), atoms: make([]*Atom, len(f.Atoms))}
		p.imported[obj] = r.summary()
	}
	return p.imported[obj]
}

// Fact returns what the package of a function has told of it, or nil.
func (p *Program) Fact(obj *types.Func) *Portable {
	var f Portable
	if obj == nil || obj.Pkg() == p.Pass.Pkg || !p.Pass.ImportObjectFact(obj.Origin(), &f) {
		return nil
	}
	return &f
}

type reader struct {
	p     *Program
	from  *Portable
	name  string
	atoms []*Atom
}

func (r *reader) atom(i int) *Atom {
	if i == 0 {
		return nil
	}
	if a := r.atoms[i-1]; a != nil {
		return a
	}
	f := r.from.Atoms[i-1]
	k := atomKey{kind: f.Kind, name: f.Name, index: f.Index, base: r.atom(f.Base), other: r.atom(f.Other)}
	if f.Local {
		k = atomKey{kind: aCopy, name: f.Name, index: i, other: r.p.atom(atomKey{kind: aGlobal, name: r.name}, nil)}
	}
	if f.Kind == aParam {
		k.name = fmt.Sprintf("%s of %s", f.Name, r.name)
	}
	a := r.p.atom(k, nil)
	a.Traits, a.isRandom, a.derived = f.Traits, f.Random, r.atom(f.Derived)
	r.atoms[i-1] = a
	return a
}

func (r *reader) sum(s portableSum) Sum {
	out := Constant(s.C)
	for _, t := range s.Terms {
		out = out.Plus(Of(r.atom(t.Atom)), t.Coef)
	}
	return out
}

func (r *reader) facts(all []portableFact) (out []Fact) {
	for _, f := range all {
		out = append(out, Fact{Op: f.Op, Sum: r.sum(f.Sum), Atom: r.atom(f.Atom), Truth: f.Truth})
	}
	return out
}

func (r *reader) summary() *Summary {
	s := &Summary{}
	for _, pr := range r.from.Returns {
		one := returned{Facts: r.facts(pr.Facts), Acted: pr.Acted}
		for _, res := range pr.Results {
			out := Result{Sum: r.sum(res.Sum), After: r.sum(res.After), HasSum: res.HasSum, HasAfter: res.HasAfter}
			for _, cases := range res.When {
				f := Formula{}
				for _, c := range cases {
					f = append(f, r.facts(c))
				}
				out.When = append(out.When, f)
			}
			one.Results = append(one.Results, out)
		}
		s.Returns = append(s.Returns, one)
	}
	for _, ps := range r.from.Sinks {
		s.Sinks = append(s.Sinks, &Sink{
			Wait: r.sum(ps.Wait), Known: Known{Facts: r.facts(ps.Facts)}, Family: ps.Family, Name: ps.Name,
			Origin: &Origin{Where: ps.Where}, Raw: true,
		})
	}
	return s
}

// deadlines lists what a function compares with the clock, each as its sources.
func (p *Program) deadlines(fn *ssa.Function) (found [][]string) {
	add := func(f Formula) {
		for _, c := range f {
			for _, fact := range c {
				l, ok := fact.NotCome()
				if !ok {
					if l, ok = fact.Come(); !ok {
						continue
					}
				}
				if now, _ := l.Clock(-1); now.kind == aCopy && now.base.site == nil {
					continue // by another package, which tests it wherever it is asked
				}
				if d := l.Sources(); d != nil && !slices.ContainsFunc(found, func(e []string) bool { return slices.Equal(d, e) }) {
					found = append(found, d)
				}
			}
		}
	}
	for _, b := range fn.Blocks {
		switch last := b.Instrs[len(b.Instrs)-1].(type) {
		case *ssa.If:
			add(p.When(last.Cond, true))
			add(p.When(last.Cond, false))
		case *ssa.Return:
			for _, v := range last.Results {
				if isBoolean(v.Type()) {
					add(p.When(v, true))
				}
			}
		}
	}
	return found
}

// Sources names what the instants and spans of a sum are read from. It is nil if one of
// them is of none.
func (s Sum) Sources() (all []string) {
	for _, a := range s.positive() {
		name := a.Source()
		if name == "" {
			return nil
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Deadlines lists what the functions of the package, and those of others that they call,
// compare with the clock.
func (p *Program) Deadlines() [][]string {
	if p.tests != nil {
		return p.tests
	}
	p.tests = [][]string{}
	for _, fn := range p.Funcs {
		if p.inTest(fn) {
			continue
		}
		p.tests = append(p.tests, p.deadlines(fn)...)
	}
	return p.tests
}
