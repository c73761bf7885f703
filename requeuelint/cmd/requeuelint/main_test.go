package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/requeue-go/requeue/requeuelint"
)

// The test binary stands in for the command, which go vet runs as its tool.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_REQUEUELINT") != "" {
		main()
	}
	os.Exit(m.Run())
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

// create writes the module, and other files if there are any, to a directory of its own.
func create(t *testing.T, others map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, files := range []map[string]string{module, others} {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// in runs a command in a directory, and returns its exit code and what it prints.
func in(t *testing.T, dir, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TEST_AS_REQUEUELINT=1", "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off",
		"GORACE=atexit_sleep_ms=0") // else each run of the tool waits a second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	exit := (*exec.ExitError)(nil)
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
		return -1, "", ""
	}
	var said strings.Builder
	for line := range strings.Lines(errs.String()) {
		if !strings.Contains(line, "is compiling the dependencies") { // it is on a slow machine
			said.WriteString(line)
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

// runIn runs the command in a directory.
func runIn(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return in(t, dir, self, args...)
}

// findings of the module, by the beginnings of their lines.
var all = []string{
	"controller.go:12:40: RQ001: RequeueAfter can be zero or negative here (time.Until(deadline))",
	"controller.go:16:40: RQ001: ",
	"controller.go:20:40: RQ001: RequeueAfter can be zero or negative here (wait.Left(deadline): time.Until(deadline) at wait/wait.go:6)",
	"controller.go:24:2: RQ002: ",
}

// wantLines fails if the lines of a text do not begin as wanted.
func wantLines(t *testing.T, text string, want []string) {
	t.Helper()
	lines := slices.Collect(strings.Lines(text))
	if !slices.EqualFunc(lines, want, strings.HasPrefix) {
		t.Errorf("got\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := create(t, map[string]string{
		"e2e/e2e_test.go": strings.Replace(module["controller_test.go"], "operator", "e2e_test", 1),
		"tagged.go": `//go:build tagged

package operator

import "sigs.k8s.io/controller-runtime/pkg/reconcile"

func tagged(err error) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: 1}, err
}
`,
	})
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"all":                          {nil, 1, all},
		"one rule":                     {[]string{"-rules=RQ002"}, 1, all[3:]},
		"rules as people write them":   {[]string{"-rules", " rq002, RQ003 "}, 1, all[3:]},
		"clean rules":                  {[]string{"-rules=RQ003,RQ004"}, 0, nil},
		"a clean package":              {[]string{"./wait"}, 0, nil},
		"another directory":            {[]string{"-C", "wait"}, 0, nil},
		"flags of the go command":      {[]string{"-mod=mod", "-tags", "tagged", "-trimpath", "."}, 1, append(all[:4:4], "tagged.go:8:2: RQ002")},
		"tests, too":                   {[]string{"-tests", "-rules=RQ001", "."}, 1, append(all[:3:3], "controller_test.go:10:40: RQ001")},
		"nothing but tests":            {[]string{"./e2e"}, 0, nil},
		"nothing but tests, with them": {[]string{"-tests", "./e2e"}, 1, []string{"e2e/e2e_test.go:10:40: RQ001"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runIn(t, dir, tt.args...)
			if code != tt.code || stderr != "" {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, stderr)
			}
			wantLines(t, stdout, tt.want)
		})
	}
}

// A sink gets to the tool.
func TestRun_sink(t *testing.T) {
	t.Parallel()
	dir := create(t, map[string]string{"queue.go": `package operator

import "time"

type queue struct{}

func (queue) put(wait time.Duration, key string)  {}
func (queue) plan(key string, wait time.Duration) {}

func add(q queue, deadline time.Time) {
	q.put(time.Until(deadline), "a")
	q.plan("b", time.Until(deadline))
}
`})
	code, stdout, stderr := runIn(t, dir, "-sink=example.com/operator.queue.put:0", "-sink", "example.com/operator.queue.plan:1", ".")
	if code != 1 || stderr != "" {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	wantLines(t, stdout, append(all[:4:4], "queue.go:11:2: RQ001", "queue.go:12:2: RQ001"))
}

// The rules run in parallel, and find the same each time. Under the race detector the tool that
// go vet runs has it, too; it prints what it finds, and fails.
func TestRun_isTheSameEachTime(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	outputs := make([]string, 10)
	for i := range outputs {
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
		dir := create(t, map[string]string{"run.go": string(source)})
		wg.Go(func() {
			code, stdout, stderr := runIn(t, dir, "-tests", ".")
			if code != 1 || stderr != "" || strings.Count(stdout, "run.go") != 100 {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			outputs[i] = stdout
		})
	}
	wg.Wait()
	for i, output := range outputs {
		if output != outputs[0] {
			t.Errorf("run %d\n%s\nwant\n%s", i, output, outputs[0])
		}
	}
}

// What cannot be loaded in a test is nothing to a run without tests.
func TestRun_aTestThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]string{
		"of the package":   "package operator\n\nimport _ \"example.com/refused\"\n",
		"beside it":        "package operator_test\n\nimport _ \"example.com/refused\"\n",
		"that is mistyped": "package operator\n\nvar broken int = \"text\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := create(t, map[string]string{"broken_test.go": test, "wait/broken_test.go": strings.ReplaceAll(test, "operator", "wait")})
			code, stdout, stderr := runIn(t, dir)
			if code != 1 || stderr != "" {
				t.Errorf("exit code %d, want 1\n%s", code, stderr)
			}
			wantLines(t, stdout, all)
			if code, stdout, stderr := runIn(t, dir, "./wait"); code != 0 || stdout+stderr != "" {
				t.Errorf("without findings: exit code %d, want 0\n%s%s", code, stdout, stderr)
			}
			if code, _, stderr := runIn(t, dir, "-tests"); code != 2 || !strings.Contains(stderr, "broken") {
				t.Errorf("with tests: exit code %d, want 2\n%s", code, stderr)
			}
		})
	}
}

