package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/process"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

func TestMain(m *testing.M) {
	if process.Main(parts) {
		return
	}
	process.SetLogger(false)
	os.Exit(m.Run())
}

// startServer starts an API server with the CRD in it.
func startServer(t *testing.T) *rest.Config {
	t.Helper()
	return newServer(t).Config
}

func newServer(t *testing.T) *kubeapi.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	server, err := kubeapi.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	require.NoError(t, kubeapi.InstallCRD(t.Context(), server.Config, v1alpha1.CRD()))
	require.NoError(t, server.SkipEstablishingDelay(t.Context(), v1alpha1.CRD().Name))
	return server
}

func newClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	require.NoError(t, err)
	return c
}

// create loads manifests and creates them in the default namespace.
func create(t *testing.T, c client.Client, documents string) {
	t.Helper()
	manifests, err := parseManifests("test", []byte(documents))
	require.NoError(t, err)
	for _, m := range manifests {
		m.object.SetNamespace("default")
		require.NoError(t, c.Create(t.Context(), m.object))
	}
}

func get(t *testing.T, c client.Client, name string) *v1alpha1.Promotion {
	t.Helper()
	var p v1alpha1.Promotion
	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &p))
	return &p
}

// document is a manifest of one step, with the given timeout line.
func document(name, timeout string) string {
	return `
---
apiVersion: kargo.akuity.io/v1alpha1
kind: Promotion
metadata: {name: ` + name + `}
spec:
  stage: test
  vars: [{name: kept, value: as it was}]
  steps:
    - uses: argocd-update
      as: sync
      retry: {` + timeout + `}
`
}

// runCommand runs the program as from a shell and returns what it printed.
func runCommand(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	defer out.Close()
	var complaints strings.Builder
	code = command(args, strings.NewReader(stdin), out, &complaints)
	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return code, string(text), complaints.String()
}

func TestCommand_onACluster(t *testing.T) {
	server := newServer(t)
	cfg := server.Config
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, server.WriteKubeconfig(kubeconfig))
	needs, err := newInstallation(cfg, contenders(false))
	require.NoError(t, err)
	crd := v1alpha1.CRD()
	gone := func() bool {
		return apierrors.IsNotFound(needs.client.Get(t.Context(), client.ObjectKeyFromObject(crd), crd))
	}
	args := []string{"-f", "-", "-interval", "1s", "-kubeconfig", kubeconfig}
	// With what a real one may have: a finalizer that nobody here would remove.
	input := strings.Replace(document("short", "timeout: 1s"), "{name: short}", "{name: short, finalizers: [kargo.akuity.io/finalizer]}", 1)

	code, _, complaint := runCommand(t, input, append(args, "-yes")...)
	assert.Equal(t, 1, code)
	assert.Contains(t, complaint, "promotions.kargo.akuity.io is there already", "that of startServer")
	needs.installed = []client.Object{v1alpha1.CRD()}
	require.NoError(t, needs.remove(t.Context()))

	code, _, complaint = runCommand(t, input, args...)
	assert.Equal(t, 1, code)
	assert.Contains(t, complaint, "run again with -yes")
	assert.True(t, gone(), "nothing is installed without -yes")

	for range 2 { // the second finds nothing left of the first
		code, out, complaint := runCommand(t, input, append(args, "-yes")...)
		require.Equal(t, 0, code, complaint)
		assert.Contains(t, out, "CustomResourceDefinition  promotions.kargo.akuity.io")
		assert.Contains(t, out, "timed out     1 of 1            1 of 1\n")
		assert.True(t, gone(), "removed")
	}
}

