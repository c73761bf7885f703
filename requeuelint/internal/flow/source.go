package flow

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// Node returns the call, operator or field of the source that SSA has at a position.
func (p *Program) Node(pos token.Pos) ast.Node {
	if p.nodes == nil {
		p.nodes = map[token.Pos]ast.Node{}
		for _, f := range p.Pass.Files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					p.nodes[n.Lparen] = n
				case *ast.BinaryExpr:
					p.nodes[n.OpPos] = n
				case *ast.KeyValueExpr:
					p.nodes[n.Colon] = n
				case *ast.ReturnStmt:
					p.nodes[n.Return] = n
				case *ast.SelectorExpr:
					if _, ok := p.nodes[n.Sel.Pos()]; !ok {
						p.nodes[n.Sel.Pos()] = n
					}
				case *ast.AssignStmt:
					if len(n.Lhs) == len(n.Rhs) {
						for _, l := range n.Lhs {
							if s, ok := l.(*ast.SelectorExpr); ok {
								p.nodes[s.Sel.Pos()] = n
							}
						}
					}
				}
				return true
			})
		}
	}
	return p.nodes[pos]
}

// Text is the source of an expression.
func (p *Program) Text(e ast.Node) string {
	var b bytes.Buffer
	if err := format.Node(&b, p.Pass.Fset, e); err != nil {
		if e, ok := e.(ast.Expr); ok {
			return types.ExprString(e)
		}
	}
	return b.String()
}

// Maker returns the expression that the time left, as part of a wait, was computed by: in this function, or
// in one of the package that it was returned from. It is nil if it was in another package.
func (p *Program) Maker(v ssa.Value) ssa.Value {
	seen := map[ssa.Value]bool{}
	var find func(v ssa.Value) ssa.Value
	find = func(v ssa.Value) ssa.Value {
		if seen[v] {
			return nil
		}
		seen[v] = true
		first := func(all ...ssa.Value) ssa.Value {
			for _, w := range all {
				if found := find(w); found != nil {
					return found
				}
			}
			return nil
		}
		switch v := v.(type) {
		case *ssa.Phi:
			return first(v.Edges...)
		case *ssa.Convert:
			return first(v.X)
		case *ssa.ChangeType:
			return first(v.X)
		case *ssa.Extract:
			return first(v.Tuple)
		case *ssa.BinOp:
			if p.Sum(v).Left() {
				return v
			}
			return first(v.X, v.Y)
		case *ssa.UnOp:
			if v.Op == token.SUB && p.Sum(v).Left() {
				return first(v.X)
			}
			if v.Op == token.MUL {
				var all []ssa.Value
				for _, s := range p.setters(v.Parent(), p.loc(v.X)) {
					all = append(all, s.Val)
				}
				if a, ok := v.X.(*ssa.Alloc); ok {
					for _, s := range stores(a) {
						all = append(all, s.Val)
					}
				}
				if fv, ok := v.X.(*ssa.FreeVar); ok {
					if b := captured(fv); b != nil {
						for _, s := range stores(b) {
							all = append(all, s.Val)
						}
					}
				}
				return first(all...)
			}
		case *ssa.Call:
			if fn := v.Call.StaticCallee(); fn != nil && len(fn.Blocks) > 0 {
				for _, r := range Returns(fn) {
					for _, w := range r.Results {
						if IsDuration(w.Type()) {
							if found := find(w); found != nil {
								return found
							}
						}
					}
				}
			}
			if p.Sum(v).Left() {
				if x, ok := p.unrounded(v); ok {
					return first(x)
				}
				return v
			}
			return first(v.Call.Args...)
		}
		return nil
	}
	return find(v)
}

// unrounded is what a call rounds.
func (p *Program) unrounded(v *ssa.Call) (ssa.Value, bool) {
	fn := v.Call.StaticCallee()
	if fn == nil {
		return nil, false
	}
	switch FullName(fn) {
	case "time.Duration.Round", "time.Duration.Truncate":
		return v.Call.Args[0], true
	}
	return nil, false
}

// Call is the call in the function looked at that an atom is the result of, or nil.
func (a *Atom) Call() *ssa.Call {
	call, _ := a.site.(*ssa.Call)
	return call
}
