package requeuelint

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq007 = Rule{
	Code: "RQ007",
	Doc:  "an optional time or span that is used for a wait and never tested for nil",
	run: func(c *code) {
		for _, fn := range c.functions() {
			told := map[*types.Var]bool{} // once a function
			c.nils(fn, func(v ssa.Value) { c.dereferenced(fn, v, told) })
		}
	},
}

// nils looks at the optional times and spans of a function that end in a wait, in a test of
// a deadline, in a plan, in a time or a span that is returned, or in a field.
func (c *code) nils(fn *ssa.Function, look func(ssa.Value)) {
	waits := len(c.flow.Sinks(fn)) > 0 || c.flow.ReturnsResult(fn)
	for instr := range flow.Instructions(fn) {
		switch instr := instr.(type) {
		case *ssa.Store:
			if fa, ok := instr.Addr.(*ssa.FieldAddr); ok && measures(fa.Type()) {
				look(instr.Val)
			}
		case *ssa.Return:
			for _, v := range instr.Results {
				if flow.IsDuration(v.Type()) || flow.IsTime(v.Type()) {
					look(v)
				} else if len(instr.Results) == 1 && types.Identical(v.Type(), types.Typ[types.Bool]) {
					c.comparedWithClock(v, look)
				}
			}
		case *ssa.If:
			if waits {
				c.comparedWithClock(instr.Cond, look)
			}
		case *ssa.Call:
			for _, v := range c.flow.WaitArgs(instr) {
				look(v)
			}
		}
	}
}

// measures tells times and spans, and their wrappers, that are kept in a field.
func measures(t types.Type) bool {
	t = flow.Deref(t)
	return flow.IsDuration(t) || flow.IsTime(t) || flow.IsMetaDuration(t)
}

// comparedWithClock looks at a test of a deadline.
func (c *code) comparedWithClock(v ssa.Value, look func(ssa.Value)) {
	switch v := v.(type) {
	case *ssa.UnOp:
		c.comparedWithClock(v.X, look)
	case *ssa.BinOp:
		if flow.IsDuration(v.X.Type()) && (c.flow.Sum(v.X).HasClock() || c.flow.Sum(v.Y).HasClock()) {
			look(v.X)
			look(v.Y)
		}
	case *ssa.Call:
		if obj := flow.Called(&v.Call); obj != nil && len(v.Call.Args) == 2 {
			switch flow.ObjName(obj) {
			case "time.Time.After", "time.Time.Before", "time.Time.Compare":
				if c.flow.Sum(v.Call.Args[0]).HasClock() || c.flow.Sum(v.Call.Args[1]).HasClock() {
					look(v.Call.Args[0])
					look(v.Call.Args[1])
				}
			}
		}
	}
}

// dereferenced reports the optional times that a value is computed from, if nobody tests
// them.
func (c *code) dereferenced(fn *ssa.Function, v ssa.Value, told map[*types.Var]bool) {
	for _, d := range c.derefs(v) {
		if d.isTested(c, fn) || d.field != nil && told[d.field] {
			continue
		}
		told[d.field] = true
		pos := d.at
		c.report(finding{
			pos: pos, end: pos + token.Pos(len(d.name)),
			cause:       fmt.Sprintf("%s is a pointer to a %s, and nothing tests it for nil on the way to this", d.name, d.what),
			consequence: "it panics if the pointer is nil",
			remedy:      "use " + d.remedy(),
		})
	}
}

// A dereference is a read of the time or the span behind a pointer.
type dereference struct {
	ptr   ssa.Value
	field *types.Var // that has the pointer; or
	call  *ssa.Call  // that has returned it
	name  string
	what  string
	at    token.Pos
}

func (d dereference) remedy() string {
	if d.what == "time" {
		return "requeue.TimeOf"
	}
	return "a default where it is nil"
}

func (d dereference) isTested(c *code, fn *ssa.Function) bool {
	if d.call != nil {
		// The pointer is tested itself, or the function never returns nil.
		// What comes with an error is there if the error is not.
		_, withError := d.ptr.(*ssa.Extract)
		return withError || usedInTest(d.ptr) || c.flow.NeverNil(d.ptr, d.ptr.(ssa.Instruction).Block()) || !c.flow.MayReturnNil(d.call)
	}
	return c.testedSomewhere(fn, d.field, map[*ssa.Function]bool{}) || c.hasDefault(d.field)
}

// hasDefault reports whether a defaulting function or webhook of a package that is imported
// sets a field.
func (s *shared) hasDefault(field *types.Var) bool {
	return slices.ContainsFunc(s.pass.AllObjectFacts(), func(f analysis.ObjectFact) bool {
		told, ok := f.Fact.(*flow.Portable)
		return ok && isDefaulting(f.Object.Name()) && slices.Contains(told.Nils, fieldName(field))
	})
}

// derefs lists the optional times and spans that a value is computed from.
func (c *code) derefs(v ssa.Value) (found []dereference) {
	seen := map[ssa.Value]bool{}
	var walk func(v ssa.Value)
	walk = func(v ssa.Value) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		switch v := v.(type) {
		case *ssa.Phi:
			for _, e := range v.Edges {
				walk(e)
			}
		case *ssa.BinOp:
			walk(v.X)
			walk(v.Y)
		case *ssa.Convert:
			walk(v.X)
		case *ssa.ChangeType:
			walk(v.X)
		case *ssa.Field:
			walk(v.X)
		case *ssa.Call:
			obj := flow.Called(&v.Call)
			_, isBuiltin := v.Call.Value.(*ssa.Builtin)
			_, at, ok := flow.SinceOrUntil(v)
			switch {
			case ok:
				walk(at)
			case isBuiltin, obj != nil && flow.PkgPath(obj.Pkg()) == "time", c.flow.IsNewTime(v):
				for _, a := range v.Call.Args {
					walk(a)
				}
			}
		case *ssa.UnOp:
			if v.Op != token.MUL {
				walk(v.X)
				return
			}
			if d, ok := dereferenceOf(v); ok {
				found = append(found, d)
				return
			}
			if w := c.flow.Resolve(v); w != ssa.Value(v) {
				walk(w)
			} else if a, ok := v.X.(*ssa.Alloc); ok {
				// A wrapper that is made of a time: metav1.Time{Time: t}.
				for _, w := range c.flow.Parts(a) {
					walk(w)
				}
			}
		}
	}
	walk(v)
	return found
}

