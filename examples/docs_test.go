package examples_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	// The documentation is about these. When they change, a cached result of this test is
	// out of date.
	_ "github.com/requeue-go/requeue"
	_ "github.com/requeue-go/requeue/deadlinequeue"
	_ "github.com/requeue-go/requeue/examples/promotion/v1alpha1"
	_ "github.com/requeue-go/requeue/requeuetest"
)

// Every Go block of the documentation compiles.
//
// The documentation is outside this module, where the go command does not look for changes
// that make a cached result out of date: having changed it, run this with -count=1.
func TestDocs(t *testing.T) {
	docs, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, docs)

	var blocks []block
	for _, doc := range append([]string{"../README.md"}, docs...) {
		text, err := os.ReadFile(doc)
		require.NoError(t, err)
		found, err := blocksOf(filepath.Base(doc), string(text))
		require.NoError(t, err)
		blocks = append(blocks, found...)
	}
	require.NotEmpty(t, blocks)

	c := newCompiler(t, blocks)
	for _, b := range blocks {
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			assert.Empty(t, c.compile(b))
		})
	}
}

// What TestDocs accepts, and what it reports.
func TestDocs_compile(t *testing.T) {
	const file = "package main\n\nimport \"time\"\n\nfunc main() { %s }"
	tests := []struct {
		name, code string
		want       []string
	}{
		{"statements", "plan := requeue.From(now).Every(poll)\nif plan.Expired() {\n\treturn ctrl.Result{}, r.fail(ctx, obj)\n}", nil},
		{"an error", "return r.fail(ctx, obj)", nil},
		{"no result", "if poll > 0 {\n\treturn\n}\nqueue.AddAfter(key, poll)", nil},
		{"a branch without a return", "if poll > 0 {\n\treturn controller.NewRequeueAfter(poll)\n}", nil},
		{"a variable that is not used", "wait := requeue.From(now).After()", nil},
		{"a function", "func (r *Reconciler) wait() time.Duration {\n\treturn requeue.From(r.now()).After()\n}", nil},
		{"a type", "type Mine struct{ Reconciler }", nil},
		{"what is left out", "plan := requeue.From(now)\n...\n// ...\n... // act on it\nplan.After()", nil},
		{"a whole file", fmt.Sprintf(file, "time.Now()"), nil},
		{"nothing", "", nil},

		{"an undefined method", "plan := requeue.From(now)\n\nplan.Often(poll)", []string{
			"doc.md:12: plan.Often undefined (type requeue.Plan has no field or method Often)"}},
		{"the same after what is left out", "...\nrequeue.From(now).Often(poll)", []string{
			"doc.md:11: requeue.From(now).Often undefined (type requeue.Plan has no field or method Often)"}},
		{"two undefined functions", "requeue.One()\nrequeue.Two()", []string{
			"doc.md:10: undefined: requeue.One", "doc.md:11: undefined: requeue.Two"}},
		{"an undefined name", "return ctrl.Result{RequeueAfter: unheard}, nil", []string{
			"doc.md:10: undefined: unheard"}},
		{"a type that does not fit", "queue.AddAfter(key, now)", []string{
			"doc.md:10: cannot use now (variable of struct type time.Time) as time.Duration value in argument to queue.AddAfter"}},
		{"a result too many", "return ctrl.Result{}, nil, nil", []string{
			"doc.md:10: too many return values\n\thave (controllerruntime.Result, nil, nil)\n\twant (controllerruntime.Result, error)"}},
		{"an undefined method of a stand-in", "controller.NewRequeueAfter(poll).Often()", []string{
			"doc.md:10: controller.NewRequeueAfter(poll).Often undefined (type error has no field or method Often)"}},
		{"an undefined method in a function", "func f() {\n\trequeue.From(now).Often()\n}", []string{
			"doc.md:11: requeue.From(now).Often undefined (type requeue.Plan has no field or method Often)"}},
		{"an undefined name in a whole file", fmt.Sprintf(file, "time.Often()"), []string{
			"doc.md:14: undefined: time.Often"}},
		{"an unused import in a whole file", fmt.Sprintf(file, ""), []string{
			`doc.md:12: "time" imported and not used`}},
		{"a package that there is not", "package main\n\nimport _ \"example.com/none\"", []string{
			"doc.md:12: could not import example.com/none (no such package, or it does not compile)"}},
		{"a value that is not used", "requeue.Load{}", []string{
			"doc.md:10: requeue.Load{} (value of struct type requeue.Load) is not used"}},
		{"a part of a literal", "NewQueue: deadlinequeue.NewQueue,", []string{
			"doc.md:10: expected 1 expression"}},
		{"a brace that is left open", "if poll > 0 {", []string{
			"doc.md:11: expected '}', found 'EOF'"}},
		{"a brace too many", "}", []string{
			"doc.md:11: expected declaration, found panic"}},
	}
	var blocks []block
	for _, test := range tests {
		blocks = append(blocks, block{"doc.md", 10, test.code + "\n"})
	}
	c := newCompiler(t, blocks)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, c.compile(blocks[i]))
		})
	}
}

