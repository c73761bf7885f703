package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/requeuetest"
)

const poll = 5 * time.Minute

var (
	started = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	request = ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "default", Name: "shell"}}
)

// newPod returns a Pod that has started, with a timeout unless that is empty.
func newPod(timeout string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: request.Namespace, Name: request.Name},
		Status:     corev1.PodStatus{StartTime: &metav1.Time{Time: started}},
	}
	if timeout != "" {
		pod.Annotations = map[string]string{Timeout: timeout}
	}
	return pod
}

// newReconciler returns a reconciler of the objects, and its clock, which stands at
// started.
func newReconciler(funcs interceptor.Funcs, objects ...client.Object) (*Reconciler, *testingclock.FakeClock) {
	clock := testingclock.NewFakeClock(started)
	objectClient := fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
	return &Reconciler{Client: objectClient, Clock: clock, Poll: poll}, clock
}

// assertDeleted asserts whether the Pod is gone.
func assertDeleted(t *testing.T, r *Reconciler, want bool) {
	t.Helper()
	err := r.Get(t.Context(), request.NamespacedName, &corev1.Pod{})
	require.NoError(t, client.IgnoreNotFound(err))
	assert.Equal(t, want, err != nil)
}

func TestReconcile_deletesAtTheTimeout(t *testing.T) {
	r, clock := newReconciler(interceptor.Funcs{}, newPod("12m"))

	// The poll, the poll, and what is left until the timeout.
	for _, wait := range []time.Duration{poll, poll, 2 * time.Minute} {
		result, err := r.Reconcile(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, ctrl.Result{RequeueAfter: wait}, result)
		assertDeleted(t, r, false)
		clock.Step(wait)
	}

	result, err := r.Reconcile(t.Context(), request)
	require.NoError(t, err)
	assert.Zero(t, result, "there is nothing left to wait for")
	assertDeleted(t, r, true)
}

func TestReconcile_noDeadline(t *testing.T) {
	pending := newPod("12m")
	pending.Status.StartTime = nil
	for name, pod := range map[string]*corev1.Pod{
		"no timeout":         newPod(""),
		"a timeout of 0":     newPod("0"),
		"a negative timeout": newPod("-1m"),
		"not started":        pending,
	} {
		t.Run(name, func(t *testing.T) {
			r, clock := newReconciler(interceptor.Funcs{}, pod)
			clock.Step(1000 * time.Hour)

			result, err := r.Reconcile(t.Context(), request)
			require.NoError(t, err)
			assert.Equal(t, ctrl.Result{RequeueAfter: poll}, result, "the poll, and no deadline")
			assertDeleted(t, r, false)
		})
	}
}

func TestReconcile_nothingToWaitFor(t *testing.T) {
	leaving := newPod("12m")
	leaving.Finalizers, leaving.DeletionTimestamp = []string{"example.com/wait"}, &metav1.Time{Time: started}
	for name, objects := range map[string][]client.Object{
		"no such Pod":            nil,
		"it is deleted, already": {leaving},
	} {
		t.Run(name, func(t *testing.T) {
			r, clock := newReconciler(interceptor.Funcs{}, objects...)
			clock.Step(12 * time.Minute)

			result, err := r.Reconcile(t.Context(), request)
			require.NoError(t, err)
			assert.Zero(t, result)
		})
	}
}

// The queue wakes the Pod at its timeout by itself, without the poll.
func TestReconcile_tellsTheQueue(t *testing.T) {
	r, clock := newReconciler(interceptor.Funcs{}, newPod("12m"))
	dq := deadlinequeue.For(r, deadlinequeue.Options[reconcile.Request]{Clock: clock})
	q := dq.NewQueue("", nil)
	defer q.ShutDown()
	q.Add(request)
	key, _ := q.Get()
	_, err := dq.Reconcile(t.Context(), key)
	require.NoError(t, err)
	q.Done(key)

	clock.Step(12*time.Minute - 1)
	assert.Zero(t, q.Len())
	clock.Step(1)
	assert.Equal(t, 1, q.Len())
}