func TestRun_errors(t *testing.T) {
	t.Parallel()
	dir := create(t, map[string]string{"broken/broken.go": "package broken\n\nvar broken int = \"text\"\n"})
	for name, tt := range map[string]struct {
		args []string
		want string // standard error, or how it begins
	}{
		"a rule that there is not":    {[]string{"-rules=RQ001,RQ999"}, "requeuelint: invalid value \"RQ001,RQ999\" for flag -rules: there is no rule RQ999; there are RQ001, RQ002, "},
		"a flag that there is not":    {[]string{"-fast"}, "requeuelint: flag provided but not defined: -fast; -h lists the flags\n"},
		"a sink that is none":         {[]string{"-sink=Queue"}, "requeuelint: invalid value \"Queue\" for flag -sink: "},
		"a package that there is not": {[]string{"./none"}, "stat " + filepath.Join(dir, "none") + ": directory not found\n"},
		"a directory that is missing": {[]string{"-C", "none"}, "requeuelint: invalid value \"none\" for flag -C: "},
		"a diff as JSON":              {[]string{"-diff", "-json"}, "requeuelint: -diff prints neither JSON nor SARIF; -h lists the flags\n"},
		"what does not compile":       {[]string{"./broken"}, "# example.com/operator/broken\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runIn(t, dir, tt.args...)
			if code != 2 || stdout != "" || !strings.HasPrefix(stderr, tt.want) || strings.Contains(stderr, "exit status") {
				t.Errorf("exit code %d, want 2\n%s%s\nwant %s", code, stdout, stderr, tt.want)
			}
		})
	}
	t.Run("the others are told", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := runIn(t, dir)
		if code != 2 || !strings.Contains(stderr, "broken.go:3:") {
			t.Errorf("exit code %d, want 2\n%s", code, stderr)
		}
		wantLines(t, stdout, all)
	})
}

func TestRun_help(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runIn(t, "", "-h")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	for _, r := range requeuelint.Rules() {
		if !strings.Contains(stdout, r.Code+"  "+r.Doc) {
			t.Errorf("%s is missing in\n%s", r.Code, stdout)
		}
	}
}

func TestRun_version(t *testing.T) {
	t.Parallel()
	if code, stdout, _ := runIn(t, "", "-version"); code != 0 || !strings.HasPrefix(stdout, "requeuelint ") || !strings.Contains(stdout, " go1.") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// There, too, a rule that is advice has to be named.
func TestAnalyzers(t *testing.T) {
	t.Parallel()
	for _, r := range requeuelint.Rules() {
		advice := requeuelint.Analyzers(r.Code)[0]
		if slices.Contains(analyzers([]string{"-json", "p.cfg"}), advice) == r.Advice {
			t.Errorf("%s is advice: %v", r.Code, r.Advice)
		}
		if !slices.Contains(analyzers([]string{"-" + advice.Name, "p.cfg"}), advice) || !slices.Contains(analyzers([]string{"-flags"}), advice) {
			t.Errorf("%s cannot be named", r.Code)
		}
	}
}

type told chan string

func (c told) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}

func TestExplainWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early, late := make(told, 1), make(told, 1)
		explainWaiting(early)()
		began := time.Now()
		stop := explainWaiting(late)
		if text := <-late; time.Since(began) != 5*time.Second || !strings.Contains(text, "compiling the dependencies") {
			t.Errorf("got %q after %v", text, time.Since(began))
		}
		if stop() || len(early) > 0 {
			t.Error("it tells something when all is done")
		}
	})
}
