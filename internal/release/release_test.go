package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const version = "v0.1.0"

// proxied is a file-based proxy that serves the modules of this repository, before the
// modules that are in the module cache and those of the usual proxy; and a module cache
// of its own, as that of the machine may know another v0.1.0.
type proxied struct{ env []string }

func serve(t *testing.T) proxied {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, Pack(filepath.Join(dir, "proxy"), root, version))
	known := strings.Fields(run(t, nil, root, "go", "env", "GOMODCACHE", "GOPROXY"))
	return proxied{[]string{
		"GOWORK=off",
		"GOFLAGS=-mod=mod -modcacherw -trimpath",
		"GOMODCACHE=" + filepath.Join(dir, "modules"),
		"GOPROXY=file://" + filepath.Join(dir, "proxy") + ",file://" + known[0] + "/cache/download," + known[1],
		"GONOSUMDB=github.com/requeue-go/*",
	}}
}

// run runs a command and returns what it prints on standard output.
func run(t *testing.T, env []string, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), &stderr)
	return string(out)
}

// consumer is a module that imports something already.
type consumer struct {
	proxied
	dir string
}

// newConsumer makes a module that imports packages, at the versions given.
func (p proxied) newConsumer(t *testing.T, packages []string, versions ...string) consumer {
	t.Helper()
	c := consumer{p, t.TempDir()}
	c.run(t, "mod", "init", "example.com/consumer")
	c.write(t, "before_test.go", packages...)
	c.write(t, "after.go")
	if len(versions) > 0 {
		c.run(t, append([]string{"get"}, versions...)...)
	}
	c.run(t, "mod", "tidy")
	return c
}

func (c consumer) run(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, c.env, c.dir, "go", args...)
}

// write makes a file that imports packages.
func (c consumer) write(t *testing.T, name string, packages ...string) {
	t.Helper()
	text := "package consumer\n"
	for _, p := range packages {
		text += "\nimport _ \"" + p + "\"\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644))
}

// lines returns the requirements of go.mod, the checksums of go.sum, and the modules
// that take part in the build, one a line.
func (c consumer) lines(t *testing.T) (mod, sum, modules []string) {
	t.Helper()
	read := func(name string) []string {
		data, err := os.ReadFile(filepath.Join(c.dir, name))
		if !os.IsNotExist(err) {
			require.NoError(t, err)
		}
		return strings.Split(string(data), "\n")
	}
	for _, line := range read("go.mod") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
		if fields := strings.Fields(line); len(fields) >= 2 && strings.HasPrefix(fields[1], "v") {
			mod = append(mod, line)
		}
	}
	for _, line := range read("go.sum") {
		if line != "" {
			sum = append(sum, line)
		}
	}
	return mod, sum, strings.Split(strings.TrimSpace(c.run(t, "list", "-m", "all")), "\n")
}

// gains returns the lines that are new, and requires that all old ones are still there.
func gains(t *testing.T, before, after []string) (more []string) {
	t.Helper()
	for _, line := range before {
		assert.Contains(t, after, line, "a line that was changed or is gone")
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			more = append(more, line)
		}
	}
	return more
}

