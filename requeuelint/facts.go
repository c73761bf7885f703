package requeuelint

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

// shared is what the rules have in common for one package.
type shared struct {
	mu   sync.Mutex
	pass *analysis.Pass
	flow *flow.Program // nil of a package that has nothing to look at

	judged []wait                                // see waits
	tested map[*ssa.Function]map[*types.Var]bool // see testedFields
}

// base makes what the rules share, and tells the packages that import this one what its
// functions do. It reports nothing.
var base = newBase()

// Flags of base.
var (
	withTests bool
	queues    list
)

func newBase() *analysis.Analyzer {
	a := &analysis.Analyzer{
		Name:       "requeuelint",
		Doc:        "compute what the rules of requeuelint have in common",
		Run:        run,
		FactTypes:  []analysis.Fact{(*flow.Portable)(nil)},
		ResultType: reflect.TypeFor[*shared](),
	}
	a.Flags.BoolVar(&withTests, "tests", false, "report findings in _test.go files, too")
	a.Flags.Var(&queues, "sink", "a `function` that hands a wait to a work queue: path.Func:N or path.Type.Method:N, where N is the number of the argument that is the wait, from 0; more than one by commas")
	return a
}

// Base returns the analyzer that the analyzers of the rules require. A driver that parses flags
// includes it for its flags: -requeuelint.tests also reports findings in test files, and
// -requeuelint.sink names functions that hand a wait to a work queue.
func Base() *analysis.Analyzer { return base }

// A list is a flag of names, by commas or one at a time.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if err := flow.CheckSetting(one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

func run(pass *analysis.Pass) (any, error) {
	s := &shared{pass: pass, tested: map[*ssa.Function]map[*types.Var]bool{}}
	// This library keeps its promises, which an analysis of its code cannot see.
	if path := flow.PkgPath(pass.Pkg); path == flow.LibraryPath || path == flow.QueuePath || path == "time" {
		return s, nil
	}
	err := s.guard(func() {
		if !matters(pass) {
			return
		}
		s.flow = flow.New(pass, queues)
		s.export()
	})
	return s, err
}

// guard keeps a bug of this linter from ending a run, where the package that it fails on is
// of another module.
func (s *shared) guard(do func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.flow = nil
			if s.pass.Module == nil || s.pass.Module.Version == "" {
				err = fmt.Errorf("requeuelint fails on %s, which is a bug: %v\n%s", s.pass.Pkg.Path(), r, debug.Stack())
			}
		}
	}()
	do()
	return nil
}

// export tells other packages of the functions of this one, but for generated ones: those of
// the API packages are thousands, and compute no wait.
func (s *shared) export() {
	for _, fn := range s.flow.Funcs {
		obj, ok := fn.Object().(*types.Func)
		if !ok || s.inTest(fn.Pos()) || s.generated(fn.Pos()) {
			continue
		}
		f := s.flow.Export(fn)
		if f == nil {
			continue
		}
		f.Nils = s.testedTimes(fn)
		if !f.Empty() {
			s.pass.ExportObjectFact(obj, f)
		}
	}
}

// matters reports whether a package has anything that a rule looks at. Most packages have
// not, and to build SSA of one takes as long as to check its types.
func matters(pass *analysis.Pass) bool {
	for _, obj := range pass.TypesInfo.Uses {
		switch obj := obj.(type) {
		case *types.Var:
			if obj.IsField() {
				switch obj.Name() {
				case "RequeueAfter", "After", "Requeue":
					return true
				}
			}
		case *types.TypeName:
			if flow.IsResult(obj.Type()) {
				return true
			}
		case *types.Func:
			if obj.Pkg() != nil && tellsOfWaits(pass, obj) {
				return true
			}
		}
	}
	return setsDefaults(pass) || arithmeticOfDurations(pass)
}

// setsDefaults reports whether there is a defaulting function or webhook, which may set an
// optional time or span.
func setsDefaults(pass *analysis.Pass) bool {
	return slices.ContainsFunc(pass.Files, func(f *ast.File) bool {
		return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
			fn, ok := d.(*ast.FuncDecl)
			return ok && isDefaulting(fn.Name.Name)
		})
	})
}

func isDefaulting(name string) bool {
	return strings.HasPrefix(name, "SetDefaults") || name == "Default"
}

func tellsOfWaits(pass *analysis.Pass, fn *types.Func) bool {
	if _, ok := flow.SinkCall(fn); ok {
		return true
	}
	switch fn.Name() {
	case "Until", "Since":
		return true
	case "Sub", "Before", "After":
		params := fn.Signature().Params()
		return params.Len() > 0 && flow.IsTime(params.At(0).Type())
	case "Pow", "Exp2":
		return flow.PkgPath(fn.Pkg()) == "math"
	}
	for _, q := range queues {
		if name, _, _ := strings.Cut(q, ":"); name == flow.ObjName(fn) {
			return true
		}
	}
	var f flow.Portable
	return pass.ImportObjectFact(fn.Origin(), &f) && f.Waits()
}

// arithmeticOfDurations reports whether there are products and quotients of durations, or
// one that is negative is returned.
func arithmeticOfDurations(pass *analysis.Pass) (found bool) {
	for _, f := range pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch e := n.(type) {
			case *ast.BinaryExpr:
				if e.Op == token.SHL || e.Op == token.QUO || e.Op == token.MUL {
					if tv := pass.TypesInfo.Types[e]; tv.Type != nil && tv.Value == nil && flow.IsDuration(tv.Type) {
						found = true
					}
				}
			case *ast.ReturnStmt: // -1 for no more tries
				for _, r := range e.Results {
					tv := pass.TypesInfo.Types[r]
					found = found || tv.Value != nil && flow.IsDuration(tv.Type) && constant.Sign(tv.Value) < 0
				}
			case *ast.AssignStmt:
				if e.Tok == token.MUL_ASSIGN || e.Tok == token.SHL_ASSIGN {
					found = found || flow.IsDuration(pass.TypesInfo.TypeOf(e.Lhs[0]))
				}
			}
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

func (s *shared) inTest(pos token.Pos) bool {
	return strings.HasSuffix(s.pass.Fset.Position(pos).Filename, "_test.go")
}
