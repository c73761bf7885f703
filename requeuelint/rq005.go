package requeuelint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"time"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

// shortest is the shortest fixed interval that is reported as late.
const shortest = 10 * time.Second

var rq005 = Rule{
	Code: "RQ005",
	Doc:  "a fixed RequeueAfter where a deadline is tested, which is noticed late",
	run: func(c *code) {
		for _, fn := range c.functions() {
			if c.flow.TellsQueue(fn) || c.flow.IsRaised(fn) {
				continue
			}
			for _, s := range c.flow.Sinks(fn) {
				if s.Family == flow.Drops && s.Origin.Fn() == fn && !isMerged(s) {
					c.late(s)
				}
			}
		}
	},
}

// late reports a wait that does not end with the deadline that was tested before it.
func (c *code) late(s *flow.Sink) {
	for _, one := range c.flow.Cases(s.Wait, s.Known, nothing) {
		interval, ok := c.fixed(one.Sum)
		if !ok {
			continue
		}
		for _, at := range c.leadingTo(s.At, one.Known, 0) {
			f, ok := c.missed(one.Sum, at.known)
			if !ok || c.flow.TellsQueue(at.fn) {
				continue
			}
			pos, end := c.place(s.At)
			c.report(finding{
				pos: pos, end: end, fixes: c.fixLate(s, f),
				cause:       fmt.Sprintf("a deadline is tested (%s) and then waited for by %s", c.tested(f), interval),
				consequence: "it is noticed up to that much late",
				remedy:      "use requeue.NextRequeue or a requeue.Plan",
			})
			return
		}
	}
}

// isMerged reports whether a result is handed to a function, which may take another wait.
func isMerged(s *flow.Sink) bool {
	store, ok := s.Origin.Instr.(*ssa.Store)
	if !ok {
		return false
	}
	fa, ok := store.Addr.(*ssa.FieldAddr)
	if !ok || fa.X.Referrers() == nil {
		return false
	}
	handed := func(r ssa.Instruction) bool {
		if s, ok := r.(*ssa.Store); ok { // into a list of arguments
			_, isElement := s.Addr.(*ssa.IndexAddr)
			return isElement
		}
		call, ok := r.(*ssa.Call)
		return ok && !(flow.Called(&call.Call) != nil && flow.Called(&call.Call).Name() == "IsZero")
	}
	return slices.ContainsFunc(*fa.X.Referrers(), func(r ssa.Instruction) bool {
		load, ok := r.(*ssa.UnOp)
		return handed(r) || ok && load.Referrers() != nil && slices.ContainsFunc(*load.Referrers(), handed)
	})
}

// A place is a function that leads to a wait, and what is known then.
type place struct {
	fn    *ssa.Function
	known flow.Known
}

// leadingTo are the function of a wait, and those of the package that return what it
// returns.
func (c *code) leadingTo(at ssa.Instruction, k flow.Known, depth int) []place {
	fn := at.Parent()
	all := []place{{fn, k}}
	if depth > flow.MaxDepth {
		return all
	}
	for _, call := range c.flow.Callers(fn) {
		if handsUp(call) {
			all = append(all, c.leadingTo(call, c.flow.Known(call.Block()), depth+1)...)
		}
	}
	return all
}

// handsUp reports whether the result of a call is returned, whatever comes with it.
func handsUp(call *ssa.Call) bool {
	seen := map[ssa.Value]bool{}
	var up func(v ssa.Value) bool
	up = func(v ssa.Value) bool {
		if seen[v] || v.Referrers() == nil {
			return false
		}
		seen[v] = true
		return slices.ContainsFunc(*v.Referrers(), func(r ssa.Instruction) bool {
			switch r := r.(type) {
			case *ssa.Return:
				return true
			case *ssa.Extract:
				return flow.IsResult(r.Type()) && up(r)
			case *ssa.Phi:
				return up(r)
			case *ssa.UnOp:
				return up(r)
			case *ssa.Store:
				return r.Val == v && up(r.Addr)
			}
			return false
		})
	}
	return up(call)
}

// fixed tells a wait that is always the same: a constant that is not short, or an interval
// that is configured.
func (c *code) fixed(s flow.Sum) (string, bool) {
	if s.IsConst() {
		return "a fixed " + time.Duration(s.C).String(), time.Duration(s.C) >= shortest
	}
	a, ok := s.Only()
	if !ok || a.Clock || !a.Duration || !a.Configured() || !intervalName.MatchString(a.Name()) {
		return "", false
	}
	return a.Name(), true
}

var (
	intervalName = regexp.MustCompile(`(?i)interval|period|requeue|resync|poll|every|retry|delay|backoff`)
	timeoutName  = regexp.MustCompile(`(?i)timeout|deadline|ttl|expir|grace|lifetime|maxage|maxwait|maxduration|validuntil|notafter`)
)

// missed returns the test of a deadline that a wait does not end with: it has not come, and
// nothing says that it is further away than the wait is long.
func (c *code) missed(wait flow.Sum, k flow.Known) (found flow.Fact, ok bool) {
	for _, f := range k.Tests() {
		left, isTest := f.NotCome()
		if !isTest {
			continue
		}
		// The rest is known to be longer: the wait is the shorter of the two.
		if wait.IsConst() && left.C <= -wait.C && len(left.Terms) > 0 || slices.ContainsFunc(wait.Atoms(), func(a *flow.Atom) bool { return slices.Contains(left.Atoms(), a) }) {
			return flow.Fact{}, false
		}
		// A timeout that is known, and ten times as long, is not missed by much.
		if wait.IsConst() && left.C >= 10*wait.C {
			continue
		}
		if !ok && c.isTimeout(f, left) {
			found, ok = f, true
		}
	}
	return found, ok
}

// isTimeout tells a deadline by its shape, an instant and what is added to it, and by the
// name of what it is compared with.
func (c *code) isTimeout(f flow.Fact, left flow.Sum) bool {
	if !isDeadline(left) {
		return false
	}
	for _, a := range left.Atoms() {
		if !a.Clock && slices.ContainsFunc(a.Names(), timeoutName.MatchString) {
			return true
		}
	}
	// A constant has a name in the source only.
	return left.C != 0 && timeoutName.MatchString(c.tested(f))
}

// isDeadline reports whether a sum is the time left until one instant that is kept
// somewhere, and not the next run of a schedule.
func isDeadline(left flow.Sum) bool {
	instants := 0
	for _, a := range left.Atoms() {
		switch {
		case a.Clock:
		case a.Derived():
			return false
		case a.Time:
			instants++
		}
	}
	return instants == 1
}

// tested is the source of a test, with its line.
func (c *code) tested(f flow.Fact) string {
	var v interface{ Pos() token.Pos }
	switch at := f.At.(type) {
	case *ssa.If:
		v = at.Cond
		for {
			not, ok := v.(*ssa.UnOp)
			if !ok {
				break
			}
			v = not.X
		}
	case nil:
		return ""
	default:
		v = at
	}
	if n, ok := c.flow.Node(v.Pos()).(ast.Expr); ok {
		return fmt.Sprintf("%s, line %d", c.expr(n), c.line(n.Pos()))
	}
	return fmt.Sprintf("line %d", c.line(v.Pos()))
}
