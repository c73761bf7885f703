package requeuetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/requeue-go/requeue/requeuetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestConflict(t *testing.T) {
	conflicts := 0
	careful := func(ctx context.Context, s *stepper, p *corev1.Pod, started time.Time) (reconcile.Result, error) {
		result, err := planned(ctx, s, p, started)
		if apierrors.IsConflict(err) {
			conflicts++
		}
		return result, err
	}
	careless := func(ctx context.Context, s *stepper, p *corev1.Pod, started time.Time) (reconcile.Result, error) {
		result, err := planned(ctx, s, p, started)
		if apierrors.IsConflict(err) {
			return reconcile.Result{}, nil // "somebody else has changed it, so an event will come"
		}
		return result, err
	}
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: setup(careful)})
		w.Sleep(6 * time.Minute)
		w.Conflict(3)
		w.ActedBy(pod, deadline, time.Second, failed(pod))
		assert.Equal(t, 3, conflicts)
		assert.Contains(t, w.Timeline(pod).String(), `error: Operation cannot be fulfilled on pod "step": the test wants a conflict`)
	})
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: setup(careless)})
		w.Conflict(1)
		w.Sleep(6 * time.Minute)
		w.Conflict(1)
		w.ActedBy(pod, deadline, time.Second, failed(pod))
	})
	contains(t, got, "was not acted on", "ended in: nothing to wait for; nothing has looked at it since")
}

// idle starts a controller that does nothing, and returns the client of its manager and its API reader.
func idle(t *testing.T, o requeuetest.Options) (w *requeuetest.World, c client.Client, live client.Reader) {
	t.Helper()
	o.Setup = func(mgr manager.Manager) error {
		c, live = mgr.GetClient(), mgr.GetAPIReader()
		return requeuetest.For(&corev1.Pod{}, func(client.Client) controller.Options {
			return controller.Options{Reconciler: reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
				return reconcile.Result{}, nil
			})}
		})(mgr)
	}
	return requeuetest.Start(t, o), c, live
}

func TestConflict_whatItCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		pod, _ := newPod()
		w, c, _ := idle(t, requeuetest.Options{Objects: []client.Object{pod}})
		w.Sleep(time.Minute)
		labelled := pod.DeepCopy()
		labelled.Labels = map[string]string{"a": "b"}
		applied := func() runtime.ApplyConfiguration {
			return applycorev1.Pod("step", "default").WithLabels(map[string]string{"c": "d"})
		}
		owner := client.FieldOwner("test")
		for name, change := range map[string]func(client.Client) error{
			"update":        func(c client.Client) error { return c.Update(ctx, labelled.DeepCopy()) },
			"patch":         func(c client.Client) error { return c.Patch(ctx, labelled.DeepCopy(), client.MergeFrom(pod)) },
			"apply":         func(c client.Client) error { return c.Apply(ctx, applied(), owner, client.ForceOwnership) },
			"delete":        func(c client.Client) error { return c.Delete(ctx, pod.DeepCopy()) },
			"status update": func(c client.Client) error { return c.Status().Update(ctx, labelled.DeepCopy()) },
			"status patch":  func(c client.Client) error { return c.Status().Patch(ctx, labelled.DeepCopy(), client.MergeFrom(pod)) },
			"status apply":  func(c client.Client) error { return c.Status().Apply(ctx, applied(), owner) },
		} {
			w.Conflict(1)
			err := change(c)
			require.True(t, apierrors.IsConflict(err), "%s: %v", name, err)
			require.ErrorContains(t, err, `"step"`, name)
		}
		assert.Len(t, w.Timeline(pod), 1, "nothing has changed")

		w.Conflict(1)
		other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}}
		require.NoError(t, c.Create(ctx, other))
		require.NoError(t, c.DeleteAllOf(ctx, &corev1.Pod{}, client.MatchingLabels{"a": "b"}))
		require.NoError(t, w.Client.Update(ctx, labelled), "by the test")
		require.True(t, apierrors.IsConflict(c.Delete(ctx, other)), "it was the first")
		require.NoError(t, c.Apply(ctx, applied(), owner))
		w.Sleep(0)
		looks := w.Timeline(pod)
		require.Greater(t, len(looks), 1)
		assert.Equal(t, "event", looks[1].Cause)
		require.NoError(t, c.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace("default"), client.MatchingLabels{"a": "b"}))
		w.ActedBy(pod, time.Now(), 0, nil)
	})
}

