package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrl "sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// poll is longer than any timeout here, so that what a poll finds is far too late.
const poll = 20 * time.Second

// startController runs a controller until stop is called and returns its events.
func startController(t *testing.T, cfg *rest.Config) (events <-chan controller.Event, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen, synced, stopped := make(chan controller.Event, 100), make(chan struct{}), make(chan error, 1)
	go func() {
		r := &controller.Reconciler{Interval: poll, Next: controller.DeadlineAware, Observe: func(e controller.Event) { seen <- e }}
		settings := ctrl.Options{MaxConcurrentReconciles: workers}
		stopped <- controller.Run(ctx, cfg, r, controller.Options{Namespace: "default", Controller: settings, Synced: func() { close(synced) }})
	}()
	select {
	case <-synced:
	case err := <-stopped:
		t.Fatal("the controller did not start: ", err)
	}
	return seen, func() {
		cancel()
		require.NoError(t, <-stopped)
	}
}

// next returns the next event. It gives up long before the test binary does.
func next(t *testing.T, events <-chan controller.Event) controller.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(3 * poll):
		t.Fatal("no reconcile for ", 3*poll)
		panic("unreachable")
	}
}

func TestController_failsEachStepAtItsTimeout(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	events, stop := startController(t, cfg)
	defer stop()
	create(t, c, document("third", "timeout: 5s")+document("first", "timeout: 1s")+document("second", "timeout: 3s"))

	for _, want := range []struct {
		name    string
		timeout time.Duration
	}{{"first", time.Second}, {"second", 3 * time.Second}, {"third", 5 * time.Second}} {
		// Two seconds apart, as a start is cut to whole seconds.
		e := next(t, events)
		for !e.Failed {
			assert.Equal(t, v1alpha1.PhaseRunning, e.Phase)
			assert.LessOrEqual(t, e.Wait, 5*time.Second, "until the deadline, not the next poll")
			e = next(t, events)
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
		assert.Equal(t, poll, next(t, events).Wait)
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
	assert.Equal(t, poll, next(t, events).Wait)
	status := get(t, c, "two-steps").Status
	assert.Equal(t, int64(1), status.CurrentStep)
	require.Len(t, status.StepExecutionMetadata, 2)
	assert.Equal(t, v1alpha1.PhaseSucceeded, status.StepExecutionMetadata[0].Status)
	assert.Equal(t, v1alpha1.PhaseRunning, status.StepExecutionMetadata[1].Status)
	assert.Equal(t, "step-2", status.StepExecutionMetadata[1].Alias)
}

// A timeout that is no duration ends its promotion, and no other, whether it is
// there before the controller starts or comes while it runs.
func TestController_badTimeout(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	// Past the checks of this program, as by kubectl.
	createBad := func(name string) {
		p := &v1alpha1.Promotion{}
		p.Namespace, p.Name = "default", name
		p.Spec.Steps = []v1alpha1.PromotionStep{{Uses: "git-clone"}, {As: "sync", Retry: &v1alpha1.PromotionStepRetry{Timeout: "1d"}}}
		require.NoError(t, c.Create(t.Context(), p))
	}
	expectFailed := func(events <-chan controller.Event, name, field string) {
		e := next(t, events)
		assert.Equal(t, controller.Event{Name: name, Phase: v1alpha1.PhaseFailed}, e, "not at a timeout, and not looked at again")
		p := get(t, c, name)
		assert.Equal(t, v1alpha1.PhaseFailed, p.Status.Phase)
		assert.Equal(t, field+`: Invalid value: "1d": want a duration such as 90s or 5m`, p.Status.Message)
		assert.NotNil(t, p.Status.FinishedAt)
	}
	createBad("before")
	events, stop := startController(t, cfg)
	defer stop()
	expectFailed(events, "before", "spec.steps[1].retry.timeout")
	create(t, c, document("good", "timeout: 3s"))
	assert.Equal(t, v1alpha1.PhaseRunning, next(t, events).Phase)
	createBad("during")
	expectFailed(events, "during", "spec.steps[1].retry.timeout")

	// One that is made bad while its step runs.
	create(t, c, document("edited", "timeout: 1h"))
	assert.Equal(t, v1alpha1.PhaseRunning, next(t, events).Phase)
	edited := get(t, c, "edited")
	edited.Spec.Steps[0].Retry.Timeout = "1d"
	require.NoError(t, c.Update(t.Context(), edited))
	expectFailed(events, "edited", "spec.steps[0].retry.timeout")
	assert.Equal(t, v1alpha1.PhaseFailed, get(t, c, "edited").Status.StepExecutionMetadata[0].Status)

	e := next(t, events)
	for !e.Failed {
		e = next(t, events)
	}
	assert.Equal(t, "good", e.Name)
	assert.Less(t, e.Late, poll-3*time.Second, "at its timeout")
}

// Whatever status the API server takes can be read: one that cannot would stop the
// controller for all promotions.
func TestPromotion_everyStatusCanBeRead(t *testing.T) {
	c := newClient(t, startServer(t))
	create(t, c, document("p", "timeout: 1h"))
	for status, taken := range map[string]bool{
		`{"startedAt": "2026-01-02T03:04:05Z"}`:                               true,
		`{"startedAt": "2026-01-02T03:04:05.678+01:00"}`:                      true,
		`{"startedAt": null}`:                                                 true,
		`{"startedAt": "2026-01-02t03:04:05z"}`:                               false,
		`{"startedAt": "2026-01-02T03:04:05x6Z"}`:                             false,
		`{"startedAt": "2026-01-02T03:04:05+24:00"}`:                          true, // as Go reads it
		`{"startedAt": "2026-01-02T03:04:60Z"}`:                               false,
		`{"startedAt": "2026-02-30T03:04:05Z"}`:                               false,
		`{"startedAt": ""}`:                                                   false,
		`{"startedAt": []}`:                                                   false,
		`{"startedAt": ["2026-01-02T03:04:05Z"]}`:                             false,
		`{"startedAt": {}}`:                                                   false,
		`{"startedAt": 5}`:                                                    false,
		`{"message": []}`:                                                     false,
		`{"currentStep": []}`:                                                 false,
		`{"stepExecutionMetadata": {}}`:                                       false,
		`{"stepExecutionMetadata": [{"startedAt": []}]}`:                      false,
		`{"unknown": [{}]}`:                                                   true,
		`{"currentStep": -1}`:                                                 true,
		`{"currentStep": 1.0}`:                                                true,
		`{"currentStep": 1.5}`:                                                false,
		`{"currentStep": 9223372036854775808}`:                                false,
		`{"stepExecutionMetadata": null}`:                                     true,
		`{"stepExecutionMetadata": [{}]}`:                                     true,
		`{"stepExecutionMetadata": [null]}`:                                   false,
		`{"stepExecutionMetadata": [{"finishedAt": "2026-01-02t03:04:05z"}]}`: false,
	} {
		err := c.Status().Patch(t.Context(), get(t, c, "p"), client.RawPatch(types.MergePatchType, []byte(`{"status":`+status+`}`)))
		if taken {
			assert.NoError(t, err, status)
		} else {
			assert.True(t, apierrors.IsInvalid(err), "%s: %v", status, err)
		}
		require.NoError(t, c.List(t.Context(), &v1alpha1.PromotionList{}), status)
	}
}

// A controller that is restarted halfway goes on with the start that was
// persisted: the timeout does not begin again.
func TestController_restartedHalfway(t *testing.T) {
	cfg := startServer(t)
	c := newClient(t, cfg)
	events, stop := startController(t, cfg)
	create(t, c, document("p", "timeout: 3s"))
	assert.False(t, next(t, events).Failed)
	stop()
	started := get(t, c, "p").Status.StepExecutionMetadata[0].StartedAt

	events, stop = startController(t, cfg)
	defer stop()
	e := next(t, events)
	assert.LessOrEqual(t, e.Wait, 3*time.Second)
	for !e.Failed {
		e = next(t, events)
	}
	assert.GreaterOrEqual(t, e.Late, time.Duration(0))
	assert.Less(t, e.Late, poll-3*time.Second)
	step := get(t, c, "p").Status.StepExecutionMetadata[0]
	assert.Equal(t, started, step.StartedAt, "not started again")
	assert.False(t, step.FinishedAt.Time.Before(started.Add(3*time.Second)))
}
