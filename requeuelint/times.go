package requeuelint

import (
	"fmt"
	"go/token"
	"go/types"
	"iter"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// nils reports RQ007: an optional time that is used on the way to a wait, and that nobody
// looks at for nil.
func (p *program) nils(fn *ssa.Function, all []sink) {
	f := p.root(fn)
	reported := map[ssa.Value]bool{}
	look := func(x val) {
		for _, d := range derefs(x) {
			field := d.field
			if reported[d.load] || d.f.fn != fn && len(d.f.fn.Blocks) == 0 {
				continue
			}
			reported[d.load] = true
			if p.testedSomewhere(d.f.fn, field, map[*ssa.Function]bool{}) || fn != d.f.fn && p.testedSomewhere(fn, field, map[*ssa.Function]bool{}) {
				continue
			}
			pos := d.load.Pos()
			if d.f.fn != fn {
				continue // reported there
			}
			p.report(finding{rule: "RQ007", pos: pos, end: pos + token.Pos(len(field.Name())),
				message: fmt.Sprintf("%s is a pointer to a time, and nothing tests it for nil on the way to this wait: it panics; use requeue.TimeOf", field.Name())})
		}
	}
	for _, s := range all {
		look(val{f, s.wait})
	}
	for _, b := range fn.Blocks {
		if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok {
			for i, x := range r.Results {
				switch t := fn.Signature.Results().At(i).Type(); {
				case isDuration(t):
					look(val{f, x})
				case len(r.Results) == 1 && types.Identical(t, types.Typ[types.Bool]):
					// A predicate that tests a deadline.
					for _, l := range boundsOf(cond{val{f, x}, true, b}, 0) {
						if hasClock(l) {
							for _, t := range l.terms {
								look(t.x)
							}
						}
					}
				}
			}
		}
		// A test of a deadline that decides on a wait.
		if branch, ok := b.Instrs[len(b.Instrs)-1].(*ssa.If); ok && len(all) > 0 {
			for _, l := range boundsOf(cond{val{f, branch.Cond}, false, b}, 0) {
				for _, t := range l.terms {
					look(t.x)
				}
			}
		}
	}
}

// A dereference is a read of the time behind an optional field.
type dereference struct {
	f     *frame
	load  ssa.Value // of the field that has the pointer
	field *types.Var
}

// derefs lists the optional times that a wait is computed from.
func derefs(x val) (found []dereference) {
	seen := map[val]bool{}
	var walk func(x val, depth int)
	walk = func(x val, depth int) {
		if seen[x] || depth > 30 {
			return
		}
		seen[x] = true
		sub := func(v ssa.Value) { walk(val{x.f, v}, depth+1) }
		switch v := x.v.(type) {
		case *ssa.Phi:
			for _, e := range v.Edges {
				sub(e)
			}
		case *ssa.BinOp:
			sub(v.X)
			sub(v.Y)
		case *ssa.Convert:
			sub(v.X)
		case *ssa.ChangeType:
			sub(v.X)
		case *ssa.Call:
			obj := calledObj(&v.Call)
			_, isBuiltin := v.Call.Value.(*ssa.Builtin)
			if isBuiltin || obj != nil && pkgPath(obj.Pkg()) == "time" {
				for _, a := range v.Call.Args {
					sub(a)
				}
			} else if _, at, ok := sinceOrUntil(v); ok {
				sub(at)
			}
		case *ssa.UnOp:
			if v.Op != token.MUL {
				return
			}
			// *(&p.Time) of a p that was itself read from a field.
			ptr := v.X
			if fa, ok := v.X.(*ssa.FieldAddr); ok && isMetaTime(deref(fa.X.Type())) {
				ptr = fa.X
			}
			if load, ok := ptr.(*ssa.UnOp); ok && load.Op == token.MUL && isMetaTime(deref(load.Type())) {
				if fa, ok := load.X.(*ssa.FieldAddr); ok {
					found = append(found, dereference{x.f, load, fieldVar(fa.X.Type(), fa.Field)})
				}
				return
			}
			if stored, ok := loaded(v); ok {
				walk(val{x.f, stored}, depth+1)
			}
		}
	}
	walk(x, 0)
	return found
}

// testedSomewhere reports whether a field is tested for nil, or set, in a function, in what
// it calls, or in what leads to it.
func (p *program) testedSomewhere(fn *ssa.Function, field *types.Var, seen map[*ssa.Function]bool) bool {
	if seen[fn] || len(seen) > 100 {
		return false
	}
	seen[fn] = true
	if p.testedFields(fn)[field] {
		return true
	}
	for call := range callsOf(fn) {
		if callee := call.Call.StaticCallee(); callee != nil && p.testedFields(callee)[field] {
			return true
		}
		if fact := p.elsewhere(call); fact != nil && slices.Contains(fact.Nils, fieldName(field)) {
			return true
		}
	}
	if fn.Parent() != nil && p.testedSomewhere(fn.Parent(), field, seen) {
		return true
	}
	for _, call := range p.calls[fn] {
		if p.testedSomewhere(call.Parent(), field, seen) {
			return true
		}
	}
	return false
}

// testedFields are the fields that a function tests for nil, or sets.
func (p *program) testedFields(fn *ssa.Function) map[*types.Var]bool {
	if found, ok := p.tested[fn]; ok {
		return found
	}
	found := map[*types.Var]bool{}
	p.tested[fn] = found
	for instr := range instructions(fn) {
		switch instr := instr.(type) {
		case *ssa.FieldAddr:
			if slices.ContainsFunc(*instr.Referrers(), func(r ssa.Instruction) bool {
				s, stored := r.(*ssa.Store)
				load, loaded := r.(*ssa.UnOp)
				return stored && s.Addr == ssa.Value(instr) || loaded && usedInTest(load)
			}) {
				found[fieldVar(instr.X.Type(), instr.Field)] = true
			}
		case *ssa.Field:
			if usedInTest(instr) {
				found[fieldVar(instr.X.Type(), instr.Field)] = true
			}
		}
	}
	return found
}

// testedTimes are the optional times that a function, or what it calls, tests for nil, as
// they are named in facts.
func (p *program) testedTimes(fn *ssa.Function) (names []string) {
	add := func(tested map[*types.Var]bool) {
		for field := range tested {
			if isMetaTime(deref(field.Type())) {
				names = append(names, fieldName(field))
			}
		}
	}
	add(p.testedFields(fn))
	for call := range callsOf(fn) {
		if callee := call.Call.StaticCallee(); callee != nil {
			add(p.testedFields(callee))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// callsOf iterates over the calls of a function.
func callsOf(fn *ssa.Function) iter.Seq[*ssa.Call] {
	return func(yield func(*ssa.Call) bool) {
		for instr := range instructions(fn) {
			if call, ok := instr.(*ssa.Call); ok && !yield(call) {
				return
			}
		}
	}
}

func instructions(fn *ssa.Function) iter.Seq[ssa.Instruction] {
	return func(yield func(ssa.Instruction) bool) {
		for _, b := range fn.Blocks {
			for _, instr := range b.Instrs {
				if !yield(instr) {
					return
				}
			}
		}
	}
}

// fieldName names a field in facts.
func fieldName(field *types.Var) string { return pkgPath(field.Pkg()) + "." + field.Name() }

// usedInTest reports whether a pointer is compared with nil, or handed to something that
// may test it: a method of it, or a function.
func usedInTest(v ssa.Value) bool {
	for _, r := range *v.Referrers() {
		switch r.(type) {
		case *ssa.BinOp, *ssa.Call, *ssa.MakeInterface, *ssa.Phi, *ssa.Store:
			return true
		}
	}
	return false
}
