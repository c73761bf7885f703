package requeuelint

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"sort"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// A frame is one activation of a function: the function itself, or a call of it from
// another frame, in which the parameters are the arguments of the call.
type frame struct {
	fn     *ssa.Function
	parent *frame
	call   *ssa.Call

	calls map[*ssa.Call]*frame // that were entered from here, so that a value has one frame
}

// maxDepth is how many calls within a package are followed.
const maxDepth = 6

func (f *frame) depth() int {
	n := 0
	for ; f.parent != nil; f = f.parent {
		n++
	}
	return n
}

// enter returns the frame of a call, or nil if it is not to be followed: the callee has
// no body here, is recursive, or lies too deep.
func (f *frame) enter(call *ssa.Call) *frame {
	callee := call.Call.StaticCallee()
	if callee == nil || len(callee.Blocks) == 0 || f.depth() >= maxDepth {
		return nil
	}
	for g := f; g != nil; g = g.parent {
		if g.fn == callee {
			return nil
		}
	}
	g := f.calls[call]
	if g == nil {
		g = &frame{fn: callee, parent: f, call: call}
		if f.calls == nil {
			f.calls = map[*ssa.Call]*frame{}
		}
		f.calls[call] = g
	}
	return g
}

// A val is a value in a frame.
type val struct {
	f *frame
	v ssa.Value
}

// resolve follows a value to where it was made: through conversions that keep it, a
// parameter to its argument, and a variable that is assigned once to what is assigned.
func resolve(x val) val {
	for range 50 {
		switch v := x.v.(type) {
		case *ssa.ChangeType:
			x.v = v.X
		case *ssa.Convert:
			if !isInteger(v.X.Type()) || !isInteger(v.Type()) {
				return x
			}
			x.v = v.X
		case *ssa.Parameter:
			if x.f.parent == nil || v.Parent() != x.f.fn {
				return x
			}
			i := paramIndex(v)
			if i < 0 || i >= len(x.f.call.Call.Args) {
				return x
			}
			x = val{x.f.parent, x.f.call.Call.Args[i]}
		case *ssa.UnOp:
			if v.Op != token.MUL {
				return x
			}
			stored, ok := loaded(v)
			if !ok {
				return x
			}
			x.v = stored
		case *ssa.Alloc:
			// The address of a time, as methods of metav1.Time take it.
			stored := onlyTime(v)
			if stored == nil {
				return x
			}
			x.v = stored
		case *ssa.Field:
			if !isWrapper(v.X.Type()) {
				return x
			}
			x.v = v.X
		case *ssa.Call:
			// metav1.NewTime(t), t.UTC(), d.Round(...): the same instant, or nearly.
			if from := sameTime(v); from != nil {
				x.v = from
				continue
			}
			return x
		default:
			return x
		}
	}
	return x
}

// loaded returns what a load reads if that is known: the only value that was ever stored
// in a local variable, or in a field of one.
func loaded(load *ssa.UnOp) (ssa.Value, bool) {
	switch addr := load.X.(type) {
	case *ssa.Alloc:
		if s := stores(addr); len(s) == 1 && s[0].Val != nil {
			return s[0].Val, true
		}
		// The one field of a wrapper such as metav1.Time{Time: t} stands for it.
		if isWrapper(deref(addr.Type())) {
			if s := fieldStores(addr, 0); len(s) == 1 {
				return s[0].Val, true
			}
		}
		if s := lastStore(load, addr); s != nil {
			return s.Val, true
		}
	case *ssa.FieldAddr:
		base, ok := addr.X.(*ssa.Alloc)
		if !ok {
			return nil, false
		}
		s := fieldStores(base, addr.Field)
		if len(s) == 1 && len(stores(base)) == 0 {
			return s[0].Val, true
		}
		if len(s) == 0 && isWrapper(deref(base.Type())) {
			if w := stores(base); len(w) == 1 {
				return w[0].Val, true
			}
		}
	case *ssa.FreeVar:
		if b, ok := captured(addr).(*ssa.Alloc); ok {
			if s := stores(b); len(s) == 1 {
				return s[0].Val, true
			}
		}
	}
	return nil, false
}

