package flow

import (
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// result is a result of a call.
func (p *Program) result(v *ssa.Call, index int) Sum {
	if s, ok := p.wellKnown(v); ok {
		return s
	}
	if a := p.resultAtom(v, index); a.parsed() {
		return Of(a)
	}
	if all := p.instance(v); len(all) > 0 {
		if len(all) == 1 && index < len(all[0].Results) && all[0].Results[index].HasSum {
			return all[0].Results[index].Sum
		}
		if len(all) > 1 {
			// Of a method that gives the same each time, all calls are one.
			if a := p.loc(v); a.kind == aMethod {
				p.getters[a] = v
				return Of(a)
			}
			return Of(p.resultAtom(v, index))
		}
	}
	a := p.loc(v)
	if v.Call.Signature().Results().Len() > 1 {
		a = p.resultAtom(v, index)
	}
	if a.Time && !a.Clock && a.derived == nil {
		a.derived = p.derivedFrom(v, 0)
	}
	return Of(a)
}

func (p *Program) resultAtom(v *ssa.Call, index int) *Atom {
	t := v.Type()
	if results := v.Call.Signature().Results(); results.Len() > 1 {
		t = results.At(index).Type()
	}
	a := p.atom(atomKey{kind: aResult, site: v, index: index}, t)
	a.Clock = a.Clock || IsClock(v)
	return a
}

// wellKnown is the result of a function that is known by its name.
func (p *Program) wellKnown(v *ssa.Call) (Sum, bool) {
	args := v.Call.Args
	if b, ok := v.Call.Value.(*ssa.Builtin); ok {
		switch b.Name() {
		case "min":
			return p.extreme(aLeast, v), true
		case "max":
			return p.extreme(aMost, v), true
		}
		return Of(p.loc(v)), true
	}
	if IsClock(v) {
		return Of(p.loc(v)), true
	}
	if name, at, ok := SinceOrUntil(v); ok {
		reading := p.resultAtom(v, 0)
		reading.Clock = true
		left := p.Sum(at).Plus(Of(reading), -1)
		if name == "Since" {
			left = left.Times(-1)
		}
		return left, true
	}
	if from := sameTime(v); from != nil {
		return p.Sum(from), true
	}
	fn := v.Call.StaticCallee()
	if fn == nil {
		return Sum{}, false
	}
	name := FullName(fn)
	if per, ok := inUnits(name); ok {
		return p.Sum(args[0]).Times(per), true
	}
	switch name {
	case "time.Time.Sub":
		return p.Sum(args[0]).Plus(p.Sum(args[1]), -1), true
	case "time.Time.Add":
		return p.Sum(args[0]).Plus(p.Sum(args[1]), 1), true
	case "time.Duration.Round", "time.Duration.Truncate":
		x, unit := p.Sum(args[0]), p.Sum(args[1])
		if x.IsConst() || !unit.IsConst() || unit.C <= 0 {
			return x, true
		}
		if name == "time.Duration.Round" {
			unit.C /= 2
		}
		less := p.atom(atomKey{kind: aRandom, site: v, name: "rounding"}, v.Type())
		less.bound = &unit
		return x.Plus(Of(less), -1), true
	case "math.Ceil", "math.Floor", "math.Round", "math.Trunc":
		return p.Sum(args[0]), true
	case "math.Max":
		return p.extreme(aMost, v), true
	case "math.Min":
		return p.extreme(aLeast, v), true
	case "k8s.io/apimachinery/pkg/util/wait.Jitter":
		return p.Sum(args[0]), true // and up to a part of it more
	case "time.Unix":
		if len(args) == 2 {
			return p.Sum(args[0]).Times(1e9).Plus(p.Sum(args[1]), 1), true
		}
	case "time.UnixMilli":
		return p.Sum(args[0]).Times(1e6), true
	case "k8s.io/utils/ptr.To", "k8s.io/utils/ptr.Deref", "k8s.io/utils/pointer.Duration", "k8s.io/utils/pointer.Int64", "k8s.io/utils/pointer.Int32":
		return p.Sum(args[0]), true
	}
	if bound, ok := p.random(name, args); ok {
		a := p.atom(atomKey{kind: aRandom, site: v}, v.Type())
		a.bound = &bound
		return Of(a), true
	}
	return Sum{}, false
}

// extreme is min or max.
func (p *Program) extreme(k kind, v *ssa.Call) Sum {
	return Of(p.atom(atomKey{kind: k, site: v}, v.Type()))
}

// random tells the functions of math/rand, and what their results are below.
func (p *Program) random(name string, args []ssa.Value) (bound Sum, ok bool) {
	rest, found := strings.CutPrefix(name, "math/rand.")
	if !found {
		if rest, found = strings.CutPrefix(name, "math/rand/v2."); !found {
			return Sum{}, false
		}
	}
	switch strings.TrimPrefix(rest, "Rand.") {
	case "Float64", "Float32":
		return Constant(1), true
	case "Int63n", "Int31n", "Intn", "Int64N", "Int32N", "IntN", "N":
		return p.Sum(args[len(args)-1]), true
	}
	return Sum{}, false
}

// derivedFrom returns the reading of the clock that an instant was computed from by a call,
// as the next run of a schedule is.
func (p *Program) derivedFrom(v ssa.Value, depth int) *Atom {
	if depth > MaxDepth {
		return nil
	}
	first := func(all ...ssa.Value) *Atom {
		for _, v := range all {
			if a := p.derivedFrom(v, depth+1); a != nil {
				return a
			}
		}
		return nil
	}
	switch v := v.(type) {
	case *ssa.IndexAddr: // an element of a list of such instants
		return first(v.X)
	case *ssa.Index:
		return first(v.X)
	case *ssa.Slice:
		return first(v.X)
	case *ssa.Alloc:
		var elements []ssa.Value
		for _, instr := range *v.Referrers() {
			if ia, ok := instr.(*ssa.IndexAddr); ok {
				for _, s := range stores(ia) {
					elements = append(elements, s.Val)
				}
			}
		}
		for _, s := range stores(v) {
			elements = append(elements, s.Val)
		}
		return first(elements...)
	case *ssa.Extract:
		return first(v.Tuple)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return first(v.X)
		}
	case *ssa.FieldAddr:
		return first(v.X)
	case *ssa.Field:
		return first(v.X)
	case *ssa.Phi:
		if !IsTime(v.Type()) { // of an instant all ways must be so: each is looked at
			return first(v.Edges...)
		}
	case *ssa.Call:
		if b, ok := v.Call.Value.(*ssa.Builtin); ok {
			if b.Name() == "append" {
				return first(v.Call.Args...)
			}
			return nil
		}
		if IsClock(v) {
			return nil
		}
		if now := p.passedBy(v); now != nil {
			return now
		}
		for _, a := range v.Call.Args {
			if !IsTime(a.Type()) {
				continue
			}
			s := p.Sum(a)
			if now, ok := s.Clock(1); ok {
				return now
			}
			if only, ok := s.Only(); ok && only.derived != nil {
				return only.derived
			}
		}
	}
	return nil
}

// passedBy returns the reading of the clock that a loop takes a schedule past: it goes from
// one run to the next until one lies ahead.
func (p *Program) passedBy(next *ssa.Call) *Atom {
	obj := Called(&next.Call)
	if obj == nil || obj.Name() != "Next" {
		return nil
	}
	for _, b := range next.Parent().Blocks {
		branch, ok := b.Instrs[len(b.Instrs)-1].(*ssa.If)
		if !ok || !slices.ContainsFunc(b.Preds, b.Dominates) {
			continue
		}
		test, ok := branch.Cond.(*ssa.Call)
		if !ok {
			if not, isNot := branch.Cond.(*ssa.UnOp); isNot {
				test, ok = not.X.(*ssa.Call)
			}
		}
		if !ok || len(test.Call.Args) != 2 {
			continue
		}
		for i, a := range test.Call.Args {
			run, isPhi := a.(*ssa.Phi)
			now, isClock := p.Sum(test.Call.Args[1-i]).Only()
			if isPhi && isClock && now.Clock && slices.ContainsFunc(run.Edges, func(e ssa.Value) bool {
				call, ok := e.(*ssa.Call)
				return ok && Called(&call.Call) == obj
			}) {
				return now
			}
		}
	}
	return nil
}
