// Package flow knows what the values of a package are, as far as waits go: each as a sum of
// instants, spans and readings of the clock, what is known where they are used, and what a
// function does with those that it is handed.
//
// It is built in rooms, each of which uses those above it. One arrow goes up: the value of a
// call is what the summary of its function says, and a summary is made of values.
//
//   - types.go and clock.go: names and types.
//   - atom.go, sum.go and fact.go: values that nothing more is known of, sums of them, and
//     what tests have told of such sums.
//   - memory.go: which store a load reads.
//   - value.go and results.go, known.go and nil.go: the sum that a value is, when a boolean is
//     true or a pointer nil, and what is known in a block.
//   - ways.go, summary.go and calling.go: the ways that a value comes about, and the ways that a function
//     returns. A summary is in terms of the parameters. A caller puts its arguments in their
//     place, whether the function is of this package or of another.
//   - queues.go and sinks.go: the queues that take a wait.
//   - sign.go: whether a wait can be 0 or negative.
//   - uses.go, pairs.go and source.go: what rules ask of values, of what a reconciler returns,
//     and of the source.
//   - export.go: summaries on their way to another package.
package flow

import (
	"go/ast"
	"go/token"
	"go/types"
	"iter"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// A Program is one package, ready to be looked at. It works out what it is asked for, once.
// It is not safe for concurrent use.
type Program struct {
	Pass  *analysis.Pass
	Funcs []*ssa.Function // with a body, literals too

	calls  map[*ssa.Function][]*ssa.Call // of functions of the package, by callee
	values map[*ssa.Function]bool        // functions that are used as values

	atoms     map[atomKey]*Atom
	locs      map[ssa.Value]*Atom
	sums      map[ssa.Value]Sum
	stored    map[*ssa.Function]map[*Atom][]*ssa.Store
	memories  map[*Atom][]definition
	known     map[*ssa.BasicBlock]Known
	locals    map[*ssa.BasicBlock]Formula
	answers   map[asked]Formula
	getters   map[*Atom]*ssa.Call // methods that give the same each time, with one of their calls
	instances map[*ssa.Call][]returned
	summaries map[*ssa.Function]*Summary
	imported  map[*types.Func]*Summary
	sinks     map[*ssa.Function][]*Sink
	fields    map[*types.Var]*queueArg
	tests     [][]string
	settings  []queueSetting
	nodes     map[token.Pos]ast.Node
}

// New makes SSA of a package. Others names queue functions of the user's own, each as
// path.Func:index or path.Type.Method:index.
func New(pass *analysis.Pass, others []string) *Program {
	p := &Program{
		Pass:      pass,
		calls:     map[*ssa.Function][]*ssa.Call{},
		values:    map[*ssa.Function]bool{},
		atoms:     map[atomKey]*Atom{},
		locs:      map[ssa.Value]*Atom{},
		sums:      map[ssa.Value]Sum{},
		stored:    map[*ssa.Function]map[*Atom][]*ssa.Store{},
		memories:  map[*Atom][]definition{},
		known:     map[*ssa.BasicBlock]Known{},
		locals:    map[*ssa.BasicBlock]Formula{},
		answers:   map[asked]Formula{},
		getters:   map[*Atom]*ssa.Call{},
		instances: map[*ssa.Call][]returned{},
		summaries: map[*ssa.Function]*Summary{},
		imported:  map[*types.Func]*Summary{},
		sinks:     map[*ssa.Function][]*Sink{},
		settings:  parseSettings(others),
	}
	p.build()
	p.index()
	return p
}

// build makes SSA of the package. It is what passes/buildssa does, which a driver would run
// on packages that have nothing to look at, too.
func (p *Program) build() {
	prog := ssa.NewProgram(p.Pass.Fset, ssa.BuilderMode(0))
	seen := map[*types.Package]bool{}
	var create func(all []*types.Package)
	create = func(all []*types.Package) {
		for _, dep := range all {
			if !seen[dep] {
				seen[dep] = true
				prog.CreatePackage(dep, nil, nil, true)
				create(dep.Imports())
			}
		}
	}
	create(p.Pass.Pkg.Imports())
	pkg := prog.CreatePackage(p.Pass.Pkg, p.Pass.Files, p.Pass.TypesInfo, false)
	pkg.Build()

	var add func(fn *ssa.Function)
	add = func(fn *ssa.Function) {
		if len(fn.Blocks) > 0 {
			p.Funcs = append(p.Funcs, fn)
		}
		for _, anon := range fn.AnonFuncs {
			add(anon)
		}
	}
	for _, file := range p.Pass.Files {
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				if obj, ok := p.Pass.TypesInfo.Defs[d.Name].(*types.Func); ok {
					if fn := prog.FuncValue(obj); fn != nil {
						add(fn)
					}
				}
			}
		}
	}
	// Function literals in the declarations of variables.
	if init := pkg.Func("init"); init != nil {
		for _, anon := range init.AnonFuncs {
			add(anon)
		}
	}
}

