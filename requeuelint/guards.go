package requeuelint

import (
	"go/constant"
	"go/token"
	"time"

	"golang.org/x/tools/go/ssa"
)

// A cond is a boolean that is known at some point of a program.
type cond struct {
	x     val
	truth bool
	at    *ssa.BasicBlock // that it was tested in
}

// A bound says that a form is above 0, or at least 0.
type bound struct {
	form linear
	at   *ssa.BasicBlock // where it was tested
	f    *frame          // and in which frame
}

// conds returns what has been tested on every path to a block: the branches that dominate
// it, and those that dominate the calls that lead to the frame.
func conds(f *frame, b *ssa.BasicBlock) (all []cond) {
	for ; f != nil; f = f.parent {
		for d := b; d.Idom() != nil; d = d.Idom() {
			if c, ok := edge(f, d.Idom(), d); ok && len(d.Preds) == 1 {
				all = append(all, c)
			}
		}
		if f.call != nil {
			b = f.call.Block()
		}
	}
	return all
}

// edge returns what is known when a branch has been taken.
func edge(f *frame, from, to *ssa.BasicBlock) (cond, bool) {
	branch, ok := from.Instrs[len(from.Instrs)-1].(*ssa.If)
	if !ok || from.Succs[0] == from.Succs[1] {
		return cond{}, false
	}
	switch to {
	case from.Succs[0]:
		return cond{val{f, branch.Cond}, true, from}, true
	case from.Succs[1]:
		return cond{val{f, branch.Cond}, false, from}, true
	}
	return cond{}, false
}

// edgeConds returns what is known when control comes from one block to another.
func edgeConds(f *frame, from, to *ssa.BasicBlock) []cond {
	all := conds(f, from)
	if c, ok := edge(f, from, to); ok {
		all = append(all, c)
	}
	return all
}

// bounds are the bounds that follow from conditions.
func bounds(all []cond) (found []bound) {
	for _, c := range all {
		for _, l := range boundsOf(c, 0) {
			found = append(found, bound{l, c.at, c.x.f})
		}
	}
	return found
}

// boundsOf returns the forms that are at least 0 when a condition holds.
func boundsOf(c cond, depth int) []linear {
	x := c.x
	if depth > 6 {
		return nil
	}
	switch v := x.v.(type) {
	case *ssa.UnOp:
		if v.Op == token.NOT {
			return boundsOf(cond{val{x.f, v.X}, !c.truth, c.at}, depth+1)
		}
		if v.Op == token.MUL {
			if stored, ok := loaded(v); ok {
				return boundsOf(cond{val{x.f, stored}, c.truth, c.at}, depth+1)
			}
		}
	case *ssa.BinOp:
		return comparison(x.f, v, c.truth)
	case *ssa.Phi:
		// a && b, a || b: if only one edge can give the value, all on the way to it holds.
		only := -1
		for i, e := range v.Edges {
			if isBool(e, !c.truth) {
				continue
			}
			if only >= 0 {
				return nil
			}
			only = i
		}
		if only < 0 {
			return nil
		}
		from := v.Block().Preds[only]
		found := boundsOf(cond{val{x.f, v.Edges[only]}, c.truth, c.at}, depth+1)
		for _, c := range edgeConds(&frame{fn: x.f.fn}, from, v.Block()) {
			c.x.f = x.f
			found = append(found, boundsOf(c, depth+1)...)
		}
		return found
	case *ssa.Parameter:
		if r := resolve(x); r != x {
			return boundsOf(cond{r, c.truth, c.at}, depth+1)
		}
	case *ssa.Call:
		return calledBounds(x.f, v, c, depth)
	}
	return nil
}

func calledBounds(f *frame, v *ssa.Call, c cond, depth int) []linear {
	fn := v.Call.StaticCallee()
	if fn == nil {
		return nil
	}
	args := v.Call.Args
	less := func(a, b ssa.Value) []linear { // a < b, or if not, b <= a
		l := linearOf(val{f, b}).plus(linearOf(val{f, a}), -1)
		if !c.truth {
			l = constOf(0).plus(l, -1)
		}
		return []linear{l}
	}
	switch fullName(fn) {
	case "time.Time.Before", metaPath + ".Time.Before", metaPath + ".MicroTime.Before":
		return less(args[0], args[1])
	case "time.Time.After":
		return less(args[1], args[0])
	}
	// A function of the package: what follows from the only return that can give this.
	g := f.enter(v)
	if g == nil {
		return nil
	}
	var only *ssa.Return
	for _, b := range g.fn.Blocks {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		if !ok || len(r.Results) != 1 || isBool(r.Results[0], !c.truth) {
			continue
		}
		if only != nil {
			return nil
		}
		only = r
	}
	if only == nil {
		return nil
	}
	found := boundsOf(cond{val{g, only.Results[0]}, c.truth, c.at}, depth+1)
	for d := only.Block(); d.Idom() != nil; d = d.Idom() {
		if e, ok := edge(g, d.Idom(), d); ok && len(d.Preds) == 1 {
			found = append(found, boundsOf(e, depth+1)...)
		}
	}
	return found
}

var negated = map[token.Token]token.Token{
	token.LSS: token.GEQ, token.LEQ: token.GTR, token.GTR: token.LEQ, token.GEQ: token.LSS,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
}

