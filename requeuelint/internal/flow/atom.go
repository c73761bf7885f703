package flow

import (
	"go/types"
	"regexp"

	"golang.org/x/tools/go/ssa"
)

// An Atom is a value that nothing more is known of: a path such as o.Status.StartedAt, a
// parameter, a reading of the clock, the result of a call. There is one Atom for each, so
// that two readings of the same field are the same pointer, and two of the clock are not.
type Atom struct {
	atomKey
	Traits
	id       int
	typ      types.Type // nil of one that another package has told of
	bound    *Sum       // of a random number: it is from 0 up to this
	isRandom bool
	derived  *Atom // of an instant: the reading of the clock that it was computed from by a call
}

type atomKey struct {
	kind  kind
	base  *Atom     // of which it is a field, an element, a method, an operand, or a copy
	other *Atom     // the index, the second operand, or the reading of the clock handed in
	name  string    // of the field, the method, the operator, the global
	index int       // of the parameter or the result
	site  ssa.Value // where it is made, in this package
}

// Traits are what rules ask of an atom; they go from package to package with it.
type Traits struct {
	Clock    bool // a reading of the clock
	Time     bool // an instant
	Duration bool
	Unsigned bool
	Wide     bool // an integer of 64 bits that is no Duration
	API      bool // a field with a name in JSON
	Receiver bool // a field of the receiver itself: configuration, not an object
}

type kind uint8

const (
	aParam kind = iota
	aGlobal
	aLocal   // a variable whose address is taken
	aField   // base.name
	aElem    // base[other]
	aMethod  // base.name(), which gives the same each time
	aOp      // base name other
	aResult  // result index of the call at site
	aPhi     // assigned in branches
	aMemory  // a variable or a field that was set in branches
	aLeast   // min(...)
	aMost    // max(...)
	aRandom  // from 0 up to its bound
	aUnknown // the value at site
	aCopy    // base, local to a function, for the call at site
	aZero    // time.Time{}
)

func (p *Program) atom(k atomKey, t types.Type) *Atom {
	if a := p.atoms[k]; a != nil {
		return a
	}
	a := &Atom{atomKey: k, id: len(p.atoms), typ: t}
	if t != nil {
		e := Deref(t)
		a.Time, a.Duration = IsTime(e), IsDuration(e) || IsMetaDuration(e)
		a.Unsigned = isUnsigned(e)
		if b, ok := e.Underlying().(*types.Basic); ok && !a.Duration {
			a.Wide = b.Kind() == types.Int64 || b.Kind() == types.Int
		}
	}
	p.atoms[k] = a
	return a
}

// Root is the atom that a path begins with.
func (a *Atom) Root() *Atom {
	for a.kind == aField || a.kind == aElem || a.kind == aMethod {
		a = a.base
	}
	return a
}

// Name is the last name of a path, for what is told by names.
func (a *Atom) Name() string {
	switch a.kind {
	case aField, aMethod, aGlobal, aParam, aLocal, aCopy:
		return a.name
	case aElem:
		return a.base.Name()
	case aResult:
		if call, ok := a.site.(*ssa.Call); ok {
			if obj := Called(&call.Call); obj != nil {
				return obj.Name()
			}
			return variable(call.Call.Value)
		}
	case aPhi:
		if phi, ok := a.site.(*ssa.Phi); ok {
			return phi.Comment
		}
	case aOp:
		return a.base.Name()
	default:
	}
	return a.name
}

// Names are all names of a path, from its end to its root.
func (a *Atom) Names() (all []string) {
	for ; a != nil; a = a.base {
		if name := a.Name(); name != "" {
			all = append(all, name)
		}
		if a.kind == aOp && a.other != nil {
			all = append(all, a.other.Names()...)
		}
	}
	return all
}

// Source names what an atom is read from: a field, a method, a parameter, a global. It is
// empty for one that is none.
func (a *Atom) Source() string {
	switch a.kind {
	case aField, aMethod, aGlobal, aParam:
		return a.name
	case aElem, aOp:
		return a.base.Source()
	case aCopy:
		return a.name
	case aResult:
		return a.Name()
	default:
	}
	return ""
}

// random reports whether an atom is a random number, from 0 up to its bound.
func (a *Atom) random() bool { return a.kind == aRandom || a.isRandom }

// parsed reports whether an atom is a number that was read from a text.
func (a *Atom) parsed() bool {
	if a.kind != aResult || a.index != 0 || a.Call() == nil {
		return false
	}
	obj := Called(&a.Call().Call)
	return obj != nil && PkgPath(obj.Pkg()) == "strconv" && (obj.Name() == "Atoi" || obj.Name() == "ParseInt" || obj.Name() == "ParseFloat")
}

// mentions reports whether an atom is, or is a path of, another.
func (a *Atom) mentions(b *Atom) bool {
	for ; a != nil; a = a.base {
		if a == b || a.other != nil && a.other.mentions(b) {
			return true
		}
	}
	return false
}

var nowName = regexp.MustCompile(`^(now|Now|currentTime|current|.*Now)$`)

// loc is the identity of a value or an address: its path, without what has been stored on
// the way. A pointer, and what it points at, have the same.
func (p *Program) loc(v ssa.Value) *Atom {
	if a := p.locs[v]; a != nil {
		return a
	}
	a := p.makeLoc(v)
	p.locs[v] = a
	return a
}