// The embedded run from start to end, in a temporary directory that is empty
// again afterwards.
func TestCommand_embedded(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	out := filepath.Join(tmp, "out")
	f, err := os.Create(out)
	require.NoError(t, err)
	defer f.Close()
	code := command([]string{"-f", "-", "-interval", "1s"}, strings.NewReader(document("short", "timeout: 1s")), f, os.Stderr)
	assert.Equal(t, 0, code)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^ +\d\.\d{3}s  short +timeout 1s +requeue +timed out \d+ms late$`, string(text))
	assert.Contains(t, string(text), "1 promotion for each controller")
	assert.Contains(t, string(text), "timed out     1 of 1            1 of 1\n")
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Len(t, left, 1, "the output and nothing else")
}

func TestCommand_load(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	code, out, complaint := runCommand(t, document("short", "timeout: 2s"), "-f", "-", "-interval", "1s", "-load")
	require.Equal(t, 0, code, complaint)
	assert.Contains(t, out, "and 33 more to keep its 2 workers busy: 101ms a look, 167 % of what they can do")
	assert.Regexp(t, `timed out +1 of 1 +1 of 1 +1 of 1\n`, out)
}

// The replicas from start to end: the promotions are failed by the first leader and by the
// next, and neither processes nor files are left.
func TestCommand_replicas(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	t.Setenv("TMPDIR", t.TempDir())
	code, out, complaint := runCommand(t, document("first", "timeout: 1s")+document("gap", "timeout: 2s")+document("none", ""),
		"-f", "-", "-interval", "1s", "-replicas", "2")
	require.Equal(t, 0, code, complaint)
	assert.Regexp(t, `(?s)replica-(\d) .* leads.* first .* kill -9 of replica-.* gap .* timed out `, out)
	assert.Contains(t, out, "3 promotions; the leader")
	assert.Contains(t, out, "\nwithout a timeout: none\n")
	assert.Regexp(t, `(?m)^timed out exactly once +1 of 1 +1 of 1$`, out)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}

// As by Ctrl-C, or a pipe that breaks while the run is shown.
func TestRunReplicas_interrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	t.Setenv("TMPDIR", t.TempDir())
	manifests, err := parseManifests("test", []byte(document("long", "timeout: 1h")))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	out := &cancelWriter{failing{io.Discard, "takes up to"}, cancel}
	err = onServer(ctx, out, func(server *kubeapi.Server, dir string) error {
		return runReplicas(ctx, server, dir, options{interval: time.Hour, replicas: 2}, manifests, out)
	})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestFailover_summary(t *testing.T) {
	manifests := []manifest{{name: "lost", timeout: time.Second}, {name: "twice", timeout: time.Second}, {name: "once", timeout: time.Second}}
	var out bytes.Buffer
	f := newFailover(&out, manifests)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.killed, f.takeover = begin, begin.Add(5*time.Second)
	for i, e := range []struct{ name, phase string }{
		{"lost", v1alpha1.PhaseRunning}, {"twice", v1alpha1.PhaseFailed}, {"twice", v1alpha1.PhaseFailed}, {"once", v1alpha1.PhaseFailed},
	} {
		p := &v1alpha1.Promotion{}
		p.Name, p.ResourceVersion = e.name, strconv.Itoa(i+1)
		p.Spec.Steps = []v1alpha1.PromotionStep{{Retry: &v1alpha1.PromotionStepRetry{Timeout: "1s"}}}
		p.Status.Phase, p.Status.StepExecutionMetadata = e.phase, []v1alpha1.StepExecutionMetadata{{StartedAt: new(metav1.NewTime(begin))}}
		f.audit.Observe(p, begin.Add(3*time.Second))
	}
	assert.Equal(t, 2, f.summary())
	assert.Regexp(t, `(?m)^timed out exactly once +1 of 3 +0 of 0$`, out.String())
	assert.Regexp(t, `(?m)^lost, timed out twice, too early +1, 1, 0 +0, 0, 0$`, out.String())
}

func TestBallastFor(t *testing.T) {
	for interval, want := range map[time.Duration]ballast{
		1:                {1, 0},
		time.Millisecond: {1, 3333330},
		6 * time.Second:  {200, 100 * time.Millisecond},
		time.Hour:        {1000, 12 * time.Second},
		math.MaxInt64:    {1000, 288 * time.Second},
	} {
		assert.Equal(t, want, ballastFor(interval), interval)
	}
}

func TestRun_interrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	t.Setenv("TMPDIR", t.TempDir())
	manifests, err := parseManifests("test", []byte(document("long", "timeout: 1h")))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	// As a pipe that breaks while the run is shown.
	b := newBoard(&cancelWriter{failing{&out, "poll interval"}, cancel}, nil, time.Hour, contenders(false))
	require.ErrorIs(t, run(ctx, options{interval: time.Hour}, manifests, b), context.Canceled)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestRunUntilDone_interrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	defer out.Close()
	for _, replicas := range []int{0, 2} {
		assert.Equal(t, 130, runUntilDone(ctx, options{interval: time.Hour, replicas: replicas}, []manifest{{}}, out, nil), "as after Ctrl-C")
	}
}

// failing is a writer that fails when it is to write the text.
type failing struct {
	io.Writer
	text string
}

func (f failing) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(f.text)) {
		return 0, syscall.EPIPE
	}
	return f.Writer.Write(p)
}

func TestCleanedUp(t *testing.T) {
	left := errors.New("left behind")
	assert.NoError(t, cleanedUp(nil, nil))
	assert.ErrorIs(t, cleanedUp(context.Canceled, nil), context.Canceled)
	assert.ErrorIs(t, cleanedUp(context.Canceled, left), left)
	assert.NotErrorIs(t, cleanedUp(context.Canceled, left), context.Canceled, "not just interrupted")
	assert.ErrorIs(t, cleanedUp(os.ErrClosed, left), os.ErrClosed)
}

func TestCommand_exitCodes(t *testing.T) {
	code, out, _ := runCommand(t, "", "-h")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "Usage: promotion")
	code, _, complaint := runCommand(t, "", "-nonsense")
	assert.Equal(t, 2, code)
	assert.Contains(t, complaint, "promotion: flag provided but not defined: -nonsense")
	code, _, complaint = runCommand(t, "", "-f", "-")
	assert.Equal(t, 1, code)
	assert.Contains(t, complaint, "standard input: nothing in it")
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	input := document("good", "timeout: 1s") + document("bad", "timeOut: 1s")
	for _, args := range [][]string{{"-f", "-"}, {"-f", "-", "-replicas", "2"}} {
		code, out, complaint = runCommand(t, input, args...)
		assert.Equal(t, 1, code)
		assert.Equal(t, `promotion: standard input: document 2: bad: Promotion in version "v1alpha1" cannot be handled as a Promotion: `+
			`strict decoding error: unknown field "spec.steps[0].retry.timeOut"`+"\n", complaint)
		assert.NotContains(t, out, "takes up to", "all or nothing")
	}
}

func TestParseFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-interval 0s":      "-interval is 0s; want more than 0",
		"-interval -1s":     "-interval is -1s; want more than 0",
		"-interval 5":       `invalid value "5" for flag -interval: want a duration such as 5s or 5m`,
		"-interval tomorow": `invalid value "tomorow" for flag -interval: want a duration`,
		"-yes":              "-yes goes with -kubeconfig",
		"-replicas 1":       "-replicas is 1; want 2 to 10",
		"-replicas 0":       "-replicas is 0; want 2 to 10",
		"-replicas 11":      "-replicas is 11; want 2 to 10",
		"-replicas 2 -load": "-replicas does not go with -load",
		"manifests":         `"manifests" is not a flag`,
		"-nonsense":         "flag provided but not defined: -nonsense",
	} {
		_, err := parseFlags(strings.Fields(args), os.Stderr)
		assert.ErrorContains(t, err, want)
	}
	o, err := parseFlags(nil, os.Stderr)
	require.NoError(t, err)
	assert.Equal(t, options{interval: 5 * time.Second}, o)

	var help bytes.Buffer
	_, err = parseFlags([]string{"-h"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, name := range []string{"-f file", "-interval duration", "-kubeconfig file", "-replicas n", "-yes", "-v"} {
		assert.Contains(t, help.String(), name)
	}
}