// comparison returns what follows from a < b and the like.
func comparison(f *frame, v *ssa.BinOp, truth bool) []linear {
	a, b := val{f, v.X}, val{f, v.Y}
	op := v.Op
	if !truth {
		op = negated[op]
	}
	// t.Compare(u) < 0
	if call, ok := v.X.(*ssa.Call); ok && call.Call.StaticCallee() != nil && fullName(call.Call.StaticCallee()) == "time.Time.Compare" && isZero(v.Y) {
		a, b = val{f, call.Call.Args[0]}, val{f, call.Call.Args[1]}
	}
	la, lb := measured(a), measured(b)
	switch op {
	case token.LSS, token.LEQ:
		return []linear{lb.plus(la, -1)}
	case token.GTR, token.GEQ:
		return []linear{la.plus(lb, -1)}
	case token.EQL:
		return []linear{la.plus(lb, -1), lb.plus(la, -1)}
	}
	return nil
}

// measured is the form of a number that may be a duration in other units, such as
// d.Seconds().
func measured(x val) linear {
	x = resolve(x)
	switch v := x.v.(type) {
	case *ssa.Call:
		if fn := v.Call.StaticCallee(); fn != nil {
			switch fullName(fn) {
			case "time.Duration.Seconds", "time.Duration.Minutes", "time.Duration.Hours", "time.Duration.Milliseconds", "time.Duration.Microseconds", "time.Duration.Nanoseconds":
				return linearOf(val{x.f, v.Call.Args[0]})
			}
		}
	case *ssa.Const:
		// Of a count of seconds: the sign is what matters.
		if v.Value != nil && v.Value.Kind() == constant.Float {
			n, _ := constant.Float64Val(v.Value)
			return constOf(int64(n * float64(time.Second)))
		}
	case *ssa.Convert:
		if isFloat(v.Type()) && isInteger(v.X.Type()) || isInteger(v.Type()) && isFloat(v.X.Type()) {
			return measured(val{x.f, v.X})
		}
	}
	return linearOf(x)
}

func isBool(v ssa.Value, b bool) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value != nil && c.Value.Kind() == constant.Bool && constant.BoolVal(c.Value) == b
}

func isZero(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value != nil && c.Value.Kind() == constant.Int && constant.Sign(c.Value) == 0
}

func isNil(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value == nil
}

// checked is what bounds say of a form.
type checked uint8

const (
	unchecked checked = iota
	stale             // checked, but on another reading of the clock
	holds             // at least 0
)

// check compares a form with the bounds. Of a stale check it returns where it was made.
func check(l linear, all []bound) (checked, bound) {
	result, where := unchecked, bound{}
	lk, lclock := l.clock(-1)
	for _, b := range all {
		diff := l.plus(b.form, -1)
		if len(diff.terms) == 0 {
			if diff.c >= 0 {
				return holds, b
			}
			continue
		}
		if !lclock {
			// Above 0 is a bound on the value itself, whatever it is; one from below by
			// something that is not known is taken for one, too.
			if sharesPositive(l, b.form) && !hasClock(diff) {
				return holds, b
			}
			continue
		}
		bk, bclock := b.form.clock(-1)
		if !bclock || !sharesPositive(l, b.form) {
			continue
		}
		if _, fresh := b.form.clock(1); fresh {
			continue
		}
		if bk == lk || diff.c > 0 { // what is added is more than what passes between two readings
			return holds, b
		}
		result, where = stale, b
	}
	return result, where
}

func hasClock(l linear) bool {
	for _, t := range l.terms {
		if t.clock {
			return true
		}
	}
	return false
}

// sharesPositive reports whether two forms have a term in common that counts with a plus.
func sharesPositive(a, b linear) bool {
	for k, t := range a.terms {
		if !t.clock && t.coef > 0 && b.terms[k].coef > 0 {
			return true
		}
	}
	return false
}

// anyChecks returns the bounds of all tests of a function from which control can come to a
// block. They do not hold on every path, but they tell that the author thought of it, as in
// two branches that both begin with if !deadline.IsZero().
func anyChecks(f *frame, b *ssa.BasicBlock) (found []bound) {
	for ; f != nil; f = f.parent {
		for _, from := range f.fn.Blocks {
			branch, ok := from.Instrs[len(from.Instrs)-1].(*ssa.If)
			if !ok || !reaches(from, b) || from == b {
				continue
			}
			for i, truth := range []bool{true, false} {
				if !reaches(from.Succs[i], b) || from.Succs[i] == from {
					continue
				}
				// The other branch must be another way, or it is no test of this.
				for _, l := range boundsOf(cond{val{f, branch.Cond}, truth, from}, 0) {
					found = append(found, bound{l, from, f})
				}
			}
		}
		if f.call != nil {
			b = f.call.Block()
		}
	}
	return found
}

// reaches reports whether control can come from one block to another, or is there.
func reaches(from, to *ssa.BasicBlock) bool {
	seen := make([]bool, len(from.Parent().Blocks))
	work := []*ssa.BasicBlock{from}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		if b == to {
			return true
		}
		if seen[b.Index] {
			continue
		}
		seen[b.Index] = true
		work = append(work, b.Succs...)
	}
	return false
}
