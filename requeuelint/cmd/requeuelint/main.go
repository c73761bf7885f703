// Command requeuelint reports waits of Kubernetes controllers that are lost, late or a hot
// loop. The rules are in docs/lint.md of the repository.
//
//	requeuelint [flags] [packages]
//
// Packages are named as for go vet; the default is ./... The exit code is 1 if there are
// findings, and 2 if the packages cannot be checked.
//
// The command is also a tool for go vet: go vet -vettool=$(which requeuelint) ./...
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/requeue-go/requeue/requeuelint"
)

func main() {
	if args := os.Args[1:]; isVetTool(args) {
		unitchecker.Main(analyzers(args)...)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// isVetTool reports whether the go command runs this as a tool for go vet: to ask for its
// version or its flags, or with the description of a package.
func isVetTool(args []string) bool {
	return len(args) > 0 && (args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], ".cfg"))
}

// analyzers are what go vet runs. A rule that is advice runs only if its flag is given.
func analyzers(args []string) []*analysis.Analyzer {
	all := []*analysis.Analyzer{requeuelint.Base()}
	for _, r := range requeuelint.Rules() {
		named := func(arg string) bool { return strings.HasPrefix(strings.TrimLeft(arg, "-"), strings.ToLower(r.Code)) }
		if !r.Advice || args[0] == "-flags" || slices.ContainsFunc(args, named) {
			all = append(all, requeuelint.Analyzers(r.Code)...)
		}
	}
	return all
}

const usage = `usage: requeuelint [flags] [packages]

  -rules=RQ001,RQ003   report these rules only
  -tests               also check _test.go files
  -sink=SINK           a further method that takes a wait: pkg.Type.Method:index; repeatable
  -fix                 apply the fixes that findings have, and report the other findings
  -diff                print the changes of -fix as a diff, and nothing else
  -json                print findings as JSON
  -sarif, -sarif=FILE  print findings as SARIF 2.1.0, or write them to a file
  -version             print the version

and the flags of go build, such as -tags, -mod and -C.

The rules:
`

type options struct {
	tests, fix, diff, json, version bool
	sarif                           string // a file, or true
	rules                           []string
	sinks, build                    []string // flags for the vet tool and for the go command
	packages                        []string
}

// The flags of go build that go vet and go list take.
const (
	buildFlags     = "asmflags buildmode compiler gccgoflags gcflags installsuffix ldflags mod modfile overlay p pgo pkgdir tags toolexec"
	buildBoolFlags = "a asan buildvcs linkshared modcacherw msan n race trimpath v work x"
)

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("requeuelint", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.tests, "tests", false, "")
	flags.BoolVar(&o.fix, "fix", false, "")
	flags.BoolVar(&o.diff, "diff", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.BoolVar(&o.version, "version", false, "")
	flags.BoolFunc("sarif", "", func(s string) error { o.sarif = s; return nil })
	flags.Func("C", "", os.Chdir)
	flags.Func("sink", "", func(s string) error {
		o.sinks = append(o.sinks, "-requeuelint.sink="+s)
		return requeuelint.Base().Flags.Set("sink", s)
	})
	var all []string
	for _, r := range requeuelint.Rules() {
		all = append(all, r.Code)
		if !r.Advice {
			o.rules = append(o.rules, r.Code)
		}
	}
	flags.Func("rules", "", func(s string) error {
		o.rules = strings.FieldsFunc(strings.ToUpper(s), func(r rune) bool { return r == ',' || r == ' ' })
		for _, code := range o.rules {
			if !slices.Contains(all, code) {
				return fmt.Errorf("there is no rule %s; there are %s", code, strings.Join(all, ", "))
			}
		}
		return nil
	})
	pass := func(name string) func(string) error {
		return func(s string) error { o.build = append(o.build, "-"+name+"="+s); return nil }
	}
	for _, name := range strings.Fields(buildFlags) {
		flags.Func(name, "", pass(name))
	}
	for _, name := range strings.Fields(buildBoolFlags) {
		flags.BoolFunc(name, "", pass(name))
	}
	err = flags.Parse(args)
	if o.diff && (o.json || o.sarif != "") {
		err = errors.New("-diff prints neither JSON nor SARIF")
	}
	o.packages = flags.Args()
	if len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}
	return o, err
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		for _, r := range requeuelint.Rules() {
			fmt.Fprintf(stdout, "  %s  %s\n", r.Code, r.Doc)
			if r.Advice {
				fmt.Fprintln(stdout, "         (advice: only if it is named)")
			}
		}
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "requeuelint: %v; -h lists the flags\n", err)
		return 2
	case o.version:
		fmt.Fprintln(stdout, "requeuelint", version(), runtime.Version())
		return 0
	}
	found, err := lint(o, stdout, stderr)
	if err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) { // the go command has said why
			fmt.Fprintln(stderr, "requeuelint:", err)
		}
		return 2
	}
	if found {
		return 1
	}
	return 0
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}

// lint looks at the packages, and prints what is found even if some cannot be checked.
func lint(o options, stdout, stderr io.Writer) (found bool, err error) {
	packages, err := list(o)
	if err != nil {
		return false, err
	}
	if !o.tests {
		dir, err := os.MkdirTemp("", "requeuelint")
		if err != nil {
			return false, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := hideTests(&o, packages, dir); err != nil {
			return false, err
		}
	}
	findings, err := check(o, packages, stderr)
	if err == nil && (o.fix || o.diff) {
		left, diff, err := fix(o, findings, stderr)
		if err != nil || o.diff {
			fmt.Fprint(stdout, diff)
			return diff != "", err
		}
		findings = left
	}
	if err := write(findings, o, stdout); err != nil {
		return false, err
	}
	return len(findings) > 0, err
}

// write prints the findings in the form that was asked for.
func write(findings []finding, o options, stdout io.Writer) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	switch {
	case o.sarif == "true":
		return encode(sarif(findings, dir), stdout)
	case o.sarif != "":
		file, err := os.Create(o.sarif)
		if err != nil {
			return err
		}
		return errors.Join(encode(sarif(findings, dir), file), file.Close())
	case o.json:
		return encode(append([]finding{}, findings...), stdout) // [], not null
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(stdout, "%s:%d:%d: %s: %s\n", relative(dir, f.File), f.Line, f.Column, f.Rule, f.Message); err != nil {
			return err
		}
	}
	return nil
}

func encode(v any, to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "\t")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// relative is the path of a file from a directory, if it is below it.
func relative(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}
