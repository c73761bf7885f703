package requeuelint

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/go/ssa"
)

// waits reports RQ001 and RQ003: waits that can be 0 or negative.
func (p *program) waits(fn *ssa.Function, all []sink) {
	for _, s := range all {
		if s.family == loops && p.handlesEvent(fn, 0) || requeuesToo(s) {
			continue
		}
		o := p.worst(s)
		if !o.bad {
			continue
		}
		if !o.stale {
			o.check, o.stale = p.testedElsewhere(o, s)
		}
		if s.family == loops && (o.stale || o.zeroed || p.handled(o)) {
			// Added at once, it is looked at again and found expired; or meant so.
			continue
		}
		at, end := p.place(s)
		how := p.says(o)
		if o.stale && !p.slow(o) {
			p.report(finding{rule: "RQ003", pos: at, end: end, fixes: p.fixWait(s, o),
				message: fmt.Sprintf("the clock is read once to decide and again to wait (%s): in between, the deadline can pass, %s is then 0 or less and is dropped; decide and wait on one requeue.Plan", how, s.name)})
			continue
		}
		what := "can be zero or negative here"
		if o.zeroed {
			what = "can be zero here, for a deadline that has passed"
		}
		p.report(finding{rule: "RQ001", pos: at, end: end, fixes: p.fixWait(s, o),
			message: fmt.Sprintf("%s %s (%s): %s; use requeue.NextRequeue or a requeue.Plan, or check > 0", s.name, what, how, s.family)})
	}
}

// worst is the outcome of a wait by itself and, if it can be 0 or less, as its function is
// called in the package: a caller may know more, of a deadline that it hands in.
func (p *program) worst(s sink) outcome {
	f := p.root(s.fn)
	o := p.sign(val{f, s.wait}, conds(f, s.at), s.at)
	if !o.bad || len(p.calls[s.fn]) == 0 {
		return o
	}
	for _, f := range p.contexts(s.fn, 0) {
		if o := p.sign(val{f, s.wait}, conds(f, s.at), s.at); o.bad {
			return o
		}
	}
	return outcome{}
}

// contexts are the frames that a function of the package is called in, or the function by
// itself.
func (p *program) contexts(fn *ssa.Function, depth int) (all []*frame) {
	calls := p.calls[fn]
	if len(calls) == 0 || len(calls) > 8 || depth >= 2 {
		return []*frame{p.root(fn)}
	}
	for _, call := range calls {
		if call.Parent() == fn {
			continue
		}
		for _, parent := range p.contexts(call.Parent(), depth+1) {
			if f := parent.enter(call); f != nil {
				all = append(all, f)
			}
		}
	}
	if len(all) == 0 {
		all = []*frame{p.root(fn)}
	}
	return all
}

// handled reports whether some function of the package tests the deadline that a wait is
// computed from, by the fields and the methods that it is read from. What is added at once
// is then likely found expired. It holds, too, for what is not seen through.
func (p *program) handled(o outcome) bool {
	if o.via != nil {
		return false
	}
	waited := sources(o.form)
	if waited == nil {
		return true
	}
	for _, d := range p.packageDeadlines() {
		if !slices.ContainsFunc(waited, func(source string) bool { return !slices.Contains(d, source) }) {
			return true
		}
	}
	return false
}

// packageDeadlines lists what the functions of the package compare with the clock, each as
// its sources.
func (p *program) packageDeadlines() [][]string {
	if p.deadlinesHere != nil {
		return p.deadlinesHere
	}
	p.deadlinesHere = [][]string{}
	for _, fn := range p.funcs {
		if p.inTest(fn.Pos()) {
			continue
		}
		for l := range comparedDeadlines(p.root(fn)) {
			if d := sources(l); d != nil {
				p.deadlinesHere = append(p.deadlinesHere, d)
			}
		}
	}
	return p.deadlinesHere
}

// sources names what the instants and spans of a form are read from: fields, methods,
// parameters. It is nil if one of them is of none.
func sources(l linear) (all []string) {
	for _, t := range l.terms {
		if t.clock || t.coef < 0 {
			continue
		}
		s := source(t.x, 0)
		if s == "" {
			return nil
		}
		all = append(all, s)
	}
	return all
}

