// Command requeuelint reports waits of Kubernetes controllers that are lost, late or a hot
// loop. The rules are in docs/lint.md of the repository.
//
//	requeuelint [flags] [packages]
//
// Packages are as for go vet, ./... if none are given. It exits with 1 if there are
// findings, and with 2 if the packages cannot be checked.
//
// It is a tool for go vet as well: go vet -vettool=$(which requeuelint) ./...
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/requeue-go/requeue/requeuelint"
)

func main() {
	if isVetTool(os.Args[1:]) {
		unitchecker.Main(append(requeuelint.Analyzers(), requeuelint.Base())...)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// isVetTool reports whether the go command runs this as a tool for go vet: to ask for its
// version or its flags, or with the description of a package.
func isVetTool(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], ".cfg")
}

type options struct {
	fix, json, tests bool
	sarif            output
	rules, tags      string
	packages         []string
}

// An output is a flag that may have a file: -sarif, -sarif=FILE.
type output struct {
	set  bool
	file string
}

func (o *output) String() string   { return o.file }
func (o *output) IsBoolFlag() bool { return true }
func (o *output) Set(s string) error {
	o.set = s != "false"
	if o.set && s != "true" {
		o.file = s
	}
	return nil
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("requeuelint", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.fix, "fix", false, "apply the fixes that findings suggest, and report the others")
	flags.BoolVar(&o.json, "json", false, "print findings as JSON")
	flags.Var(&o.sarif, "sarif", "print findings as SARIF 2.1.0, or with -sarif=`file` write them there")
	flags.BoolVar(&o.tests, "tests", false, "report findings in _test.go files, too")
	flags.StringVar(&o.rules, "rules", "", "report these rules only, as in RQ001,RQ003")
	flags.StringVar(&o.tags, "tags", "", "build tags, as for go build")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: requeuelint [flags] [packages]")
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "\nThe rules:")
		for _, r := range requeuelint.Rules() {
			fmt.Fprintf(stderr, "  %s  %s\n", r.Code, r.Doc)
		}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	o.packages = flags.Args()
	if len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}

	findings, checkErr := check(o, stderr)
	if o.fix {
		left, err := fix(findings, stderr)
		if err != nil {
			fmt.Fprintln(stderr, "requeuelint:", err)
			return 2
		}
		findings = left
	}
	if err := write(findings, o, stdout); err != nil {
		fmt.Fprintln(stderr, "requeuelint:", err)
		return 2
	}
	switch {
	case checkErr != nil:
		fmt.Fprintln(stderr, "requeuelint:", checkErr)
		return 2
	case len(findings) > 0:
		return 1
	}
	return 0
}

// A finding is what a rule reports, as it is printed with -json.
type finding struct {
	Rule      string `json:"rule"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"endLine"`
	EndColumn int    `json:"endColumn"`
	Message   string `json:"message"`
	Fixable   bool   `json:"fixable"`

	edits []edit
}

// An edit replaces the bytes from Start to End of a file.
type edit struct {
	Filename   string `json:"filename"`
	Start, End int
	New        string
}

