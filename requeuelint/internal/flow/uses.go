package flow

import (
	"go/token"

	"golang.org/x/tools/go/ssa"
)

// Resolve follows a value to where it was made: through conversions of integers that keep
// it, and a variable that is assigned once.
func (p *Program) Resolve(v ssa.Value) ssa.Value {
	for range MaxDepth {
		switch w := v.(type) {
		case *ssa.ChangeType:
			v = w.X
			continue
		case *ssa.Convert:
			if isInteger(w.X.Type()) && isInteger(w.Type()) {
				v = w.X
				continue
			}
		case *ssa.UnOp:
			if w.Op == token.MUL {
				if all := p.definitions(p.loc(w.X), w); len(all) == 1 && all[0].store != nil && !all[0].whole {
					v = all[0].store.Val
					continue
				}
				if a, ok := w.X.(*ssa.Alloc); ok {
					if s := p.onlyStore(a); s != nil {
						v = s.Val
						continue
					}
				}
			}
		}
		break
	}
	return v
}

// Same reports whether two values are read from the same place.
func (p *Program) Same(a, b ssa.Value) bool {
	return a == b || !isConst(a) && !isConst(b) && p.loc(a) == p.loc(b)
}

// EndsInWait reports whether a span is part of a wait, or of a sum of times: it is not only
// kept, printed or slept for.
func (p *Program) EndsInWait(v ssa.Value) bool { return p.ends(v, true, map[ssa.Value]bool{}) }

// IsWait reports whether a value, or one that it is merged into, is handed to a queue.
func (p *Program) IsWait(v ssa.Value) bool { return p.ends(v, false, map[ssa.Value]bool{}) }

// ends reports whether a value is handed to a queue, whole or in part; or, of a span, ends
// in a time.
func (p *Program) ends(v ssa.Value, span bool, seen map[ssa.Value]bool) bool {
	if seen[v] || v.Referrers() == nil {
		return false
	}
	seen[v] = true
	for _, r := range *v.Referrers() {
		switch r := r.(type) {
		case *ssa.Store:
			if fa, ok := r.Addr.(*ssa.FieldAddr); ok {
				if _, ok := sinkField(fa.X.Type(), fa.Field); ok {
					return true
				}
			}
		case *ssa.Call:
			obj := Called(&r.Call)
			if _, _, ok := p.sinkOf(&r.Call); ok || span && obj != nil && ObjName(obj) == "time.Time.Add" {
				return true
			}
			b, ok := r.Call.Value.(*ssa.Builtin)
			if ok && (b.Name() == "min" || span && b.Name() == "max") && p.ends(r, span, seen) {
				return true
			}
		case *ssa.BinOp:
			if (span || r.Op == token.MUL) && p.ends(r, span, seen) {
				return true
			}
		case *ssa.Phi, *ssa.Convert, *ssa.ChangeType:
			if p.ends(r.(ssa.Value), span, seen) {
				return true
			}
		}
	}
	return false
}

// IsAfter reports whether a value is read from the RequeueAfter of a result, also in other
// units.
func (p *Program) IsAfter(v ssa.Value) bool {
	switch v := v.(type) {
	case *ssa.Field:
		return isResult(v.X.Type()) && FieldVar(v.X.Type(), v.Field).Name() == requeueAfter
	case *ssa.UnOp:
		fa, ok := v.X.(*ssa.FieldAddr)
		return ok && v.Op == token.MUL && isResult(fa.X.Type()) && FieldVar(fa.X.Type(), fa.Field).Name() == requeueAfter
	case *ssa.Convert:
		return p.IsAfter(v.X)
	case *ssa.Call:
		if fn := v.Call.StaticCallee(); fn != nil && len(v.Call.Args) > 0 {
			if _, ok := inUnits(FullName(fn)); ok {
				return p.IsAfter(v.Call.Args[0])
			}
		}
	}
	return false
}