// Whoever imports the core or the queue gets one requirement and changes the version of
// nothing else.
func TestImport_movesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("resolves the modules of six consumers")
	}
	const (
		core  = "github.com/requeue-go/requeue"
		queue = "github.com/requeue-go/requeue/deadlinequeue"
		kit   = "github.com/requeue-go/requeue/requeuetest"
		utils = "v0.0.0-20201110183641-67b214c5f920"
	)
	served := serve(t)
	// What somebody gets who imports no more than the clock, of the version that the
	// core asks for: k8s.io/utils, and the go.mod files that it names.
	_, clock, _ := served.newConsumer(t, []string{"k8s.io/utils/clock"}, "k8s.io/utils@"+utils).lines(t)
	for name, tt := range map[string]struct {
		packages, versions []string
		imports            []string
		mod                []string // what go.mod gains
		sum                []string // of what go.sum gains lines, beside those that the clock alone brings
	}{
		"the core into an empty module": {
			imports: []string{core, core + "/retry"},
			mod:     []string{core + " " + version, "k8s.io/utils " + utils + " // indirect"},
			// go mod tidy keeps the checksums of what the tests of an import need.
			sum: []string{core, "github.com/stretchr/testify", "github.com/davecgh/go-spew", "github.com/pmezard/go-difflib", "gopkg.in/yaml.v3", "gopkg.in/check.v1", "github.com/stretchr/objx"},
		},
		"the core beside testify, rapid and utils": {
			packages: []string{"github.com/stretchr/testify/mock", "github.com/stretchr/testify/require", "pgregory.net/rapid", "k8s.io/utils/clock/testing"},
			versions: []string{"github.com/stretchr/testify@v1.11.1", "github.com/stretchr/objx@v0.5.2", "pgregory.net/rapid@v1.2.0", "k8s.io/utils@v0.0.0-20260210185600-b8788abfbbc2"},
			imports:  []string{core},
			mod:      []string{core + " " + version},
			sum:      []string{core},
		},
		"the core beside controller-runtime": {
			packages: []string{"sigs.k8s.io/controller-runtime"},
			versions: []string{"sigs.k8s.io/controller-runtime@v0.23.3"},
			imports:  []string{core},
			mod:      []string{core + " " + version},
			sum:      []string{core},
		},
		"the queue beside controller-runtime v0.23.3": {
			packages: []string{"sigs.k8s.io/controller-runtime"},
			versions: []string{"sigs.k8s.io/controller-runtime@v0.23.3"},
			imports:  []string{core, queue},
			mod:      []string{core + " " + version, queue + " " + version},
			sum:      []string{core, queue},
		},
		"the queue beside controller-runtime v0.25.2": {
			packages: []string{"sigs.k8s.io/controller-runtime"},
			versions: []string{"sigs.k8s.io/controller-runtime@v0.25.2"},
			imports:  []string{core, queue},
			mod:      []string{core + " " + version, queue + " " + version},
			sum:      []string{core, queue},
		},
		"the test kit beside controller-runtime v0.23.3": {
			packages: []string{"sigs.k8s.io/controller-runtime", "sigs.k8s.io/controller-runtime/pkg/client/fake"},
			versions: []string{"sigs.k8s.io/controller-runtime@v0.23.3"},
			imports:  []string{core, queue, kit},
			mod:      []string{core + " " + version, queue + " " + version, kit + " " + version},
			sum:      []string{core, queue, kit},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := served.newConsumer(t, tt.packages, tt.versions...)
			modBefore, sumBefore, modulesBefore := c.lines(t)
			c.write(t, "after.go", tt.imports...)
			c.run(t, "mod", "tidy")
			mod, sum, modules := c.lines(t)

			assert.ElementsMatch(t, tt.mod, gains(t, modBefore, mod), "go.mod")
			for _, line := range gains(t, sumBefore, sum) {
				if !slices.Contains(clock, line) {
					assert.Contains(t, tt.sum, strings.Fields(line)[0], "go.sum")
				}
			}
			gains(t, modulesBefore, modules)
		})
	}
}

// snippets returns the Go blocks of the README.
func snippets(t *testing.T) (blocks []string) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, part := range strings.Split(string(readme), "\n```go\n")[1:] {
		block, _, found := strings.Cut(part, "\n```\n")
		require.True(t, found, "a block that does not end")
		blocks = append(blocks, block)
	}
	return blocks
}

// coreProgram is a program around the first snippet with requeue. The Result of
// controller-runtime is one of its own, as the core needs no controller-runtime.
const coreProgram = `package main

import (
	"context"
	"fmt"
	"time"

	"github.com/requeue-go/requeue"

	ctrl "example.com/consumer/ctrl"
)

type (
	reconciler struct{ Clock requeue.Clock }
	duration   struct{ time.Duration } // as those of metav1
	object     struct {
		Spec   struct{ Timeout duration }
		Status struct{ StartedAt *time.Time }
	}
)

func (reconciler) fail(context.Context, object) error { fmt.Println("timed out"); return nil }

func reconcile(ctx context.Context, r reconciler, obj object) (ctrl.Result, error) {
SNIPPET
}

func main() {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var obj object
	obj.Spec.Timeout, obj.Status.StartedAt = duration{2 * time.Minute}, &started
	for _, later := range []time.Duration{30 * time.Second, 2 * time.Minute} {
		clock := requeue.ClockFunc(func() time.Time { return started.Add(later) })
		fmt.Println(reconcile(context.Background(), reconciler{clock}, obj))
	}
}
`

// queueProgram is a program around the snippet with the queue. A manager
// needs an API server, so SETUP is compiled and not called.
const queueProgram = `package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

var started = time.Now()

type reconciler struct{ Clock requeue.Clock }

func (r reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	plan := requeue.From(r.Clock.Now()).Every(5*time.Minute).Timeout(started, 200*time.Millisecond)
	if plan.Expired() {
		fmt.Println("timed out, for:", deadlinequeue.Cause(ctx))
		return reconcile.Result{}, nil
	}
TELL
	return reconcile.Result{}, errors.New("not yet")
}

func setup(r reconciler, mgr ctrl.Manager) (err error) {
SETUP
	return err
}

func main() {
	_ = setup
	dq := deadlinequeue.For(reconciler{requeue.ClockFunc(time.Now)}, deadlinequeue.Options[reconcile.Request]{})
	slow := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Hour, time.Hour)
	queue := dq.NewQueue("rehearsal", slow)
	queue.Add(reconcile.Request{})
	for range 2 {
		req, _ := queue.Get()
		if _, err := dq.Reconcile(context.Background(), req); err != nil {
			fmt.Println(err)
			queue.AddRateLimited(req)
		}
		queue.Done(req)
	}
	queue.ShutDown()
}
`

