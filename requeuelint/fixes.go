package requeuelint

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"strconv"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// text is the source of an expression.
func (p *program) text(e ast.Expr) string {
	var b bytes.Buffer
	if err := format.Node(&b, p.pass.Fset, e); err != nil {
		return types.ExprString(e)
	}
	return b.String()
}

// replace makes a fix that replaces an expression by one that uses this library, and
// imports it. There is none if its name means something else there.
func (p *program) replace(e ast.Expr, message string, by func(pkg string) string) []fix {
	name, imported, ok := p.library(e.Pos())
	if !ok {
		return nil
	}
	edits := []analysis.TextEdit{{Pos: e.Pos(), End: e.End(), NewText: []byte(by(name))}}
	if !imported {
		edits = append(edits, p.addImport(e.Pos()))
	}
	return []fix{{Message: message, TextEdits: edits}}
}

func (p *program) replaceCallee(call *ast.CallExpr, fn, message string) []fix {
	return p.replace(call.Fun, message, func(pkg string) string { return pkg + "." + fn })
}

// library returns the name of this library at a position, and whether it is imported.
func (p *program) library(pos token.Pos) (name string, imported, ok bool) {
	file := p.file(pos)
	if file == nil {
		return "", false, false
	}
	for _, spec := range file.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err != nil || path != requeuePath {
			continue
		}
		name = "requeue"
		if spec.Name != nil {
			name = spec.Name.Name
		}
		_, isPkg := p.lookup(name, pos).(*types.PkgName)
		return name, true, isPkg
	}
	return "requeue", false, p.lookup("requeue", pos) == nil
}

// lookup returns what a name means at a position.
func (p *program) lookup(name string, pos token.Pos) types.Object {
	scope := p.pass.TypesInfo.Scopes[p.file(pos)]
	if scope == nil {
		return nil
	}
	if inner := scope.Innermost(pos); inner != nil {
		scope = inner
	}
	_, obj := scope.LookupParent(name, pos)
	return obj
}

func (p *program) addImport(pos token.Pos) analysis.TextEdit {
	file := p.file(pos)
	quoted := strconv.Quote(requeuePath)
	if len(file.Imports) > 0 {
		// The first declaration of a file that imports something is an import.
		d := file.Decls[0].(*ast.GenDecl)
		if !d.Lparen.IsValid() {
			return analysis.TextEdit{Pos: d.End(), End: d.End(), NewText: []byte("\nimport " + quoted)}
		}
		if len(d.Specs) > 0 {
			last := d.Specs[len(d.Specs)-1].(*ast.ImportSpec)
			at := last.End()
			if last.Comment != nil {
				at = last.Comment.End()
			}
			return analysis.TextEdit{Pos: at, End: at, NewText: []byte("\n\n\t" + quoted)}
		}
	}
	return analysis.TextEdit{Pos: file.Name.End(), End: file.Name.End(), NewText: []byte("\n\nimport " + quoted)}
}

// fixWait replaces the time left by the wait of a plan, if it is used for nothing else.
func (p *program) fixWait(s sink, o outcome) []fix {
	if o.via != nil || o.origin.f == nil || o.origin.f.fn != s.fn || !usedOnce(o.origin.v) {
		return nil
	}
	e, ok := p.node(o.origin.v.Pos()).(ast.Expr)
	if !ok {
		return nil
	}
	plan, ok := p.plan(o.origin, e)
	if !ok {
		return nil
	}
	whole, every := e, ""
	// min(poll, time.Until(deadline))
	for _, r := range *o.origin.v.Referrers() {
		call, ok := r.(*ssa.Call)
		if !ok {
			continue
		}
		b, ok := call.Call.Value.(*ssa.Builtin)
		n, isCall := p.node(call.Pos()).(*ast.CallExpr)
		if !ok || b.Name() != "min" || !isCall || len(n.Args) != 2 || !usedOnce(call) {
			return nil
		}
		other := n.Args[0]
		if other == e {
			other = n.Args[1]
		}
		whole, every = n, ".Every("+p.text(other)+")"
	}
	return p.replace(whole, "wait by a plan", func(pkg string) string {
		return pkg + ".From(" + plan.now + ")" + every + plan.part + ".After()"
	})
}

func usedOnce(v ssa.Value) bool { return v.Referrers() != nil && len(*v.Referrers()) == 1 }

// A written plan is the source of one: the time it counts from, and its part.
type written struct{ now, part string }

// plan writes the time left as a plan.
func (p *program) plan(x val, e ast.Expr) (written, bool) {
	switch v := x.v.(type) {
	case *ssa.Call:
		call, ok := e.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return written{}, false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return written{}, false
		}
		switch sel.Sel.Name {
		case "Until":
			now, ok := p.nowOf(sel)
			at, ok2 := p.instant(call.Args[0])
			return written{now, ".Deadline(" + at + ")"}, ok && ok2
		case "Sub":
			if l := linearOf(val{x.f, v.Call.Args[1]}); len(l.terms) != 1 || l.c != 0 {
				return written{}, false
			}
			now, ok := p.instant(call.Args[0])
			at, ok2 := p.instant(sel.X)
			return written{now, ".Deadline(" + at + ")"}, ok && ok2
		}
	case *ssa.BinOp:
		sub, ok := e.(*ast.BinaryExpr)
		if !ok || v.Op != token.SUB {
			return written{}, false
		}
		start, now, ok := p.elapsed(sub.Y)
		return written{now, ".Timeout(" + start + ", " + p.text(ast.Unparen(sub.X)) + ")"}, ok
	}
	return written{}, false
}