// onlyTime returns the only value that a variable for a time ever has.
func onlyTime(addr *ssa.Alloc) ssa.Value {
	if !isTime(deref(addr.Type())) {
		return nil
	}
	if s := stores(addr); len(s) == 1 {
		return s[0].Val
	}
	return nil
}

// lastStore returns the store that a load of a variable reads, if it is in the same block.
func lastStore(load *ssa.UnOp, addr *ssa.Alloc) (last *ssa.Store) {
	for _, instr := range load.Block().Instrs {
		if instr == ssa.Instruction(load) {
			return last
		}
		if s, ok := instr.(*ssa.Store); ok && s.Addr == ssa.Value(addr) {
			last = s
		}
	}
	return nil
}

// captured returns the variable of the enclosing function that a closure has captured.
func captured(v *ssa.FreeVar) ssa.Value {
	fn := v.Parent()
	if fn.Parent() == nil {
		return nil
	}
	for _, b := range fn.Parent().Blocks {
		for _, instr := range b.Instrs {
			mc, ok := instr.(*ssa.MakeClosure)
			if !ok || mc.Fn != ssa.Value(fn) {
				continue
			}
			for i, fv := range fn.FreeVars {
				if fv == v {
					return mc.Bindings[i]
				}
			}
		}
	}
	return nil
}

func stores(addr ssa.Value) (found []*ssa.Store) {
	if addr.Referrers() == nil {
		return nil
	}
	for _, instr := range *addr.Referrers() {
		if s, ok := instr.(*ssa.Store); ok && s.Addr == addr {
			found = append(found, s)
		}
		if mc, ok := instr.(*ssa.MakeClosure); ok {
			for i, b := range mc.Bindings {
				if b == addr {
					found = append(found, stores(mc.Fn.(*ssa.Function).FreeVars[i])...)
				}
			}
		}
	}
	return found
}

func fieldStores(addr ssa.Value, field int) (found []*ssa.Store) {
	if addr.Referrers() == nil {
		return nil
	}
	for _, instr := range *addr.Referrers() {
		if fa, ok := instr.(*ssa.FieldAddr); ok && fa.Field == field {
			found = append(found, stores(fa)...)
		}
	}
	return found
}

// sameTime returns the argument of a call whose result is the same instant or, but for
// rounding, the same span.
func sameTime(call *ssa.Call) ssa.Value {
	fn := call.Call.StaticCallee()
	if fn == nil || len(call.Call.Args) == 0 {
		return nil
	}
	switch fullName(fn) {
	case "time.Time.UTC", "time.Time.Local", "time.Time.In", "time.Time.Round", "time.Time.Truncate",
		"time.Time.Unix", "time.Time.UnixMilli", "time.Time.UnixMicro", "time.Time.UnixNano", // of which the sign counts
		"time.Duration.Round", "time.Duration.Truncate",
		metaPath + ".NewTime", metaPath + ".NewMicroTime", metaPath + ".Time.DeepCopy", metaPath + ".Time.Rfc3339Copy":
		return call.Call.Args[0]
	}
	return nil
}

// A linear form is a sum of atoms, each times a coefficient, and a constant. Instants and
// spans of time are both written so: start.Add(timeout).Sub(now) and
// timeout - now.Sub(start) are the same form, start + timeout - now.
type linear struct {
	terms map[string]term
	c     int64 // nanoseconds
}

type term struct {
	coef  int
	clock bool // a reading of the clock
	x     val
}

func (l linear) plus(m linear, sign int) linear {
	sum := linear{terms: map[string]term{}, c: l.c + int64(sign)*m.c}
	for k, t := range l.terms {
		sum.terms[k] = t
	}
	for k, t := range m.terms {
		s, ok := sum.terms[k]
		if !ok {
			s = term{clock: t.clock, x: t.x}
		}
		s.coef += sign * t.coef
		if s.coef == 0 {
			delete(sum.terms, k)
		} else {
			sum.terms[k] = s
		}
	}
	return sum
}

