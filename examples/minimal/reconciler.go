package main

import (
	"cmp"
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// Timeout is the annotation that says how long a Pod may run, such as "12m". Without
// it, or with "0", that is for ever.
const Timeout = "example.com/timeout"

// Reconciler deletes each Pod whose timeout is over.
type Reconciler struct {
	client.Client
	Clock clock.PassiveClock // a test brings one that it can set
	Poll  time.Duration      // the longest wait, should the clock be set
}

// SetupWithManager adds the controller to the manager, with a queue that knows deadlines.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{})
	return ctrl.NewControllerManagedBy(mgr).For(&corev1.Pod{}).
		WithOptions(controller.Options{NewQueue: dq.NewQueue}).Complete(dq)
}

// Reconcile looks at one Pod, and says when to look again.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	if err := r.Get(ctx, req.NamespacedName, &pod); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !pod.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // nothing to wait for
	}
	timeout, err := time.ParseDuration(cmp.Or(pod.Annotations[Timeout], "0"))
	if err != nil {
		return ctrl.Result{}, reconcile.TerminalError(err) // until the Pod changes
	}
	plan := requeue.From(r.Clock.Now()).Every(r.Poll).Timeout(requeue.TimeOf(pod.Status.StartTime), timeout)
	deadlinequeue.Tell(ctx, plan)
	if plan.Expired() {
		unchanged := client.Preconditions{ResourceVersion: &pod.ResourceVersion}
		return ctrl.Result{}, client.IgnoreNotFound(r.Delete(ctx, &pod, unchanged))
	}
	return ctrl.Result{RequeueAfter: plan.After()}, nil
}