func source(x val, depth int) string {
	x = resolve(x)
	if depth > 8 {
		return ""
	}
	switch v := x.v.(type) {
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return source(val{x.f, v.X}, depth+1)
		}
	case *ssa.FieldAddr:
		if isWrapper(deref(v.X.Type())) {
			return source(val{x.f, v.X}, depth+1)
		}
		return fieldName(fieldVar(v.X.Type(), v.Field))
	case *ssa.Field:
		return fieldName(fieldVar(v.X.Type(), v.Field))
	case *ssa.Extract:
		return source(val{x.f, v.Tuple}, depth+1)
	case *ssa.Convert:
		return source(val{x.f, v.X}, depth+1)
	case *ssa.BinOp: // a number times a unit
		if isConst(v.Y) {
			return source(val{x.f, v.X}, depth+1)
		}
	case *ssa.Call:
		if obj := calledObj(&v.Call); obj != nil {
			return objName(obj)
		}
	case *ssa.Parameter, *ssa.Global:
		return key(x)
	}
	return ""
}

// testedElsewhere returns the call of a function of another package, on a way to a sink,
// that tests the deadline which a wait is computed from.
func (p *program) testedElsewhere(o outcome, s sink) (where bound, ok bool) {
	until, _ := o.origin.v.(ssa.Instruction)
	for f := o.origin.f; f != nil; f = f.parent {
		if f.fn == s.fn {
			until = s.instr
		}
		if until != nil {
			if b := p.testedBefore(until, f, o.form); b != nil {
				return bound{at: b, f: f}, true
			}
		}
		until = f.call
	}
	return bound{}, false
}

// testedBefore returns the block of a call that tests the deadline of a form and leads to
// an instruction.
func (p *program) testedBefore(until ssa.Instruction, f *frame, l linear) *ssa.BasicBlock {
	for call := range callsOf(f.fn) {
		if precedes(call, until) && p.tests(call, f, l) {
			return call.Block()
		}
	}
	return nil
}

// tests reports whether a call is of a function that tests the deadline of a form.
func (p *program) tests(call *ssa.Call, f *frame, l linear) bool {
	fact := p.elsewhere(call)
	if fact == nil {
		return false
	}
	arguments := make([]string, 0, 2*len(call.Call.Args))
	for i, a := range call.Call.Args {
		arguments = append(arguments, placeholder(i), key(val{f, a}))
	}
	named := strings.NewReplacer(arguments...)
	for _, deadline := range fact.Tests {
		terms := map[string]bool{}
		for _, t := range deadline {
			terms[named.Replace(t)] = true
		}
		some, all := false, true
		for k, t := range l.terms {
			if !t.clock && t.coef > 0 {
				some, all = true, all && terms[k]
			}
		}
		if some && all {
			return true
		}
	}
	return false
}

// says tells what makes a wait 0 or negative.
func (p *program) says(o outcome) string {
	if o.via != nil {
		return o.via.Name() + ": " + o.says
	}
	v := o.origin.v
	if node, ok := p.node(v.Pos()).(ast.Expr); ok {
		if s := types.ExprString(node); len(s) <= 70 {
			return s
		}
	}
	if call, ok := v.(*ssa.Call); ok {
		if obj := calledObj(&call.Call); obj != nil {
			switch name := objName(obj); name {
			case "time.Until", "time.Since":
				return name
			case "time.Time.Sub":
				return "an instant minus now"
			}
		}
	}
	return "a time minus now"
}

// place returns where a sink is reported: the wait in the source.
func (p *program) place(s sink) (pos, end token.Pos) {
	switch n := p.node(s.pos).(type) {
	case *ast.KeyValueExpr:
		return n.Value.Pos(), n.Value.End()
	case *ast.AssignStmt:
		return n.Pos(), n.End()
	case *ast.CallExpr:
		return n.Pos(), n.End()
	}
	return s.pos, s.pos
}