// dereferenceOf tells *(&p.Time) and *p of a p that was itself read from a field, or
// returned by a call.
func dereferenceOf(load *ssa.UnOp) (d dereference, ok bool) {
	ptr := load.X
	if fa, ok := ptr.(*ssa.FieldAddr); ok && (flow.IsMetaTime(flow.Deref(fa.X.Type())) || flow.IsMetaDuration(flow.Deref(fa.X.Type()))) {
		ptr = fa.X
	}
	t := flow.Deref(ptr.Type())
	switch {
	case flow.IsMetaTime(t), flow.IsNamed(t, "time", "Time"):
		d.what = "time"
	case flow.IsMetaDuration(t), flow.IsDuration(t):
		d.what = "duration"
	default:
		return d, false
	}
	d.ptr = ptr
	switch p := ptr.(type) {
	case *ssa.UnOp:
		fa, ok := p.X.(*ssa.FieldAddr)
		if p.Op != token.MUL || !ok {
			return d, false
		}
		d.field = flow.FieldVar(fa.X.Type(), fa.Field)
		d.name, d.at = d.field.Name(), p.Pos()
		return d, !flow.IsRequired(fa.X.Type(), fa.Field)
	case *ssa.Field:
		d.field = flow.FieldVar(p.X.Type(), p.Field)
		d.name, d.at = d.field.Name(), p.Pos()
		return d, !flow.IsRequired(p.X.Type(), p.Field)
	case *ssa.Call:
		if obj := flow.Called(&p.Call); obj != nil {
			d.call, d.name, d.at = p, obj.Name(), p.Pos()
			return d, true
		}
	case *ssa.Extract:
		if call, ok := p.Tuple.(*ssa.Call); ok {
			if obj := flow.Called(&call.Call); obj != nil {
				d.call, d.name, d.at = call, obj.Name(), load.Pos()
				return d, true
			}
		}
	}
	return d, false
}

// testedSomewhere reports whether a field is tested for nil, or set, in a function, in what
// it calls, or in what leads to it.
func (c *code) testedSomewhere(fn *ssa.Function, field *types.Var, seen map[*ssa.Function]bool) bool {
	if seen[fn] {
		return false
	}
	seen[fn] = true
	if c.testedFields(fn)[field] {
		return true
	}
	for call := range flow.Calls(fn) {
		if callee := call.Call.StaticCallee(); callee != nil && c.testedFields(callee)[field] {
			return true
		}
		if f := c.flow.Fact(flow.Called(&call.Call)); f != nil && slices.Contains(f.Nils, fieldName(field)) {
			return true
		}
	}
	if fn.Parent() != nil && c.testedSomewhere(fn.Parent(), field, seen) {
		return true
	}
	return slices.ContainsFunc(c.flow.Callers(fn), func(call *ssa.Call) bool {
		return c.testedSomewhere(call.Parent(), field, seen)
	})
}

// testedFields are the fields that a function tests for nil, or sets.
func (s *shared) testedFields(fn *ssa.Function) map[*types.Var]bool {
	if found, ok := s.tested[fn]; ok {
		return found
	}
	found := map[*types.Var]bool{}
	s.tested[fn] = found
	for instr := range flow.Instructions(fn) {
		switch instr := instr.(type) {
		case *ssa.FieldAddr:
			if slices.ContainsFunc(*instr.Referrers(), func(r ssa.Instruction) bool {
				s, stored := r.(*ssa.Store)
				load, loaded := r.(*ssa.UnOp)
				return stored && s.Addr == ssa.Value(instr) || loaded && usedInTest(load)
			}) {
				found[flow.FieldVar(instr.X.Type(), instr.Field)] = true
			}
		case *ssa.Field:
			if usedInTest(instr) {
				found[flow.FieldVar(instr.X.Type(), instr.Field)] = true
			}
		}
	}
	return found
}

// testedTimes are the optional times and spans that a function, or what it calls, tests for
// nil, as they are named in facts.
func (s *shared) testedTimes(fn *ssa.Function) (names []string) {
	add := func(tested map[*types.Var]bool) {
		for field := range tested {
			if measures(field.Type()) {
				names = append(names, fieldName(field))
			}
		}
	}
	add(s.testedFields(fn))
	for call := range flow.Calls(fn) {
		if callee := call.Call.StaticCallee(); callee != nil {
			add(s.testedFields(callee))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fieldName names a field in facts.
func fieldName(field *types.Var) string { return flow.PkgPath(field.Pkg()) + "." + field.Name() }

// usedInTest reports whether a pointer is compared with nil, or handed to something that
// may test it: a method of it, or a function.
func usedInTest(v ssa.Value) bool {
	return slices.ContainsFunc(*v.Referrers(), func(r ssa.Instruction) bool {
		switch r.(type) {
		case *ssa.BinOp, *ssa.Call, *ssa.MakeInterface, *ssa.Phi, *ssa.Store:
			return true
		}
		return false
	})
}
