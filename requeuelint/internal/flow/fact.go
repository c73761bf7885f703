package flow

import (
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A Fact is what a test has told.
type Fact struct {
	Op
	Sum   Sum   // of AtLeast0, Above0, Is0 and IsNot0
	Atom  *Atom // of True and Nil
	Truth bool  // of True and Nil

	At   ssa.Instruction // where it was tested: in the function looked at, or the call that leads there
	Uses []*Atom         // readings of the clock and instants that a test was given which is not seen through
}

// An Op is what a fact says.
type Op uint8

// The facts that there are.
const (
	AtLeast0 Op = iota // of a sum
	Above0
	Is0
	IsNot0
	True // of a boolean
	Nil  // of a pointer, an error or another interface
)

// A Formula is when something holds: in one of several cases, each with its facts.
// There are none if it never holds, and one without facts if it always does.
type Formula [][]Fact

var always = Formula{nil}

// MaxDepth is how deep something is followed: calls that lead to a wait, tests within tests,
// variables that come about by variables. In the operators that were looked at a wait was
// never more than 5 steps away from what it depends on.
const MaxDepth = 8

// maxCases is how many cases a formula has at most; a test with more says nothing.
// Of 40 operators the largest that decided on a wait had 9.
const maxCases = 16

// and is when both hold.
func and(f, g Formula) Formula {
	if len(f)*len(g) > maxCases {
		if len(f) <= len(g) {
			return f
		}
		return g
	}
	var both Formula
	for _, a := range f {
		for _, b := range g {
			if c := join(a, b); consistent(c) {
				both = append(both, c)
			}
		}
	}
	return both
}

// or is when one of them holds.
func or(f, g Formula) Formula {
	if len(f)+len(g) > maxCases {
		return always
	}
	either := slices.Concat(f, g)
	if slices.ContainsFunc(either, func(c []Fact) bool { return len(c) == 0 }) {
		return always
	}
	return either
}

// join puts the facts of two cases together, none twice.
func join(a, b []Fact) []Fact {
	all := slices.Clip(slices.Clone(a))
	for _, f := range b {
		if !slices.ContainsFunc(all, f.same) {
			all = append(all, f)
		}
	}
	return all
}

// same reports whether two facts say the same.
func (f Fact) same(g Fact) bool {
	return f.Op == g.Op && f.Atom == g.Atom && f.Truth == g.Truth && f.Sum.Equal(g.Sum)
}

// shared are the facts that all cases have.
func (f Formula) shared() (all []Fact) {
	if len(f) == 0 {
		return nil
	}
	for _, fact := range f[0] {
		if !slices.ContainsFunc(f[1:], func(c []Fact) bool { return !slices.ContainsFunc(c, fact.same) }) {
			all = append(all, fact)
		}
	}
	return all
}

// consistent reports whether facts can hold together.
func consistent(all []Fact) bool {
	for i, f := range all {
		if f.Sum.IsConst() && f.Op < True {
			if !f.holds(f.Sum.C) {
				return false
			}
			continue
		}
		for _, g := range all[:i] {
			if contradict(f, g) {
				return false
			}
		}
	}
	return true
}

// holds reports whether a fact is true of a number.
func (f Fact) holds(c float64) bool {
	switch f.Op {
	case AtLeast0:
		return c >= 0
	case Above0:
		return c > 0
	case Is0:
		return c == 0
	case IsNot0:
		return c != 0
	default:
	}
	return true
}

func contradict(f, g Fact) bool {
	if f.Op >= True || g.Op >= True {
		return f.Op == g.Op && f.Atom == g.Atom && f.Truth != g.Truth
	}
	switch {
	case f.Op == IsNot0 && g.Op == Is0, f.Op == Is0 && g.Op == IsNot0:
		return f.Sum.Equal(g.Sum) || f.Sum.Equal(g.Sum.Times(-1))
	case f.Op == IsNot0 || g.Op == IsNot0:
		return false
	}
	// a >= 0 and b >= 0 say a+b >= 0; what is 0 counts either way.
	for _, k := range signs(f.Op) {
		for _, m := range signs(g.Op) {
			sum := f.Sum.Times(k).Plus(g.Sum, m)
			if sum.IsConst() && (sum.C < 0 || sum.C == 0 && (f.Op == Above0 || g.Op == Above0)) {
				return true
			}
		}
	}
	return false
}

func signs(op Op) []float64 {
	if op == Is0 {
		return []float64{1, -1}
	}
	return []float64{1}
}

// bounds are the sums that a fact says to be at least 0.
func (f Fact) bounds() []Sum {
	switch f.Op {
	case AtLeast0, Above0:
		return []Sum{f.Sum}
	case Is0:
		return []Sum{f.Sum, f.Sum.Times(-1)}
	default:
	}
	return nil
}

// NotCome reports whether a fact says that a deadline has not come: that some time is left,
// by a reading of the clock.
func (f Fact) NotCome() (left Sum, ok bool) {
	for _, s := range f.bounds() {
		if s.Left() {
			return s.perClock(), true
		}
	}
	return Sum{}, false
}

// Come reports whether a fact says that a deadline has come.
func (f Fact) Come() (left Sum, ok bool) {
	for _, s := range f.bounds() {
		if m := s.Times(-1); m.Left() {
			return m.perClock(), true
		}
	}
	return Sum{}, false
}

// replace puts sums in place of the atoms of a fact of numbers.
func (f Fact) replace(by func(*Atom) (Sum, bool)) Fact {
	if f.Op < True {
		f.Sum = f.Sum.replace(by)
	}
	return f
}
