package requeuelint

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

// replace makes a fix that replaces an expression by one that uses this library, and
// imports it. There is none if its name means something else there.
func (c *code) replace(e ast.Expr, message string, by func(pkg string) string) []analysis.SuggestedFix {
	name, imported, ok := c.library(e.Pos())
	if !ok {
		return nil
	}
	text := by(name)
	edits := []analysis.TextEdit{{Pos: e.Pos(), End: e.End(), NewText: []byte(text)}}
	if !imported {
		edits = append(edits, c.addImport(e.Pos(), name))
	}
	if comment, ok := c.outdated(e, text); ok {
		edits = append(edits, comment)
	}
	return []analysis.SuggestedFix{{Message: message, TextEdits: edits}}
}

func (c *code) replaceCallee(call *ast.CallExpr, fn, message string) []analysis.SuggestedFix {
	return c.replace(call.Fun, message, func(pkg string) string { return pkg + "." + fn })
}

// library returns the name of this library in a file, and whether it is imported. If the
// file, or its package, uses the name for something else, it is another. It is not ok if
// an import of it is hidden at the position.
func (c *code) library(pos token.Pos) (name string, imported, ok bool) {
	file := c.file(pos)
	if file == nil {
		return "", false, false
	}
	for _, spec := range file.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err != nil || path != flow.LibraryPath {
			continue
		}
		name = "requeue"
		if spec.Name != nil {
			name = spec.Name.Name
		}
		_, isPkg := c.lookup(name, pos).(*types.PkgName)
		return name, true, isPkg
	}
	for _, name := range []string{"requeue", "requeuelib"} {
		if !c.uses(file, name) {
			return name, false, true
		}
	}
	return "", false, false
}

// uses reports whether a file, or its package, uses a name for something.
func (c *code) uses(file *ast.File, name string) bool {
	found := c.pass.Pkg.Scope().Lookup(name) != nil
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr: // a field or a method of the name is none
			ast.Inspect(n.X, func(n ast.Node) bool {
				id, ok := n.(*ast.Ident)
				found = found || ok && id.Name == name
				return !found
			})
			return false
		case *ast.Ident:
			found = found || n.Name == name
		}
		return !found
	})
	return found
}

// lookup returns what a name means at a position.
func (c *code) lookup(name string, pos token.Pos) types.Object {
	scope := c.pass.TypesInfo.Scopes[c.file(pos)]
	if scope == nil {
		return nil
	}
	if inner := scope.Innermost(pos); inner != nil {
		scope = inner
	}
	_, obj := scope.LookupParent(name, pos)
	return obj
}

// outdated removes the comment at the end of the line of an expression that is replaced, if
// it speaks of what is no longer there.
func (c *code) outdated(e ast.Expr, by string) (analysis.TextEdit, bool) {
	file := c.file(e.Pos())
	line := c.line(e.End())
	gone := map[string]bool{}
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !strings.Contains(by, id.Name) {
			gone[id.Name] = true
		}
		return true
	})
	for _, group := range file.Comments {
		if group.Pos() < e.End() || c.line(group.Pos()) != line {
			continue
		}
		for _, word := range strings.FieldsFunc(group.Text(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }) {
			if gone[word] {
				return analysis.TextEdit{Pos: group.Pos(), End: group.End()}, true
			}
		}
	}
	return analysis.TextEdit{}, false
}

// addImport imports this library where goimports would: in the group with the import that
// is most like it, or in one of its own behind the standard library.
func (c *code) addImport(pos token.Pos, name string) analysis.TextEdit {
	file := c.file(pos)
	spec := strconv.Quote(flow.LibraryPath)
	if name != "requeue" {
		spec = name + " " + spec
	}
	insert := func(at token.Pos, text string) analysis.TextEdit {
		return analysis.TextEdit{Pos: at, End: at, NewText: []byte(text)}
	}
	if len(file.Imports) == 0 {
		return insert(file.Name.End(), "\n\nimport "+spec)
	}
	// The first declaration of a file that imports something is an import.
	d := file.Decls[0].(*ast.GenDecl)
	if !d.Lparen.IsValid() {
		return insert(d.End(), "\nimport "+spec)
	}
	var like *ast.ImportSpec // the last of the group that is most like it
	most := 0
	for _, s := range d.Specs {
		s := s.(*ast.ImportSpec)
		path, _ := strconv.Unquote(s.Path.Value)
		if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
			continue
		}
		n := 1 + inCommon(path, flow.LibraryPath)
		switch {
		case n > most:
			like, most = s, n
		case like != nil && c.line(s.Pos()) == c.line(like.End())+1 && path < flow.LibraryPath:
			like = s
		}
	}
	if like == nil {
		last := d.Specs[len(d.Specs)-1].(*ast.ImportSpec)
		return insert(endOf(last), "\n\n\t"+spec)
	}
	if path, _ := strconv.Unquote(like.Path.Value); path > flow.LibraryPath {
		at := like.Pos()
		if like.Doc != nil {
			at = like.Doc.Pos()
		}
		return insert(at, spec+"\n\t")
	}
	return insert(endOf(like), "\n\t"+spec)
}