// elapsed takes time.Since(start) and now.Sub(start) apart.
func (p *program) elapsed(e ast.Expr) (start, now string, ok bool) {
	call, isCall := ast.Unparen(e).(*ast.CallExpr)
	if !isCall || len(call.Args) != 1 {
		return "", "", false
	}
	sel, isSel := call.Fun.(*ast.SelectorExpr)
	if !isSel {
		return "", "", false
	}
	start, ok = p.instant(call.Args[0])
	switch {
	case !ok:
	case sel.Sel.Name == "Since":
		now, ok = p.nowOf(sel)
		return start, now, ok
	case sel.Sel.Name == "Sub":
		now, ok = p.instant(sel.X)
		return start, now, ok
	}
	return "", "", false
}

// nowOf writes the reading of the clock that a call of Since or Until makes.
func (p *program) nowOf(sel *ast.SelectorExpr) (string, bool) {
	if id, ok := sel.X.(*ast.Ident); ok {
		if pkg, ok := p.pass.TypesInfo.Uses[id].(*types.PkgName); ok {
			return id.Name + ".Now()", pkg.Imported().Path() == "time"
		}
	}
	obj, _, _ := types.LookupFieldOrMethod(p.pass.TypesInfo.TypeOf(sel.X), true, p.pass.Pkg, "Now")
	fn, ok := obj.(*types.Func)
	if !ok || fn.Signature().Params().Len() != 0 || fn.Signature().Results().Len() != 1 || !isNamed(fn.Signature().Results().At(0).Type(), "time", "Time") {
		return "", false
	}
	return p.text(sel.X) + ".Now()", true
}

// instant writes an expression as a time.Time.
func (p *program) instant(e ast.Expr) (string, bool) {
	t := p.pass.TypesInfo.TypeOf(e)
	switch {
	case t == nil:
		return "", false
	case isNamed(t, "time", "Time"):
		return p.text(e), true
	case isMetaTime(deref(t)):
		return p.text(e) + ".Time", true
	}
	return "", false
}

// fixLate replaces a fixed interval by a plan that has it for a poll, and the deadline that
// was tested.
func (p *program) fixLate(s sink, test cond) []fix {
	if test.x.f.fn != s.fn {
		return nil
	}
	kv, ok := p.node(s.pos).(*ast.KeyValueExpr)
	if !ok {
		return nil
	}
	x := test.x.v
	for {
		not, ok := x.(*ssa.UnOp)
		if !ok || not.Op != token.NOT {
			break
		}
		x = not.X
	}
	e, ok := p.node(x.Pos()).(ast.Expr)
	if !ok {
		return nil
	}
	w, ok := p.testedDeadline(e)
	if !ok || !p.sameThere(e, s.pos) {
		return nil
	}
	return p.replace(kv.Value, "wait by a plan", func(pkg string) string {
		return pkg + ".From(" + w.now + ").Every(" + p.text(kv.Value) + ")" + w.part + ".After()"
	})
}

// testedDeadline writes the deadline of a test as a plan.
func (p *program) testedDeadline(e ast.Expr) (written, bool) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		elapsed, timeout := e.X, e.Y
		if e.Op == token.LSS || e.Op == token.LEQ {
			if _, _, ok := p.elapsed(elapsed); !ok {
				elapsed, timeout = timeout, elapsed
			}
		}
		start, now, ok := p.elapsed(elapsed)
		return written{now, ".Timeout(" + start + ", " + p.text(timeout) + ")"}, ok
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		if !ok || len(e.Args) != 1 {
			return written{}, false
		}
		a, ok := p.instant(sel.X)
		b, ok2 := p.instant(e.Args[0])
		if !ok || !ok2 {
			return written{}, false
		}
		// now.After(deadline), deadline.Before(now), and the two turned round.
		if p.isNow(sel.X) {
			return written{a, ".Deadline(" + b + ")"}, true
		}
		if p.isNow(e.Args[0]) {
			return written{b, ".Deadline(" + a + ")"}, true
		}
	}
	return written{}, false
}

// isNow reports whether an expression is a reading of the clock, or named like one.
func (p *program) isNow(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return nowName.MatchString(e.Name)
	case *ast.CallExpr:
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
			return sel.Sel.Name == "Now" && len(e.Args) == 0
		}
	}
	return false
}

// sameThere reports whether all names of an expression mean the same at another position.
func (p *program) sameThere(e ast.Expr, pos token.Pos) bool {
	same := true
	ast.Inspect(e, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			same = same && p.sameThere(sel.X, pos)
			return false
		}
		if id, ok := n.(*ast.Ident); ok {
			if obj := p.pass.TypesInfo.Uses[id]; obj != nil && p.lookup(id.Name, pos) != obj {
				same = false
			}
		}
		return same
	})
	return same
}