// slow reports whether something that takes time lies between the test of a deadline and
// the reading of the clock that the wait is computed from: a call that takes a context or
// returns an error. If so the deadline can pass as well without two readings.
func (p *program) slow(o outcome) bool {
	from, f := o.check.at, o.check.f
	var after ssa.Instruction
	if o.from.v != nil {
		call := o.from.v.(*ssa.Call)
		from, f, after = call.Block(), o.from.f, call
	}
	if from == nil || f == nil {
		return false
	}
	// Where the wait's clock is read, or the call that leads there, in the same function.
	var until ssa.Instruction
	if i, ok := o.origin.v.(ssa.Instruction); ok {
		g := o.origin.f
		for g != nil && g.fn != f.fn && g.parent != nil {
			i, g = g.call, g.parent
		}
		if g != nil && g.fn == f.fn {
			until = i
		}
	}
	if until == nil {
		return false
	}
	for _, b := range f.fn.Blocks {
		if !reaches(from, b) || !reaches(b, until.Block()) {
			continue
		}
		if b == from && after == nil && b != until.Block() {
			continue // the test ends the block
		}
		passed := after == nil || b != from
		for _, instr := range b.Instrs {
			if instr == until {
				break
			}
			if passed {
				if call, ok := instr.(*ssa.Call); ok && takesTime(call) {
					return true
				}
			}
			passed = passed || instr == after
		}
	}
	return false
}

func takesTime(call *ssa.Call) bool {
	obj := calledObj(&call.Call)
	if obj == nil || obj.Pkg() == nil {
		return false
	}
	if path := pkgPath(obj.Pkg()); strings.Contains(path, "log") || strings.HasPrefix(path, "k8s.io/apimachinery/") ||
		path == "fmt" || path == "errors" || path == "context" || path == "time" {
		return false
	}
	sig := call.Call.Signature()
	for i := range sig.Results().Len() {
		if isError(sig.Results().At(i).Type()) {
			return true
		}
	}
	if _, ok := getter(call); ok {
		return false
	}
	for i := range sig.Params().Len() {
		if isContext(sig.Params().At(i).Type()) {
			return true
		}
	}
	return false
}

// errors reports RQ002: a wait that is returned with an error.
func (p *program) errors(fn *ssa.Function) {
	results := fn.Signature.Results()
	if results.Len() != 2 || !isResult(results.At(0).Type()) || !isError(results.At(1).Type()) {
		return
	}
	f := p.root(fn)
	for _, b := range fn.Blocks {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		if !ok || len(r.Results) != 2 || isNil(resolve(val{f, r.Results[1]}).v) {
			continue
		}
		known := conds(f, b)
		if !nonNil(val{f, r.Results[1]}, known, 0) && !p.isFailure(f, r.Results[1], known) {
			continue
		}
		if !p.hasWait(r.Results[0], b, 0) || !p.dropped(fn, 0) {
			continue
		}
		p.report(finding{rule: "RQ002", pos: r.Pos(), end: r.Pos() + token.Pos(len("return")),
			message: "RequeueAfter is dropped, as the error returned with it is not nil: controller-runtime then asks its rate limiter; return one of the two, or the retry as a wait and no error"})
	}
}

// hasWait reports whether a returned result has a RequeueAfter. What may have none has
// none.
func (p *program) hasWait(v ssa.Value, at *ssa.BasicBlock, depth int) bool {
	switch v := v.(type) {
	case *ssa.UnOp:
		if v.Op != token.MUL {
			return false
		}
		switch addr := v.X.(type) {
		case *ssa.Global:
			for _, instr := range initUses(addr) {
				if s, ok := instr.(*ssa.Store); ok && s.Addr == ssa.Value(addr) {
					return p.hasWait(s.Val, s.Block(), depth)
				}
			}
		case *ssa.Alloc:
			if onlyZeroes(stores(addr)) {
				return addr.Referrers() != nil && storesWait(*addr.Referrers(), at)
			}
			// A result of a function with a defer, which is stored before it is returned.
			if s := lastStore(v, addr); s != nil {
				return p.hasWait(s.Val, at, depth)
			}
		}
	case *ssa.Alloc: // &ctrl.Result{...}
		return onlyZeroes(stores(v)) && storesWait(*v.Referrers(), at)
	case *ssa.Call:
		// A function of the package that makes a result with a wait, and nothing else.
		callee := v.Call.StaticCallee()
		if callee == nil || len(callee.Blocks) == 0 || depth > 2 {
			return false
		}
		if r := onlyReturn(callee); r != nil && len(r.Results) == 1 {
			return p.hasWait(r.Results[0], r.Block(), depth+1)
		}
	}
	return false
}

