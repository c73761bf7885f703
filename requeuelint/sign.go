package requeuelint

import (
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// An outcome is what is known of the sign of a wait.
type outcome struct {
	bad    bool // it can be 0 or negative, as it is the time left until an instant
	origin val  // what made it so
	form   linear
	via    *ssa.Function // of another package, which made it so
	says   string        // what that function computes

	stale  bool  // it was checked, on another reading of the clock
	check  bound // there; or
	from   val   // the call that it was computed from on another reading of the clock
	zeroed bool  // it was clamped to 0
	none   bool  // it may be a constant 0, for nothing to wait for

	params map[int]bool // of the root frame that it is, unchecked
}

func (o outcome) join(p outcome) outcome {
	if !o.bad && p.bad {
		p.params, p.none = merge(o.params, p.params), o.none || p.none
		return p
	}
	o.params, o.none = merge(o.params, p.params), o.none || p.none
	return o
}

func merge(a, b map[int]bool) map[int]bool {
	if len(a) == 0 {
		return b
	}
	for k := range b {
		a[k] = true
	}
	return a
}

// An evaluation tells the sign of waits in one package.
type evaluation struct {
	*program
	seen  map[val]bool
	deep  int
	steps int
}

// maxSteps is how many values are looked at for one wait. What takes more is not known.
const maxSteps = 2000

// sign evaluates a value where the conditions hold.
func (p *program) sign(x val, known []cond, at *ssa.BasicBlock) outcome {
	e := &evaluation{program: p, seen: map[val]bool{}}
	return e.eval(x, known, at)
}

func (e *evaluation) eval(x val, known []cond, at *ssa.BasicBlock) outcome {
	x = resolve(x)
	e.steps++
	if e.seen[x] || e.deep > 40 || e.steps > maxSteps {
		return outcome{}
	}
	e.seen[x] = true
	e.deep++
	defer func() { delete(e.seen, x); e.deep-- }()

	l := linearOf(x)
	if isInteger(x.v.Type()) {
		checks := bounds(known)
		if state, _ := check(l, checks); state == holds {
			return outcome{}
		}
		if l.remaining() {
			return e.left(x, l, checks, known, at)
		}
	}
	operand := func(v ssa.Value) outcome { return e.eval(val{x.f, v}, known, at) }
	switch v := x.v.(type) {
	case *ssa.Const:
		return outcome{none: v.Value != nil && constant.Sign(v.Value) <= 0}
	case *ssa.Phi:
		var all outcome
		for i, edge := range v.Edges {
			from := v.Block().Preds[i]
			all = all.join(e.eval(val{x.f, edge}, append(edgeConds(x.f, from, v.Block()), known...), from))
		}
		return all
	case *ssa.Parameter:
		if x.f.parent == nil {
			return outcome{params: map[int]bool{paramIndex(v): true}}
		}
	case *ssa.BinOp:
		switch v.Op {
		case token.ADD:
			o := operand(v.X).join(operand(v.Y))
			if o.stale && (isPositive(v.X) || isPositive(v.Y)) {
				return outcome{} // what is added is more than what passes between two readings
			}
			return o
		case token.MUL, token.QUO:
			return operand(v.X).join(operand(v.Y))
		case token.SUB:
			return operand(v.X)
		}
	case *ssa.Convert:
		return operand(v.X)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return e.load(x, v)
		}
	case *ssa.Extract:
		if call, ok := v.Tuple.(*ssa.Call); ok {
			return e.call(x, call, v.Index, known, at)
		}
	case *ssa.Call:
		return e.call(x, v, 0, known, at)
	}
	return outcome{}
}

// left is the outcome of the time left until an instant.
func (e *evaluation) left(x val, l linear, checks []bound, known []cond, at *ssa.BasicBlock) outcome {
	state, where := check(l, checks)
	if state == unchecked {
		if state, where = check(l, anyChecks(x.f, blockOf(x, at))); state == holds {
			return outcome{}
		}
	}
	now, _ := l.clock(-1)
	o := outcome{bad: true, origin: x, form: l, stale: state == stale, check: where}
	for _, t := range l.terms {
		if t.clock || t.coef < 0 {
			continue
		}
		// An instant that was computed from a reading of the clock lies after it.
		if reading, call := derived(t.x, 0); reading != "" {
			if reading == now {
				return outcome{}
			}
			if state == unchecked {
				o.stale, o.from = true, call
			}
		}
	}
	if e.noneLeft(l, known, 0) || e.setByClock(l) {
		return outcome{}
	}
	// A test that is not seen through, of the same reading or of the instant.
	for _, c := range known {
		if opaque(c, l) {
			return outcome{}
		}
	}
	return o
}

