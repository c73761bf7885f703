package requeuelint

import (
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq002 = Rule{
	Code: "RQ002",
	Doc:  "RequeueAfter that is returned with an error, and so dropped",
	run: func(c *code) {
		for _, fn := range c.functions() {
			for _, r := range c.flow.Pairs(fn) {
				if r.Wait && (r.Failed || c.isFailure(fn, r)) && c.dropped(fn, 0) {
					pos := r.Return.Pos()
					c.report(finding{
						pos: pos, end: pos + token.Pos(len("return")),
						cause:       "RequeueAfter is returned with an error that is not nil",
						consequence: "controller-runtime drops the wait and asks its rate limiter, from 5 ms up to a quarter of an hour",
						remedy:      "return one of the two: the error, or the wait and no error",
					})
				}
			}
		}
	},
}

// isFailure reports whether an error is a parameter that nobody tests: a function that is
// handed an error along with its work is called for it. If calls are known, one of them
// must be with an error that is not nil.
func (c *code) isFailure(fn *ssa.Function, r flow.Pair) bool {
	param, ok := r.Err.(*ssa.Parameter)
	if !ok || r.Tested {
		return false
	}
	calls := c.flow.Callers(fn)
	i := slices.Index(fn.Params, param)
	return len(calls) == 0 || slices.ContainsFunc(calls, func(call *ssa.Call) bool {
		return i < len(call.Call.Args) && c.flow.NeverNil(call.Call.Args[i], call.Block())
	})
}

// dropped reports whether a wait that a function returns with an error gets to
// controller-runtime with it: it is a reconciler, or a caller hands on both. A caller that
// looks at the wait, or returns it alone, makes use of it. What becomes of that of a
// function that is used as a value, or that other packages call, is not known.
func (c *code) dropped(fn *ssa.Function, depth int) bool {
	calls := c.flow.Callers(fn)
	if c.flow.IsValue(fn) {
		if calls = c.flow.CallersOfValue(fn); len(calls) == 0 {
			return false
		}
	}
	if len(calls) == 0 || depth > flow.MaxDepth {
		return isReconcile(fn) || !isExported(fn)
	}
	handed := false
	for _, call := range calls {
		used, both := c.handsOn(call)
		if used {
			return false
		}
		handed = handed || both && c.dropped(call.Parent(), depth+1)
	}
	return handed
}

func isExported(fn *ssa.Function) bool {
	obj, ok := fn.Object().(*types.Func)
	return ok && obj.Exported()
}

// isReconcile tells the method that controller-runtime calls, by the last of its parameters.
func isReconcile(fn *ssa.Function) bool {
	params := fn.Signature.Params()
	if fn.Name() != "Reconcile" || fn.Signature.Recv() == nil || params.Len() != 2 {
		return false
	}
	switch t := types.Unalias(params.At(1).Type()).(type) {
	case *types.Named:
		_, isStruct := t.Underlying().(*types.Struct)
		return isStruct
	case *types.Pointer: // reconcile.ObjectReconciler
		return !isExportedInterfaceOf(fn)
	}
	return false
}

// isExportedInterfaceOf reports whether a method is one of an interface that its package
// declares, by which others may call it.
func isExportedInterfaceOf(fn *ssa.Function) bool {
	recv := fn.Signature.Recv().Type()
	scope := fn.Pkg.Pkg.Scope()
	return slices.ContainsFunc(scope.Names(), func(name string) bool {
		tn, ok := scope.Lookup(name).(*types.TypeName)
		if !ok {
			return false
		}
		i, ok := tn.Type().Underlying().(*types.Interface)
		if !ok || i.NumMethods() == 0 {
			return false
		}
		obj, _, _ := types.LookupFieldOrMethod(tn.Type(), false, fn.Pkg.Pkg, fn.Name())
		return obj != nil && types.Implements(recv, i)
	})
}

// handsOn tells what becomes of the result of a call that comes with an error: it is made
// use of, or returned with the error, or neither.
func (c *code) handsOn(call *ssa.Call) (used, both bool) {
	var result, err *ssa.Extract
	for _, instr := range *call.Referrers() {
		if ex, ok := instr.(*ssa.Extract); ok {
			switch {
			case flow.IsResult(ex.Type()):
				result = ex
			case flow.IsError(ex.Type()):
				err = ex
			}
		}
	}
	if result == nil {
		returned, _ := onlyReturned(call)
		return false, returned
	}
	h := handing{code: c, err: err, seen: map[ssa.Value]bool{}}
	h.follow(result)
	return h.used, h.both && !h.used
}

// A handing follows a result through the variables that it is kept in.
type handing struct {
	*code
	err        *ssa.Extract // that came with it
	seen       map[ssa.Value]bool
	used, both bool
}

func (h *handing) follow(v ssa.Value) {
	if h.seen[v] || v.Referrers() == nil {
		return
	}
	h.seen[v] = true
	for _, instr := range *v.Referrers() {
		switch instr := instr.(type) {
		case *ssa.Return:
			last := instr.Results[len(instr.Results)-1]
			if h.err != nil && flow.IsNil(last) && h.flow.IsNilIn(h.err, h.flow.Known(instr.Block())) {
				continue // it came without an error
			}
			if h.err == nil || last != ssa.Value(h.err) && (flow.IsNil(last) || !flow.IsError(last.Type())) {
				h.used = true
			} else {
				h.both = true
			}
		case *ssa.Store:
			switch {
			case instr.Val != v:
			case storedWith(instr, h.err):
				h.both = true
			default:
				h.follow(instr.Addr)
			}
		case *ssa.UnOp: // a pointer to a result, or a variable
			h.follow(instr)
		case *ssa.Call:
			// result.IsZero() decides whether to return, not what.
			if obj := flow.Called(&instr.Call); obj == nil || obj.Name() != "IsZero" {
				h.used = true
			}
		case *ssa.Field, *ssa.FieldAddr, *ssa.Phi:
			h.used = true
		}
	}
}

// onlyReturned tells return f(), where f has several results.
func onlyReturned(call *ssa.Call) (both, ok bool) {
	for _, instr := range *call.Referrers() {
		if _, isReturn := instr.(*ssa.Return); isReturn {
			return true, true
		}
	}
	return false, false
}

// storedWith reports whether a result is stored to be returned with its error, as it is in
// a function with a defer.
func storedWith(s *ssa.Store, err *ssa.Extract) bool {
	if err == nil {
		return false
	}
	b := s.Block()
	if _, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); !ok {
		return false
	}
	return slices.ContainsFunc(b.Instrs, func(instr ssa.Instruction) bool {
		other, ok := instr.(*ssa.Store)
		return ok && other.Val == ssa.Value(err)
	})
}
