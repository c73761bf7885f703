package flow

import (
	"fmt"
	"go/types"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ssa"
)

const (
	requeueAfter  = "RequeueAfter"
	reconcilePath = "sigs.k8s.io/controller-runtime/pkg/reconcile"
	priorityPath  = "sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	workqueuePath = "k8s.io/client-go/util/workqueue"
	knativePath   = "knative.dev/pkg/controller"
	operatorPath  = "github.com/awslabs/operatorpkg/reconciler"

	// LibraryPath is this library, which keeps its promises.
	LibraryPath = "github.com/requeue-go/requeue"
	// QueuePath is its work queue.
	QueuePath = LibraryPath + "/deadlinequeue"
)

// IsResult reports whether a type is the result of a reconciler, or a pointer to one.
func IsResult(t types.Type) bool {
	t = Deref(t)
	return IsNamed(t, reconcilePath, "Result") || IsNamed(t, operatorPath, "Result")
}

func isResult(t types.Type) bool { return IsResult(t) }

// sinkField tells the fields that take a wait.
func sinkField(t types.Type, field int) (Family, bool) {
	st, ok := Deref(t).Underlying().(*types.Struct)
	if !ok {
		return 0, false
	}
	switch st.Field(field).Name() {
	case requeueAfter:
		return Drops, isResult(t)
	case "After":
		return Loops, IsNamed(Deref(t), priorityPath, "AddOpts")
	}
	return 0, false
}

var rancherPath = regexp.MustCompile(`^github\.com/rancher/(wrangler|lasso|norman)(/|$)`)

// A queueArg is the argument of a function that is a wait; the receiver does not count.
type queueArg struct {
	index int
	name  string
}

// SinkCall returns the argument of a function that is a wait.
func SinkCall(obj *types.Func) (index int, ok bool) {
	obj = obj.Origin()
	path := PkgPath(obj.Pkg())
	params := obj.Signature().Params()
	last := params.Len() - 1
	if last < 0 || !IsDuration(params.At(last).Type()) {
		return 0, false
	}
	recv := obj.Signature().Recv()
	switch obj.Name() {
	case "AddAfter":
		// An interface of one's own that has the method of the queue.
		if path == workqueuePath || path == priorityPath || recv != nil && types.IsInterface(recv.Type()) && last == 1 && obj.Signature().Results().Len() == 0 {
			return last, true
		}
	case "Add":
		// A queue of one's own that takes a wait.
		if recv != nil && types.IsInterface(recv.Type()) && last == 1 && obj.Signature().Results().Len() == 0 {
			n, ok := types.Unalias(recv.Type()).(*types.Named)
			return last, ok && strings.Contains(n.Obj().Name(), "Queue")
		}
	case "NewRequeueAfter":
		return last, path == knativePath
	case "EnqueueAfter", "EnqueueKeyAfter":
		if path == knativePath || rancherPath.MatchString(path) {
			return last, true
		}
		// The controllers that wrangler generates into other modules; and what has the
		// methods of knative's.
		if recv != nil && types.IsInterface(recv.Type()) {
			return last, last == 1 || last == 2 && isString(params.At(0).Type()) && isString(params.At(1).Type())
		}
	}
	return 0, false
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.String
}

// A queueSetting names a queue function of the user's own.
type queueSetting struct {
	name  string
	index int
}

// CheckSetting reports what is wrong with the name of a queue function.
func CheckSetting(s string) error {
	name, index, ok := strings.Cut(s, ":")
	if n, err := strconv.Atoi(index); !ok || err != nil || n < 0 || !strings.Contains(name, ".") {
		return fmt.Errorf("%q does not name a queue function: write path.Func:N or path.Type.Method:N, with the number of the argument that is the wait, from 0", s)
	}
	return nil
}

func parseSettings(all []string) (settings []queueSetting) {
	for _, s := range all {
		name, index, _ := strings.Cut(s, ":")
		if n, err := strconv.Atoi(index); err == nil {
			settings = append(settings, queueSetting{name, n})
		}
	}
	return settings
}

