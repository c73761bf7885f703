package flow

import (
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A definition is one of the stores that a load can read; without one, it reads what was
// there when the function began, which of a local variable is zero.
type definition struct {
	store *ssa.Store
	whole bool // of a struct that the location is a field of
	zero  bool
}

// stores are the stores to a variable, in closures too.
func stores(addr ssa.Value) (found []*ssa.Store) {
	if addr.Referrers() == nil {
		return nil
	}
	for _, instr := range *addr.Referrers() {
		switch instr := instr.(type) {
		case *ssa.Store:
			if instr.Addr == addr {
				found = append(found, instr)
			}
		case *ssa.MakeClosure:
			for i, b := range instr.Bindings {
				if b == addr {
					found = append(found, stores(instr.Fn.(*ssa.Function).FreeVars[i])...)
				}
			}
		}
	}
	return found
}

// onlyStore returns the only store to a variable. One by a closure is none: without it the
// variable is zero.
func (p *Program) onlyStore(a *ssa.Alloc) *ssa.Store {
	if s := stores(a); len(s) == 1 && s[0].Parent() == a.Parent() {
		return s[0]
	}
	return nil
}

// captured returns the variable of the enclosing function that a closure has captured.
func captured(v *ssa.FreeVar) ssa.Value {
	fn := v.Parent()
	if fn.Parent() == nil {
		return nil
	}
	for instr := range Instructions(fn.Parent()) {
		mc, ok := instr.(*ssa.MakeClosure)
		if !ok || mc.Fn != ssa.Value(fn) {
			continue
		}
		if i := slices.Index(fn.FreeVars, v); i >= 0 {
			return mc.Bindings[i]
		}
	}
	return nil
}

// outermost is the declared function that a literal is in.
func outermost(fn *ssa.Function) *ssa.Function {
	for fn.Parent() != nil {
		fn = fn.Parent()
	}
	return fn
}

// storesTo indexes the stores of a declared function and its literals by what they set.
func (p *Program) storesTo(fn *ssa.Function) map[*Atom][]*ssa.Store {
	fn = outermost(fn)
	if found, ok := p.stored[fn]; ok {
		return found
	}
	found := map[*Atom][]*ssa.Store{}
	p.stored[fn] = found
	var add func(fn *ssa.Function)
	add = func(fn *ssa.Function) {
		for instr := range Instructions(fn) {
			if s, ok := instr.(*ssa.Store); ok {
				a := p.loc(s.Addr)
				found[a] = append(found[a], s)
			}
		}
		for _, anon := range fn.AnonFuncs {
			add(anon)
		}
	}
	add(fn)
	return found
}

// setters are the stores to a location, or to a struct that it is a field of.
func (p *Program) setters(fn *ssa.Function, where *Atom) (all []*ssa.Store) {
	index := p.storesTo(fn)
	for a := where; a != nil; a = a.base {
		for _, s := range index[a] {
			if p.loc(s.Val) != a { // a parameter that is kept in a variable
				all = append(all, s)
			}
		}
		if a.kind != aField {
			break
		}
	}
	return all
}

// isLater reports whether a store is of a literal that is only deferred, by the function that an
// instruction is in, and runs after it.
func isLater(s *ssa.Store, at ssa.Instruction) bool {
	lit := s.Parent()
	for lit.Parent() != nil && lit.Parent() != at.Parent() {
		lit = lit.Parent()
	}
	if lit.Parent() == nil || !onlyDeferred(lit) {
		return false
	}
	b := at.Block()
	return !slices.ContainsFunc(b.Instrs[:slices.Index(b.Instrs, at)], func(i ssa.Instruction) bool {
		_, ok := i.(*ssa.RunDefers)
		return ok
	})
}

func onlyDeferred(lit *ssa.Function) bool {
	for instr := range Instructions(lit.Parent()) {
		switch i := instr.(type) {
		case *ssa.MakeClosure:
			if i.Fn == ssa.Value(lit) && slices.ContainsFunc(*i.Referrers(), func(r ssa.Instruction) bool {
				_, ok := r.(*ssa.Defer)
				return !ok
			}) {
				return false
			}
		case *ssa.Call:
			if i.Call.Value == ssa.Value(lit) {
				return false
			}
		}
	}
	return true
}

// definitions are the stores that a read of a location at an instruction can read. There
// are none if nothing is stored to it.
func (p *Program) definitions(where *Atom, at ssa.Instruction) (found []definition) {
	fn := at.Parent()
	all := slices.DeleteFunc(p.setters(fn, where), func(s *ssa.Store) bool { return isLater(s, at) })
	if len(all) == 0 {
		return nil
	}
	whole := func(s *ssa.Store) bool { return p.loc(s.Addr) != where }
	add := func(d definition) {
		if !slices.Contains(found, d) {
			found = append(found, d)
		}
	}
	local, isLocal := where.Root().site.(*ssa.Alloc)
	initial := definition{zero: isLocal && where.Root().kind == aLocal && private(local)}
	if slices.ContainsFunc(all, func(s *ssa.Store) bool { return s.Parent() != fn }) {
		// A variable that closures set: in any order.
		for _, s := range all {
			add(definition{store: s, whole: whole(s)})
		}
		if !slices.ContainsFunc(all, func(s *ssa.Store) bool { return s.Parent() == fn && s.Block().Index == 0 }) {
			add(initial)
		}
		return found
	}
	seen := map[*ssa.BasicBlock]bool{}
	var back func(b *ssa.BasicBlock, from int)
	back = func(b *ssa.BasicBlock, from int) {
		for i := from; i >= 0; i-- {
			if s, ok := b.Instrs[i].(*ssa.Store); ok && slices.Contains(all, s) {
				add(definition{store: s, whole: whole(s)})
				return
			}
		}
		if len(b.Preds) == 0 {
			add(initial)
		}
		for _, pred := range b.Preds {
			if !seen[pred] {
				seen[pred] = true
				back(pred, len(pred.Instrs)-1)
			}
		}
	}
	back(at.Block(), slices.Index(at.Block().Instrs, at)-1)
	if len(found) == 1 && found[0] == initial && !initial.zero {
		return nil // nothing is stored before
	}
	return found
}