// An error leaves the wait to the rate limiter.
func TestReconcile_deletingFails(t *testing.T) {
	broken := errors.New("broken")
	r, clock := newReconciler(interceptor.Funcs{
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			return broken
		},
	}, newPod("12m"))
	clock.Step(13 * time.Minute)

	_, err := r.Reconcile(t.Context(), request)
	require.ErrorIs(t, err, broken)
}

func TestReconcile_readingFails(t *testing.T) {
	broken := errors.New("broken")
	r, _ := newReconciler(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return broken
		},
	})
	_, err := r.Reconcile(t.Context(), request)
	require.ErrorIs(t, err, broken)
}

func TestReconcile_timeoutThatIsNone(t *testing.T) {
	r, _ := newReconciler(interceptor.Funcs{}, newPod("1d"))
	_, err := r.Reconcile(t.Context(), request)
	require.ErrorIs(t, err, reconcile.TerminalError(nil), "not tried again until the Pod changes")
	require.ErrorContains(t, err, `"1d"`)
}

// The timeout is made longer after the reconciler has read the Pod.
func TestReconcile_sparesAPodThatHasChanged(t *testing.T) {
	r, clock := newReconciler(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, read client.Object, opts ...client.GetOption) error {
			if err := c.Get(ctx, key, read, opts...); err != nil {
				return err
			}
			changed := read.DeepCopyObject().(client.Object)
			changed.SetAnnotations(map[string]string{Timeout: "1h"})
			return c.Update(ctx, changed)
		},
	}, newPod("12m"))
	clock.Step(12 * time.Minute)

	_, err := r.Reconcile(t.Context(), request)
	require.True(t, apierrors.IsConflict(err), err)
	assertDeleted(t, r, false)
}

// start starts the whole controller, with its queue, in virtual time, with a Pod whose timeout is 12
// minutes.
func start(t *testing.T) (w *requeuetest.World, pod *corev1.Pod, deadline time.Time) {
	t.Helper()
	pod = newPod("12m")
	pod.Status.StartTime.Time = time.Now()
	w = requeuetest.Start(t, requeuetest.Options{
		Objects: []client.Object{pod},
		Setup: func(mgr ctrl.Manager) error {
			return (&Reconciler{Client: mgr.GetClient(), Clock: clock.RealClock{}, Poll: poll}).SetupWithManager(mgr)
		},
	})
	return w, pod, time.Now().Add(12 * time.Minute).Truncate(time.Second)
}

func TestController_deletesAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, pod, deadline := start(t)
		w.ActedBy(pod, deadline, 0, nil)
		w.AtMost(pod, 10, time.Hour)
	})
}

// Wherever the process is restarted, with an API that takes its time, and conflicts.
func TestController_afterTrouble(t *testing.T) {
	for before := time.Duration(0); before <= time.Second; before += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			w, pod, deadline := start(t)
			w.Latency(200 * time.Millisecond)
			w.Sleep(time.Until(deadline) - before)
			w.Conflict(2)
			w.Restart(500 * time.Millisecond)
			w.ActedBy(pod, deadline, 2*time.Second, nil)
			w.AtMost(pod, 20, time.Hour)
		})
	}
}

// A Pod with a timeout of 12 minutes, under a controller that polls every 5.
func ExampleReconciler() {
	ctx := context.Background()
	clock := testingclock.NewFakeClock(started)
	r := &Reconciler{Client: fake.NewFakeClient(newPod("12m")), Clock: clock, Poll: 5 * time.Minute}

	for {
		result, err := r.Reconcile(ctx, request)
		fmt.Println(clock.Since(started), result.RequeueAfter, err)
		if result.RequeueAfter == 0 {
			break
		}
		clock.Step(result.RequeueAfter)
	}
	fmt.Println(client.IgnoreNotFound(r.Get(ctx, request.NamespacedName, &corev1.Pod{})))
	// Output:
	// 0s 5m0s <nil>
	// 5m0s 5m0s <nil>
	// 10m0s 2m0s <nil>
	// 12m0s 0s <nil>
	// <nil>
}
