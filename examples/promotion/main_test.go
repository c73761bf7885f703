package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

func TestMain(m *testing.M) {
	setLogger(false)
	os.Exit(m.Run())
}

// poll is so long that no promotion here is failed by it.
const poll = 10 * time.Minute

// startServer starts an API server with the CRD in it.
func startServer(t *testing.T) *rest.Config {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	server, err := kubeapi.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	require.NoError(t, kubeapi.InstallCRD(t.Context(), server.Config, v1alpha1.CRD()))
	require.NoError(t, server.SkipEstablishingDelay(t.Context(), v1alpha1.CRD().Name))
	return server.Config
}

// startController runs a controller until stop is called and returns its events.
func startController(t *testing.T, cfg *rest.Config) (events <-chan Event, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen, synced, stopped := make(chan Event, 100), make(chan struct{}), make(chan error, 1)
	go func() {
		stopped <- control(ctx, cfg, "default", deadlineAware(poll), synced, func(e Event) { seen <- e })
	}()
	<-synced
	return seen, func() {
		cancel()
		require.NoError(t, <-stopped)
	}
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
	manifests, err := parseManifests("test", strings.NewReader(documents))
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

func TestController_failsEachStepAtItsTimeout(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	events, stop := startController(t, cfg)
	defer stop()
	create(t, c, document("third", "timeout: 3s")+document("first", "timeout: 1s")+document("second", "timeout: 2s"))

	for _, want := range []struct {
		name    string
		timeout time.Duration
	}{{"first", time.Second}, {"second", 2 * time.Second}, {"third", 3 * time.Second}} {
		e := <-events
		for !e.Failed {
			assert.Equal(t, v1alpha1.PhaseRunning, e.Phase)
			assert.LessOrEqual(t, e.Wait, 3*time.Second, "until the deadline, not the next poll")
			e = <-events
		}
		assert.Equal(t, want.name, e.Name, "in the order of the deadlines")
		assert.GreaterOrEqual(t, e.Late, time.Duration(0), "not before the timeout")
		assert.Less(t, e.Late, poll-want.timeout, "not left to the next poll")

		p := get(t, c, want.name)
		assert.Equal(t, v1alpha1.PhaseFailed, p.Status.Phase)
		assert.Contains(t, p.Status.Message, `step "sync" timed out after `+want.timeout.String())
		step := p.Status.StepExecutionMetadata[0]
		assert.Equal(t, v1alpha1.PhaseFailed, step.Status)
		assert.False(t, step.FinishedAt.Time.Before(step.StartedAt.Add(want.timeout)))
	}

	var kept unstructured.Unstructured
	kept.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "first"}, &kept))
	vars, _, _ := unstructured.NestedSlice(kept.Object, "spec", "vars")
	assert.Equal(t, []any{map[string]any{"name": "kept", "value": "as it was"}}, vars)
}

func TestController_withoutATimeoutPolls(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	events, stop := startController(t, cfg)
	defer stop()
	create(t, c, document("zero", "timeout: 0s")+document("negative", "timeout: -1s")+document("missing", ""))
	for range 3 {
		assert.Equal(t, poll, (<-events).Wait)
	}
	for _, name := range []string{"zero", "negative", "missing"} {
		assert.Equal(t, v1alpha1.PhaseRunning, get(t, c, name).Status.Phase, name)
	}
}

func TestController_runsTheStepsThatNeedNoWaiting(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	events, stop := startController(t, cfg)
	defer stop()
	create(t, c, `
apiVersion: kargo.akuity.io/v1alpha1
kind: Promotion
metadata: {name: two-steps}
spec:
  steps:
    - uses: git-clone
    - uses: argocd-update
      retry: {timeout: 1h}
    - uses: http
`)
	e := <-events
	assert.LessOrEqual(t, e.Wait, time.Hour)
	status := get(t, c, "two-steps").Status
	assert.Equal(t, int64(1), status.CurrentStep)
	require.Len(t, status.StepExecutionMetadata, 2)
	assert.Equal(t, v1alpha1.PhaseSucceeded, status.StepExecutionMetadata[0].Status)
	assert.Equal(t, v1alpha1.PhaseRunning, status.StepExecutionMetadata[1].Status)
	assert.Equal(t, "step-2", status.StepExecutionMetadata[1].Alias)
}