// check has the go command run this program as its vet tool, and reads what it finds.
//
// That is how facts get from package to package without the whole program being loaded:
// the go command hands one package at a time to the tool, together with what the tool has
// found out about its imports, runs as many as there are cores, and keeps the results in
// the build cache, so that a second run looks only at what has changed. It also knows
// about build tags, cgo, vendoring and workspaces. Loading all in this process, as
// multichecker does, takes the source of every dependency each time.
func check(o options, stderr io.Writer) ([]finding, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// The same flags each time, or nothing is found in the cache: which rules and files to
	// report is decided afterwards.
	args := []string{"vet", "-vettool=" + self, "-json", "-requeuelint.tests"}
	if o.tags != "" {
		args = append(args, "-tags="+o.tags)
	}
	var rules []string
	if o.rules != "" {
		rules = strings.Split(o.rules, ",")
		for _, code := range rules {
			if len(requeuelint.Analyzers(code)) == 0 {
				return nil, fmt.Errorf("-rules: there is no rule %q", code)
			}
		}
	}
	cmd := exec.Command("go", append(args, o.packages...)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	runErr := cmd.Run()

	findings, err := decode(&out)
	if err != nil {
		return nil, err
	}
	// Before Go 1.26 the go command prints the JSON of vet tools to standard error, under
	// a comment with the package.
	older, rest := split(problems.String())
	more, err := decode(strings.NewReader(older))
	if err != nil {
		rest = problems.String()
	}
	findings = append(findings, more...)
	if rest != "" {
		_, _ = io.WriteString(stderr, rest)
	}
	if runErr != nil {
		runErr = fmt.Errorf("go vet: %w", runErr)
	}
	findings = slices.DeleteFunc(findings, func(f finding) bool {
		return rules != nil && !slices.Contains(rules, f.Rule) || !o.tests && strings.HasSuffix(f.File, "_test.go")
	})
	return sorted(findings), runErr
}

// split takes the JSON out of what the go command prints on standard error.
func split(text string) (tree, rest string) {
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case !inside && strings.HasPrefix(line, "{"):
			inside = !strings.HasPrefix(line, "{}")
			tree += line
		case inside:
			inside = !strings.HasPrefix(line, "}")
			tree += line
		default:
			rest += line
		}
	}
	if tree != "" {
		var kept string
		for line := range strings.Lines(rest) {
			if !strings.HasPrefix(line, "# ") {
				kept += line
			}
		}
		rest = kept
	}
	return tree, rest
}

// decode reads the JSON that go vet prints: for each package what each analyzer reports.
func decode(r io.Reader) ([]finding, error) {
	var findings []finding
	for d := json.NewDecoder(r); ; {
		var tree map[string]map[string]json.RawMessage
		if err := d.Decode(&tree); errors.Is(err, io.EOF) {
			return findings, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go vet: %w", err)
		}
		for pkg, analyzers := range tree {
			for name, raw := range analyzers {
				var reports []struct {
					Category, Posn, End, Message string
					SuggestedFixes               []struct{ Edits []edit } `json:"suggested_fixes"`
				}
				if err := json.Unmarshal(raw, &reports); err != nil {
					return nil, fmt.Errorf("%s: %s: %s", pkg, name, raw)
				}
				for _, r := range reports {
					f := finding{Rule: r.Category, Message: strings.TrimPrefix(r.Message, r.Category+": ")}
					f.File, f.Line, f.Column = position(r.Posn)
					_, f.EndLine, f.EndColumn = position(r.End)
					if f.EndLine == 0 {
						f.EndLine, f.EndColumn = f.Line, f.Column
					}
					if len(r.SuggestedFixes) > 0 {
						f.edits, f.Fixable = r.SuggestedFixes[0].Edits, true
					}
					findings = append(findings, f)
				}
			}
		}
	}
}

// position reads file:line:column.
func position(s string) (file string, line, column int) {
	rest, last, ok := cutLast(s)
	if !ok {
		return s, 0, 0
	}
	file, middle, ok := cutLast(rest)
	if !ok {
		return rest, last, 0
	}
	return file, middle, last
}

func cutLast(s string) (before string, number int, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, false
	}
	if _, err := fmt.Sscanf(s[i+1:], "%d", &number); err != nil {
		return s, 0, false
	}
	return s[:i], number, true
}

// sorted puts findings in order, and leaves out those that were found twice, in a package
// and in it with its tests.
func sorted(findings []finding) []finding {
	slices.SortFunc(findings, func(a, b finding) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Rule, b.Rule)
	})
	return slices.CompactFunc(findings, func(a, b finding) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Rule == b.Rule
	})
}

// write prints the findings in the form that was asked for.
func write(findings []finding, o options, stdout io.Writer) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if o.sarif.set {
		log, err := sarif(findings, dir)
		if err != nil {
			return err
		}
		if o.sarif.file != "" {
			return os.WriteFile(o.sarif.file, log, 0o644)
		}
		_, err = stdout.Write(log)
		return err
	}
	if o.json {
		if findings == nil {
			findings = []finding{}
		}
		e := json.NewEncoder(stdout)
		e.SetIndent("", "\t")
		e.SetEscapeHTML(false)
		return e.Encode(findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(stdout, "%s:%d:%d: %s: %s\n", relative(dir, f.File), f.Line, f.Column, f.Rule, f.Message); err != nil {
			return err
		}
	}
	return nil
}

// relative is the path of a file from a directory, if it is below it.
func relative(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}
