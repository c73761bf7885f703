package steps

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue/requeuetest"
)

// Reconciler fails each Pod that has run for 12 minutes; this one is wrong.
type Reconciler struct{ client.Client }

func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).For(&corev1.Pod{}).Complete(r)
}

func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	if err := r.Get(ctx, req.NamespacedName, &pod); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if time.Since(pod.Status.StartTime.Time) >= 12*time.Minute {
		pod.Status.Phase = corev1.PodFailed
		return ctrl.Result{}, r.Status().Update(ctx, &pod)
	}
	return ctrl.Result{RequeueAfter: 5 * time.Minute}, nil
}

func TestReconciler_failsAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := metav1.Now()
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "step"},
			Status:     corev1.PodStatus{StartTime: &started},
		}
		w := requeuetest.Start(t, requeuetest.Options{
			Objects: []client.Object{pod},
			Setup: func(mgr ctrl.Manager) error {
				return (&Reconciler{mgr.GetClient()}).SetupWithManager(mgr)
			},
		})
		w.ActedBy(pod, started.Add(12*time.Minute), time.Second, func() bool {
			return pod.Status.Phase == corev1.PodFailed
		})
	})
}
