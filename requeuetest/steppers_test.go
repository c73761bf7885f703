package requeuetest_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/requeuetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const timeout = 12 * time.Minute

// newPod returns a Pod that has just started, and its deadline.
func newPod() (*corev1.Pod, time.Time) {
	started := metav1.Now()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "step"},
		Status:     corev1.PodStatus{StartTime: &started},
	}, started.Add(timeout)
}

func failed(p *corev1.Pod) func() bool {
	return func() bool { return p.Status.Phase == corev1.PodFailed }
}

// stepper fails each Pod whose timeout is over. What it does with one that is not over is the
// matter of the test.
type stepper struct {
	client.Client
	step func(ctx context.Context, s *stepper, p *corev1.Pod, started time.Time) (reconcile.Result, error)
}

func (s *stepper) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var p corev1.Pod
	if err := s.Get(ctx, req.NamespacedName, &p); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if p.Status.Phase == corev1.PodFailed {
		return reconcile.Result{}, nil
	}
	started := requeue.TimeOf(p.Status.StartTime)
	if requeue.Expired(started, timeout, nil) {
		p.Status.Phase = corev1.PodFailed
		return reconcile.Result{}, s.Status().Update(ctx, &p)
	}
	return s.step(ctx, s, &p, started)
}

// SetupWithManager is one as in production: what the controller writes into the status does not wake it.
func (s *stepper) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).
		For(&corev1.Pod{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Complete(s)
}

// setup is the Setup of a stepper.
func setup(f step) func(manager.Manager) error {
	return func(mgr manager.Manager) error { return (&stepper{mgr.GetClient(), f}).SetupWithManager(mgr) }
}

// poke changes the Pod so that it wakes the controller.
func poke(t testing.TB, w *requeuetest.World, pod *corev1.Pod) {
	t.Helper()
	var now corev1.Pod
	require.NoError(t, w.Client.Get(context.Background(), client.ObjectKeyFromObject(pod), &now))
	metav1.SetMetaDataAnnotation(&now.ObjectMeta, "poked", time.Now().String())
	require.NoError(t, w.Client.Update(context.Background(), &now))
}

type step = func(context.Context, *stepper, *corev1.Pod, time.Time) (reconcile.Result, error)

func fixedPoll(context.Context, *stepper, *corev1.Pod, time.Time) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: 5 * time.Minute}, nil
}

func timeUntil(ctx context.Context, s *stepper, p *corev1.Pod, started time.Time) (reconcile.Result, error) {
	p.Status.Message = "seen at " + time.Now().String()
	if err := s.Status().Update(ctx, p); err != nil { // takes its time
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: time.Until(started.Add(timeout))}, nil //nolint:requeuelint // on purpose
}

func errorUntilTimeout(context.Context, *stepper, *corev1.Pod, time.Time) (reconcile.Result, error) {
	return reconcile.Result{}, errors.New("not yet")
}

func planned(ctx context.Context, s *stepper, p *corev1.Pod, started time.Time) (reconcile.Result, error) {
	p.Status.Message = "waiting since " + started.UTC().String() + p.Annotations["poked"]
	if err := s.Status().Update(ctx, p); err != nil {
		return reconcile.Result{}, err
	}
	plan := requeue.From(time.Now()).Every(5*time.Minute).Timeout(started, timeout)
	return reconcile.Result{RequeueAfter: plan.After()}, nil
}

func toldError(ctx context.Context, _ *stepper, _ *corev1.Pod, started time.Time) (reconcile.Result, error) {
	deadlinequeue.Tell(ctx, requeue.From(time.Now()).Timeout(started, timeout))
	return reconcile.Result{}, errors.New("not yet")
}

// Queues that a test may choose.
var queues = map[string]func(step) func(client.Client) controller.Options{
	"client-go": func(f step) func(client.Client) controller.Options {
		return func(c client.Client) controller.Options {
			return controller.Options{Reconciler: &stepper{c, f}, UsePriorityQueue: ptr.To(false)}
		}
	},
	"priority queue": func(f step) func(client.Client) controller.Options {
		return func(c client.Client) controller.Options {
			return controller.Options{Reconciler: &stepper{c, f}, UsePriorityQueue: ptr.To(true)}
		}
	},
	"deadlinequeue": func(f step) func(client.Client) controller.Options {
		return func(c client.Client) controller.Options {
			dq := deadlinequeue.For(&stepper{c, f}, deadlinequeue.Options[reconcile.Request]{})
			return controller.Options{Reconciler: dq, NewQueue: dq.NewQueue}
		}
	},
}

// start starts a controller with a queue.
func start(t testing.TB, queue string, f step, objects ...client.Object) *requeuetest.World {
	t.Helper()
	return requeuetest.Start(t, requeuetest.Options{
		Objects: objects,
		Setup:   requeuetest.For(&corev1.Pod{}, queues[queue](f)),
	})
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	goruntime.Goexit()
}

// failure runs a test that has to fail, in a bubble, and returns how.
func failure(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	synctest.Test(t, func(*testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				for _, f := range r.cleanups {
					f()
				}
			}()
			test(r)
		}()
		<-done
	})
	require.NotEmpty(t, r.failures, "it must fail")
	t.Log(r.failures[0])
	return r.failures[0]
}

func everyQueue(t *testing.T, test func(t *testing.T, queue string)) {
	for queue := range queues {
		t.Run(queue, func(t *testing.T) { test(t, queue) })
	}
}

// contains asserts that a message has all of these, in this order.
func contains(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		_, rest, found := strings.Cut(message, part)
		if !assert.True(t, found, "%q is missing in, or not in its place in:\n%s", part, message) {
			return
		}
		message = rest
	}
}
