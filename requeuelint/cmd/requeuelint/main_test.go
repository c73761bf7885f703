package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The test binary stands in for the command: go vet runs it as its tool.
func TestMain(m *testing.M) {
	if isVetTool(os.Args[1:]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every rule is described with -h.
func Example() {
	code := run([]string{"-h"}, os.Stdout, cut{os.Stdout, "\nThe rules:"})
	fmt.Println(code)
	// Output:
	// The rules:
	//   RQ001  a wait that can be zero or negative, which controller-runtime drops and client-go takes for now
	//   RQ002  RequeueAfter that is returned with an error, and so dropped
	//   RQ003  a deadline that is tested on one reading of the clock and waited for on another
	//   RQ004  a merge of waits in which 0 or a negative wins
	//   RQ005  a fixed RequeueAfter where a deadline is tested, which is noticed late
	//   RQ006  arithmetic of durations that overflows
	//   RQ007  an optional time that is used for a wait and never tested for nil
	// 0
}

// A cut writer leaves out what comes before the rules.
type cut struct {
	to   *os.File
	from string
}

func (c cut) Write(p []byte) (int, error) {
	if s := string(p); strings.Contains(s, "The rules") || strings.Contains(s, "RQ0") && !strings.Contains(s, "-rules") && !strings.Contains(s, "as in") {
		_, _ = c.to.WriteString(strings.TrimPrefix(s, "\n"))
	}
	return len(p), nil
}

// The module that the command is tried on. It needs no other: a stand-in for
// controller-runtime takes its place by a replace.
var module = map[string]string{
	"go.mod": `module example.com/operator

go 1.24

require (
	github.com/requeue-go/requeue v0.0.0
	sigs.k8s.io/controller-runtime v0.0.0
)

replace (
	github.com/requeue-go/requeue => ./requeue
	sigs.k8s.io/controller-runtime => ./runtime
)
`,
	"runtime/go.mod": "module sigs.k8s.io/controller-runtime\n\ngo 1.24\n",
	"runtime/pkg/reconcile/reconcile.go": `package reconcile

import "time"

type Result struct {
	Requeue      bool
	RequeueAfter time.Duration
}
`,
	"requeue/go.mod": "module github.com/requeue-go/requeue\n\ngo 1.24\n",
	"requeue/requeue.go": `package requeue

import "time"

type Plan struct{}

func From(time.Time) Plan                 { return Plan{} }
func (p Plan) Deadline(time.Time) Plan    { return p }
func (p Plan) After() time.Duration       { return time.Second }
`,
	"wait/wait.go": `// Package wait is imported by the controller: what it computes is known there by a fact.
package wait

import "time"

func Left(deadline time.Time) time.Duration { return time.Until(deadline) }
`,
	"controller.go": `package operator

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"example.com/operator/wait"
)

func direct(deadline time.Time) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: time.Until(deadline)}, nil
}

func other(deadline time.Time) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: time.Until(deadline)}, nil
}

func helped(deadline time.Time) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: wait.Left(deadline)}, nil
}

func withError(err error) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: time.Minute}, err
}
`,
	"controller_test.go": `package operator

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func inTest(deadline time.Time) reconcile.Result {
	return reconcile.Result{RequeueAfter: time.Until(deadline)}
}
`,
}

// enter writes the module to a directory of its own and goes there.
func enter(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range module {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each run of the tool waits a second
}

// lint runs the command and returns its exit code and what it prints.
func lint(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	enter(t)
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string // the beginnings of the lines
	}{
		"all": {nil, 1, []string{
			"controller.go:12:40: RQ001: RequeueAfter can be zero or negative here (time.Until(deadline))",
			"controller.go:16:40: RQ001: ",
			"controller.go:20:40: RQ001: RequeueAfter can be zero or negative here (Left: time.Until(deadline))",
			"controller.go:24:2: RQ002: ",
		}},
		"one rule":        {[]string{"-rules=RQ002"}, 1, []string{"controller.go:24:2: RQ002: "}},
		"a clean rule":    {[]string{"-rules=RQ003,RQ004"}, 0, nil},
		"a clean package": {[]string{"./wait"}, 0, nil},
		"tests, too": {[]string{"-tests", "-rules=RQ001", "."}, 1, []string{
			"controller.go:12:40: RQ001", "controller.go:16:40: RQ001", "controller.go:20:40: RQ001", "controller_test.go:10:40: RQ001",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := lint(t, tt.args...)
			var lines []string
			if stdout != "" {
				lines = strings.Split(strings.TrimSpace(stdout), "\n")
			}
			if code != tt.code || stderr != "" || len(lines) != len(tt.want) {
				t.Fatalf("exit code %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got  %s\nwant %s...", lines[i], want)
				}
			}
		})
	}
}

// The rules run in parallel, and find the same each time. Under the race detector the tool that
// go vet runs has it, too; it prints what it finds, and fails.
func TestRun_isTheSameEachTime(t *testing.T) {
	enter(t)
	first := ""
	for i := range 10 {
		// Another source each time, or the answer is from the cache. Each function has what one
		// rule finds before what another does that looks first.
		source := fmt.Appendf(nil, "package operator\n\nimport (\n\t\"time\"\n\n\t\"sigs.k8s.io/controller-runtime/pkg/reconcile\"\n)\n\nconst run = %d\n", i)
		for f := range 50 {
			source = fmt.Appendf(source, `
func late%d(deadline time.Time, err error) (reconcile.Result, error) {
	if err != nil {
		return reconcile.Result{RequeueAfter: time.Second}, err
	}
	return reconcile.Result{RequeueAfter: time.Until(deadline)}, nil
}
`, f)
		}
		if err := os.WriteFile("run.go", source, 0o644); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := lint(t, "-tests", ".")
		if code != 1 || stderr != "" || strings.Count(stdout, "run.go") != 100 {
			t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
		}
		if first == "" {
			first = stdout
		}
		if stdout != first {
			t.Errorf("run %d\n%s\nwant\n%s", i, stdout, first)
		}
	}
}

func TestRun_errors(t *testing.T) {
	enter(t)
	for name, tt := range map[string]struct {
		args []string
		want string // in standard error
	}{
		"a rule that there is not":    {[]string{"-rules=RQ999"}, `there is no rule "RQ999"`},
		"a flag that there is not":    {[]string{"-fast"}, "flag provided but not defined: -fast"},
		"a package that there is not": {[]string{"./none"}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, stdout, stderr := lint(t, tt.args...); code != 2 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, want 2\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestRun_json(t *testing.T) {
	enter(t)
	code, stdout, stderr := lint(t, "-json")
	var findings []finding
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil || code != 1 || stderr != "" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if len(findings) != 4 {
		t.Fatalf("got %d findings, want 4", len(findings))
	}
	f := findings[0]
	if f.Rule != "RQ001" || f.Line != 12 || f.Column != 40 || f.EndLine != 12 || f.EndColumn != 60 || !f.Fixable || !filepath.IsAbs(f.File) {
		t.Errorf("got %+v", f)
	}
	code, stdout, _ = lint(t, "-json", "./wait")
	if code != 0 || stdout != "[]\n" {
		t.Errorf("without findings: exit code %d, %q", code, stdout)
	}
}

func TestRun_sarif(t *testing.T) {
	enter(t)
	code, stdout, _ := lint(t, "-sarif")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID, HelpURI string }
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI, URIBaseID string }
						Region           struct{ StartLine, StartColumn, EndLine, EndColumn int }
					}
				}
				Fixes []struct {
					ArtifactChanges []struct {
						Replacements []struct {
							InsertedContent struct{ Text string }
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &log); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if log.Version != "2.1.0" || !strings.Contains(log.Schema, "sarif-2.1.0") || len(log.Runs) != 1 {
		t.Fatalf("no SARIF 2.1.0 of one run:\n%s", stdout)
	}
	r := log.Runs[0]
	if r.Tool.Driver.Name != "requeuelint" || len(r.Tool.Driver.Rules) != 7 || len(r.Results) != 4 {
		t.Fatalf("got %d rules and %d results", len(r.Tool.Driver.Rules), len(r.Results))
	}
	for _, result := range r.Results {
		if r.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID || result.Level != "warning" || result.Message.Text == "" {
			t.Errorf("got %+v", result)
		}
		at := result.Locations[0].PhysicalLocation
		if at.ArtifactLocation.URI != "controller.go" || at.ArtifactLocation.URIBaseID != "%SRCROOT%" || at.Region.StartLine < 1 || at.Region.EndColumn < at.Region.StartColumn {
			t.Errorf("got location %+v", at)
		}
	}
	if text := r.Results[0].Fixes[0].ArtifactChanges[0].Replacements; len(text) != 2 {
		t.Errorf("want the wait and the import in the fix, got %+v", text)
	}

	if code, stdout, _ = lint(t, "-sarif=log.sarif"); code != 1 || stdout != "" {
		t.Errorf("with a file: exit code %d, %q", code, stdout)
	}
	if file, err := os.ReadFile("log.sarif"); err != nil || !json.Valid(file) {
		t.Errorf("log.sarif: %v\n%s", err, file)
	}
}

// Fixes of one file go together, with one import, and what they make compiles.
func TestRun_fix(t *testing.T) {
	enter(t)
	code, stdout, stderr := lint(t, "-fix")
	if code != 1 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "fixed 2 of 4 in 1 files") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile("controller.go")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), `"github.com/requeue-go/requeue"`) != 1 || strings.Count(string(text), "requeue.From(time.Now()).Deadline(deadline).After()") != 2 {
		t.Errorf("got\n%s", text)
	}
	if out, err := exec.Command("go", "build", "./...").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if code, stdout, stderr := lint(t, "-fix"); code != 1 || strings.Count(stdout, "\n") != 2 || stderr != "" {
		t.Errorf("again: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// go vet runs it, too.
func TestVetTool(t *testing.T) {
	enter(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "vet", "-vettool="+self, "./...").CombinedOutput()
	if err == nil || strings.Count(string(out), "RQ001: ") != 3 || strings.Count(string(out), "RQ002: ") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

// The go command before 1.26 prints the JSON of a vet tool to standard error.
func TestSplit(t *testing.T) {
	tree, rest := split("# example.com/operator\n{\n\t\"example.com/operator\": {}\n}\n# example.com/other\n{}\nvet: a problem\n")
	if findings, err := decode(strings.NewReader(tree)); err != nil || len(findings) != 0 {
		t.Errorf("%v in %q", err, tree)
	}
	if rest != "vet: a problem\n" {
		t.Errorf("got %q", rest)
	}
}