// storesWait reports whether, of the uses of a result, one stores a RequeueAfter, once and
// on every path to a block.
func storesWait(uses []ssa.Instruction, at *ssa.BasicBlock) bool {
	var last *ssa.Store
	for _, instr := range uses {
		fa, ok := instr.(*ssa.FieldAddr)
		if !ok || fieldVar(fa.X.Type(), fa.Field).Name() != "RequeueAfter" {
			continue
		}
		for _, s := range stores(fa) {
			if last != nil || !s.Block().Dominates(at) {
				return false
			}
			last = s
		}
	}
	return last != nil && !isZero(last.Val)
}

// initUses are the instructions that initialize a variable of the package.
func initUses(g *ssa.Global) (uses []ssa.Instruction) {
	init := g.Pkg.Func("init")
	if init == nil {
		return nil
	}
	for _, b := range init.Blocks {
		for _, instr := range b.Instrs {
			for _, op := range instr.Operands(nil) {
				if *op == ssa.Value(g) {
					uses = append(uses, instr)
				}
			}
		}
	}
	return uses
}

// onlyZeroes reports whether nothing but the zero value is stored.
func onlyZeroes(all []*ssa.Store) bool {
	for _, s := range all {
		if c, ok := s.Val.(*ssa.Const); !ok || c.Value != nil {
			return false
		}
	}
	return true
}

// isFailure reports whether an error is a parameter that nobody tests: a function that is
// handed an error along with its work is called for it. If calls are known, one of them
// must be with an error that is not nil.
func (p *program) isFailure(f *frame, v ssa.Value, known []cond) bool {
	param, ok := v.(*ssa.Parameter)
	if !ok {
		return false
	}
	for _, c := range known {
		if b, ok := c.x.v.(*ssa.BinOp); ok && (b.X == v || b.Y == v) {
			return false
		}
	}
	i := paramIndex(param)
	calls := p.calls[f.fn]
	for _, call := range calls {
		g := p.root(call.Parent())
		if i < len(call.Call.Args) && nonNil(val{g, call.Call.Args[i]}, conds(g, call.Block()), 0) {
			return true
		}
	}
	return len(calls) == 0
}

// dropped reports whether a wait that a function returns with an error gets to
// controller-runtime with it: nobody in the package calls the function, or a caller hands
// on both. A caller that looks at the wait, or returns it alone, makes use of it; what
// becomes of that of a function that is used as a value is not known.
func (p *program) dropped(fn *ssa.Function, depth int) bool {
	if obj, ok := fn.Object().(*types.Func); ok && p.values[obj] {
		return false
	}
	calls := p.calls[fn]
	if len(calls) == 0 || depth > 5 {
		return true
	}
	handed := false
	for _, call := range calls {
		used, both := handsOn(call)
		if used {
			return false
		}
		handed = handed || both && p.dropped(call.Parent(), depth+1)
	}
	return handed
}

// handsOn tells what becomes of the result of a call that comes with an error: it is made
// use of, or returned with the error, or neither.
func handsOn(call *ssa.Call) (used, both bool) {
	var result, err *ssa.Extract
	for _, instr := range *call.Referrers() {
		if ex, ok := instr.(*ssa.Extract); ok {
			if ex.Index == 0 {
				result = ex
			} else if isError(ex.Type()) {
				err = ex
			}
		}
	}
	if result == nil {
		return false, false
	}
	uses := *result.Referrers()
	// A pointer to a result.
	for _, instr := range *result.Referrers() {
		if load, ok := instr.(*ssa.UnOp); ok {
			uses = slices.Concat(uses, *load.Referrers())
		}
	}
	for _, instr := range uses {
		switch instr := instr.(type) {
		case *ssa.Return:
			last := instr.Results[len(instr.Results)-1]
			if err == nil || last != ssa.Value(err) && (isNil(last) || !isError(last.Type())) {
				return true, false
			}
			both = true
		case *ssa.Store:
			if !storedWith(instr, err) {
				return true, false
			}
			both = true
		case *ssa.Field, *ssa.FieldAddr, *ssa.Phi, *ssa.Call:
			return true, false
		}
	}
	return false, both
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
	for _, instr := range b.Instrs {
		if other, ok := instr.(*ssa.Store); ok && other.Val == ssa.Value(err) {
			return true
		}
	}
	return false
}

