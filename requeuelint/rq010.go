package requeuelint

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq010 = Rule{
	Code:   "RQ010",
	Doc:    "Requeue: true, which is deprecated, with what to write in its place",
	Advice: true,
	run: func(c *code) {
		for _, file := range c.pass.Files {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if t := c.pass.TypesInfo.TypeOf(n); t != nil && flow.IsResult(t) {
						c.requeues(n)
					}
				case *ast.AssignStmt:
					for i, l := range n.Lhs {
						sel, ok := l.(*ast.SelectorExpr)
						if ok && len(n.Lhs) == len(n.Rhs) && sel.Sel.Name == "Requeue" && c.isTrue(n.Rhs[i]) && flow.IsResult(c.pass.TypesInfo.TypeOf(sel.X)) {
							c.requeue(n, nil)
						}
					}
				}
				return true
			})
		}
	},
}

func (c *code) requeues(lit *ast.CompositeLit) {
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if id, ok := kv.Key.(*ast.Ident); ok && id.Name == "Requeue" && c.isTrue(kv.Value) {
			c.requeue(kv, c.fixRequeue(lit, kv))
		}
	}
}

func (c *code) requeue(n ast.Node, fixes []analysis.SuggestedFix) {
	c.report(finding{
		pos: n.Pos(), end: n.End(), fixes: fixes,
		cause:       "Requeue: true is deprecated, and asks the rate limiter, which knows no deadline",
		consequence: "the wait is anything from 5 ms to a quarter of an hour",
		remedy:      "return the error of a failure, nothing for a watched object, and else a RequeueAfter: of a requeue.Plan, or of retry.Limiter.Next",
	})
}

func (c *code) isTrue(e ast.Expr) bool {
	v := c.pass.TypesInfo.Types[e].Value
	return v != nil && v.String() == "true"
}

// fixRequeue puts the wait of a plan in place of Requeue: true, if there is a plan.
func (c *code) fixRequeue(lit *ast.CompositeLit, kv *ast.KeyValueExpr) []analysis.SuggestedFix {
	if len(lit.Elts) != 1 {
		return nil
	}
	plan := ""
	scope := c.pass.TypesInfo.Scopes[c.file(kv.Pos())].Innermost(kv.Pos())
	for ; scope != nil && plan == ""; scope = scope.Parent() {
		for _, name := range scope.Names() {
			v, ok := scope.Lookup(name).(*types.Var)
			if ok && v.Pos() < kv.Pos() && flow.IsNamed(v.Type(), flow.LibraryPath, "Plan") {
				plan = name
			}
		}
	}
	if plan == "" {
		return nil
	}
	return []analysis.SuggestedFix{{Message: "wait by the plan", TextEdits: []analysis.TextEdit{
		{Pos: kv.Pos(), End: kv.End(), NewText: []byte("RequeueAfter: " + plan + ".After()")},
	}}}
}