// What changes nothing is not written, as in production, and wakes nobody.
func TestClient_writesThatChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		pod, _ := newPod()
		w, c, _ := idle(t, requeuetest.Options{})
		require.NoError(t, c.Create(ctx, pod))
		w.Sleep(time.Minute)
		require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(pod), pod))
		require.NotEmpty(t, pod.ManagedFields)
		version := pod.ResourceVersion
		require.NoError(t, c.Update(ctx, pod.DeepCopy()))
		require.NoError(t, c.Status().Update(ctx, pod.DeepCopy()))
		require.NoError(t, c.Patch(ctx, pod, client.MergeFrom(pod.DeepCopy())))
		require.NoError(t, c.Status().Patch(ctx, pod, client.MergeFrom(pod.DeepCopy())))
		pod.Spec.NodeName = "which is no status"
		require.NoError(t, c.Status().Update(ctx, pod))
		assert.Empty(t, pod.Spec.NodeName, "it is what is stored")
		pod.ResourceVersion = ""
		require.NoError(t, c.Update(ctx, pod), "of any version")
		assert.Equal(t, version, pod.ResourceVersion)
		w.Sleep(time.Minute)
		assert.Len(t, w.Timeline(pod), 1)
		pod.ResourceVersion = "999"
		require.True(t, apierrors.IsConflict(c.Update(ctx, pod)), "it is of another version")
	})
}

// The client of a manager reads from the cache, but unstructured objects and those that it is told not to.
func TestClient_whatIsCached(t *testing.T) {
	for _, o := range []client.CacheOptions{{}, {Unstructured: true}, {DisableFor: []client.Object{&corev1.Pod{}}}} {
		synctest.Test(t, func(t *testing.T) {
			pod, _ := newPod()
			w, c, reader := idle(t, requeuetest.Options{
				Objects: []client.Object{pod},
				Manager: manager.Options{Client: client.Options{Cache: &o}},
			})
			w.Sleep(time.Minute)
			loose := &unstructured.Unstructured{}
			loose.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
			knows := func(from client.Reader, obj client.Object) bool {
				require.NoError(t, from.Get(t.Context(), client.ObjectKeyFromObject(pod), obj))
				return obj.GetAnnotations()["poked"] != ""
			}
			knows(c, loose) // from now on it is in the cache
			w.Lag(time.Hour)
			poke(t, w, pod)
			w.Latency(time.Second)
			began := time.Now()
			var list corev1.PodList
			require.NoError(t, c.List(t.Context(), &list))
			live := o.DisableFor != nil
			assert.Equal(t, live, knows(c, &corev1.Pod{}))
			assert.Equal(t, live, list.Items[0].Annotations["poked"] != "")
			assert.Equal(t, live || !o.Unstructured, knows(c, loose))
			assert.True(t, knows(reader, &corev1.Pod{}), "the API reader")
			calls := time.Duration(1) // that of the API reader
			if live {
				calls += 2
			}
			if !o.Unstructured {
				calls++
			}
			assert.Equal(t, calls*time.Second, time.Since(began), "calls take their time")
			w.Sleep(time.Hour)
			assert.True(t, knows(c, loose))
			require.NoError(t, w.Client.Delete(t.Context(), pod))
			w.Sleep(time.Hour)
			assert.True(t, apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(pod), loose)))
		})
	}
}