func TestDocs_blocks(t *testing.T) {
	got, err := blocksOf("doc.md", "text\n"+
		"```go\none()\n```\n"+
		"```\nno Go\n```\n"+
		"- a list\n\n  ```go title=\"x\"\n  two()\n  \tthree()\n\n  ```\n"+
		"````md\n```go\n```\n````\n"+
		"~~~ go\nfour()\n~~~\n")
	require.NoError(t, err)
	assert.Equal(t, []block{
		{"doc.md", 3, "one()\n"},
		{"doc.md", 11, "two()\n\tthree()\n\n"},
		{"doc.md", 20, "four()\n"},
	}, got)

	_, err = blocksOf("doc.md", "text\n```go\none()\n")
	require.EqualError(t, err, "doc.md:2: this block is not closed")
	_, err = blocksOf("doc.md", "> ```go\n> one()\n> ```\n")
	require.EqualError(t, err, "doc.md:1: this block is not read: begin the line with the fence")
}

// block is the Go code between two fences.
type block struct {
	file string
	line int // of its first line in file
	code string
}

var fence = regexp.MustCompile("^([ \t]*)(`{3,}|~{3,})[ \t]*([^ \t`]*)")

// blocksOf returns the Go blocks of a Markdown text. It returns an error if the text has
// a block that it would not find or not find the end of.
func blocksOf(file, text string) ([]block, error) {
	var (
		blocks          []block
		code            strings.Builder
		open            int // the line of the fence that is open, 0 if none is
		indent, closing string
		isGo            bool
	)
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == 0 && m != nil:
			open, indent, closing, isGo = i+1, m[1], m[2], m[3] == "go"
			code.Reset()
		case open == 0 && strings.Contains(line, "```go"):
			return nil, fmt.Errorf("%s:%d: this block is not read: begin the line with the fence", file, i+1)
		case open > 0 && m != nil && m[3] == "" && strings.HasPrefix(m[2], closing):
			if isGo {
				blocks = append(blocks, block{file, open + 1, code.String()})
			}
			open = 0
		case open > 0:
			code.WriteString(strings.TrimPrefix(line, indent) + "\n")
		}
	}
	if open > 0 {
		return nil, fmt.Errorf("%s:%d: this block is not closed", file, open)
	}
	return blocks, nil
}

// A line of nothing but "..." stands for what is left out, and may have a comment.
var (
	packageClause = regexp.MustCompile(`(?m)^package \w+`)
	leftOut       = regexp.MustCompile(`(?m)^[ \t]*(// *)?\.\.\.[ \t]*(//.*)?$`)
)

// compiler tells what is wrong with a block.
type compiler struct {
	fset    *token.FileSet
	prelude *ast.File
	imports string            // of the prelude, as its source has them
	standIn *types.Package    // for the import path "controller"
	exports map[string]string // the files of export data, by import path
	gc      types.Importer    // reads exports
}

