package requeuetest_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/requeuetest"
)

// Reconciler fails each Pod that has run for 12 minutes.
type Reconciler struct{ client.Client }

func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).For(&corev1.Pod{}).Complete(r)
}

func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	if err := r.Get(ctx, req.NamespacedName, &pod); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if pod.Status.Phase == corev1.PodFailed {
		return ctrl.Result{}, nil
	}
	plan := requeue.From(time.Now()).Every(5*time.Minute).Timeout(requeue.TimeOf(pod.Status.StartTime), 12*time.Minute)
	if plan.Expired() {
		pod.Status.Phase = corev1.PodFailed
		return ctrl.Result{}, r.Status().Update(ctx, &pod)
	}
	return ctrl.Result{RequeueAfter: plan.After()}, nil
}

func Example() {
	test("TestReconciler", func(t *testing.T) { // func TestReconciler(t *testing.T) {
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
			w.Sleep(6 * time.Minute)
			w.Restart(time.Second)
			w.ActedBy(pod, started.Add(12*time.Minute), time.Second, func() bool { return pod.Status.Phase == corev1.PodFailed })
			w.AtMost(pod, 20, time.Hour)
			fmt.Print(w.Timeline(pod))
		})
	})
	// Output:
	//       +200ms  resync  look again in 5m0s
	//      +5m0.2s  poll    look again in 5m0s
	//      +6m1.2s  resync  look again in 5m0s
	//     +11m1.2s  poll    look again in 58.8s
	//       +12m0s  poll    nothing to wait for
	//       +12m0s  event   nothing to wait for
}

// test runs a test in an example, in which there is no testing.T.
func test(name string, f func(t *testing.T)) {
	for flagName, value := range map[string]string{"test.v": "false", "test.run": "", "test.skip": ""} {
		was := flag.Lookup(flagName).Value.String()
		defer func() { _ = flag.Set(flagName, was) }()
		_ = flag.Set(flagName, value)
	}
	var once sync.Once // -count is for examples, too
	run := func(t *testing.T) { once.Do(func() { f(t) }) }
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: name, F: run}})
}
