package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A sum of instants and spans is the same however it is written.
func ExampleSum() {
	start, timeout, now := &Atom{id: 0}, &Atom{id: 1}, &Atom{id: 2, Traits: Traits{Clock: true}}
	deadline := Of(start).Plus(Of(timeout), 1)
	left := deadline.Plus(Of(now), -1)
	rest := Of(timeout).Plus(Of(now).Plus(Of(start), -1), -1)
	fmt.Println(left.Equal(rest), left.Left(), left.Times(-1).Left())
	// Output: true true false
}

// world is a value for each of three atoms.
type world [3]float64

func (w world) sum(s Sum) float64 {
	total := s.C
	for _, t := range s.Terms {
		total += t.Coef * w[t.Atom.id]
	}
	return total
}

func (w world) holds(f Fact) bool {
	switch f.Op {
	case AtLeast0:
		return w.sum(f.Sum) >= 0
	case Above0:
		return w.sum(f.Sum) > 0
	case Is0:
		return w.sum(f.Sum) == 0
	case IsNot0:
		return w.sum(f.Sum) != 0
	case True:
		return (w[f.Atom.id] > 0) == f.Truth
	case Nil:
		return (w[f.Atom.id] == 0) == f.Truth
	}
	return false
}

func (w world) all(facts []Fact) bool {
	for _, f := range facts {
		if !w.holds(f) {
			return false
		}
	}
	return true
}

func (w world) formula(f Formula) bool {
	for _, c := range f {
		if w.all(c) {
			return true
		}
	}
	return false
}

type source struct {
	*rand.Rand
	atoms [3]*Atom
}

func newSource(seed uint64) source {
	return source{rand.New(rand.NewPCG(seed, 1)), [3]*Atom{{id: 0}, {id: 1}, {id: 2}}}
}

func (s source) fact() Fact {
	f := Fact{Op: Op(s.IntN(int(Nil) + 1))}
	if f.Op >= True {
		f.Atom, f.Truth = s.atoms[s.IntN(3)], s.IntN(2) == 0
		return f
	}
	f.Sum = Constant(float64(s.IntN(5) - 2))
	for _, a := range s.atoms {
		f.Sum = f.Sum.Plus(Of(a), float64(s.IntN(3)-1))
	}
	return f
}

func (s source) facts() (all []Fact) {
	for range s.IntN(4) {
		all = append(all, s.fact())
	}
	return all
}

func (s source) formula() (f Formula) {
	for range s.IntN(4) {
		f = append(f, s.facts())
	}
	return f
}

func (s source) world() (w world) {
	for i := range w {
		w[i] = float64(s.IntN(7) - 3)
	}
	return w
}

// What is found to be impossible holds nowhere; and a formula that is weakened, because it
// has too many cases, holds wherever the whole did.
func TestFormula_losesNothingThatHolds(t *testing.T) {
	s := newSource(1)
	impossible := 0
	for range 200_000 {
		w := s.world()
		facts := s.facts()
		if !consistent(facts) {
			impossible++
			if w.all(facts) {
				t.Fatalf("%v hold, and are said not to: %+v", w, facts)
			}
		}
		a, b := s.formula(), s.formula()
		if w.formula(a) && w.formula(b) && !w.formula(and(a, b)) {
			t.Fatalf("%v: both hold, and not: %+v", w, and(a, b))
		}
		if (w.formula(a) || w.formula(b)) && !w.formula(or(a, b)) {
			t.Fatalf("%v: one holds, and not: %+v", w, or(a, b))
		}
		if shared := a.shared(); w.formula(a) && !w.all(shared) {
			t.Fatalf("%v: not in all cases: %+v", w, shared)
		}
	}
	if impossible < 1000 {
		t.Errorf("only %d were impossible", impossible)
	}
}

// What facts are said to hold of a wait without a clock is so.
func TestFact_bounds(t *testing.T) {
	s := newSource(2)
	for range 100_000 {
		w, f := s.world(), s.fact()
		if f.Op >= True || !w.holds(f) {
			continue
		}
		for _, b := range f.bounds() {
			if w.sum(b) < 0 {
				t.Fatalf("%v: %+v does not say that %+v is at least 0", w, f, b)
			}
		}
	}
}