func endOf(spec *ast.ImportSpec) token.Pos {
	if spec.Comment != nil {
		return spec.Comment.End()
	}
	return spec.End()
}

// inCommon is how many elements two paths have in common at their start.
func inCommon(a, b string) (n int) {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for n < len(as) && n < len(bs) && as[n] == bs[n] {
		n++
	}
	return n
}

// fixWait replaces the time left by the wait of a plan, if it is used for nothing else.
func (c *code) fixWait(w wait) []analysis.SuggestedFix {
	if w.Why != flow.TimeLeft || w.Origin.Instr == nil {
		return nil
	}
	v := c.flow.Maker(w.Origin.Value)
	if v == nil || v.Parent() != w.Origin.Fn() || !usedOnce(v) {
		return nil
	}
	e, ok := c.flow.Node(v.Pos()).(ast.Expr)
	if !ok {
		return nil
	}
	plan, ok := c.plan(v, e)
	if !ok {
		return nil
	}
	whole, every := e, ""
	// min(poll, time.Until(deadline))
	for _, r := range *v.Referrers() {
		call, ok := r.(*ssa.Call)
		if !ok {
			continue
		}
		b, ok := call.Call.Value.(*ssa.Builtin)
		n, isCall := c.flow.Node(call.Pos()).(*ast.CallExpr)
		if !ok || b.Name() != "min" || !isCall || len(n.Args) != 2 || !usedOnce(call) {
			return nil
		}
		other := n.Args[0]
		if other == e {
			other = n.Args[1]
		}
		whole, every = n, ".Every("+c.flow.Text(other)+")"
	}
	return c.replace(whole, "wait by a plan", func(pkg string) string {
		return pkg + ".From(" + plan.now + ")" + every + plan.part + ".After()"
	})
}

func usedOnce(v ssa.Value) bool { return v.Referrers() != nil && len(*v.Referrers()) == 1 }

// A written plan is the source of one: the time it counts from, and its part.
type written struct{ now, part string }

// plan writes the time left as a plan.
func (c *code) plan(v ssa.Value, e ast.Expr) (written, bool) {
	switch v := v.(type) {
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
			now, ok := c.nowOf(sel)
			at, ok2 := c.instant(call.Args[0])
			return written{now, ".Deadline(" + at + ")"}, ok && ok2
		case "Sub":
			if _, ok := c.flow.Sum(v.Call.Args[1]).Only(); !ok {
				return written{}, false
			}
			now, ok := c.instant(call.Args[0])
			at, ok2 := c.instant(sel.X)
			return written{now, ".Deadline(" + at + ")"}, ok && ok2
		}
	case *ssa.BinOp:
		sub, ok := e.(*ast.BinaryExpr)
		if !ok || v.Op != token.SUB {
			return written{}, false
		}
		start, now, ok := c.elapsed(sub.Y)
		return written{now, ".Timeout(" + start + ", " + c.flow.Text(ast.Unparen(sub.X)) + ")"}, ok
	}
	return written{}, false
}

// elapsed takes time.Since(start) and now.Sub(start) apart.
func (c *code) elapsed(e ast.Expr) (start, now string, ok bool) {
	call, isCall := ast.Unparen(e).(*ast.CallExpr)
	if !isCall || len(call.Args) != 1 {
		return "", "", false
	}
	sel, isSel := call.Fun.(*ast.SelectorExpr)
	if !isSel {
		return "", "", false
	}
	start, ok = c.instant(call.Args[0])
	switch {
	case !ok:
	case sel.Sel.Name == "Since":
		now, ok = c.nowOf(sel)
		return start, now, ok
	case sel.Sel.Name == "Sub":
		now, ok = c.instant(sel.X)
		return start, now, ok
	}
	return "", "", false
}

