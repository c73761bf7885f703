package requeuelint

import (
	"fmt"
	"go/ast"
	"go/token"
	"iter"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

// code is the package that a rule looks at.
type code struct {
	*shared
	pass     *analysis.Pass // of the analyzer of the rule
	rule     Rule
	reported map[token.Pos]bool
}

// A finding is what a rule has found: what is wrong, what comes of it, and what to do.
type finding struct {
	pos, end                   token.Pos
	cause, consequence, remedy string
	fixes                      []analysis.SuggestedFix
}

// functions are those that a rule looks at: not those of generated files nor, unless they
// are asked for, of tests.
func (c *code) functions() (all []*ssa.Function) {
	for _, fn := range c.flow.Funcs {
		if !c.skipped(fn.Pos()) {
			all = append(all, fn)
		}
	}
	return all
}

// instructions iterates over those of the functions.
func (c *code) instructions() iter.Seq[ssa.Instruction] {
	return func(yield func(ssa.Instruction) bool) {
		for _, fn := range c.functions() {
			for instr := range flow.Instructions(fn) {
				if !yield(instr) {
					return
				}
			}
		}
	}
}

// report tells a finding that no comment has accepted, once.
func (c *code) report(f finding) {
	if !f.end.IsValid() || f.end < f.pos {
		f.end = f.pos
	}
	if !f.pos.IsValid() || c.reported[f.pos] || c.skipped(f.pos) {
		return
	}
	accepted, note := c.accepted(f.pos, c.rule.Code)
	if accepted {
		return
	}
	if c.reported == nil {
		c.reported = map[token.Pos]bool{}
	}
	c.reported[f.pos] = true
	c.pass.Report(analysis.Diagnostic{
		Pos: f.pos, End: f.end, Category: c.rule.Code, URL: c.rule.URL(), SuggestedFixes: f.fixes,
		Message: fmt.Sprintf("%s: %s: %s; %s%s (%s)", c.rule.Code, f.cause, f.consequence, f.remedy, note, c.rule.URL()),
	})
}

// place returns where a wait is handed over in the source.
func (c *code) place(instr ssa.Instruction) (pos, end token.Pos) {
	switch n := c.flow.Node(instr.Pos()).(type) {
	case *ast.KeyValueExpr:
		return n.Value.Pos(), n.Value.End()
	case *ast.AssignStmt:
		return n.Pos(), n.End()
	case *ast.CallExpr:
		return n.Pos(), n.End()
	case *ast.ReturnStmt:
		return n.Pos(), n.End()
	}
	return instr.Pos(), instr.Pos()
}

// at is where a wait is handed over, in this package.
func (w wait) at() ssa.Instruction {
	if w.Origin.Instr != nil {
		return w.Origin.Instr
	}
	return w.At
}

// expr is the source of an expression, cut if it is long.
func (c *code) expr(e ast.Node) string {
	const most = 70
	s := strings.Join(strings.Fields(c.flow.Text(e)), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most-3]) + "..."
	}
	return s
}

// made tells what makes a wait as it is: the expression, and where it is if that is not
// where the wait is handed over.
func (c *code) made(w wait) string {
	what, where := "", ""
	if w.Origin.Instr != nil {
		if v := c.flow.Maker(w.Origin.Value); v != nil {
			if n, ok := c.flow.Node(v.Pos()).(ast.Expr); ok {
				what = c.expr(n)
			}
			if call, ok := v.(*ssa.Call); ok {
				if says := c.flow.Says(call); says != "" {
					what += ": " + says
				}
			}
			if c.line(v.Pos()) != c.line(w.Origin.Instr.Pos()) {
				where = ", computed at " + c.position(v.Pos())
			}
		} else if n, ok := c.flow.Node(w.Origin.Value.Pos()).(ast.Expr); ok {
			what = c.expr(n)
		}
	}
	if what == "" {
		if call, ok := w.At.(*ssa.Call); ok {
			if n, ok := c.flow.Node(call.Pos()).(ast.Expr); ok {
				what = c.expr(n)
			}
		}
	}
	if w.Origin.Where != "" {
		where = ", handed to the queue at " + w.Origin.Where
	}
	if what == "" {
		what = w.Sum.Describe()
	}
	return what + where
}

func (c *code) line(pos token.Pos) int { return c.pass.Fset.Position(pos).Line }

// position is the file and the line of a place.
func (c *code) position(pos token.Pos) string {
	at := c.pass.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", filepath.Base(at.Filename), at.Line)
}

// consequence is what a queue makes of a wait of 0 or less.
func consequence(f flow.Family) string {
	if f == flow.Drops {
		return "controller-runtime drops 0 or less, and nothing wakes the object"
	}
	return "0 or less is added at once, over and over while the deadline stays in the past"
}