// clock returns the reading of the clock that the form has with the given coefficient.
func (l linear) clock(coef int) (string, bool) {
	keys := make([]string, 0, len(l.terms))
	for k := range l.terms {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if t := l.terms[k]; t.clock && t.coef == coef {
			return k, true
		}
	}
	return "", false
}

// remaining reports whether the form is the time left until an instant: something minus a
// reading of the clock. One that also has a reading with a plus, as a deadline counted from
// now has, is not.
func (l linear) remaining() bool {
	_, minus := l.clock(-1)
	_, plus := l.clock(1)
	if !minus || plus {
		return false
	}
	for _, t := range l.terms {
		if !t.clock && t.coef > 0 {
			return true
		}
	}
	return false
}

// constOf is the form of a constant.
func constOf(n int64) linear { return linear{terms: map[string]term{}, c: n} }

var nowName = regexp.MustCompile(`^(now|Now|currentTime|current|.*Now)$`)

// linearOf returns the form of an instant or a span. What it does not see through is an
// atom.
func linearOf(x val) linear { return linearAt(x, 0) }

func linearAt(x val, depth int) linear {
	x = resolve(x)
	if depth > 16 {
		return atom(x, false)
	}
	sum := func(a, b ssa.Value, sign int) linear {
		return linearAt(val{x.f, a}, depth+1).plus(linearAt(val{x.f, b}, depth+1), sign)
	}
	switch v := x.v.(type) {
	case *ssa.Const:
		if v.Value != nil && v.Value.Kind() == constant.Int {
			if n, ok := constant.Int64Val(v.Value); ok {
				return constOf(n)
			}
		}
	case *ssa.BinOp:
		switch v.Op {
		case token.ADD:
			if isInteger(v.Type()) {
				return sum(v.X, v.Y, 1)
			}
		case token.SUB:
			if isInteger(v.Type()) {
				return sum(v.X, v.Y, -1)
			}
		}
	case *ssa.UnOp:
		if v.Op == token.SUB {
			return constOf(0).plus(linearAt(val{x.f, v.X}, depth+1), -1)
		}
	case *ssa.Parameter:
		if isTime(v.Type()) && nowName.MatchString(v.Name()) {
			return atom(x, true)
		}
	case *ssa.Phi:
		if isTime(v.Type()) || isDuration(v.Type()) {
			first := linear{}
			for i, e := range v.Edges {
				if e == ssa.Value(v) {
					return atom(x, false)
				}
				l := linearAt(val{x.f, e}, depth+8)
				if i == 0 {
					first = l
				} else if d := l.plus(first, -1); len(d.terms) > 0 || d.c != 0 {
					return atom(x, false)
				}
			}
			return first
		}
	case *ssa.Call:
		args := v.Call.Args
		if now := clockReading(v); now != nil {
			return atom(x, true)
		}
		if name, at, ok := sinceOrUntil(v); ok {
			reading := linear{terms: map[string]term{key(x): {1, true, x}}}
			if name == "Until" {
				return linearAt(val{x.f, at}, depth+1).plus(reading, -1)
			}
			return reading.plus(linearAt(val{x.f, at}, depth+1), -1)
		}
		if fn := v.Call.StaticCallee(); fn != nil {
			switch fullName(fn) {
			case "time.Time.Sub":
				return sum(args[0], args[1], -1)
			case "time.Time.Add":
				return sum(args[0], args[1], 1)
			}
			if isTime(v.Type()) || isDuration(v.Type()) {
				if g := x.f.enter(v); g != nil {
					if r := onlyReturn(fn); r != nil && len(r.Results) == 1 {
						return linearAt(val{g, r.Results[0]}, depth+1)
					}
				}
			}
		}
	}
	return atom(x, false)
}

func atom(x val, clock bool) linear {
	return linear{terms: map[string]term{key(x): {1, clock, x}}}
}