// From an empty module, with nothing but what the proxy serves: both are got and the
// snippets of the README run.
func TestRehearsal(t *testing.T) {
	if os.Getenv("REHEARSAL") == "" {
		t.Skip("compiles controller-runtime once more: three minutes; set REHEARSAL=1")
	}
	blocks := snippets(t)
	require.Len(t, blocks, 3, "before, after and the queue")
	after, queue := blocks[1], blocks[2]

	c := consumer{serve(t), t.TempDir()}
	write := func(name, text string) {
		path := filepath.Join(c.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	c.run(t, "mod", "init", "example.com/consumer")
	write("ctrl/ctrl.go", "package ctrl\n\nimport \"time\"\n\ntype Result struct{ RequeueAfter time.Duration }\n")
	write("core/main.go", strings.Replace(coreProgram, "SNIPPET", after, 1))
	c.run(t, "get", "github.com/requeue-go/requeue@"+version)
	c.run(t, "mod", "tidy")
	assert.Equal(t, "{1m30s} <nil>\ntimed out\n{0s} <nil>\n", c.run(t, "run", "./core"))

	c.run(t, "get", "github.com/requeue-go/requeue/deadlinequeue@"+version)
	setup, tell, found := strings.Cut(queue, "\n// in the reconciler")
	require.True(t, found)
	_, tell, _ = strings.Cut(tell, "\n")
	write("queue/main.go", strings.NewReplacer(
		"SETUP", strings.ReplaceAll(setup, "v1.Promotion", "v1.Pod"), "TELL", tell,
	).Replace(queueProgram))
	c.run(t, "mod", "tidy")
	assert.Equal(t, "not yet\ntimed out, for: deadline\n", c.run(t, "run", "./queue"))
}

// What the README says under Install works: in a module of its own beside a clone, and after
// the first release.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles controller-runtime")
	}
	const path = "github.com/requeue-go/requeue"
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(readme), "\n## Install\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var lines []string
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			lines = append(lines, command)
		}
	}
	require.Len(t, lines, 5, "the core, the queue, the test kit, go mod tidy and the linter")
	tidy, linter := lines[3], lines[4]
	_, released, found := strings.Cut(section, "`go install ")
	require.True(t, found)
	released, _, _ = strings.Cut(released, "`")

	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	served := serve(t)
	bin := t.TempDir()
	for i, imports := range [][]string{{path, path + "/retry"}, {path + "/deadlinequeue"}, {path + "/requeuetest"}} {
		t.Run(imports[0], func(t *testing.T) {
			beside := t.TempDir()
			require.NoError(t, os.Symlink(root, filepath.Join(beside, "requeue")))
			c := consumer{proxied{[]string{"GOWORK=off"}}, filepath.Join(beside, "consumer")}
			require.NoError(t, os.Mkdir(c.dir, 0o755))
			c.run(t, "mod", "init", "example.com/consumer")
			c.write(t, "consumer.go", imports...)
			run(t, c.env, c.dir, "bash", "-ec", strings.Join(lines[:i+1], "")+tidy)
			c.run(t, "build", "./...")

			c = consumer{served, t.TempDir()}
			c.run(t, "mod", "init", "example.com/consumer")
			c.run(t, "get", imports[0])
			assert.Contains(t, c.run(t, "list", "-m", "all"), imports[0]+" "+version)
		})
	}
	t.Run("the linter", func(t *testing.T) {
		beside := t.TempDir()
		require.NoError(t, os.Symlink(root, filepath.Join(beside, "requeue")))
		dir := filepath.Join(beside, "consumer")
		require.NoError(t, os.Mkdir(dir, 0o755))
		run(t, []string{"GOBIN=" + bin}, dir, "bash", "-ec", linter)
		assert.FileExists(t, filepath.Join(bin, "requeuelint"))

		bin := t.TempDir()
		run(t, append(served.env, "GOBIN="+bin), t.TempDir(), "go", "install", released)
		assert.Contains(t, run(t, nil, bin, "./requeuelint", "-version"), version)
	})
}
