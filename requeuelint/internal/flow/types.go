package flow

import (
	"go/constant"
	"go/types"
	"reflect"
	"strings"

	"golang.org/x/tools/go/ssa"
)

const metaPath = "k8s.io/apimachinery/pkg/apis/meta/v1"

// IsTime reports whether a type is time.Time or a wrapper of it, such as metav1.Time, or a
// pointer to one.
func IsTime(t types.Type) bool {
	t = Deref(t)
	return IsNamed(t, "time", "Time") || IsMetaTime(t)
}

// IsMetaTime tells metav1.Time and metav1.MicroTime.
func IsMetaTime(t types.Type) bool {
	return IsNamed(t, metaPath, "Time") || IsNamed(t, metaPath, "MicroTime")
}

// IsMetaDuration tells metav1.Duration.
func IsMetaDuration(t types.Type) bool { return IsNamed(t, metaPath, "Duration") }

// IsDuration tells time.Duration.
func IsDuration(t types.Type) bool { return IsNamed(t, "time", "Duration") }

// isWrapper tells the structs that have one field, a time or a duration.
func isWrapper(t types.Type) bool {
	t = Deref(t)
	return IsMetaTime(t) || IsMetaDuration(t)
}

// isMeasure tells what a sum can say something of: numbers, times, spans, and pointers to
// them, which stand for what they point at.
func isMeasure(t types.Type) bool {
	t = Deref(t)
	return isInteger(t) || isFloat(t) || IsTime(t) || isWrapper(t)
}

func isInteger(t types.Type) bool { return is(t, types.IsInteger) }

func isFloat(t types.Type) bool { return is(t, types.IsFloat) }

func isBoolean(t types.Type) bool { return is(t, types.IsBoolean) }

func isUnsigned(t types.Type) bool { return is(t, types.IsUnsigned) }

func is(t types.Type, info types.BasicInfo) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&info != 0
}

// IsError tells the type error.
func IsError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

func isContext(t types.Type) bool { return IsNamed(t, "context", "Context") }

// canBeNil tells pointers and interfaces.
func canBeNil(t types.Type) bool {
	switch t.Underlying().(type) {
	case *types.Pointer, *types.Interface:
		return true
	}
	return false
}

// Deref returns what a pointer points at, and any other type as it is.
func Deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// IsNamed reports whether a type is that of a package, wherever it is vendored.
func IsNamed(t types.Type, path, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Name() == name && n.Obj().Pkg() != nil && PkgPath(n.Obj().Pkg()) == path
}

// PkgPath returns the import path of a package, without the directory it is vendored in.
func PkgPath(p *types.Package) string {
	if p == nil {
		return ""
	}
	path := p.Path()
	if i := strings.LastIndex(path, "/vendor/"); i >= 0 {
		path = path[i+len("/vendor/"):]
	}
	return path
}

// FullName returns path.Func or path.Type.Method of a function; that of a literal is empty.
func FullName(fn *ssa.Function) string {
	if fn.Origin() != nil {
		fn = fn.Origin()
	}
	if obj, ok := fn.Object().(*types.Func); ok {
		return ObjName(obj)
	}
	return ""
}

// ObjName is FullName of the object of a function.
func ObjName(obj *types.Func) string {
	obj = obj.Origin()
	recv := obj.Signature().Recv()
	if recv == nil {
		return PkgPath(obj.Pkg()) + "." + obj.Name()
	}
	if n, ok := types.Unalias(Deref(recv.Type())).(*types.Named); ok {
		return PkgPath(obj.Pkg()) + "." + n.Obj().Name() + "." + obj.Name()
	}
	return PkgPath(obj.Pkg()) + ".?." + obj.Name()
}

// FieldVar returns a field of a struct, or of what a pointer points at.
func FieldVar(t types.Type, i int) *types.Var {
	return Deref(t).Underlying().(*types.Struct).Field(i)
}

// isAPI reports whether a field of a struct has a name in JSON, as those of API objects
// have.
func isAPI(t types.Type, i int) bool {
	return strings.Contains(Deref(t).Underlying().(*types.Struct).Tag(i), `json:"`)
}

// IsRequired reports whether a field of an API object may not be left out: its name in JSON
// is without omitempty and omitzero, which controller-gen takes for required.
func IsRequired(t types.Type, i int) bool {
	tag, ok := reflect.StructTag(Deref(t).Underlying().(*types.Struct).Tag(i)).Lookup("json")
	return ok && !strings.Contains(tag, ",omit")
}

// Called returns the function or the method of an interface that a call calls, or nil.
func Called(c *ssa.CallCommon) *types.Func {
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

func isConst(v ssa.Value) bool {
	_, ok := v.(*ssa.Const)
	return ok
}

// IsNil tells the constant nil, and zero values of structs.
func IsNil(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value == nil
}

// constBool returns the value of a constant boolean.
func constBool(v ssa.Value) (value, ok bool) {
	c, isConst := v.(*ssa.Const)
	if !isConst || c.Value == nil || c.Value.Kind() != constant.Bool {
		return false, false
	}
	return constant.BoolVal(c.Value), true
}

// constNumber returns the value of a constant number.
func constNumber(v ssa.Value) (float64, bool) {
	c, ok := v.(*ssa.Const)
	if !ok || c.Value == nil {
		return 0, false
	}
	switch c.Value.Kind() {
	case constant.Int, constant.Float:
		n, _ := constant.Float64Val(constant.ToFloat(c.Value))
		return n, true
	default:
	}
	return 0, false
}

func paramIndex(p *ssa.Parameter) int {
	for i, q := range p.Parent().Params {
		if p == q {
			return i
		}
	}
	return -1
}