// newCompiler returns a compiler for the blocks. It has the go command find and compile
// all packages that they and the prelude import.
func newCompiler(t *testing.T, blocks []block) *compiler {
	t.Helper()
	c := &compiler{fset: token.NewFileSet(), exports: map[string]string{}}
	c.gc = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(c.exports[path]) })

	parse := func(name string) (file *ast.File, source []byte) {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err = parser.ParseFile(c.fset, name, source, parser.SkipObjectResolution)
		require.NoError(t, err)
		return file, source
	}
	controller, _ := parse("testdata/docs/controller/controller.go")
	file, source := parse("testdata/docs/prelude.go")
	c.prelude = file
	for _, decl := range file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
			c.imports += string(source[c.fset.Position(d.Pos()).Offset:c.fset.Position(d.End()).Offset]) + "\n"
		}
	}

	importing := []*ast.File{controller, file}
	for _, b := range blocks {
		// What does not parse is reported by compile.
		if file, err := parser.ParseFile(token.NewFileSet(), "", b.code, parser.ImportsOnly); err == nil {
			importing = append(importing, file)
		}
	}
	list := exec.Command("go", "list", "-e", "-export", "-f", "{{.ImportPath}} {{.Export}}", "--")
	for _, file := range importing {
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil && path != "controller" {
				list.Args = append(list.Args, path)
			}
		}
	}
	list.Stderr = os.Stderr
	output, err := list.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(output)) {
		path, export, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.exports[path] = export
	}

	c.standIn, err = (&types.Config{Importer: c}).Check("controller", c.fset, []*ast.File{controller}, nil)
	require.NoError(t, err)
	require.Empty(t, c.check(false, c.prelude), "the prelude does not compile")
	return c
}

// Import implements types.Importer.
func (c *compiler) Import(path string) (*types.Package, error) {
	switch {
	case path == "controller":
		return c.standIn, nil
	case c.exports[path] == "" && path != "unsafe":
		return nil, errors.New("no such package, or it does not compile")
	}
	return c.gc.Import(path)
}

// compile returns what keeps the block from compiling.
//
// One with a package clause is a whole file, and all has to be right. Any other is
// statements, or declarations, that are compiled with the prelude. What the function
// around the statements returns is whatever fits best.
func (c *compiler) compile(b block) []string {
	code := fmt.Sprintf("//line %s:%d\n%s", b.file, b.line, leftOut.ReplaceAllString(b.code, ""))
	if packageClause.MatchString(b.code) {
		file, problems := c.parse(code)
		if problems == nil {
			problems = c.check(true, file)
		}
		return problems
	}

	var best, unparsed []string
	parsed := false
	try := func(source string) {
		file, problems := c.parse("package docs\n" + c.imports + source)
		if problems != nil {
			if unparsed == nil {
				unparsed = problems
			}
			return
		}
		problems = c.check(false, c.prelude, file)
		if !parsed || len(problems) < len(best) {
			best, parsed = problems, true
		}
	}
	for _, results := range []string{"(ctrl.Result, error)", "error", ""} {
		try(fmt.Sprintf("func _() %s {\n%spanic(0)}", results, code))
	}
	try(code)
	if !parsed {
		return unparsed
	}
	return best
}

// parse returns the file, or what keeps it from being one.
func (c *compiler) parse(source string) (*ast.File, []string) {
	file, err := parser.ParseFile(c.fset, "", source, parser.SkipObjectResolution)
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return file, nil
	}
	var problems []string
	for _, problem := range list {
		problems = append(problems, problem.Error())
	}
	return nil, problems
}

// check returns what is wrong with a package of the files. Only a strict check includes
// what is declared or imported and not used.
func (c *compiler) check(strict bool, files ...*ast.File) []string {
	var problems []string
	config := types.Config{Importer: c, Error: func(err error) {
		var problem types.Error
		if !errors.As(err, &problem) || strict || !problem.Soft {
			problems = append(problems, err.Error())
		}
	}}
	_, _ = config.Check("docs", c.fset, files, nil) // its error is the first problem
	return problems
}
