package requeuelint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"iter"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// A program is one package, ready to be looked at, with what is known of the functions of
// the packages that it imports.
type program struct {
	pass   *analysis.Pass
	funcs  []*ssa.Function
	roots  map[*ssa.Function]*frame
	facts  map[*types.Func]*waitFact
	calls  map[*ssa.Function][]*ssa.Call // of functions of the package, by callee
	values map[*types.Func]bool          // functions of the package that are used as values
	tested map[*ssa.Function]map[*types.Var]bool
	exprs  map[token.Pos]ast.Node // of calls, operators and fields, by where SSA says they are

	deadlinesHere [][]string // see packageDeadlines

	findings []finding
}

// A waitFact says what a function does with waits.
type waitFact struct {
	Results []resultFact
	Sinks   []sinkFact
	// Tests are the deadlines that a predicate compares with the clock, each as the terms
	// that are added up, with placeholders for the parameters.
	Tests [][]string
	// Nils are the optional times that it tests for nil, as package.Field.
	Nils []string
}

// A resultFact says that a result can be 0 or negative.
type resultFact struct {
	Index  int
	Says   string // how: such as time.Until; empty if it cannot, of itself
	None   bool   // it may be a constant 0
	Params []int  // that it is, unchecked; the receiver counts
}

// A sinkFact says that a parameter goes to a queue, unchecked; the receiver counts.
type sinkFact struct {
	Index  int
	Family family
}

// AFact marks a waitFact as a fact of the analysis.
func (*waitFact) AFact() {}

func (f *waitFact) String() string { return "wait" }

func (f *waitFact) empty() bool {
	return len(f.Results) == 0 && len(f.Sinks) == 0 && len(f.Tests) == 0 && len(f.Nils) == 0
}

// base computes all findings of a package; the analyzers of the rules report theirs.
var base = &analysis.Analyzer{
	Name:       "requeuelint",
	Doc:        "computes what the rules of requeuelint report, and facts on functions",
	Run:        run,
	FactTypes:  []analysis.Fact{(*waitFact)(nil)},
	ResultType: reflect.TypeFor[*program](),
}

var withTests bool

func init() {
	base.Flags.BoolVar(&withTests, "tests", false, "report findings in _test.go files, too")
}

func run(pass *analysis.Pass) (result any, err error) {
	// A package of another module that this linter fails on is no reason to check nothing.
	defer func() {
		if r := recover(); r != nil {
			result = &program{pass: pass}
			if pass.Module == nil || pass.Module.Version == "" {
				err = fmt.Errorf("requeuelint fails on %s, which is a bug: %v\n%s", pass.Pkg.Path(), r, debug.Stack())
			}
		}
	}()
	p := &program{
		pass:   pass,
		roots:  map[*ssa.Function]*frame{},
		facts:  map[*types.Func]*waitFact{},
		calls:  map[*ssa.Function][]*ssa.Call{},
		tested: map[*ssa.Function]map[*types.Var]bool{},
		values: map[*types.Func]bool{},
	}
	// This library keeps its promises, which an analysis of its code cannot see.
	if path := pkgPath(pass.Pkg); path == requeuePath || path == queuePath || path == "time" {
		return p, nil
	}
	if !p.matters() {
		return p, nil
	}
	p.build()
	p.index()
	p.summarize()
	p.rules()
	return p, nil
}

// matters reports whether a package has anything that a rule looks at. Most packages have
// not, and to build SSA of one takes as long as to check its types.
func (p *program) matters() bool {
	for _, obj := range p.pass.TypesInfo.Uses {
		fn, ok := obj.(*types.Func)
		if !ok {
			if v, ok := obj.(*types.Var); ok && v.IsField() && (v.Name() == "RequeueAfter" || v.Name() == "After") {
				return true
			}
			continue
		}
		if fn.Pkg() == nil {
			continue
		}
		if i, _ := sinkCall(fn); i >= 0 {
			return true
		}
		switch pkgPath(fn.Pkg()) {
		case "time":
			switch fn.Name() {
			case "Until", "Since", "Sub":
				return true
			}
		case "math":
			if fn.Name() == "Pow" || fn.Name() == "Exp2" {
				return true
			}
		default:
			if fn.Name() == "Until" || fn.Name() == "Since" {
				return true
			}
			var fact waitFact
			if p.pass.ImportObjectFact(fn.Origin(), &fact) && len(fact.Results)+len(fact.Sinks) > 0 {
				return true
			}
		}
	}
	// Shifts and products of durations.
	found := false
	for _, f := range p.pass.Files {
		if found {
			break
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(*ast.BinaryExpr); ok && (e.Op == token.SHL || e.Op == token.QUO) {
				if tv := p.pass.TypesInfo.Types[e]; tv.Type != nil && tv.Value == nil && isDuration(tv.Type) {
					found = true
				}
			}
			return !found
		})
	}
	return found
}