// clockReading returns the call if it reads a clock: time.Now, metav1.Now, or a method or a
// function variable of such a name that takes nothing and returns a time.
func clockReading(call *ssa.Call) *ssa.Call {
	if !isTime(call.Type()) {
		return nil
	}
	common := call.Call
	switch {
	case common.IsInvoke():
		if common.Method.Name() == "Now" && len(common.Args) == 0 {
			return call
		}
	case common.StaticCallee() != nil:
		fn := common.StaticCallee()
		if fn.Signature.Params().Len() == 0 && nowName.MatchString(fn.Name()) {
			return call
		}
	default:
		if common.Signature().Params().Len() == 0 {
			if name := fieldOrGlobal(common.Value); nowName.MatchString(name) || strings.EqualFold(name, "clock") {
				return call
			}
		}
	}
	return nil
}

// fieldOrGlobal returns the name of the variable that a value was read from.
func fieldOrGlobal(v ssa.Value) string {
	if load, ok := v.(*ssa.UnOp); ok && load.Op == token.MUL {
		switch a := load.X.(type) {
		case *ssa.FieldAddr:
			return fieldVar(a.X.Type(), a.Field).Name()
		case *ssa.Global:
			return a.Name()
		case *ssa.FreeVar:
			return a.Name()
		}
	}
	switch v := v.(type) {
	case *ssa.Field:
		return fieldVar(v.X.Type(), v.Field).Name()
	case *ssa.Parameter:
		return v.Name()
	case *ssa.FreeVar:
		return v.Name()
	}
	return ""
}

// sinceOrUntil tells time.Since(t), time.Until(t) and the methods of a clock of these names.
func sinceOrUntil(call *ssa.Call) (name string, at ssa.Value, ok bool) {
	if !isDuration(call.Type()) {
		return "", nil, false
	}
	if call.Call.IsInvoke() {
		name = call.Call.Method.Name()
	} else if fn := call.Call.StaticCallee(); fn != nil {
		name = fn.Name()
	}
	args := call.Call.Args
	sig := call.Call.Signature()
	if name != "Since" && name != "Until" || sig.Params().Len() != 1 || !isTime(sig.Params().At(0).Type()) {
		return "", nil, false
	}
	return name, args[len(args)-1], true
}

// onlyReturn returns the return statement of a function that has one.
func onlyReturn(fn *ssa.Function) (only *ssa.Return) {
	for _, b := range fn.Blocks {
		if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok {
			if only != nil {
				return nil
			}
			only = r
		}
	}
	return only
}

// key names a value so that two readings of the same field, or two calls of the same
// getter, have the same key, and two readings of the clock have not.
func key(x val) string { return keyAt(x, 0) }

func keyAt(x val, depth int) string {
	x = resolve(x)
	if depth > 12 {
		return fmt.Sprintf("%p@%p", x.v, x.f)
	}
	sub := func(v ssa.Value) string { return keyAt(val{x.f, v}, depth+1) }
	switch v := x.v.(type) {
	case *ssa.Const:
		return v.String()
	case *ssa.Global:
		return v.String()
	case *ssa.Parameter:
		return fmt.Sprintf("%s:%p", v.Name(), v)
	case *ssa.FreeVar:
		if c := captured(v); c != nil {
			return fmt.Sprintf("%s:%p", v.Name(), c)
		}
		return fmt.Sprintf("%s:%p", v.Name(), v)
	case *ssa.Alloc:
		return fmt.Sprintf("%s:%p", v.Comment, v)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return sub(v.X)
		}
	case *ssa.FieldAddr:
		if isWrapper(deref(v.X.Type())) {
			return sub(v.X)
		}
		return sub(v.X) + "." + fieldVar(v.X.Type(), v.Field).Name()
	case *ssa.Field:
		return sub(v.X) + "." + fieldVar(v.X.Type(), v.Field).Name()
	case *ssa.IndexAddr:
		return sub(v.X) + "[" + sub(v.Index) + "]"
	case *ssa.BinOp:
		if v.Op == token.MUL || v.Op == token.QUO || v.Op == token.ADD || v.Op == token.SUB {
			return "(" + sub(v.X) + v.Op.String() + sub(v.Y) + ")"
		}
	case *ssa.Convert:
		return sub(v.X)
	case *ssa.MakeInterface:
		return sub(v.X)
	case *ssa.Call:
		if name, ok := getter(v); ok {
			if v.Call.IsInvoke() {
				return sub(v.Call.Value) + "." + name
			}
			var parts []string
			for _, a := range v.Call.Args {
				if !isContext(a.Type()) {
					parts = append(parts, sub(a))
				}
			}
			return name + "(" + strings.Join(parts, ",") + ")"
		}
		if g := x.f.enter(v); g != nil && depth < 4 {
			if r := onlyReturn(g.fn); r != nil && len(r.Results) == 1 && clockReading(v) == nil {
				return keyAt(val{g, r.Results[0]}, depth+4)
			}
		}
	}
	return fmt.Sprintf("%p@%p", x.v, x.f)
}

