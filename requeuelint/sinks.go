package requeuelint

import (
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// A family says what a queue does with a wait of 0 or less.
type family uint8

const (
	drops family = iota // controller-runtime: the object is not looked at again
	loops               // client-go and what is built on it: it is added at once
)

func (f family) String() string {
	if f == drops {
		return "controller-runtime drops 0 or less and never wakes the object"
	}
	return "0 or less is added at once, over and over while the deadline stays in the past"
}

// A sink is a place where a wait is handed to a work queue.
type sink struct {
	fn     *ssa.Function
	wait   ssa.Value
	at     *ssa.BasicBlock
	instr  ssa.Instruction
	pos    token.Pos
	name   string // what takes it: RequeueAfter, AddAfter, ...
	family family
}

const (
	reconcilePath = "sigs.k8s.io/controller-runtime/pkg/reconcile"
	priorityPath  = "sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	workqueuePath = "k8s.io/client-go/util/workqueue"
	knativePath   = "knative.dev/pkg/controller"
	operatorPath  = "github.com/awslabs/operatorpkg/reconciler"
	requeuePath   = "github.com/requeue-go/requeue"
	queuePath     = requeuePath + "/deadlinequeue"
)

// sinkField tells the fields that take a wait.
func sinkField(t types.Type, field int) (family, bool) {
	t = deref(t)
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return 0, false
	}
	switch st.Field(field).Name() {
	case "RequeueAfter":
		return drops, isResult(t)
	case "After":
		return loops, isNamed(t, priorityPath, "AddOpts")
	}
	return 0, false
}

// isResult reports whether a type is the result of a reconciler.
func isResult(t types.Type) bool {
	t = deref(t)
	return isNamed(t, reconcilePath, "Result") || isNamed(t, operatorPath, "Result")
}

var rancherPath = regexp.MustCompile(`^github\.com/rancher/(wrangler|lasso|norman)(/|$)`)

// sinkCall returns the argument of a function that is a wait, or -1. The index counts the
// parameters without the receiver.
func sinkCall(obj *types.Func) (index int, f family) {
	obj = obj.Origin()
	path := pkgPath(obj.Pkg())
	params := obj.Signature().Params()
	last := params.Len() - 1
	if last < 0 || !isDuration(params.At(last).Type()) {
		return -1, 0
	}
	switch obj.Name() {
	case "AddAfter":
		if path == workqueuePath || path == priorityPath {
			return last, loops
		}
	case "NewRequeueAfter":
		if path == knativePath {
			return last, loops
		}
	case "EnqueueAfter", "EnqueueKeyAfter":
		if path == knativePath || rancherPath.MatchString(path) {
			return last, loops
		}
		// The controllers that wrangler generates into other modules.
		if recv := obj.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) && last == 2 &&
			isString(params.At(0).Type()) && isString(params.At(1).Type()) {
			return last, loops
		}
	}
	return -1, 0
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.String
}

// calledObj returns the function or the method of an interface that a call calls.
func calledObj(c *ssa.CallCommon) *types.Func {
	if c.IsInvoke() {
		return c.Method
	}
	if fn := c.StaticCallee(); fn != nil {
		if fn.Origin() != nil {
			fn = fn.Origin()
		}
		obj, _ := fn.Object().(*types.Func)
		return obj
	}
	return nil
}

// sinks lists the places of a function where a wait is handed to a queue. Those that are
// calls of functions with a fact come with it.
func (p *program) sinks(fn *ssa.Function) (found []sink) {
	for _, b := range fn.Blocks {
		for _, instr := range b.Instrs {
			switch instr := instr.(type) {
			case *ssa.Store:
				fa, ok := instr.Addr.(*ssa.FieldAddr)
				if !ok {
					continue
				}
				f, ok := sinkField(fa.X.Type(), fa.Field)
				if !ok {
					continue
				}
				found = append(found, sink{fn, instr.Val, b, instr, instr.Pos(), fieldVar(fa.X.Type(), fa.Field).Name(), f})
			case ssa.CallInstruction:
				c := instr.Common()
				obj := calledObj(c)
				if obj == nil {
					continue
				}
				shift := 0
				if !c.IsInvoke() && c.Signature().Recv() != nil {
					shift = 1
				}
				if i, f := sinkCall(obj); i >= 0 {
					if i+shift < len(c.Args) {
						found = append(found, sink{fn, c.Args[i+shift], b, instr, instr.Pos(), obj.Name(), f})
					}
					continue
				}
				for _, s := range p.wrapper(obj) {
					if s.Index < len(c.Args) && !c.IsInvoke() {
						found = append(found, sink{fn, c.Args[s.Index], b, instr, instr.Pos(), obj.Name(), s.Family})
					}
				}
			}
		}
	}
	return found
}

// requeuesToo reports whether a store of RequeueAfter goes with Requeue: true, so that a
// wait of 0 is not lost; or the field is read again and compared after it.
func requeuesToo(s sink) bool {
	store, ok := s.instr.(*ssa.Store)
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
		other, ok := instr.(*ssa.FieldAddr)
		if !ok || other.Referrers() == nil {
			continue
		}
		name := fieldVar(other.X.Type(), other.Field).Name()
		for _, use := range *other.Referrers() {
			if st, ok := use.(*ssa.Store); ok && name == "Requeue" && isBool(st.Val, true) {
				return true
			}
			load, ok := use.(*ssa.UnOp)
			if !ok || other.Field != fa.Field || load.Referrers() == nil || !reaches(store.Block(), load.Block()) {
				continue
			}
			for _, r := range *load.Referrers() {
				switch r := r.(type) {
				case *ssa.BinOp:
					switch r.Op {
					case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL:
						return true
					}
				case *ssa.Call:
					if b, ok := r.Call.Value.(*ssa.Builtin); ok && b.Name() == "max" {
						return true
					}
				}
			}
		}
	}
	return false
}

// handlesEvent reports whether a function is called for an event, so that adding at once
// happens once an event and is no loop: it is handed an event of controller-runtime or, as
// by an informer, an object of any type, or all that call it are.
func (p *program) handlesEvent(fn *ssa.Function, depth int) bool {
	for f := fn; f != nil; f = f.Parent() {
		for _, param := range f.Params {
			if isEvent(param.Type()) {
				return true
			}
		}
	}
	calls := p.calls[fn]
	return len(calls) > 0 && depth < 3 && !slices.ContainsFunc(calls, func(call *ssa.Call) bool {
		return !p.handlesEvent(call.Parent(), depth+1)
	})
}

func isEvent(t types.Type) bool {
	if i, ok := types.Unalias(t).(*types.Interface); ok {
		return i.Empty()
	}
	n, ok := types.Unalias(deref(t)).(*types.Named)
	return ok && strings.HasSuffix(pkgPath(n.Obj().Pkg()), "controller-runtime/pkg/event")
}