// build makes SSA of the package. It is what passes/buildssa does, but only for packages
// that matter.
func (p *program) build() {
	prog := ssa.NewProgram(p.pass.Fset, ssa.BuilderMode(0))
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
	create(p.pass.Pkg.Imports())
	pkg := prog.CreatePackage(p.pass.Pkg, p.pass.Files, p.pass.TypesInfo, false)
	pkg.Build()

	var add func(fn *ssa.Function)
	add = func(fn *ssa.Function) {
		p.funcs = append(p.funcs, fn)
		for _, anon := range fn.AnonFuncs {
			add(anon)
		}
	}
	for _, file := range p.pass.Files {
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				if obj, ok := p.pass.TypesInfo.Defs[d.Name].(*types.Func); ok {
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

// index notes the calls of the functions of the package.
func (p *program) index() {
	for _, fn := range p.funcs {
		if p.inTest(fn.Pos()) {
			continue
		}
		for call := range callsOf(fn) {
			if callee := call.Call.StaticCallee(); callee != nil && len(callee.Blocks) > 0 {
				p.calls[callee] = append(p.calls[callee], call)
			}
		}
		for instr := range instructions(fn) {
			p.noteValues(instr)
		}
	}
}

// noteValues notes the functions that an instruction uses as values, methods too.
func (p *program) noteValues(instr ssa.Instruction) {
	call, isCall := instr.(ssa.CallInstruction)
	for _, operand := range instr.Operands(nil) {
		fn, ok := (*operand).(*ssa.Function)
		if !ok || isCall && operand == &call.Common().Value {
			continue
		}
		if obj, ok := fn.Object().(*types.Func); ok {
			p.values[obj] = true
		}
	}
}

// node returns the call, operator or field of the source that SSA has at a position.
func (p *program) node(pos token.Pos) ast.Node {
	if p.exprs == nil {
		p.exprs = map[token.Pos]ast.Node{}
		for _, f := range p.pass.Files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					p.exprs[n.Lparen] = n
				case *ast.BinaryExpr:
					p.exprs[n.OpPos] = n
				case *ast.KeyValueExpr:
					p.exprs[n.Colon] = n
				case *ast.AssignStmt:
					if len(n.Lhs) == len(n.Rhs) {
						for _, l := range n.Lhs {
							if s, ok := l.(*ast.SelectorExpr); ok {
								p.exprs[s.Sel.Pos()] = n
							}
						}
					}
				}
				return true
			})
		}
	}
	return p.exprs[pos]
}

// root is the frame of a function that is looked at by itself.
func (p *program) root(fn *ssa.Function) *frame {
	f := p.roots[fn]
	if f == nil {
		f = &frame{fn: fn}
		p.roots[fn] = f
	}
	return f
}

func (p *program) inTest(pos token.Pos) bool {
	return strings.HasSuffix(p.pass.Fset.Position(pos).Filename, "_test.go")
}

// summarize computes the facts of the functions of the package, until they no longer
// change: a function that hands its parameter to one that hands it to a queue does so, too.
func (p *program) summarize() {
	for range 4 {
		changed := false
		for _, fn := range p.funcs {
			obj, ok := fn.Object().(*types.Func)
			if !ok || p.inTest(fn.Pos()) {
				continue
			}
			fact := p.summary(fn)
			if old := p.facts[obj]; old == nil && !fact.empty() || old != nil && !reflect.DeepEqual(old, fact) {
				p.facts[obj] = fact
				changed = true
			}
		}
		if !changed {
			break
		}
	}
	for obj, fact := range p.facts {
		if !fact.empty() {
			p.pass.ExportObjectFact(obj, fact)
		}
	}
}