// The cache and the asserts see what is written past World.Client, and no call of theirs can fail.
func TestOptions_aClientWithInterceptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, _ := newPod()
		other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}}
		down := errors.New("the API server is down")
		w, _, _ := idle(t, requeuetest.Options{
			Objects: []client.Object{pod},
			Client: fake.NewClientBuilder().WithObjects(other).WithStatusSubresource(pod).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
					return down
				},
				Update: func(ctx context.Context, c client.WithWatch, _ client.Object, _ ...client.UpdateOption) error {
					require.NoError(t, c.Delete(ctx, other))
					return down
				},
			}),
		})
		w.Sleep(time.Minute)
		assert.Len(t, w.Timeline(other), 1)
		require.ErrorIs(t, w.Client.Update(t.Context(), pod), down)
		w.ActedBy(other, time.Now(), 0, nil)
		assert.Len(t, w.Timeline(other), 2)
		require.NoError(t, w.Client.Patch(t.Context(), pod, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))))
		w.ActedBy(pod, time.Now(), 0, func() bool { return pod.Labels["a"] == "b" })
		assert.Len(t, w.Timeline(pod), 2)
	})
}

func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, _ := newPod()
		var c client.Client
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: func(mgr manager.Manager) error {
			c = mgr.GetClient()
			return setup(fixedPoll)(mgr)
		}})
		annotation := func(from client.Reader) bool {
			var p corev1.Pod
			require.NoError(t, from.Get(t.Context(), client.ObjectKeyFromObject(pod), &p))
			return p.Annotations["poked"] != ""
		}
		w.Sleep(time.Minute)
		w.Lag(10 * time.Second)
		poke(t, w, pod)
		w.Sleep(10*time.Second - 1)
		assert.True(t, annotation(w.Client), "stored")
		assert.False(t, annotation(c), "not in the cache yet")
		assert.Len(t, w.Timeline(pod), 1)
		w.Sleep(1)
		assert.True(t, annotation(c))
		looks := w.Timeline(pod)
		require.Len(t, looks, 2)
		assert.Equal(t, "event", looks[1].Cause)
		poke(t, w, pod)
		w.Sleep(time.Second)
		w.Lag(0)
		poke(t, w, pod)
		w.Sleep(9*time.Second - 1)
		assert.Len(t, w.Timeline(pod), 2, "not before the one that lags")
		w.Sleep(1)
		n := len(w.Timeline(pod)) // both may be seen in one look
		assert.Greater(t, n, 2)
		poke(t, w, pod)
		w.Sleep(0)
		assert.Len(t, w.Timeline(pod), n+1)
	})
}

// A write on what a stale cache has shown conflicts, as in production.
func TestLag_writesConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		w := start(t, "priority queue", planned, pod)
		w.Lag(3 * time.Second)
		w.Sleep(5*time.Minute + 2*time.Second)
		poke(t, w, pod)
		w.ActedBy(pod, deadline, time.Second, failed(pod))
		assert.Contains(t, w.Timeline(pod).String(), "object was modified")
	})
}

// A predicate on the generation sees a spec that changes, and nothing else.
func TestClient_countsGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, _ := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: func(mgr manager.Manager) error {
			noKind := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetObjectKind().GroupVersionKind().Empty() }) // as in production
			return builder.ControllerManagedBy(mgr).For(&corev1.Pod{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, noKind)).
				Complete(&stepper{mgr.GetClient(), fixedPoll})
		}})
		w.Sleep(time.Second)
		poke(t, w, pod)
		w.Sleep(time.Second)
		assert.Len(t, w.Timeline(pod), 1)
		require.NoError(t, w.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
		pod.Spec.ActiveDeadlineSeconds = ptr.To(int64(5))
		require.NoError(t, w.Client.Update(t.Context(), pod))
		w.Sleep(time.Second)
		assert.Len(t, w.Timeline(pod), 2)
	})
}
