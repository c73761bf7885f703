// Package snippets has the code that README.md and the pages of docs show, between the
// comments "doc" and "end": it compiles, and our linter finds nothing in it. go run
// ./internal/bench -write fills the documents. What they show as wrong is in
// requeuelint/testdata/src/docs, where the linter finds all of it.
package snippets

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	v1 "github.com/requeue-go/requeue/examples/promotion/v1alpha1"
	"github.com/requeue-go/requeue/requeuetest"
	"github.com/requeue-go/requeue/retry"
)

// Reconciler is any.
type Reconciler struct {
	client.Client
	Clock clock.PassiveClock
}

// Reconcile does nothing.
func (r *Reconciler) Reconcile(context.Context, ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

func (r *Reconciler) fail(context.Context, any) error { return nil }
func (r *Reconciler) step(context.Context, any) error { return nil }
func (r *Reconciler) run(context.Context, any) error  { return nil }

// object has the fields that the snippets are about.
type object struct {
	Spec   struct{ Timeout metav1.Duration }
	Status struct{ StartedAt *metav1.Time }
}

func (r *Reconciler) _(ctx context.Context, obj *object) (ctrl.Result, error) {
	// doc: after
	plan := requeue.From(r.Clock.Now()).Every(5*time.Minute).
		Timeout(requeue.TimeOf(obj.Status.StartedAt), obj.Spec.Timeout.Duration)
	if plan.Expired() {
		return ctrl.Result{}, r.fail(ctx, obj)
	}
	return ctrl.Result{RequeueAfter: plan.After()}, nil
	// end
}

func (r *Reconciler) _(ctx context.Context, mgr ctrl.Manager, plan requeue.Plan) (err error) {
	// doc: queue
	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{})
	err = ctrl.NewControllerManagedBy(mgr).For(&v1.Promotion{}).
		WithOptions(controller.Options{NewQueue: dq.NewQueue}).Complete(dq)
	// in the reconciler, with the plan from above; its returns stay as they are:
	deadlinequeue.Tell(ctx, plan)
	// end
	return err
}

func (r *Reconciler) _(ctx context.Context, obj any, started time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: timeout
	plan := requeue.From(r.Clock.Now()).Every(5*time.Minute).Timeout(started, timeout)
	if plan.Expired() {
		return ctrl.Result{}, r.fail(ctx, obj)
	}
	return ctrl.Result{RequeueAfter: plan.After()}, nil
	// end
}

func (r *Reconciler) _(ctx context.Context, req ctrl.Request, obj any, started time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: limiter
	limiter := retry.New[reconcile.Request](retry.Options{})
	options := controller.Options{RateLimiter: limiter}
	// end
	_ = options
	// doc: limiter-told
	limiter.Tell(req, requeue.From(r.Clock.Now()).Timeout(started, timeout))
	if err := r.step(ctx, obj); err != nil {
		return ctrl.Result{}, err // retried after the backoff, or when the timeout passes
	}
	// end
	return ctrl.Result{}, nil
}

func (r *Reconciler) _(ctx context.Context, req ctrl.Request, obj any, ready bool, waits *retry.Limiter[ctrl.Request], started time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: next
	plan := requeue.From(r.Clock.Now()).Timeout(started, timeout)
	if plan.Expired() {
		return ctrl.Result{}, r.fail(ctx, obj)
	}
	if !ready {
		return ctrl.Result{RequeueAfter: waits.Next(req, plan)}, nil
	}
	waits.Forget(req)
	// end
	return ctrl.Result{}, nil
}

func _(now, lastTry time.Time, failures int, started time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: backoff
	again := requeue.Backoff(lastTry, failures, 5*time.Second, 10*time.Minute)
	return ctrl.Result{RequeueAfter: requeue.From(now).At(again).Timeout(started, timeout).After()}, nil
	// end
}

func _(now, started time.Time, poll time.Duration, obj struct {
	Spec struct{ ExpireAfter, Timeout *metav1.Duration }
}) requeue.Plan {
	// doc: fields
	plan := requeue.From(now).Every(poll)
	if obj.Spec.ExpireAfter != nil { // 0 is at once
		plan = plan.Deadline(started.Add(obj.Spec.ExpireAfter.Duration))
	}
	if obj.Spec.Timeout != nil { // 0 is none
		plan = plan.Timeout(started, obj.Spec.Timeout.Duration)
	}
	// end
	return plan
}