// A controller that is restarted halfway goes on with the start that was
// persisted: the timeout does not begin again.
func TestController_restartedHalfway(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	events, stop := startController(t, cfg)
	create(t, c, document("p", "timeout: 3s"))
	assert.False(t, (<-events).Failed)
	stop()
	started := get(t, c, "p").Status.StepExecutionMetadata[0].StartedAt

	events, stop = startController(t, cfg)
	defer stop()
	e := <-events
	assert.LessOrEqual(t, e.Wait, 3*time.Second)
	for !e.Failed {
		e = <-events
	}
	assert.GreaterOrEqual(t, e.Late, time.Duration(0))
	step := get(t, c, "p").Status.StepExecutionMetadata[0]
	assert.Equal(t, started, step.StartedAt, "not started again")
	assert.False(t, step.FinishedAt.Time.Before(started.Add(3*time.Second)))
}

func TestRun_onACluster(t *testing.T) {
	cfg := startServer(t)
	crdKey := client.ObjectKey{Name: v1alpha1.CRD().Name}
	objects, err := newSite(cfg).client()
	require.NoError(t, err)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"x": {Server: cfg.Host, CertificateAuthorityData: cfg.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"x": {Token: cfg.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "x", AuthInfo: "x"}},
		CurrentContext: "x",
	}, kubeconfig))
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	o := options{from: "-", interval: time.Second, kubeconfig: kubeconfig}
	runOnce := func() error {
		return run(t.Context(), o, strings.NewReader(document("short", "timeout: 1s")), out)
	}

	require.ErrorContains(t, runOnce(), "not made by this program", "the CRD of startServer is somebody else's")
	crd := v1alpha1.CRD()
	require.NoError(t, objects.Delete(t.Context(), crd))
	require.Eventually(t, func() bool { return apierrors.IsNotFound(objects.Get(t.Context(), crdKey, crd)) },
		time.Minute, 10*time.Millisecond)

	require.ErrorContains(t, runOnce(), "run again with -yes")
	require.True(t, apierrors.IsNotFound(objects.Get(t.Context(), crdKey, crd)), "nothing installed")

	o.yes = true
	require.NoError(t, runOnce())
	shown, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	assert.Contains(t, string(shown), "CustomResourceDefinition  promotions.kargo.akuity.io")
	assert.Contains(t, string(shown), "failed at their timeout   1 of 1            1 of 1")
	require.Eventually(t, func() bool { return apierrors.IsNotFound(objects.Get(t.Context(), crdKey, crd)) },
		time.Minute, 10*time.Millisecond, "removed")
}

func TestRun_nothingToSee(t *testing.T) {
	o := options{from: "-", interval: time.Second}
	err := run(t.Context(), o, strings.NewReader(document("endless", "timeout: 0s")), os.NewFile(0, os.DevNull))
	require.ErrorContains(t, err, "no promotion has a step with a timeout")
}

func TestParseFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-interval 0s":      "-interval is 0s; want more than 0",
		"-interval -1s":     "-interval is -1s; want more than 0",
		"-interval tomorow": `invalid value "tomorow" for flag -interval`,
		"-yes":              "-yes goes with -kubeconfig",
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
	for _, name := range []string{"-f file", "-interval duration", "-kubeconfig file", "-yes", "-v"} {
		assert.Contains(t, help.String(), name)
	}
}

func TestQuantile(t *testing.T) {
	ms := func(ns ...time.Duration) (ds []time.Duration) {
		for _, n := range ns {
			ds = append(ds, n*time.Millisecond)
		}
		return ds
	}
	assert.Equal(t, "-", quantile(nil, 0.5))
	assert.Equal(t, "7ms", quantile(ms(7), 0.5))
	assert.Equal(t, "2ms", quantile(ms(3, 1, 2), 0.5))
	assert.Equal(t, "2ms", quantile(ms(4, 3, 2, 1), 0.5))
	assert.Equal(t, "4ms", quantile(ms(4, 3, 2, 1), 1))
}