// merges reports RQ004: a merge of waits in which 0 or a negative wins.
func (p *program) merges(fn *ssa.Function) {
	f := p.root(fn)
	for _, b := range fn.Blocks {
		for _, instr := range b.Instrs {
			switch instr := instr.(type) {
			case *ssa.Call:
				if !isDuration(instr.Type()) || !takesLess(instr) {
					continue
				}
				if p.zeroWins(f, instr, b) {
					pos, end := instr.Pos(), instr.Pos()
					var fixes []fix
					if n, ok := p.node(instr.Pos()).(*ast.CallExpr); ok {
						pos, end = n.Pos(), n.End()
						fixes = p.replaceCallee(n, "Soonest", "merge with requeue.Soonest")
					}
					p.report(finding{rule: "RQ004", pos: pos, end: end, fixes: fixes,
						message: "of these waits the least is taken: 0, which means none, or a negative one wins, and the other is lost; use requeue.Soonest"})
				}
			case *ssa.If:
				p.comparedMerge(f, instr, b)
			}
		}
	}
}

// takesLess tells a call of min, or of a function of the package that returns the lesser
// of its two parameters.
func takesLess(call *ssa.Call) bool {
	if bi, ok := call.Call.Value.(*ssa.Builtin); ok {
		return bi.Name() == "min"
	}
	fn := call.Call.StaticCallee()
	if fn == nil || len(fn.Params) != 2 || len(fn.Blocks) != 3 {
		return false
	}
	branch, ok := fn.Blocks[0].Instrs[len(fn.Blocks[0].Instrs)-1].(*ssa.If)
	if !ok {
		return false
	}
	cmp, ok := branch.Cond.(*ssa.BinOp)
	if !ok {
		return false
	}
	less, more := cmp.X, cmp.Y
	switch cmp.Op {
	case token.LSS, token.LEQ:
	case token.GTR, token.GEQ:
		less, more = more, less
	default:
		return false
	}
	returns := func(b *ssa.BasicBlock, v ssa.Value) bool {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		return ok && len(r.Results) == 1 && r.Results[0] == v
	}
	return isDuration(less.Type()) && paramOf(fn, less) && paramOf(fn, more) &&
		returns(branch.Block().Succs[0], less) && returns(branch.Block().Succs[1], more)
}

func paramOf(fn *ssa.Function, v ssa.Value) bool {
	p, ok := v.(*ssa.Parameter)
	return ok && p.Parent() == fn
}

// zeroWins reports whether an argument of min is a wait in which 0 means none.
func (p *program) zeroWins(f *frame, call *ssa.Call, b *ssa.BasicBlock) bool {
	known := conds(f, b)
	checks := bounds(known)
	fields, none := 0, 0
	for _, a := range call.Call.Args {
		x := val{f, a}
		if state, _ := check(linearOf(x), checks); state == holds || tested(f, a, b) {
			continue
		}
		if resultField(a) != nil {
			fields++
			continue
		}
		if c, ok := resolve(x).v.(*ssa.Call); ok {
			if o := p.sign(val{f, c}, known, b); o.none && !o.bad {
				none++
			}
		}
	}
	return fields > 0 || none > 0 && p.flowsToDrop(call)
}

// flowsToDrop reports whether a value is a wait for controller-runtime.
func (p *program) flowsToDrop(v ssa.Value) bool {
	for _, s := range p.sinks(v.Parent()) {
		if s.family == drops && resolve(val{p.root(v.Parent()), s.wait}).v == v {
			return true
		}
	}
	return false
}

// tested reports whether a value is compared with 0 anywhere before a block.
func tested(f *frame, v ssa.Value, b *ssa.BasicBlock) bool {
	k := key(val{f, v})
	for op := range orderedBefore(f.fn, b) {
		if isZero(op.Y) && key(val{f, op.X}) == k || isZero(op.X) && key(val{f, op.Y}) == k {
			return true
		}
	}
	return false
}

// resultField returns what has the RequeueAfter that a value was read from.
func resultField(v ssa.Value) ssa.Value {
	switch v := v.(type) {
	case *ssa.Field:
		if isResult(v.X.Type()) && fieldVar(v.X.Type(), v.Field).Name() == "RequeueAfter" {
			return v.X
		}
	case *ssa.UnOp:
		if fa, ok := v.X.(*ssa.FieldAddr); ok && v.Op == token.MUL && isResult(fa.X.Type()) &&
			fieldVar(fa.X.Type(), fa.Field).Name() == "RequeueAfter" {
			return fa.X
		}
	}
	return nil
}