func (p *Program) makeLoc(v ssa.Value) *Atom {
	t := v.Type()
	switch v := v.(type) {
	case *ssa.Parameter:
		a := p.atom(atomKey{kind: aParam, site: v, index: paramIndex(v), name: v.Name()}, t)
		a.Clock = a.Time && nowName.MatchString(v.Name())
		return a
	case *ssa.Global:
		return p.atom(atomKey{kind: aGlobal, name: v.String()}, Deref(t))
	case *ssa.FreeVar:
		if b := captured(v); b != nil {
			return p.loc(b)
		}
	case *ssa.Alloc:
		local := p.atom(atomKey{kind: aLocal, site: v, name: v.Comment}, Deref(t))
		p.locs[v] = local // of one that is set from itself
		if s := p.onlyStore(v); s != nil && !isConst(s.Val) {
			return p.loc(s.Val)
		}
		return local
	case *ssa.UnOp:
		if v.Op.String() == "*" {
			return p.loc(v.X)
		}
	case *ssa.FieldAddr:
		return p.fieldLoc(v.X, v.Field, Deref(t))
	case *ssa.Field:
		return p.fieldLoc(v.X, v.Field, t)
	case *ssa.IndexAddr:
		return p.atom(atomKey{kind: aElem, base: p.loc(v.X), other: p.loc(v.Index)}, Deref(t))
	case *ssa.Index:
		return p.atom(atomKey{kind: aElem, base: p.loc(v.X), other: p.loc(v.Index)}, t)
	case *ssa.Lookup:
		return p.atom(atomKey{kind: aElem, base: p.loc(v.X), other: p.loc(v.Index)}, t)
	case *ssa.Slice:
		return p.loc(v.X)
	case *ssa.MakeInterface:
		return p.loc(v.X)
	case *ssa.ChangeInterface:
		return p.loc(v.X)
	case *ssa.ChangeType:
		return p.loc(v.X)
	case *ssa.Convert:
		return p.loc(v.X)
	case *ssa.TypeAssert:
		if !v.CommaOk {
			return p.loc(v.X)
		}
	case *ssa.Const:
		return p.atom(atomKey{kind: aUnknown, name: v.String()}, t)
	case *ssa.Phi:
		return p.atom(atomKey{kind: aPhi, site: v}, t)
	case *ssa.Extract:
		if call, ok := v.Tuple.(*ssa.Call); ok {
			return p.atom(atomKey{kind: aResult, site: call, index: v.Index}, t)
		}
	case *ssa.BinOp:
		switch op := v.Op.String(); op {
		case "+", "-", "*", "/", "%", "==", "!=":
			x, y := p.loc(v.X), p.loc(v.Y)
			return p.atom(atomKey{kind: aOp, base: x, other: y, name: op}, t)
		}
	case *ssa.Call:
		return p.callLoc(v)
	}
	return p.atom(atomKey{kind: aUnknown, site: v}, t)
}

// fieldLoc is the path of a field. The one field of a wrapper stands for the wrapper.
func (p *Program) fieldLoc(x ssa.Value, field int, t types.Type) *Atom {
	base := p.loc(x)
	if isWrapper(x.Type()) {
		return base
	}
	a := p.field(base, FieldVar(x.Type(), field).Name(), t)
	a.API = a.API || isAPI(x.Type(), field)
	if param, ok := base.site.(*ssa.Parameter); ok && base.kind == aParam {
		a.Receiver = base.index == 0 && param.Parent().Signature.Recv() != nil && !a.API
	}
	return a
}

func (p *Program) field(base *Atom, name string, t types.Type) *Atom {
	return p.atom(atomKey{kind: aField, base: base, name: name}, t)
}

// callLoc is the identity of the result of a call. A method without arguments other than a
// context gives the same each time, unless it reads the clock.
func (p *Program) callLoc(v *ssa.Call) *Atom {
	result := func() *Atom {
		a := p.atom(atomKey{kind: aResult, site: v}, v.Type())
		a.Clock = IsClock(v)
		return a
	}
	if IsClock(v) {
		return result()
	}
	if _, _, ok := SinceOrUntil(v); ok {
		return result()
	}
	if from := sameTime(v); from != nil {
		return p.loc(from)
	}
	params := v.Call.Signature().Params()
	none := params.Len() == 0 || params.Len() == 1 && isContext(params.At(0).Type())
	switch {
	case !none:
	case v.Call.IsInvoke():
		return p.atom(atomKey{kind: aMethod, base: p.loc(v.Call.Value), name: v.Call.Method.Name()}, v.Type())
	default:
		if fn := v.Call.StaticCallee(); fn != nil && fn.Signature.Recv() != nil && len(v.Call.Args) > 0 {
			return p.atom(atomKey{kind: aMethod, base: p.loc(v.Call.Args[0]), name: fn.Name()}, v.Type())
		}
	}
	return result()
}

// Derived reports whether an instant was computed from a reading of the clock by a call, as
// the next run of a schedule is.
func (a *Atom) Derived() bool { return a.derived != nil }

// Configured reports whether an atom is a field or a variable of a package.
func (a *Atom) Configured() bool { return a.kind == aField || a.kind == aGlobal }