// sinkOf returns the argument of a call that is a wait, with its index among all arguments.
func (p *Program) sinkOf(c *ssa.CallCommon) (index int, name string, ok bool) {
	obj := Called(c)
	if obj == nil {
		return p.fieldCall(c)
	}
	shift := 0
	if !c.IsInvoke() && c.Signature().Recv() != nil {
		shift = 1
	}
	i, ok := SinkCall(obj)
	for _, s := range p.settings {
		if s.name == ObjName(obj) {
			i, ok = s.index, true
		}
	}
	if !ok || i+shift >= len(c.Args) || !IsDuration(c.Args[i+shift].Type()) {
		return 0, "", false
	}
	return i + shift, obj.Name(), true
}

// fieldCall tells a call of a function in a field that is only ever set to one of a queue.
func (p *Program) fieldCall(c *ssa.CallCommon) (index int, name string, ok bool) {
	load, isLoad := c.Value.(*ssa.UnOp)
	if !isLoad {
		return 0, "", false
	}
	fa, isField := load.X.(*ssa.FieldAddr)
	if !isField {
		return 0, "", false
	}
	q := p.queueFields()[FieldVar(fa.X.Type(), fa.Field)]
	if q == nil || q.index >= len(c.Args) {
		return 0, "", false
	}
	return q.index, q.name, true
}

// queueFields are the fields of functions that the package only ever sets to those of a
// queue.
func (p *Program) queueFields() map[*types.Var]*queueArg {
	if p.fields != nil {
		return p.fields
	}
	p.fields = map[*types.Var]*queueArg{}
	other := map[*types.Var]bool{}
	for _, fn := range p.Funcs {
		for instr := range Instructions(fn) {
			s, ok := instr.(*ssa.Store)
			if !ok {
				continue
			}
			fa, ok := s.Addr.(*ssa.FieldAddr)
			if !ok {
				continue
			}
			if _, isFunc := s.Val.Type().Underlying().(*types.Signature); !isFunc {
				continue
			}
			field := FieldVar(fa.X.Type(), fa.Field)
			if q := p.queueFunc(s.Val, 0); q != nil {
				p.fields[field] = q
			} else if !IsNil(s.Val) && !p.inTest(fn) {
				other[field] = true
			}
		}
	}
	for field := range other {
		delete(p.fields, field)
	}
	return p.fields
}

// queueFunc tells a function of a queue as a value: q.AddAfter, or a parameter that is only
// ever one.
func (p *Program) queueFunc(v ssa.Value, depth int) *queueArg {
	switch v := v.(type) {
	case *ssa.MakeClosure:
		return p.queueFunction(v.Fn.(*ssa.Function))
	case *ssa.Function:
		return p.queueFunction(v)
	case *ssa.ChangeType:
		return p.queueFunc(v.X, depth)
	case *ssa.Parameter:
		var found *queueArg
		for _, call := range p.Callers(v.Parent()) {
			i := paramIndex(v)
			if depth > MaxDepth || i >= len(call.Call.Args) {
				return nil
			}
			if found = p.queueFunc(call.Call.Args[i], depth+1); found == nil {
				return nil
			}
		}
		return found
	}
	return nil
}

// queueFunction tells a method of a queue, or a function that hands one of its parameters to
// a queue.
func (p *Program) queueFunction(fn *ssa.Function) *queueArg {
	obj, _ := fn.Object().(*types.Func)
	var s *Summary
	switch {
	case obj != nil:
		if i, ok := SinkCall(obj); ok {
			return &queueArg{i, obj.Name()}
		}
		if fn = declared(fn); len(fn.Blocks) > 0 && fn.Synthetic == "" {
			s = p.Summary(fn)
		} else {
			s = p.Imported(obj)
		}
	case len(fn.Blocks) > 0:
		s = p.Summary(fn)
	}
	if s == nil {
		return nil
	}
	for _, sink := range s.Sinks {
		if a, ok := sink.Wait.Only(); ok && sink.Raw && sink.Family == Loops && a.kind == aParam {
			index := a.index
			if fn.Signature.Recv() != nil {
				index--
			}
			return &queueArg{index, sink.Name}
		}
	}
	return nil
}
