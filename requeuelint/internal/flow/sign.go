package flow

import (
	"regexp"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A Why says how a wait can be 0 or negative.
type Why uint8

// The ways that there are.
const (
	Fine     Why = iota
	TimeLeft     // it is the time left until an instant that may have passed
	Zeroed       // it is 0 when a deadline has passed
	Negative     // it is a negative number
	Number       // it is a number of an object, tested for 0 only
	Jitter       // it is less than a wait by a random or a fixed part of another
	Elapsed      // it is the time since, where the time until was meant
	Rounded      // it is checked, and then rounded to less
)

// A Verdict is what is known of the sign of a wait.
type Verdict struct {
	Why   Why
	Sum   Sum   // the wait, as far as it was taken apart
	Stale bool  // it was checked, but on another reading of the clock
	Check *Fact // there; or
	From  *Atom // the instant that was computed from another reading
	Split bool  // it came about in one of several ways

	Elsewhere *Fact // it is checked, but not on every path
	Raw       bool  // it is fine, but may be what a parameter is
}

// checked is what facts say of a sum.
type checked uint8

const (
	unchecked checked = iota
	stale             // checked, but on another reading of the clock
	holds             // at least 0
)

// check compares a sum with facts. Of a stale check it returns where it was made.
func check(l Sum, facts []Fact) (checked, *Fact) {
	l = l.perClock()
	// The same with a part that is at least 0.
	for i := range facts {
		for _, b := range facts[i].bounds() {
			if d := l.Plus(b.perClock(), -1); d.nonNegative() {
				return holds, &facts[i]
			}
		}
	}
	l = l.least()
	result, where := unchecked, (*Fact)(nil)
	now, left := l.Clock(-1)
	for i := range facts {
		for _, b := range facts[i].bounds() {
			b = b.perClock().unrounded()
			diff := l.Plus(b, -1)
			if diff.IsConst() {
				if diff.C >= 0 {
					return holds, &facts[i]
				}
				continue
			}
			if !left {
				// Above 0 is a bound on the value itself, whatever it is; one from below by
				// something that is not known is taken for one, too.
				if l.shares(b) && !diff.HasClock() {
					return holds, &facts[i]
				}
				continue
			}
			then, ok := b.Clock(-1)
			if _, fresh := b.Clock(1); !ok || fresh || !l.shares(b) {
				continue
			}
			if then == now && diff.C >= 0 {
				return holds, &facts[i]
			}
			if diff.C > 0 && then != now { // what is added is more than what passes between two readings
				return holds, &facts[i]
			}
			if then != now && l.samePositive(b) {
				result, where = stale, &facts[i]
			}
		}
	}
	return result, where
}

// Checked reports whether what is known says that a sum is not below 0.
func (p *Program) Checked(s Sum, k Known) bool {
	return len(p.Cases(s, k, settled)) == 0
}

func settled(s Sum, k Known) bool {
	if s.IsConst() && s.C > 0 {
		return true
	}
	state, _ := check(s, k.Facts)
	return state == holds
}

// Judge tells the ways in which a wait can be 0 or negative. It is none if it cannot.
func (p *Program) Judge(s *Sink) (all []Verdict) {
	// A check of the whole on another reading: it is stale however it came about.
	facts := s.Known.Facts
	if instr, ok := clockSite(s.Wait); ok {
		facts = append(p.Tested(instr), facts...)
	}
	whole, where := check(s.Wait, facts)
	if whole == holds {
		return nil
	}
	for _, c := range p.Cases(s.Wait, s.Known, settled) {
		v := p.judge(c, s)
		if v.Why == TimeLeft && whole == stale && !v.Stale {
			v.Stale, v.Check = true, where
		}
		if v.Why != Fine || v.Raw {
			all = append(all, v)
		}
	}
	if whole == stale && len(all) == 0 && !p.freshly(s) {
		all = append(all, Verdict{Why: TimeLeft, Sum: s.Wait, Stale: true, Check: where})
	}
	return all
}

// freshly reports whether each way that a wait came about is checked on its own reading.
func (p *Program) freshly(s *Sink) bool {
	counted := false
	p.Cases(s.Wait, s.Known, func(sum Sum, _ Known) bool {
		if _, plus := sum.Clock(1); plus {
			if _, minus := sum.Clock(-1); minus {
				counted = true // from one reading to another
			}
		}
		return false
	})
	return !counted
}

func (p *Program) judge(c Case, s *Sink) Verdict {
	v := Verdict{Sum: c.Sum, Split: !c.Whole}
	switch {
	case c.Sum.IsConst():
		switch {
		case c.Sum.C < 0 && !c.Whole: // one that is written there is meant
			v.Why = Negative
		case c.Sum.C == 0 && s.Family == Drops && !c.Acted && slices.ContainsFunc(c.Split, func(f Fact) bool { _, ok := f.Come(); return ok }):
			v.Why = Zeroed
			p.notCome(&v, c)
		}
	case c.Sum.Left():
		return p.left(v, c, s)
	case p.elapsed(c):
		v.Why = Elapsed
	case p.number(c):
		v.Why = Number
	case p.jitter(c):
		v.Why = Jitter
	default:
		v.Raw = slices.ContainsFunc(c.Sum.Atoms(), func(a *Atom) bool { return a.kind == aParam })
	}
	return v
}

// notCome notes that the deadline that a way found passed had not come by another reading.
func (p *Program) notCome(v *Verdict, c Case) {
	for i, f := range c.Known.Facts {
		l, ok := f.NotCome()
		if !ok {
			continue
		}
		for _, g := range c.Split {
			if m, ok := g.Come(); ok && m.shares(l) {
				v.Stale, v.Check, v.Sum = true, &c.Known.Facts[i], m
			}
		}
	}
}

// left judges the time left until an instant.
func (p *Program) left(v Verdict, c Case, s *Sink) Verdict {
	state, where := check(c.Sum, c.Known.Facts)
	if instr, ok := clockSite(c.Sum); ok && state == unchecked {
		if state, where = check(c.Sum, p.Tested(instr)); state == holds {
			return v
		}
		if state, elsewhere := check(c.Sum, p.Tested(s.At)); state == holds {
			v.Elsewhere = elsewhere
		}
	}
	now, _ := c.Sum.Clock(-1)
	v.Why, v.Stale, v.Check = TimeLeft, state == stale, where
	if state == unchecked && !c.Sum.least().Equal(c.Sum) {
		if state, _ := check(c.Sum.unrounded(), c.Known.Facts); state == holds {
			v.Why = Rounded
			return v
		}
	}
	for _, a := range c.Sum.positive() {
		switch {
		case a.kind == aZero:
			v.Why = Fine // which is returned with an error, or tested by IsZero
			return v
		case a.derived == nil:
		case a.derived == now: // an instant that was computed from a reading lies after it
			v.Why = Fine
			return v
		case state == unchecked:
			v.Stale, v.From = true, a
		}
	}
	// A test that is not seen through, of the same reading or of the instant.
	for _, f := range c.Known.Facts {
		if f.Op == True && slices.Contains(f.Uses, now) {
			v.Why = Fine
			return v
		}
	}
	for _, f := range c.Known.Any {
		if !slices.ContainsFunc(f, func(one []Fact) bool {
			state, _ := check(c.Sum, one)
			return state != holds
		}) {
			v.Why = Fine
			return v
		}
	}
	return v
}

// clockSite returns the instruction that reads the clock of the time left.
func clockSite(s Sum) (ssa.Instruction, bool) {
	now, ok := s.Clock(-1)
	if !ok {
		return nil, false
	}
	instr, ok := now.site.(ssa.Instruction)
	return instr, ok
}

var aheadName = regexp.MustCompile(`(?i)deadline|expir|until|notafter|next|ends`)

// elapsed tells the time since an instant that lies ahead, where the time until it was
// meant.
func (p *Program) elapsed(c Case) bool {
	_, plus := c.Sum.Clock(1)
	_, minus := c.Sum.Clock(-1)
	if !plus || minus || len(c.Sum.Terms) != 2 {
		return false
	}
	for _, t := range c.Sum.Terms {
		if t.Atom.Clock || t.Coef > 0 {
			continue
		}
		if slices.ContainsFunc(t.Atom.Names()[:min(1, len(t.Atom.Names()))], aheadName.MatchString) {
			return true
		}
		for _, f := range c.Known.Facts {
			if l, ok := f.NotCome(); ok && len(l.Terms) == 2 && slices.Contains(l.positive(), t.Atom) {
				return true
			}
		}
	}
	return false
}

// number tells a number of an object that was tested for 0 and for nothing else.
func (p *Program) number(c Case) bool {
	if len(c.Sum.Terms) != 1 || c.Sum.C != 0 || c.Sum.Terms[0].Coef < 0 {
		return false
	}
	a := c.Sum.Terms[0].Atom
	if a.parsed() {
		return true
	}
	if a.Unsigned || a.Time || a.Clock || a.Receiver || a.kind != aField || a.Duration && !a.API {
		return false
	}
	return slices.ContainsFunc(c.Known.Facts, func(f Fact) bool {
		return f.Op == IsNot0 && len(f.Sum.Terms) == 1 && f.Sum.Terms[0].Atom == a
	})
}

// jitter tells a wait that a random number makes shorter, by more than it may be long.
func (p *Program) jitter(c Case) bool {
	least := c.Sum.least()
	random := slices.ContainsFunc(c.Sum.Atoms(), (*Atom).random)
	if least.IsConst() {
		return random && least.C < 0
	}
	if !random || least.HasClock() {
		return false
	}
	if state, _ := check(least, c.Known.Facts); state == holds {
		// By a bound on what is made shorter, the rest must be known, too.
		if slices.ContainsFunc(c.Known.Facts, func(f Fact) bool {
			return slices.ContainsFunc(f.bounds(), func(b Sum) bool { d := least.Plus(b, -1); return d.IsConst() && d.C >= 0 })
		}) {
			return false
		}
	}
	positive, negative := least.C > 0, least.C < 0
	for _, t := range least.Terms {
		positive, negative = positive || t.Coef > 0, negative || t.Coef < 0
	}
	for _, t := range least.Terms {
		// A part of the wait itself.
		if t.Coef < 0 && t.Atom.kind == aOp && slices.ContainsFunc(least.positive(), func(a *Atom) bool {
			return t.Atom.base.mentions(a) || t.Atom.other.mentions(a)
		}) {
			return false
		}
	}
	return positive && negative && len(least.Terms) > 0
}

// PassedSince returns the test by which the deadline of a wait had not come, where the wait
// was then, on another reading of the clock, found to be 0 or less.
func (p *Program) PassedSince(wait Sum, k Known) (*Fact, bool) {
	for _, c := range p.Cases(wait, k, func(Sum, Known) bool { return false }) {
		if !c.Sum.Left() {
			continue
		}
		if state, where := check(c.Sum, c.Known.Facts); state == stale {
			return where, true
		}
	}
	return nil, false
}

// pending are the sinks of a function on which its callers decide: what was handed in
// unchecked, and what one of them may have checked.
func (p *Program) pending(fn *ssa.Function) (all []*Sink) {
	called := len(p.Callers(fn)) > 0
	for _, s := range p.Sinks(fn) {
		if s.Depth >= MaxDepth || s.RequeuesToo() {
			continue
		}
		for _, v := range p.Judge(s) {
			if v.Raw || v.Why == TimeLeft && called && !v.Stale {
				next := *s
				next.Raw = v.Raw
				if !s.Wait.Left() || !s.Wait.shared() {
					next.Wait = v.Sum
				}
				all = append(all, &next)
			}
		}
		if len(all) > maxReturns {
			return all[:maxReturns]
		}
	}
	return all
}

// Leaves reports whether a function leaves a verdict to its callers in the package.
func (p *Program) Leaves(s *Sink, v Verdict) bool {
	fn := s.At.Parent()
	return v.Raw || v.Why == TimeLeft && !v.Stale && s.Depth < MaxDepth && len(p.Callers(fn)) > 0 && !p.IsValue(fn)
}