func (p *program) summary(fn *ssa.Function) *waitFact {
	fact := &waitFact{}
	f := p.root(fn)
	for i := range fn.Signature.Results().Len() {
		if !isDuration(fn.Signature.Results().At(i).Type()) {
			continue
		}
		var all outcome
		for _, b := range fn.Blocks {
			if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok && len(r.Results) > i {
				all = all.join(p.sign(val{f, r.Results[i]}, conds(f, b), b))
			}
		}
		r := resultFact{Index: i, None: all.none, Params: slices.Sorted(maps.Keys(all.params))}
		if all.bad && !all.stale {
			r.Says = p.says(all)
		}
		if r.Says != "" || r.None || len(r.Params) > 0 {
			fact.Results = append(fact.Results, r)
		}
	}
	for _, s := range p.sinks(fn) {
		if requeuesToo(s) {
			continue
		}
		o := p.sign(val{f, s.wait}, conds(f, s.at), s.at)
		for _, i := range slices.Sorted(maps.Keys(o.params)) {
			if sf := (sinkFact{i, s.family}); !slices.Contains(fact.Sinks, sf) {
				fact.Sinks = append(fact.Sinks, sf)
			}
		}
	}
	fact.Tests = p.deadlines(f)
	if !p.skipped(fn.Pos()) { // a generated DeepCopy looks at every pointer
		fact.Nils = p.testedTimes(fn)
	}
	return fact
}

// deadlines lists what a predicate compares with the clock, as keys that say something in
// another package.
func (p *program) deadlines(f *frame) (found [][]string) {
	results := f.fn.Signature.Results()
	if results.Len() != 1 || !isBoolean(results.At(0).Type()) {
		return nil
	}
	parameters := make([]string, 0, 2*len(f.fn.Params))
	for i, v := range f.fn.Params {
		parameters = append(parameters, key(val{f, v}), placeholder(i))
	}
	named := strings.NewReplacer(parameters...)
	for l := range comparedDeadlines(f) {
		var terms []string
		for k, t := range l.terms {
			if !t.clock && t.coef > 0 {
				terms = append(terms, named.Replace(k))
			}
		}
		slices.Sort(terms)
		if !slices.ContainsFunc(terms, local) && !slices.ContainsFunc(found, func(d []string) bool { return slices.Equal(d, terms) }) {
			found = append(found, terms)
		}
	}
	return found
}

// comparedDeadlines iterates over the times left that a function tests: in the branches
// that it takes, and in what it returns.
func comparedDeadlines(f *frame) iter.Seq[linear] {
	return func(yield func(linear) bool) {
		for _, b := range f.fn.Blocks {
			var tested []ssa.Value
			switch last := b.Instrs[len(b.Instrs)-1].(type) {
			case *ssa.If:
				tested = []ssa.Value{last.Cond}
			case *ssa.Return:
				tested = last.Results
			}
			for _, v := range tested {
				if !isBoolean(v.Type()) {
					continue
				}
				for _, truth := range []bool{true, false} {
					for _, l := range testedForms(cond{val{f, v}, truth, b}, 0) {
						if past := constOf(0).plus(l, -1); past.remaining() {
							l = past
						}
						if l.remaining() && !yield(l) {
							return
						}
					}
				}
			}
		}
	}
}

// placeholder stands for a parameter in a fact; the receiver counts.
func placeholder(i int) string { return fmt.Sprintf("$%d$", i) }

// local reports whether the key of a value has an address in it, which says nothing in
// another package.
func local(key string) bool { return strings.Contains(key, "0x") }

// elsewhere returns the fact of a function of another package that is called, or nil.
func (p *program) elsewhere(call *ssa.Call) *waitFact {
	obj := calledObj(&call.Call)
	var fact waitFact
	if obj == nil || obj.Pkg() == p.pass.Pkg || !p.pass.ImportObjectFact(obj.Origin(), &fact) {
		return nil
	}
	return &fact
}

// wrapper returns the parameters of a function that go to a queue.
func (p *program) wrapper(obj *types.Func) []sinkFact {
	obj = obj.Origin()
	if f := p.facts[obj]; f != nil {
		return f.Sinks
	}
	if obj.Pkg() == p.pass.Pkg {
		return nil
	}
	var fact waitFact
	if p.pass.ImportObjectFact(obj, &fact) {
		return fact.Sinks
	}
	return nil
}