// getter tells a call that gives the same each time: a method without arguments but a
// context, other than one that reads a clock, or a method of time.
func getter(call *ssa.Call) (string, bool) {
	if clockReading(call) != nil {
		return "", false
	}
	if _, _, ok := sinceOrUntil(call); ok {
		return "", false
	}
	params := call.Call.Signature().Params()
	none := params.Len() == 0 || params.Len() == 1 && isContext(params.At(0).Type())
	if call.Call.IsInvoke() {
		return call.Call.Method.Name(), none
	}
	fn := call.Call.StaticCallee()
	if fn == nil {
		return "", false
	}
	if strings.HasPrefix(fullName(fn), "time.") {
		return fullName(fn), true
	}
	return fullName(fn), fn.Signature.Recv() != nil && none
}

func isContext(t types.Type) bool { return isNamed(t, "context", "Context") }

const metaPath = "k8s.io/apimachinery/pkg/apis/meta/v1"

// isTime reports whether a type is time.Time or a wrapper of it, such as metav1.Time, or a
// pointer to one.
func isTime(t types.Type) bool {
	t = deref(t)
	return isNamed(t, "time", "Time") || isMetaTime(t)
}

func isMetaTime(t types.Type) bool {
	return isNamed(t, metaPath, "Time") || isNamed(t, metaPath, "MicroTime")
}

func isDuration(t types.Type) bool { return isNamed(t, "time", "Duration") }

// isWrapper tells the structs that have one field, a time or a duration.
func isWrapper(t types.Type) bool {
	t = deref(t)
	return isMetaTime(t) || isNamed(t, metaPath, "Duration")
}

func isInteger(t types.Type) bool { return is(t, types.IsInteger) }

func isFloat(t types.Type) bool { return is(t, types.IsFloat) }

func isBoolean(t types.Type) bool { return is(t, types.IsBoolean) }

func is(t types.Type, info types.BasicInfo) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&info != 0
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

func deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

func isNamed(t types.Type, path, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Name() != name || n.Obj().Pkg() == nil {
		return false
	}
	return pkgPath(n.Obj().Pkg()) == path
}

// pkgPath returns the import path of a package, without the directory it is vendored in.
func pkgPath(p *types.Package) string {
	if p == nil {
		return ""
	}
	path := p.Path()
	if i := strings.LastIndex(path, "/vendor/"); i >= 0 {
		path = path[i+len("/vendor/"):]
	}
	return path
}

// fullName returns path.Func or path.Type.Method.
func fullName(fn *ssa.Function) string {
	if fn.Origin() != nil {
		fn = fn.Origin()
	}
	obj, ok := fn.Object().(*types.Func)
	if !ok {
		return fn.Name()
	}
	return objName(obj)
}

func objName(obj *types.Func) string {
	obj = obj.Origin()
	recv := obj.Signature().Recv()
	if recv == nil {
		return pkgPath(obj.Pkg()) + "." + obj.Name()
	}
	if n, ok := types.Unalias(deref(recv.Type())).(*types.Named); ok {
		return pkgPath(obj.Pkg()) + "." + n.Obj().Name() + "." + obj.Name()
	}
	return pkgPath(obj.Pkg()) + ".?." + obj.Name()
}

func fieldVar(t types.Type, i int) *types.Var {
	return deref(t).Underlying().(*types.Struct).Field(i)
}

func paramIndex(p *ssa.Parameter) int {
	for i, q := range p.Parent().Params {
		if p == q {
			return i
		}
	}
	return -1
}