// comparedMerge reports a merge by comparison: if a.RequeueAfter < b.RequeueAfter, a is
// taken, and nothing has told that it is above 0.
func (p *program) comparedMerge(f *frame, branch *ssa.If, b *ssa.BasicBlock) {
	cmp, ok := branch.Cond.(*ssa.BinOp)
	if !ok {
		return
	}
	x, y := resultField(cmp.X), resultField(cmp.Y)
	if x == nil || y == nil || ownerKey(f, x) == ownerKey(f, y) {
		return
	}
	var smaller ssa.Value
	var owner ssa.Value
	switch cmp.Op {
	case token.LSS, token.LEQ:
		smaller, owner = cmp.X, x
	case token.GTR, token.GEQ:
		smaller, owner = cmp.Y, y
	default:
		return
	}
	if !takes(f, branch.Block().Succs[0], b, owner, smaller) {
		return
	}
	known := bounds(conds(f, b))
	if state, _ := check(linearOf(val{f, smaller}), known); state == holds || tested(f, smaller, b) {
		return
	}
	pos, end := cmp.Pos(), cmp.Pos()
	var fixes []fix
	if n, ok := p.node(cmp.Pos()).(*ast.BinaryExpr); ok {
		pos, end = n.Pos(), n.End()
		less := n.X
		if cmp.Op == token.GTR || cmp.Op == token.GEQ {
			less = n.Y
		}
		fixes = p.replace(n, "merge with requeue.Soonest", func(q string) string {
			return fmt.Sprintf("%s.Soonest(%s, %s) == %s", q, p.text(n.X), p.text(n.Y), p.text(less))
		})
	}
	p.report(finding{rule: "RQ004", pos: pos, end: end, fixes: fixes,
		message: "the shorter RequeueAfter is taken, also if it is 0 or negative, which means none, and the other is lost; use requeue.Soonest"})
}

// ownerKey is the key of a result: of a variable that is assigned once, such as a parameter
// whose address is taken, that of what is assigned.
func ownerKey(f *frame, v ssa.Value) string {
	if a, ok := v.(*ssa.Alloc); ok {
		if s := stores(a); len(s) == 1 {
			return key(val{f, s[0].Val})
		}
	}
	return key(val{f, v})
}

// takes reports whether the smaller of two results is taken in a branch.
func takes(f *frame, succ, from *ssa.BasicBlock, owner, smaller ssa.Value) bool {
	k, ks := ownerKey(f, owner), key(val{f, smaller})
	is := func(v ssa.Value) bool {
		if v == nil {
			return false
		}
		s := key(val{f, v})
		return s == k || s == ks
	}
	for _, instr := range succ.Instrs {
		switch instr := instr.(type) {
		case *ssa.Return:
			for _, r := range instr.Results {
				if is(r) {
					return true
				}
			}
		case *ssa.Store:
			if is(instr.Val) {
				return true
			}
		case *ssa.Phi:
			for i, e := range instr.Edges {
				if instr.Block().Preds[i] == from && is(e) {
					return true
				}
			}
		}
	}
	for _, next := range succ.Succs {
		if len(succ.Preds) != 1 {
			break
		}
		for _, instr := range next.Instrs {
			if phi, ok := instr.(*ssa.Phi); ok {
				for i, e := range phi.Edges {
					if phi.Block().Preds[i] == succ && is(e) {
						return true
					}
				}
			}
		}
	}
	return false
}

var timeoutName = regexp.MustCompile(`(?i)timeout|deadline|ttl|expir|grace|lifetime|maxage|maxwait|maxduration|validuntil|notafter`)

// shortest is the shortest fixed interval that is reported as late.
const shortest = 10 * time.Second