// nowOf writes the reading of the clock that a call of Since or Until makes.
func (c *code) nowOf(sel *ast.SelectorExpr) (string, bool) {
	if id, ok := sel.X.(*ast.Ident); ok {
		if pkg, ok := c.pass.TypesInfo.Uses[id].(*types.PkgName); ok {
			return id.Name + ".Now()", pkg.Imported().Path() == "time"
		}
	}
	obj, _, _ := types.LookupFieldOrMethod(c.pass.TypesInfo.TypeOf(sel.X), true, c.pass.Pkg, "Now")
	fn, ok := obj.(*types.Func)
	if !ok || fn.Signature().Params().Len() != 0 || fn.Signature().Results().Len() != 1 || !flow.IsNamed(fn.Signature().Results().At(0).Type(), "time", "Time") {
		return "", false
	}
	return c.flow.Text(sel.X) + ".Now()", true
}

// instant writes an expression as a time.Time.
func (c *code) instant(e ast.Expr) (string, bool) {
	t := c.pass.TypesInfo.TypeOf(e)
	switch {
	case t == nil:
		return "", false
	case flow.IsNamed(t, "time", "Time"):
		return c.flow.Text(e), true
	case flow.IsMetaTime(flow.Deref(t)):
		return c.flow.Text(e) + ".Time", true
	}
	return "", false
}

// fixLate replaces a fixed interval by a plan that has it for a poll, and the deadline that
// was tested.
func (c *code) fixLate(s *flow.Sink, test flow.Fact) []analysis.SuggestedFix {
	branch, ok := test.At.(*ssa.If)
	if !ok || branch.Parent() != s.Origin.Fn() {
		return nil
	}
	kv, ok := c.flow.Node(s.Origin.Instr.Pos()).(*ast.KeyValueExpr)
	if !ok {
		return nil
	}
	x := branch.Cond
	for {
		not, ok := x.(*ssa.UnOp)
		if !ok || not.Op != token.NOT {
			break
		}
		x = not.X
	}
	e, ok := c.flow.Node(x.Pos()).(ast.Expr)
	if !ok {
		return nil
	}
	w, ok := c.testedDeadline(e)
	if !ok || !c.sameThere(e, kv.Pos()) {
		return nil
	}
	return c.replace(kv.Value, "wait by a plan", func(pkg string) string {
		return pkg + ".From(" + w.now + ").Every(" + c.flow.Text(kv.Value) + ")" + w.part + ".After()"
	})
}

// testedDeadline writes the deadline of a test as a plan.
func (c *code) testedDeadline(e ast.Expr) (written, bool) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		elapsed, timeout := e.X, e.Y
		if e.Op == token.LSS || e.Op == token.LEQ {
			if _, _, ok := c.elapsed(elapsed); !ok {
				elapsed, timeout = timeout, elapsed
			}
		}
		start, now, ok := c.elapsed(elapsed)
		return written{now, ".Timeout(" + start + ", " + c.flow.Text(timeout) + ")"}, ok
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		if !ok || len(e.Args) != 1 {
			return written{}, false
		}
		a, ok := c.instant(sel.X)
		b, ok2 := c.instant(e.Args[0])
		if !ok || !ok2 {
			return written{}, false
		}
		// now.After(deadline), deadline.Before(now), and the two turned round.
		if c.isNow(sel.X) {
			return written{a, ".Deadline(" + b + ")"}, true
		}
		if c.isNow(e.Args[0]) {
			return written{b, ".Deadline(" + a + ")"}, true
		}
	}
	return written{}, false
}

var clockName = regexp.MustCompile(`^(now|Now|currentTime|current|.*Now)$`)

// isNow reports whether an expression is a reading of the clock, or named like one.
func (c *code) isNow(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return clockName.MatchString(e.Name)
	case *ast.CallExpr:
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
			return sel.Sel.Name == "Now" && len(e.Args) == 0
		}
	}
	return false
}

// sameThere reports whether all names of an expression mean the same at another position.
func (c *code) sameThere(e ast.Expr, pos token.Pos) bool {
	same := true
	ast.Inspect(e, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			same = same && c.sameThere(sel.X, pos)
			return false
		}
		if id, ok := n.(*ast.Ident); ok {
			if obj := c.pass.TypesInfo.Uses[id]; obj != nil && c.lookup(id.Name, pos) != obj {
				same = false
			}
		}
		return same
	})
	return same
}
