package flow

import (
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// A Family says what a queue does with a wait of 0 or less.
type Family uint8

// The families that there are.
const (
	Drops Family = iota // controller-runtime: the object is not looked at again
	Loops               // client-go and what is built on it: it is added at once
)

// A Sink is a place where a wait is handed to a work queue.
type Sink struct {
	Wait   Sum
	Known  Known
	Family Family
	Name   string          // what takes it: RequeueAfter, AddAfter, ...
	At     ssa.Instruction // in the function looked at: the place itself, or the call that leads there
	Origin *Origin
	Depth  int  // how many calls lead there
	Raw    bool // it is what a caller hands in
}

// An Origin is the place itself.
type Origin struct {
	Instr ssa.Instruction // nil in another package
	Value ssa.Value       // the wait
	Where string          // file:line, in another package
}

// Fn is the function of the place, or nil in another package.
func (o *Origin) Fn() *ssa.Function {
	if o.Instr == nil {
		return nil
	}
	return o.Instr.Parent()
}

// Sinks lists the places where a function hands a wait to a queue, and the calls of
// functions that do so and leave it to their callers whether it is right.
func (p *Program) Sinks(fn *ssa.Function) []*Sink {
	if all, ok := p.sinks[fn]; ok {
		return all
	}
	p.sinks[fn] = nil
	var found []*Sink
	for instr := range Instructions(fn) {
		switch instr := instr.(type) {
		case *ssa.Store:
			fa, ok := instr.Addr.(*ssa.FieldAddr)
			if !ok {
				continue
			}
			if f, ok := sinkField(fa.X.Type(), fa.Field); ok {
				found = append(found, p.sink(instr, instr.Val, f, FieldVar(fa.X.Type(), fa.Field).Name()))
			}
		case ssa.CallInstruction:
			c := instr.Common()
			if i, name, ok := p.sinkOf(c); ok {
				found = append(found, p.sink(instr, c.Args[i], Loops, name))
				continue
			}
			if call, ok := instr.(*ssa.Call); ok {
				found = append(found, p.inherited(call)...)
			}
		}
	}
	p.sinks[fn] = found
	return found
}

func (p *Program) sink(instr ssa.Instruction, wait ssa.Value, f Family, name string) *Sink {
	return &Sink{
		Wait: p.Sum(wait), Known: p.Known(instr.Block()), Family: f, Name: name, At: instr,
		Origin: &Origin{Instr: instr, Value: wait},
	}
}

// inherited are the sinks that a callee leaves to its callers.
func (p *Program) inherited(call *ssa.Call) (found []*Sink) {
	s := p.of(call)
	if s == nil || len(s.Sinks) == 0 || call.Call.StaticCallee() == call.Parent() {
		return nil
	}
	c := p.caller(call)
	for _, inner := range s.Sinks {
		facts, ok := c.facts(inner.Known.Facts)
		if !ok {
			continue
		}
		known := p.Known(call.Block()).with(Formula{facts})
		if !consistent(known.Facts) {
			continue
		}
		o := *inner
		o.Wait, o.Known, o.At, o.Depth = inner.Wait.replace(c.sum), known, call, inner.Depth+1
		if inner.Raw {
			// It is the caller who hands in the wait.
			o.Origin = &Origin{Instr: call, Value: p.argument(call, o.Wait), Where: inner.Origin.Where}
			o.Name, o.Raw = Called(&call.Call).Name(), false
		}
		found = append(found, &o)
	}
	return found
}

// argument is the argument of a call that a wait is made of.
func (p *Program) argument(call *ssa.Call, wait Sum) ssa.Value {
	for _, a := range call.Call.Args {
		if isMeasure(a.Type()) && len(p.Sum(a).Terms) > 0 && p.Sum(a).shares(wait) {
			return a
		}
	}
	return call.Call.Args[len(call.Call.Args)-1]
}

// RequeuesToo reports whether a store of RequeueAfter goes with Requeue: true, so that a
// wait of 0 is not lost; or the field is read again and compared after it.
func (s *Sink) RequeuesToo() bool {
	store, ok := s.Origin.Instr.(*ssa.Store)
	if !ok {
		return false
	}
	fa := store.Addr.(*ssa.FieldAddr)
	if fa.X.Referrers() == nil {
		return false
	}
	uses := *fa.X.Referrers()
	// A literal that is assigned to a variable.
	for _, instr := range *fa.X.Referrers() {
		load, ok := instr.(*ssa.UnOp)
		if !ok || load.Referrers() == nil {
			continue
		}
		for _, r := range *load.Referrers() {
			if st, ok := r.(*ssa.Store); ok && st.Val == ssa.Value(load) && st.Addr.Referrers() != nil {
				uses = slices.Concat(uses, *st.Addr.Referrers())
			}
		}
	}
	for _, instr := range uses {
		if mc, ok := instr.(*ssa.MakeClosure); ok && comparedIn(mc, fa.Field) {
			return true
		}
		other, ok := instr.(*ssa.FieldAddr)
		if !ok || other.Referrers() == nil {
			continue
		}
		name := FieldVar(other.X.Type(), other.Field).Name()
		for _, use := range *other.Referrers() {
			if st, ok := use.(*ssa.Store); ok && name == "Requeue" {
				if b, ok := constBool(st.Val); ok && b && (st.Block() == store.Block() || st.Block().Dominates(store.Block()) || store.Block().Dominates(st.Block())) {
					return true
				}
			}
			load, ok := use.(*ssa.UnOp)
			if ok && other.Field == fa.Field && load.Referrers() != nil && Reaches(store.Block(), load.Block()) && comparedLater(load) {
				return true
			}
		}
	}
	return false
}

// comparedIn reports whether a closure, as a deferred one, compares a field of a result.
func comparedIn(mc *ssa.MakeClosure, field int) bool {
	for instr := range Instructions(mc.Fn.(*ssa.Function)) {
		load, ok := instr.(*ssa.UnOp)
		if !ok {
			continue
		}
		fa, ok := load.X.(*ssa.FieldAddr)
		if ok && fa.Field == field && isResult(fa.X.Type()) && comparedLater(load) {
			return true
		}
	}
	return false
}

func comparedLater(load *ssa.UnOp) bool {
	return slices.ContainsFunc(*load.Referrers(), func(r ssa.Instruction) bool {
		switch r := r.(type) {
		case *ssa.BinOp:
			switch r.Op {
			case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL:
				return true
			}
		case *ssa.Call:
			b, ok := r.Call.Value.(*ssa.Builtin)
			return ok && b.Name() == "max"
		}
		return false
	})
}

// HandlesEvent reports whether a function is called for an event, so that adding at once
// happens once an event and is no loop: it is handed an event of controller-runtime or, as
// by an informer, an object of any type, or all that call it are.
func (p *Program) HandlesEvent(fn *ssa.Function) bool { return p.handlesEvent(fn, 0) }

func (p *Program) handlesEvent(fn *ssa.Function, depth int) bool {
	for f := fn; f != nil; f = f.Parent() {
		for _, param := range f.Params {
			if isEvent(param.Type()) {
				return true
			}
		}
	}
	calls := p.calls[fn]
	return len(calls) > 0 && depth < MaxDepth && !slices.ContainsFunc(calls, func(call *ssa.Call) bool {
		return !p.handlesEvent(call.Parent(), depth+1)
	})
}

func isEvent(t types.Type) bool {
	if i, ok := types.Unalias(t).(*types.Interface); ok {
		return i.Empty()
	}
	n, ok := types.Unalias(Deref(t)).(*types.Named)
	return ok && strings.HasSuffix(PkgPath(n.Obj().Pkg()), "controller-runtime/pkg/event")
}

// Pos is where the wait is handed over.
func (o *Origin) Pos() token.Pos {
	if o.Instr == nil {
		return token.NoPos
	}
	return o.Instr.Pos()
}

// IsRaised reports whether all that call a function compare the RequeueAfter of its result,
// as who raises it to a minimum, or shortens it, does.
func (p *Program) IsRaised(fn *ssa.Function) bool {
	calls := p.Callers(fn)
	return len(calls) > 0 && !p.IsValue(fn) && !slices.ContainsFunc(calls, func(call *ssa.Call) bool { return !comparesAfter(call) })
}

func comparesAfter(call *ssa.Call) bool {
	seen := map[ssa.Value]bool{}
	var compares func(v ssa.Value) bool
	compares = func(v ssa.Value) bool {
		if seen[v] || v.Referrers() == nil {
			return false
		}
		seen[v] = true
		return slices.ContainsFunc(*v.Referrers(), func(r ssa.Instruction) bool {
			switch r := r.(type) {
			case *ssa.Extract:
				return isResult(r.Type()) && compares(r)
			case *ssa.Store:
				return r.Val == v && compares(r.Addr)
			case *ssa.UnOp:
				return isResult(r.Type()) && compares(r) || IsDuration(r.Type()) && comparedLater(r)
			case *ssa.FieldAddr:
				return FieldVar(r.X.Type(), r.Field).Name() == requeueAfter && compares(r)
			case *ssa.Field:
				return FieldVar(r.X.Type(), r.Field).Name() == requeueAfter && slices.ContainsFunc(*r.Referrers(), func(r ssa.Instruction) bool { _, ok := r.(*ssa.BinOp); return ok })
			}
			return false
		})
	}
	return compares(call)
}

// TellsQueue reports whether a function tells its plan to a queue or a limiter of this
// library, which then wake the object at its deadline.
func (p *Program) TellsQueue(fn *ssa.Function) bool {
	for call := range Calls(fn) {
		obj := Called(&call.Call)
		if obj == nil {
			continue
		}
		switch path := PkgPath(obj.Pkg()); {
		case path == QueuePath && (obj.Name() == "Tell" || obj.Name() == "Decide"):
			return true
		case path == LibraryPath+"/retry" && (obj.Name() == "Tell" || obj.Name() == "Next"):
			return true
		}
	}
	return false
}

// Requeues reports whether a result that is returned may have Requeue set.
func (p *Program) Requeues(r *ssa.Return) bool {
	for _, v := range r.Results {
		if isResult(v.Type()) {
			where := p.field(p.loc(v), "Requeue", types.Typ[types.Bool])
			if len(p.definitions(where, r)) > 0 && len(p.storesTo(r.Parent())[where]) > 0 {
				return true
			}
		}
	}
	return false
}