// late reports RQ005: a constant wait where a deadline is tested.
func (p *program) late(fn *ssa.Function, all []sink) {
	f := p.root(fn)
	for _, s := range all {
		if s.family != drops {
			continue
		}
		n := constantWait(val{f, s.wait})
		if time.Duration(n) < shortest {
			continue
		}
		for _, k := range conds(f, s.at) {
			b, l, ok := p.deadlineTest(k)
			if !ok {
				continue
			}
			// A timeout that is known, and ten times as long, is not missed by much.
			if l.c >= 10*n {
				continue
			}
			pos, end := p.place(s)
			p.report(finding{rule: "RQ005", pos: pos, end: end, fixes: p.fixLate(s, k),
				message: fmt.Sprintf("a deadline is tested (line %d) and then waited for by a fixed %s: it is noticed up to that much late; use requeue.NextRequeue or a requeue.Plan",
					p.pass.Fset.Position(b.Pos()).Line, time.Duration(n))})
			break
		}
	}
}

// constantWait returns a wait that is always the same: a constant, or a variable of the
// package that is set to one where it is declared. Of all others it is 0.
func constantWait(x val) int64 {
	x = resolve(x)
	if load, ok := x.v.(*ssa.UnOp); ok && load.Op == token.MUL {
		g, ok := load.X.(*ssa.Global)
		if !ok || g.Pkg == nil {
			return 0
		}
		for _, instr := range initUses(g) {
			if s, ok := instr.(*ssa.Store); ok && s.Addr == ssa.Value(g) {
				x.v = s.Val
			}
		}
	}
	c, ok := x.v.(*ssa.Const)
	if !ok || c.Value == nil || c.Value.Kind() != constant.Int {
		return 0
	}
	n, _ := constant.Int64Val(c.Value)
	return n
}

// deadlineTest tells a test of a deadline that has not come: by what is compared, and by
// the name of what it is compared with.
func (p *program) deadlineTest(c cond) (ssa.Value, linear, bool) {
	x := c.x
	for {
		not, ok := x.v.(*ssa.UnOp)
		if !ok || not.Op != token.NOT {
			break
		}
		x.v, c.truth = not.X, !c.truth
	}
	for _, l := range testedForms(cond{x, c.truth, c.at}, 0) {
		if !l.remaining() {
			continue
		}
		named, instants := false, 0
		for k, t := range l.terms {
			if t.clock || t.coef < 0 {
				continue
			}
			if isTime(t.x.v.Type()) {
				instants++
			}
			if r, _ := derived(t.x, 0); r != "" {
				instants = 2 // the next run of a schedule
			}
			if timeoutName.MatchString(p.nameOf(t.x, k)) {
				named = true
			}
		}
		// A constant has a name in the source only.
		if e, ok := p.node(x.v.Pos()).(ast.Expr); ok && l.c != 0 && timeoutName.MatchString(p.text(e)) {
			named = true
		}
		if instants == 1 && named {
			return x.v, l, true
		}
	}
	return nil, linear{}, false
}

// testedForms are the bounds of a condition, and of all that it is made of: of a predicate
// that says that there is a timeout, and that it has passed.
func testedForms(c cond, depth int) []linear {
	found := boundsOf(c, 0)
	if len(found) > 0 || depth > 4 {
		return found
	}
	switch v := c.x.v.(type) {
	case *ssa.UnOp:
		if v.Op == token.NOT {
			return testedForms(cond{val{c.x.f, v.X}, !c.truth, c.at}, depth+1)
		}
	case *ssa.Phi:
		for _, e := range v.Edges {
			found = append(found, testedForms(cond{val{c.x.f, e}, c.truth, c.at}, depth+1)...)
		}
	case *ssa.Call:
		g := c.x.f.enter(v)
		if g == nil {
			return nil
		}
		for _, b := range g.fn.Blocks {
			if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok && len(r.Results) == 1 {
				found = append(found, testedForms(cond{val{g, r.Results[0]}, c.truth, c.at}, depth+1)...)
			}
		}
	}
	return found
}

// nameOf returns the names that a value goes by in the source.
func (p *program) nameOf(x val, k string) string {
	switch v := x.v.(type) {
	case *ssa.Call:
		if obj := calledObj(&v.Call); obj != nil {
			return obj.Name()
		}
	case *ssa.Extract:
		if call, ok := v.Tuple.(*ssa.Call); ok {
			if obj := calledObj(&call.Call); obj != nil {
				return obj.Name()
			}
		}
	case *ssa.Phi:
		return v.Comment
	}
	return k
}