// noneLeft reports whether a form is not the time left, or is checked, whichever way its
// instants came about: one of several assignments, or of several returns of a function of
// the package.
func (e *evaluation) noneLeft(l linear, known []cond, depth int) bool {
	if depth > 3 || e.steps > maxSteps {
		return false
	}
	for k, t := range l.terms {
		if t.clock || t.coef != 1 {
			continue
		}
		ways := origins(t.x)
		if len(ways) == 0 {
			continue
		}
		rest := l.plus(linear{terms: map[string]term{k: t}}, -1)
		all := true
		for _, w := range ways {
			e.steps++
			m := rest.plus(linearOf(w.x), 1)
			conds := slices.Concat(w.known, known)
			state, _ := check(m, bounds(conds))
			now, _ := m.clock(-1)
			if reading, _ := derived(w.x, 0); reading != "" && reading == now {
				continue
			}
			if m.remaining() && state != holds && !e.noneLeft(m, conds, depth+1) && !isZeroTime(w.x) && !e.setByClock(m) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// setByClock reports whether an instant of a form was read from a field that had been set
// from a reading of the clock, in the function or one that leads to it.
func (e *evaluation) setByClock(l linear) bool {
	for k, t := range l.terms {
		if t.clock || t.coef < 0 || !isTime(t.x.v.Type()) {
			continue
		}
		read, _ := t.x.v.(ssa.Instruction)
		for f := t.x.f; f != nil; read, f = f.call, f.parent {
			for instr := range instructions(f.fn) {
				if s, ok := instr.(*ssa.Store); ok && setsNow(f, s, k) && (read == nil || precedes(s, read)) {
					return true
				}
			}
		}
	}
	return false
}

// setsNow reports whether a store sets the field with a key to a reading of the clock.
func setsNow(f *frame, s *ssa.Store, k string) bool {
	if _, ok := s.Addr.(*ssa.FieldAddr); !ok || !isTime(s.Val.Type()) || key(val{f, s.Addr}) != k {
		return false
	}
	_, now := linearOf(val{f, s.Val}).clock(1)
	return now
}

// precedes reports whether control can come from one instruction of a function to another.
func precedes(first, second ssa.Instruction) bool {
	if first.Block() != second.Block() {
		return reaches(first.Block(), second.Block())
	}
	for _, instr := range first.Block().Instrs {
		switch instr {
		case first:
			return true
		case second:
			return false
		}
	}
	return false
}

// A way is one of several that a value came about, and what is known then.
type way struct {
	x     val
	known []cond
}

// origins are the edges of a variable that is assigned in branches, and the returns of a
// call.
func origins(x val) (all []way) {
	x = resolve(x)
	result := 0
	v := x.v
	if ex, ok := v.(*ssa.Extract); ok {
		v, result = ex.Tuple, ex.Index
	}
	switch v := v.(type) {
	case *ssa.Phi:
		for i, edge := range v.Edges {
			if edge != ssa.Value(v) {
				all = append(all, way{val{x.f, edge}, edgeConds(x.f, v.Block().Preds[i], v.Block())})
			}
		}
	case *ssa.UnOp:
		// *earliest, of a pointer that is set in branches.
		if phi, ok := v.X.(*ssa.Phi); ok && isTime(v.Type()) {
			return pointees(x.f, phi, map[*ssa.Phi]bool{})
		}
	case *ssa.Call:
		g := x.f.enter(v)
		if g == nil {
			return nil
		}
		for _, b := range g.fn.Blocks {
			if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok && result < len(r.Results) {
				all = append(all, way{val{g, r.Results[result]}, conds(g, b)})
			}
		}
	}
	return all
}

// pointees are the times that a pointer can point to.
func pointees(f *frame, phi *ssa.Phi, seen map[*ssa.Phi]bool) (all []way) {
	if seen[phi] {
		return nil
	}
	seen[phi] = true
	for i, edge := range phi.Edges {
		switch edge := edge.(type) {
		case *ssa.Const: // nil
		case *ssa.Phi:
			all = append(all, pointees(f, edge, seen)...)
		default:
			all = append(all, way{val{f, edge}, edgeConds(f, phi.Block().Preds[i], phi.Block())})
		}
	}
	return all
}

// isZeroTime tells time.Time{}, which is returned together with an error.
func isZeroTime(x val) bool {
	c, ok := resolve(x).v.(*ssa.Const)
	return ok && c.Value == nil
}

func isPositive(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value != nil && constant.Sign(c.Value) > 0
}

func blockOf(x val, at *ssa.BasicBlock) *ssa.BasicBlock {
	if i, ok := x.v.(ssa.Instruction); ok && i.Parent() == x.f.fn {
		return i.Block()
	}
	return at
}

// derived returns the reading of the clock that an instant was computed from by a call, as
// the next run of a schedule is, and the call.
func derived(x val, depth int) (reading string, from val) {
	x = resolve(x)
	if depth > 8 {
		return "", val{}
	}
	first := func(all []ssa.Value) (string, val) {
		for _, v := range all {
			if reading, from := derived(val{x.f, v}, depth+1); reading != "" {
				return reading, from
			}
		}
		return "", val{}
	}
	switch v := x.v.(type) {
	// An element of a list that was made of such instants.
	case *ssa.IndexAddr:
		return derived(val{x.f, v.X}, depth+1)
	case *ssa.Slice:
		return derived(val{x.f, v.X}, depth+1)
	case *ssa.Alloc:
		var elements []ssa.Value
		for _, instr := range *v.Referrers() {
			if ia, ok := instr.(*ssa.IndexAddr); ok {
				for _, s := range stores(ia) {
					elements = append(elements, s.Val)
				}
			}
		}
		for _, s := range stores(v) {
			elements = append(elements, s.Val)
		}
		if len(elements) > 8 {
			return "", val{}
		}
		return first(elements)
	case *ssa.Extract:
		return derived(val{x.f, v.Tuple}, depth+1)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return derived(val{x.f, v.X}, depth+1)
		}
	case *ssa.FieldAddr:
		return derived(val{x.f, v.X}, depth+1)
	case *ssa.Field:
		return derived(val{x.f, v.X}, depth+1)
	case *ssa.Phi:
		// Of an instant, all ways must be so; noneLeft looks at each.
		if !isTime(v.Type()) {
			return first(v.Edges)
		}
	case *ssa.Call:
		if b, ok := v.Call.Value.(*ssa.Builtin); ok && b.Name() == "append" {
			return first(v.Call.Args)
		}
		if clockReading(v) != nil {
			return "", val{}
		}
		for _, a := range v.Call.Args {
			if !isTime(a.Type()) {
				continue
			}
			if k, ok := linearOf(val{x.f, a}).clock(1); ok {
				return k, x
			}
		}
		if v.Call.IsInvoke() || v.Call.StaticCallee() != nil {
			for _, a := range v.Call.Args {
				if isTime(a.Type()) {
					if reading, _ = derived(val{x.f, a}, depth+1); reading != "" {
						return reading, x
					}
				}
			}
		}
	}
	return "", val{}
}

// opaque reports whether a condition is a call, not seen through, that is given the reading
// of the clock that the form has, or both a time and what the form has.
func opaque(c cond, l linear) bool {
	x := resolve(c.x)
	for {
		not, ok := x.v.(*ssa.UnOp)
		if !ok || not.Op != token.NOT {
			break
		}
		x = resolve(val{x.f, not.X})
	}
	call, ok := x.v.(*ssa.Call)
	if !ok {
		if ex, isEx := x.v.(*ssa.Extract); isEx {
			call, ok = ex.Tuple.(*ssa.Call)
		}
		if !ok {
			return false
		}
	}
	if fn := call.Call.StaticCallee(); fn != nil && fn.Pkg != nil && fn.Pkg.Pkg.Path() == "time" {
		return false
	}
	if len(boundsOf(cond{x, true, c.at}, 0)) > 0 || len(boundsOf(cond{x, false, c.at}, 0)) > 0 {
		return false // seen through
	}
	now, _ := l.clock(-1)
	for _, a := range call.Call.Args {
		if !isTime(a.Type()) && !isDuration(a.Type()) {
			continue
		}
		m := linearOf(val{x.f, a})
		if _, ok := m.terms[now]; ok {
			return true
		}
	}
	return false
}

// load evaluates a variable that is assigned more than once.
func (e *evaluation) load(x val, v *ssa.UnOp) outcome {
	var all outcome
	var found []*ssa.Store
	switch addr := v.X.(type) {
	case *ssa.Alloc:
		found = stores(addr)
	case *ssa.FreeVar:
		if c := captured(addr); c != nil {
			found = stores(c)
		}
	case *ssa.FieldAddr:
		if base, ok := addr.X.(*ssa.Alloc); ok && len(stores(base)) == 0 {
			found = fieldStores(base, addr.Field)
		}
	}
	if len(found) > 8 {
		return outcome{}
	}
	for _, s := range found {
		f := x.f
		if s.Parent() != f.fn {
			f = e.root(s.Parent())
		}
		all = all.join(e.eval(val{f, s.Val}, conds(f, s.Block()), s.Block()))
	}
	return all
}

// call evaluates a result of a call.
func (e *evaluation) call(x val, v *ssa.Call, result int, known []cond, at *ssa.BasicBlock) outcome {
	args := v.Call.Args
	operand := func(v ssa.Value) outcome { return e.eval(val{x.f, v}, known, at) }
	if b, ok := v.Call.Value.(*ssa.Builtin); ok {
		switch b.Name() {
		case "max":
			return e.clamp(x.f, args, known, at)
		case "min":
			var all outcome
			for _, a := range args {
				all = all.join(operand(a))
			}
			return all
		}
		return outcome{}
	}
	fn := v.Call.StaticCallee()
	if _, _, ok := sinceOrUntil(v); ok || fn == nil {
		return outcome{}
	}
	switch fullName(fn) {
	case "time.Duration.Seconds", "time.Duration.Minutes", "time.Duration.Hours", "time.Duration.Milliseconds", "time.Duration.Microseconds", "time.Duration.Nanoseconds",
		"math.Ceil", "math.Floor", "math.Round", "math.Trunc":
		return operand(args[0])
	case "math.Max":
		return e.clamp(x.f, args, known, at)
	case "math.Min":
		return operand(args[0]).join(operand(args[1]))
	}
	if g := x.f.enter(v); g != nil {
		var all outcome
		for _, b := range g.fn.Blocks {
			r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
			if !ok || result >= len(r.Results) || excluded(r, v, x.f, known) {
				continue
			}
			inner := append(conds(g, b), known...)
			all = all.join(e.eval(val{g, r.Results[result]}, inner, b))
		}
		return all
	}
	obj, ok := fn.Object().(*types.Func)
	if !ok {
		return outcome{}
	}
	var fact waitFact
	if !e.pass.ImportObjectFact(obj.Origin(), &fact) {
		return outcome{}
	}
	var all outcome
	for _, r := range fact.Results {
		if r.Index != result {
			continue
		}
		if r.Says != "" {
			all = all.join(outcome{bad: true, origin: x, form: constOf(0), via: fn, says: r.Says})
		}
		all.none = all.none || r.None
		for _, i := range r.Params {
			if i < len(args) {
				all = all.join(operand(args[i]))
			}
		}
	}
	return all
}

// clamp evaluates max(args...): it is above 0 unless all arguments can be less.
func (e *evaluation) clamp(f *frame, args []ssa.Value, known []cond, at *ssa.BasicBlock) outcome {
	var bad outcome
	zero := false
	for _, a := range args {
		a = resolve(val{f, a}).v
		if c, ok := a.(*ssa.Const); ok {
			if isPositive(c) {
				return outcome{}
			}
			zero = true
			continue
		}
		o := e.eval(val{f, a}, known, at)
		if !o.bad {
			return outcome{}
		}
		bad = o
	}
	bad.zeroed = zero
	return bad
}

// excluded reports whether a return of a callee cannot be the one that was taken, as another
// result of it is a constant that has been tested for since.
func excluded(r *ssa.Return, call *ssa.Call, f *frame, known []cond) bool {
	for _, c := range known {
		if c.x.f != f {
			continue
		}
		v, truth := c.x.v, c.truth
		if not, ok := v.(*ssa.UnOp); ok && not.Op == token.NOT {
			v, truth = not.X, !truth
		}
		switch v := v.(type) {
		case *ssa.Extract:
			if v.Tuple == ssa.Value(call) && isBool(r.Results[v.Index], !truth) {
				return true
			}
		case *ssa.BinOp:
			ex, ok := v.X.(*ssa.Extract)
			if !ok || ex.Tuple != ssa.Value(call) || !isNil(v.Y) {
				continue
			}
			isNilNow := v.Op == token.EQL && truth || v.Op == token.NEQ && !truth
			res := r.Results[ex.Index]
			if isNilNow && !isNil(res) && nonNil(val{f, res}, nil, 0) || !isNilNow && isNil(res) {
				return true
			}
		}
	}
	return false
}

// nonNil reports whether an error cannot be nil where the conditions hold.
func nonNil(x val, known []cond, depth int) bool {
	if depth > 6 {
		return false
	}
	made := resolve(x)
	for _, c := range known {
		if testsError(c, x) || testsError(c, made) {
			return true
		}
	}
	x = made
	switch v := x.v.(type) {
	case *ssa.MakeInterface:
		if _, ok := v.X.Type().Underlying().(*types.Pointer); !ok {
			return true
		}
		if _, ok := v.X.(*ssa.Alloc); ok {
			return true
		}
	case *ssa.Phi:
		for i, e := range v.Edges {
			from := v.Block().Preds[i]
			if e == ssa.Value(v) || !nonNil(val{x.f, e}, append(edgeConds(x.f, from, v.Block()), known...), depth+1) {
				return false
			}
		}
		return len(v.Edges) > 0
	case *ssa.Call:
		fn := v.Call.StaticCallee()
		if fn == nil {
			return false
		}
		switch fullName(fn) {
		case "fmt.Errorf", "errors.New", "sigs.k8s.io/controller-runtime/pkg/reconcile.TerminalError":
			return true
		}
		// Wrap(err, "...") of any package of errors is nil for nil.
		if fn.Signature.Results().Len() == 1 && isError(fn.Signature.Results().At(0).Type()) {
			for _, a := range v.Call.Args {
				if isError(a.Type()) && nonNil(val{x.f, a}, known, depth+1) && isWrap(fn.Name()) {
					return true
				}
			}
		}
		if fn.Signature.Params().Len() <= 2 && (fn.Name() == "Errorf" || fn.Name() == "New" && isErrorsPackage(fn)) {
			return isErrorsPackage(fn)
		}
	}
	return false
}

func isWrap(name string) bool {
	switch name {
	case "Wrap", "Wrapf", "WithStack", "WithMessage", "WithMessagef":
		return true
	}
	return false
}

func isErrorsPackage(fn *ssa.Function) bool {
	return fn.Pkg != nil && fn.Pkg.Pkg.Name() == "errors"
}

// testsError reports whether a condition tells that an error is not nil: it was compared
// with nil, or found to be of some kind.
func testsError(c cond, x val) bool {
	v, truth := c.x.v, c.truth
	if not, ok := v.(*ssa.UnOp); ok && not.Op == token.NOT {
		v, truth = not.X, !truth
	}
	same := func(v ssa.Value) bool {
		if key(val{c.x.f, v}) == key(x) {
			return true
		}
		// Two reads of a variable that a closure has captured.
		a, ok := v.(*ssa.UnOp)
		b, ok2 := x.v.(*ssa.UnOp)
		return ok && ok2 && a.Op == token.MUL && b.Op == token.MUL && a.X == b.X
	}
	switch v := v.(type) {
	case *ssa.BinOp:
		if isNil(v.Y) && same(v.X) || isNil(v.X) && same(v.Y) {
			return v.Op == token.NEQ && truth || v.Op == token.EQL && !truth
		}
	case *ssa.Call:
		fn := v.Call.StaticCallee()
		if fn == nil || !truth || len(v.Call.Args) == 0 || !same(v.Call.Args[0]) {
			return false
		}
		switch fn.Name() {
		case "Is", "As":
			return isErrorsPackage(fn)
		}
		return fn.Pkg != nil && pkgPath(fn.Pkg.Pkg) == "k8s.io/apimachinery/pkg/api/errors"
	}
	return false
}
