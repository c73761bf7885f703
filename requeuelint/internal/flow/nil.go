package flow

import (
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// NilWhen is when a pointer or an interface is nil, or is not.
func (p *Program) NilWhen(v ssa.Value, truth bool) Formula {
	return p.once(asked{v, truth, true}, func() Formula { return p.nilWhen(v, truth, 0) })
}

func (p *Program) nilWhen(v ssa.Value, truth bool, depth int) Formula {
	never := func() Formula {
		if truth {
			return nil
		}
		return always
	}
	self := Formula{{Fact{Op: Nil, Atom: p.ident(v), Truth: truth}}}
	if depth > MaxDepth {
		return self
	}
	switch v := v.(type) {
	case *ssa.Const:
		if truth {
			return always
		}
		return nil
	case *ssa.MakeInterface:
		if _, isPointer := v.X.Type().Underlying().(*types.Pointer); isPointer && !IsError(v.Type()) {
			return p.nilWhen(v.X, truth, depth+1)
		}
		return never()
	case *ssa.Alloc, *ssa.FieldAddr, *ssa.IndexAddr, *ssa.Global, *ssa.MakeClosure, *ssa.Function:
		return never()
	case *ssa.ChangeInterface:
		return p.nilWhen(v.X, truth, depth+1)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			if all := p.definitions(p.loc(v.X), v); len(all) == 1 && all[0].store != nil && !all[0].whole {
				return and(self, p.nilWhen(all[0].store.Val, truth, depth+1))
			}
			if g, ok := v.X.(*ssa.Global); ok && IsError(v.Type()) && len(initStores(g)) > 0 {
				return never() // var ErrX = errors.New(...)
			}
		}
	case *ssa.Phi:
		return and(self, p.phiWhen(v, func(e ssa.Value) Formula { return p.nilWhen(e, truth, depth+2) }))
	case *ssa.Extract:
		if call, ok := v.Tuple.(*ssa.Call); ok {
			return p.calledWhen(call, v.Index, truth, self)
		}
	case *ssa.Call:
		if f, ok := p.errorWhen(v, truth, self, depth); ok {
			return f
		}
		return p.calledWhen(v, 0, truth, self)
	}
	return self
}

var makesError = regexp.MustCompile(`^(New|Errorf$|Error$|TerminalError$)`)

// errorWhen is when an error that a well-known kind of function makes is nil.
func (p *Program) errorWhen(v *ssa.Call, truth bool, self Formula, depth int) (Formula, bool) {
	obj := Called(&v.Call)
	if obj == nil || !IsError(v.Type()) && obj.Name() != "NewAggregate" {
		return nil, false
	}
	var of []ssa.Value // errors that it is made of
	for _, a := range v.Call.Args {
		if IsError(a.Type()) {
			of = append(of, a)
		}
	}
	switch name := obj.Name(); {
	case name == "Join" && obj.Pkg() != nil && PkgPath(obj.Pkg()) == "errors", name == "NewAggregate":
		return p.anyWhen(v.Call.Args[0], truth, depth), true
	case strings.HasPrefix(name, "Wrap"), strings.HasPrefix(name, "With"):
		// Of any package of errors: nil for nil.
		if len(of) == 1 && (obj.Pkg() == nil || strings.Contains(obj.Pkg().Name(), "err")) {
			return p.nilWhen(of[0], truth, depth+1), true
		}
	case strings.HasPrefix(name, "Ignore"):
		if len(of) == 1 && !truth {
			return and(self, p.nilWhen(of[0], false, depth+1)), true
		}
	case makesError.MatchString(name) && !p.hasBody(v):
		if len(of) == 0 || name == "Errorf" || name == "TerminalError" {
			if truth {
				return nil, true
			}
			return always, true
		}
	}
	return nil, false
}

func (p *Program) hasBody(v *ssa.Call) bool {
	fn := v.Call.StaticCallee()
	return fn != nil && len(fn.Blocks) > 0
}

// anyWhen is when all errors of a list are nil, or one is not.
func (p *Program) anyWhen(list ssa.Value, truth bool, depth int) Formula {
	s, ok := list.(*ssa.Slice)
	if !ok {
		return always
	}
	array, ok := s.X.(*ssa.Alloc)
	if !ok {
		return always
	}
	var f Formula
	if truth {
		f = always
	}
	for _, r := range *array.Referrers() {
		ia, ok := r.(*ssa.IndexAddr)
		if !ok {
			continue
		}
		for _, s := range stores(ia) {
			if one := p.nilWhen(s.Val, truth, depth+1); truth {
				f = and(f, one)
			} else {
				f = or(f, one)
			}
		}
	}
	return f
}