// index notes the calls of the functions of the package, and those that are values.
func (p *Program) index() {
	for _, fn := range p.Funcs {
		if p.inTest(fn) {
			continue
		}
		for instr := range Instructions(fn) {
			if call, ok := instr.(*ssa.Call); ok {
				if callee := call.Call.StaticCallee(); callee != nil && len(callee.Blocks) > 0 {
					p.calls[callee] = append(p.calls[callee], call)
				}
			}
			call, isCall := instr.(ssa.CallInstruction)
			for _, operand := range instr.Operands(nil) {
				if fn, ok := (*operand).(*ssa.Function); ok && !(isCall && operand == &call.Common().Value) {
					if _, isClosure := instr.(*ssa.MakeClosure); !isClosure {
						p.values[declared(fn)] = true
					}
				}
			}
			if mc, ok := instr.(*ssa.MakeClosure); ok {
				p.values[declared(mc.Fn.(*ssa.Function))] = true // a method as a value
			}
		}
	}
}

// declared is the function that a wrapper of a method value is of.
func declared(fn *ssa.Function) *ssa.Function {
	if obj, ok := fn.Object().(*types.Func); ok && fn.Synthetic != "" {
		if f := fn.Prog.FuncValue(obj); f != nil {
			return f
		}
	}
	return fn
}

// Callers are the calls of a function in the package, other than those by itself.
func (p *Program) Callers(fn *ssa.Function) (all []*ssa.Call) {
	for _, call := range p.calls[fn] {
		if call.Parent() != fn {
			all = append(all, call)
		}
	}
	return all
}

// IsValue reports whether a function of the package is used as a value.
func (p *Program) IsValue(fn *ssa.Function) bool { return p.values[fn] }

// CallersOfValue are the calls of functions of the same type where a function is used as a
// value, as one of several steps is.
func (p *Program) CallersOfValue(fn *ssa.Function) (all []*ssa.Call) {
	all = p.Callers(fn)
	for _, user := range p.Funcs {
		uses, calls := false, []*ssa.Call{}
		for instr := range Instructions(user) {
			if call, ok := instr.(*ssa.Call); ok && call.Call.StaticCallee() == nil && !call.Call.IsInvoke() &&
				sameSignature(call.Call.Signature(), fn.Signature) {
				calls = append(calls, call)
			}
			for _, operand := range instr.Operands(nil) {
				if v, ok := (*operand).(*ssa.Function); ok {
					uses = uses || declared(v) == fn
				}
			}
			if mc, ok := instr.(*ssa.MakeClosure); ok {
				uses = uses || declared(mc.Fn.(*ssa.Function)) == fn
			}
		}
		if uses {
			if len(calls) == 0 {
				return nil // handed on
			}
			all = append(all, calls...)
		}
	}
	return all
}

func sameSignature(a, b *types.Signature) bool {
	return types.Identical(a.Params(), b.Params()) && types.Identical(a.Results(), b.Results())
}

func (p *Program) inTest(fn *ssa.Function) bool {
	return strings.HasSuffix(p.Pass.Fset.Position(fn.Pos()).Filename, "_test.go")
}

// Instructions iterates over the instructions of a function.
func Instructions(fn *ssa.Function) iter.Seq[ssa.Instruction] {
	return func(yield func(ssa.Instruction) bool) {
		for _, b := range fn.Blocks {
			for _, instr := range b.Instrs {
				if !yield(instr) {
					return
				}
			}
		}
	}
}

// Calls iterates over the calls of a function.
func Calls(fn *ssa.Function) iter.Seq[*ssa.Call] {
	return func(yield func(*ssa.Call) bool) {
		for instr := range Instructions(fn) {
			if call, ok := instr.(*ssa.Call); ok && !yield(call) {
				return
			}
		}
	}
}

// Returns are the return statements of a function.
func Returns(fn *ssa.Function) (all []*ssa.Return) {
	for _, b := range fn.Blocks {
		if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok {
			all = append(all, r)
		}
	}
	return all
}

// Reaches reports whether control can come from one block to another, or is there.
func Reaches(from, to *ssa.BasicBlock) bool {
	seen := make([]bool, len(from.Parent().Blocks))
	work := []*ssa.BasicBlock{from}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		if b == to {
			return true
		}
		if seen[b.Index] {
			continue
		}
		seen[b.Index] = true
		work = append(work, b.Succs...)
	}
	return false
}

// Precedes reports whether control can come from one instruction of a function to another.
func Precedes(first, second ssa.Instruction) bool {
	if first.Block() != second.Block() {
		return Reaches(first.Block(), second.Block())
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

// TakesTime reports whether a call may take some time, or change something: it takes a
// context or returns an error.
func TakesTime(call *ssa.Call) bool {
	obj := Called(&call.Call)
	if obj == nil || obj.Pkg() == nil {
		return false
	}
	switch path := PkgPath(obj.Pkg()); path {
	case "fmt", "errors", "context", "time", LibraryPath, QueuePath:
		return false
	default:
		if strings.Contains(path, "log") || strings.HasPrefix(path, "k8s.io/apimachinery/") {
			return false
		}
	}
	sig := call.Call.Signature()
	for i := range sig.Results().Len() {
		if IsError(sig.Results().At(i).Type()) {
			return true
		}
	}
	params := sig.Params()
	for i := range params.Len() {
		if isContext(params.At(i).Type()) {
			return params.Len() > 1 // a getter may take one
		}
	}
	return false
}