// Owns reports whether a value is the result that another was read from.
func (p *Program) Owns(result, after ssa.Value) bool {
	var x ssa.Value
	switch v := after.(type) {
	case *ssa.Field:
		x = v.X
	case *ssa.UnOp:
		if fa, ok := v.X.(*ssa.FieldAddr); ok {
			x = fa.X
		}
	}
	return x != nil && isResult(x.Type()) && p.loc(x) == p.loc(result)
}

// Elements are the arguments of a call or, of one that is handed a list, those that the
// list is made of here.
func (p *Program) Elements(call *ssa.Call) []ssa.Value {
	if len(call.Call.Args) != 1 {
		return call.Call.Args
	}
	var all []ssa.Value
	seen := map[ssa.Value]bool{}
	var walk func(v ssa.Value)
	walk = func(v ssa.Value) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		switch v := v.(type) {
		case *ssa.Slice:
			walk(v.X)
		case *ssa.Alloc:
			for _, r := range *v.Referrers() {
				if ia, ok := r.(*ssa.IndexAddr); ok {
					for _, s := range stores(ia) {
						all = append(all, s.Val)
					}
				}
			}
		case *ssa.Phi:
			for _, e := range v.Edges {
				walk(e)
			}
		case *ssa.Call:
			if b, ok := v.Call.Value.(*ssa.Builtin); ok && b.Name() == "append" {
				for _, a := range v.Call.Args {
					walk(a)
				}
			}
		}
	}
	walk(call.Call.Args[0])
	return all
}

// WaitArgs are the arguments of a call that are handed to a queue, or to a plan of this
// library.
func (p *Program) WaitArgs(call *ssa.Call) []ssa.Value {
	if i, _, ok := p.sinkOf(&call.Call); ok {
		return []ssa.Value{call.Call.Args[i]}
	}
	if obj := Called(&call.Call); obj != nil && PkgPath(obj.Pkg()) == LibraryPath && obj.Name() != "TimeOf" {
		return call.Call.Args
	}
	return nil
}

// ReturnsResult reports whether a function returns the result of a reconciler.
func (p *Program) ReturnsResult(fn *ssa.Function) bool {
	result, _ := pairOf(fn.Signature.Results())
	return result >= 0
}

// IsNewTime tells metav1.NewTime(t), t.UTC() and the like.
func (p *Program) IsNewTime(call *ssa.Call) bool { return sameTime(call) != nil }

// Parts are what a wrapper of a time is made of: t of metav1.Time{Time: t}.
func (p *Program) Parts(a *ssa.Alloc) (all []ssa.Value) {
	if !isWrapper(Deref(a.Type())) {
		return nil
	}
	for _, s := range p.setters(a.Parent(), p.loc(a)) {
		all = append(all, s.Val)
	}
	return all
}

// MayReturnNil reports whether a function is seen to return nil in one of its ways.
func (p *Program) MayReturnNil(call *ssa.Call) bool {
	for _, r := range p.instance(call) {
		for _, res := range r.Results {
			if len(res.When) == 2 && len(res.When[1]) > 0 && (res.HasSum || !res.HasAfter) {
				for _, c := range res.When[1] {
					if len(c) == 0 || consistent(join(r.Facts, c)) {
						return true
					}
				}
			}
		}
	}
	return false
}

// IsField reports whether a value is read from a field.
func (p *Program) IsField(v ssa.Value) bool { return p.loc(v).kind == aField }

// AddsToQueue reports whether a call hands a wait to a work queue of client-go or what is
// built on it.
func (p *Program) AddsToQueue(call *ssa.Call) bool {
	_, _, ok := p.sinkOf(&call.Call)
	return ok
}

// IsSpan reports whether a value is a duration that is read from a field or a variable of a
// package, or handed in: no number that was converted.
func (p *Program) IsSpan(v ssa.Value) bool {
	if !IsDuration(v.Type()) {
		return false
	}
	switch v := v.(type) {
	case *ssa.UnOp:
		a := p.loc(v)
		return a.kind == aField || a.kind == aGlobal
	case *ssa.Field, *ssa.Parameter:
		return true
	}
	return false
}

// IsLeft reports whether a value is the time left until an instant.
func (p *Program) IsLeft(v ssa.Value) bool { return IsDuration(v.Type()) && p.Sum(v).Left() }
