package flow

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Sum is a sum of atoms, each times a number, and a constant. Instants and spans of time
// are both written so, in nanoseconds: start.Add(timeout).Sub(now) and
// timeout - now.Sub(start) are the same sum, start + timeout - now.
type Sum struct {
	Terms []Term // by the age of the atoms, none twice
	C     float64
}

// A Term is an atom times a number other than 0.
type Term struct {
	Coef float64
	Atom *Atom
}

// Constant is the sum that is a number.
func Constant(c float64) Sum { return Sum{C: c} }

// Of is the sum that is an atom.
func Of(a *Atom) Sum { return Sum{Terms: []Term{{1, a}}} }

// Plus returns s + k*t.
func (s Sum) Plus(t Sum, k float64) Sum {
	sum := Sum{C: s.C + k*t.C, Terms: make([]Term, 0, len(s.Terms)+len(t.Terms))}
	i := 0
	for _, other := range t.Terms {
		for i < len(s.Terms) && s.Terms[i].Atom.id < other.Atom.id {
			sum.Terms = append(sum.Terms, s.Terms[i])
			i++
		}
		c := k * other.Coef
		if i < len(s.Terms) && s.Terms[i].Atom == other.Atom {
			c += s.Terms[i].Coef
			i++
		}
		if math.Abs(c) > 1e-12 {
			sum.Terms = append(sum.Terms, Term{c, other.Atom})
		}
	}
	sum.Terms = append(sum.Terms, s.Terms[i:]...)
	return sum
}

// Times returns k*s.
func (s Sum) Times(k float64) Sum { return Sum{}.Plus(s, k) }

// Equal reports whether two sums are the same.
func (s Sum) Equal(t Sum) bool { return s.C == t.C && slices.Equal(s.Terms, t.Terms) }

// IsConst reports whether a sum is a number.
func (s Sum) IsConst() bool { return len(s.Terms) == 0 }

// Only returns the atom that a sum is, and nothing else.
func (s Sum) Only() (*Atom, bool) {
	if len(s.Terms) == 1 && s.Terms[0].Coef == 1 && s.C == 0 {
		return s.Terms[0].Atom, true
	}
	return nil, false
}

// Clock returns the reading of the clock that counts with a plus or a minus.
func (s Sum) Clock(sign float64) (*Atom, bool) {
	for _, t := range s.Terms {
		if t.Atom.Clock && t.Coef*sign > 0 {
			return t.Atom, true
		}
	}
	return nil, false
}

// HasClock reports whether a reading of the clock is part of a sum.
func (s Sum) HasClock() bool {
	_, plus := s.Clock(1)
	_, minus := s.Clock(-1)
	return plus || minus
}

// Left reports whether a sum is the time left until an instant: something minus a reading
// of the clock. One that also has a reading with a plus, as a deadline counted from now
// has, is not.
func (s Sum) Left() bool {
	_, minus := s.Clock(-1)
	_, plus := s.Clock(1)
	return minus && !plus && len(s.positive()) > 0
}

// positive are the atoms that count with a plus, other than the clock.
func (s Sum) positive() (all []*Atom) {
	for _, t := range s.Terms {
		if !t.Atom.Clock && t.Coef > 0 {
			all = append(all, t.Atom)
		}
	}
	return all
}

// Atoms are the atoms of a sum.
func (s Sum) Atoms() (all []*Atom) {
	for _, t := range s.Terms {
		all = append(all, t.Atom)
	}
	return all
}

// shares reports whether two sums have an atom in common that counts with a plus.
func (s Sum) shares(t Sum) bool {
	return slices.ContainsFunc(s.positive(), func(a *Atom) bool { return slices.Contains(t.positive(), a) })
}

// samePositive reports whether two sums are times until the same instant.
func (s Sum) samePositive(t Sum) bool {
	a, b := s.positive(), t.positive()
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x *Atom) bool { return !slices.Contains(b, x) })
}

// shared reports whether a sum is made of what a caller sees too, but for the clock.
func (s Sum) shared() bool {
	return !slices.ContainsFunc(s.Atoms(), func(a *Atom) bool {
		root := a.Root().kind
		return !a.Clock && root != aParam && root != aGlobal
	})
}

// least is the least that a sum can be, as far as random numbers and rounding go.
func (s Sum) least() Sum {
	out := Sum{C: s.C}
	for _, t := range s.Terms {
		switch {
		case !t.Atom.random() || t.Atom.bound == nil:
			out = out.Plus(Of(t.Atom), t.Coef)
		case t.Coef < 0:
			out = out.Plus(*t.Atom.bound, t.Coef)
		}
	}
	return out
}

// unrounded is a sum without random numbers and rounding.
func (s Sum) unrounded() Sum {
	return s.replace(func(a *Atom) (Sum, bool) { return Sum{}, a.random() })
}

// nonNegative reports whether a sum is made of what is at least 0.
func (s Sum) nonNegative() bool {
	for _, t := range s.Terms {
		if !t.Atom.random() || t.Coef < 0 {
			return false
		}
	}
	return s.C >= 0
}

// perClock scales a sum so that the reading of the clock counts once: half of the time left
// is above 0 if the time left is.
func (s Sum) perClock() Sum {
	for _, t := range s.Terms {
		if t.Atom.Clock && t.Coef != -1 && t.Coef < 0 {
			return s.Times(-1 / t.Coef)
		}
	}
	return s
}

// replace puts sums in place of atoms.
func (s Sum) replace(by func(*Atom) (Sum, bool)) Sum {
	out, changed := Sum{C: s.C}, false
	for _, t := range s.Terms {
		r, ok := by(t.Atom)
		if !ok {
			r = Of(t.Atom)
		}
		changed = changed || ok
		out = out.Plus(r, t.Coef)
	}
	if !changed {
		return s
	}
	return out
}

// Describe names what a sum is made of, as it is read in the source.
func (s Sum) Describe() string {
	var names []string
	for _, a := range s.Atoms() {
		if a.Clock {
			continue
		}
		path := a.Names()
		slices.Reverse(path)
		names = append(names, strings.Join(slices.Compact(path), "."))
	}
	switch {
	case len(names) == 0:
		return strconv.FormatFloat(s.C, 'g', -1, 64) + " ns"
	case s.Left():
		return "the time left until " + strings.Join(names, " and ")
	}
	return strings.Join(names, " and ")
}