func (r *Reconciler) _(ctx context.Context, interval time.Duration, obj struct {
	Status struct{ LastRun *metav1.Time }
}) (ctrl.Result, error) {
	// doc: due
	last := requeue.TimeOf(obj.Status.LastRun)
	if last.IsZero() || requeue.Expired(last, interval, r.Clock) {
		if err := r.run(ctx, obj); err != nil {
			return ctrl.Result{}, err
		}
		last = r.Clock.Now()
	}
	return ctrl.Result{RequeueAfter: requeue.From(r.Clock.Now()).Due(last.Add(interval), 100*time.Millisecond).After()}, nil
	// end
}

func (r *Reconciler) _(mgr ctrl.Manager) (err error) {
	// doc: queue-setup
	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{})
	err = ctrl.NewControllerManagedBy(mgr).For(&v1.Promotion{}).
		WithOptions(controller.Options{NewQueue: dq.NewQueue}).Complete(dq)
	// end
	return err
}

func (r *Reconciler) _(ctx context.Context, obj any, poll time.Duration, started time.Time, timeout time.Duration) (ctrl.Result, error) {
	// doc: queue-tell
	plan := requeue.From(r.Clock.Now()).Every(poll).Timeout(started, timeout)
	if plan.Expired() {
		return ctrl.Result{}, r.fail(ctx, obj)
	}
	deadlinequeue.Tell(ctx, plan)
	if err := r.step(ctx, obj); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: plan.After()}, nil
	// end
}

func (r *Reconciler) _(ctx context.Context, mgr ctrl.Manager, timeout time.Duration) reconcile.Reconciler {
	// doc: queue-deadline
	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{
		Deadline: func(req reconcile.Request) (time.Time, bool) {
			var p v1.Promotion
			if err := mgr.GetCache().Get(ctx, req.NamespacedName, &p); err != nil || p.Status.Phase != v1.PhaseRunning {
				return time.Time{}, false
			}
			return requeue.DeadlineOf(requeue.TimeOf(p.Status.StartedAt), timeout), true
		},
	})
	// end
	return dq
}

func _(queue deadlinequeue.Queue[string], key string, started time.Time, timeout, poll time.Duration) {
	// doc: client-go
	queue.Forget(key)
	if wait := requeue.NextRequeue(started, timeout, poll, nil); wait > 0 {
		queue.AddAfter(key, wait)
	}
	// end
}

func _(ctx context.Context, t *testing.T, start time.Time, fakeClient client.Client, request ctrl.Request) {
	// doc: fake-clock
	clock := testingclock.NewFakeClock(start) // k8s.io/utils/clock/testing
	r := &Reconciler{Client: fakeClient, Clock: clock}

	result, err := r.Reconcile(ctx, request)
	require.NoError(t, err)
	require.Equal(t, 30*time.Second, result.RequeueAfter) // exact, no tolerance

	clock.Step(result.RequeueAfter)
	_, err = r.Reconcile(ctx, request) // now it has expired
	// end
	require.NoError(t, err)
}

func _(t *testing.T, newPod func() (*corev1.Pod, time.Time)) {
	// doc: kit-for
	setup := requeuetest.For(&corev1.Pod{}, func(c client.Client) controller.Options {
		dq := deadlinequeue.For(&Reconciler{Client: c}, deadlinequeue.Options[reconcile.Request]{})
		return controller.Options{Reconciler: dq, NewQueue: dq.NewQueue}
	})
	// end
	// doc: kit-restart
	for before := time.Duration(0); before <= time.Second; before += 100 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			pod, deadline := newPod()
			w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: setup})
			w.Latency(200 * time.Millisecond)
			w.Sleep(time.Until(deadline) - before)
			w.Restart(500 * time.Millisecond)
			w.ActedBy(pod, deadline, 2*time.Second, func() bool { return pod.Status.Phase == corev1.PodFailed })
		})
	}
	// end
}
