package requeuetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/requeuetest"
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

// The three that are wrong.

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

// And the right ones.

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

func (r *recorder) Helper()          {}
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

func TestActedBy_aFixedPollIsLate(t *testing.T) {
	everyQueue(t, func(t *testing.T, queue string) {
		got := failure(t, func(t testing.TB) {
			pod, deadline := newPod()
			w := start(t, queue, fixedPoll, pod)
			w.ActedBy(pod, deadline, time.Second, failed(pod))
		})
		contains(t, got, "Pod default/step was acted on at +15m0.2s, 3m0.2s after its deadline at +12m0s: want that at most 1s after it",
			"the last look before the deadline, at +10m0.2s, ended in: look again in 5m0s; the next one was at +15m0.2s (poll)",
			"+5m0.2s  poll    look again in 5m0s\n")
	})
}

// An event wakes it 100 ms before its deadline, and the write of the status takes 200 ms.
func TestActedBy_timeUntilLosesTheObject(t *testing.T) {
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: setup(timeUntil)})
		w.Latency(200 * time.Millisecond)
		w.Sleep(time.Until(deadline) - 100*time.Millisecond)
		poke(t, w, pod)
		w.ActedBy(pod, deadline, time.Second, failed(pod))
	})
	contains(t, got, "Pod default/step was not acted on until +24h12m1", "24h0m1s after its deadline at +12m0s: want that at most 1s after it",
		"the last look before the deadline, at +11m59.9s, ended in: look again in -100ms, which controller-runtime drops; nothing has looked at it since",
		"+11m59.9s  event   look again in -100ms, which controller-runtime drops (took 200ms)\n")
}

func TestActedBy_theBackoffOfErrorsIsLate(t *testing.T) {
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := start(t, "priority queue", errorUntilTimeout, pod)
		w.ActedBy(pod, deadline, time.Second, failed(pod))
	})
	contains(t, got, "Pod default/step was acted on at +21m", "after its deadline at +12m0s",
		"ended in: error: not yet; the next one was at +21m", "(retry)")
}

func TestActedBy_tooEarly(t *testing.T) {
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := start(t, "priority queue", planned, pod)
		w.ActedBy(pod, deadline.Add(time.Minute), time.Second, failed(pod))
	})
	contains(t, got, "was acted on at +12m0s, 1m0s before its deadline at +13m0s: want that at the deadline or at most 1s after it")
}

func TestActedBy_theRightOnes(t *testing.T) {
	everyQueue(t, func(t *testing.T, queue string) {
		for before := time.Duration(0); before <= time.Second; before += 100 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				pod, deadline := newPod()
				w := start(t, queue, planned, pod)
				w.Latency(200 * time.Millisecond)
				w.Sleep(time.Until(deadline) - before)
				w.NotLost(pod, 5*time.Minute)
				w.Restart(500 * time.Millisecond)
				w.ActedBy(pod, deadline, 2*time.Second, failed(pod))
				w.AtMost(pod, 20, time.Hour)
			})
		}
	})
}

func TestActedBy_errorsWithAQueueThatKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		w := start(t, "deadlinequeue", toldError, pod)
		w.ActedBy(pod, deadline, 0, failed(pod))
		looks := w.Timeline(pod)
		assert.Equal(t, "queue", looks[len(looks)-2].Cause)
	})
}

// What has happened before the call counts.
func TestActedBy_afterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		w := start(t, "client-go", planned, pod)
		w.Sleep(time.Hour)
		w.ActedBy(pod, deadline, 0, failed(pod))
		assert.Equal(t, time.Hour, time.Since(pod.Status.StartTime.Time), "no time has passed")
	})
}

func TestActedBy_deleted(t *testing.T) {
	remove := func(after time.Duration) func(client.Client) controller.Options {
		return func(c client.Client) controller.Options {
			return controller.Options{Reconciler: reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
				var p corev1.Pod
				if err := c.Get(ctx, r.NamespacedName, &p); err != nil {
					return reconcile.Result{}, client.IgnoreNotFound(err)
				}
				if wait := requeue.NextRequeue(requeue.TimeOf(p.Status.StartTime), after, 0, nil); !requeue.Expired(requeue.TimeOf(p.Status.StartTime), after, nil) {
					return reconcile.Result{RequeueAfter: wait}, nil
				}
				return reconcile.Result{}, c.Delete(ctx, &p)
			})}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: requeuetest.For(&corev1.Pod{}, remove(timeout))})
		w.ActedBy(pod, deadline, 0, nil)
		w.Sleep(time.Hour)
		w.NotLost(pod, 12*time.Minute)
		looks := len(w.Timeline(pod))
		w.Restart(0)
		w.Sleep(time.Second)
		assert.Len(t, w.Timeline(pod), looks, "it is gone")
	})
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: requeuetest.For(&corev1.Pod{}, remove(timeout))})
		w.ActedBy(pod, deadline, 0, failed(pod))
	})
	contains(t, got, "Pod default/step was deleted at +12m0s and not acted on until")
	got = failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: requeuetest.For(&corev1.Pod{}, remove(timeout))})
		w.ActedBy(pod, deadline.Add(time.Second), 0, nil)
	})
	contains(t, got, "Pod default/step was deleted at +12m0s, 1s before its deadline")
	got = failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := start(t, "client-go", planned, pod)
		w.ActedBy(pod, deadline, 0, nil)
	})
	contains(t, got, "Pod default/step was not deleted until +24h12m0")
}

func TestActedBy_noSuchObject(t *testing.T) {
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		start(t, "client-go", planned).ActedBy(pod, deadline, 0, failed(pod))
	})
	contains(t, got, "there is no Pod default/step at +", "; want it in Options.Objects")
}

// What the controller makes is seen, also if nobody watches its kind, and by nobody who does not.
func TestActedBy_anObjectThatTheControllerMakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := idle(t, requeuetest.Options{})
		w.Sleep(time.Second)
		made := applycorev1.ConfigMap("made", "default").WithData(map[string]string{"a": "b"})
		require.NoError(t, c.Apply(t.Context(), made, client.FieldOwner("test")))
		obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "made"}}
		w.ActedBy(obj, time.Now(), 0, func() bool { return obj.Data["a"] == "b" })
		w.Restart(0)
		w.Sleep(time.Second)
		assert.Empty(t, w.Timeline(obj), "the controller is one of Pods")
	})
}

func TestNotLost(t *testing.T) {
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: setup(timeUntil)})
		w.Latency(200 * time.Millisecond)
		w.Sleep(time.Until(deadline) - 100*time.Millisecond)
		poke(t, w, pod)
		w.Sleep(time.Hour)
		w.NotLost(pod, 15*time.Minute)
	})
	contains(t, got, "nothing looked at Pod default/step from +12m0.1s to +1h11m59.9s, for 59m59.8s: want a look at least every 15m0s",
		"the look at +11m59.9s ended in: look again in -100ms, which controller-runtime drops")
}

// A source may add to a queue by itself, with no handler of controller-runtime.
func TestTimeline_causes(t *testing.T) {
	for _, priorities := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			pod, _ := newPod()
			key := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)}
			ends := []reconcile.Result{{RequeueAfter: 2 * time.Minute}, {}, {}, {}}
			w := requeuetest.Start(t, requeuetest.Options{Setup: func(mgr manager.Manager) error {
				return builder.ControllerManagedBy(mgr).Named("sourced").WithOptions(controller.Options{UsePriorityQueue: &priorities}).
					WatchesRawSource(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
						q.Add(key)
						q.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, key)
						go func() {
							time.Sleep(time.Hour)
							q.AddRateLimited(key)
							time.Sleep(time.Hour)
							q.AddAfter(key, time.Minute)
						}()
						return nil
					})).
					Complete(reconcile.Func(func(context.Context, reconcile.Request) (result reconcile.Result, err error) {
						result, ends = ends[0], ends[1:]
						return result, nil
					}))
			}})
			w.Sleep(3 * time.Hour)
			var causes []string
			for _, l := range w.Timeline(pod) {
				causes = append(causes, l.Cause+" at "+l.At.Format("15:04:05.000"))
				assert.Equal(t, "sourced", l.Controller)
			}
			assert.Equal(t, []string{
				"event at 00:00:00.000",
				"poll at 00:02:00.000",
				"retry at 01:00:00.005",
				"poll at 02:01:00.000",
			}, causes)
		})
	}
}

func TestAtMost(t *testing.T) {
	everyQueue(t, func(t *testing.T, queue string) {
		got := failure(t, func(t testing.TB) {
			pod, _ := newPod()
			w := start(t, queue, func(context.Context, *stepper, *corev1.Pod, time.Time) (reconcile.Result, error) {
				return reconcile.Result{RequeueAfter: time.Second}, nil
			}, pod)
			w.Sleep(10 * time.Minute)
			w.AtMost(pod, 20, 5*time.Minute)
		})
		contains(t, got, "Pod default/step was looked at 300 times in the 5m0s from +200ms on: want at most 20",
			"+1.2s  poll    look again in 1s\n", "...  595 more like these\n", "+9m59.2s  poll    look again in 1s\n")
	})
}

// A status that is written at each look, and wakes the controller.
func TestSleep_aHotLoopInNoTimeEndsTheTest(t *testing.T) {
	everyQueue(t, func(t *testing.T, queue string) {
		if testing.Short() && queue != "priority queue" {
			t.Skip("takes a second")
		}
		n := 0
		got := failure(t, func(t testing.TB) {
			pod, _ := newPod()
			w := start(t, queue, func(ctx context.Context, s *stepper, p *corev1.Pod, _ time.Time) (reconcile.Result, error) {
				n++
				p.Status.Message = fmt.Sprint(n)
				return reconcile.Result{}, s.Status().Update(ctx, p)
			}, pod)
			w.Sleep(time.Minute)
		})
		contains(t, got, "default/step was looked at 300 times from +200ms to +200ms, in 0s", ": a hot loop; its looks:\n", "event   nothing to wait for")
	})
}

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

func TestRestart_forgetsMemoryAndKeepsObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		processes := 0
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: func(mgr manager.Manager) error {
			processes++
			return setup(planned)(mgr)
		}})
		w.Latency(time.Second)
		w.Sleep(5*time.Minute + 1700*time.Millisecond) // in the middle of a write
		before := w.Timeline(pod)
		w.Restart(time.Minute)
		looks := w.Timeline(pod)
		require.Len(t, looks, len(before)+1)
		require.ErrorContains(t, looks[len(before)].Err, "the process has ended")
		w.Latency(0)
		w.ActedBy(pod, deadline, 0, failed(pod))
		assert.Equal(t, 2, processes)
		assert.Equal(t, "resync", w.Timeline(pod)[len(before)+1].Cause)
	})
}

// A deadline that passes while nothing runs.
func TestRestart_overADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		w := start(t, "priority queue", planned, pod)
		w.Sleep(11 * time.Minute)
		w.Restart(10 * time.Minute)
		w.ActedBy(pod, deadline, 10*time.Minute, failed(pod))
	})
	got := failure(t, func(t testing.TB) {
		pod, deadline := newPod()
		w := start(t, "priority queue", planned, pod)
		w.Sleep(11 * time.Minute)
		w.Restart(10 * time.Minute)
		w.ActedBy(pod, deadline, time.Minute, failed(pod))
	})
	contains(t, got, "was acted on at +21m0", "(resync)")
}

func TestStart_resync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, _ := newPod()
		w, _, _ := idle(t, requeuetest.Options{
			Objects: []client.Object{pod},
			Manager: manager.Options{Cache: cache.Options{SyncPeriod: ptr.To(time.Hour)}},
		})
		w.Sleep(24 * time.Hour)
		looks := w.Timeline(pod)
		assert.Greater(t, len(looks), 10)
		for _, l := range looks {
			assert.Equal(t, "resync", l.Cause)
		}
	})
}

func TestStart_objectsOfMetadataAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, _ := newPod()
		var read []string
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: func(mgr manager.Manager) error {
			return builder.ControllerManagedBy(mgr).For(&corev1.Pod{}, builder.OnlyMetadata).
				Complete(reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
					p := &metav1.PartialObjectMetadata{}
					p.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
					err := mgr.GetClient().Get(ctx, r.NamespacedName, p)
					read = append(read, fmt.Sprint(p.Annotations["poked"] != ""))
					return reconcile.Result{}, err
				}))
		}})
		w.Sleep(time.Minute)
		poke(t, w, pod)
		w.Sleep(time.Minute)
		assert.Equal(t, []string{"false", "true"}, read, w.Timeline(pod))
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

// Events go nowhere, and leave no goroutine behind, which would fail the bubble. Nor are webhooks served.
func TestStart_eventsAndWebhooksAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, _ := newPod()
		w := requeuetest.Start(t, requeuetest.Options{Objects: []client.Object{pod}, Setup: func(mgr manager.Manager) error {
			old := mgr.GetEventRecorderFor("test") //nolint:staticcheck // controllers still use it
			now := mgr.GetEventRecorder("test")
			mgr.GetWebhookServer().Register("/validate", http.NotFoundHandler())
			return requeuetest.For(&corev1.Pod{}, func(c client.Client) controller.Options {
				return controller.Options{Reconciler: &stepper{c, func(_ context.Context, _ *stepper, p *corev1.Pod, _ time.Time) (reconcile.Result, error) {
					old.Event(p, corev1.EventTypeNormal, "Waiting", "for its timeout")
					now.Eventf(p, nil, corev1.EventTypeNormal, "Waiting", "Wait", "for its timeout")
					return reconcile.Result{RequeueAfter: time.Minute}, nil
				}}}
			})(mgr)
		}})
		w.Sleep(5 * time.Minute)
		w.Restart(0)
		w.Sleep(5 * time.Minute)
		assert.Len(t, w.Timeline(pod), 10)
	})
}

func TestStart_manyEventsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, "priority queue", fixedPoll)
		w.Sleep(time.Minute)
		for i := range 500 {
			require.NoError(t, w.Client.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("pod-", i)}}))
		}
		w.Sleep(time.Minute)
		for i := range 500 {
			assert.Len(t, w.Timeline(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("pod-", i)}}), 1, i)
		}
	})
}

func TestStart_panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, deadline := newPod()
		looks := 0
		w := start(t, "priority queue", func(ctx context.Context, s *stepper, p *corev1.Pod, started time.Time) (reconcile.Result, error) {
			if looks++; looks == 1 {
				panic("out of order")
			}
			return planned(ctx, s, p, started)
		}, pod)
		w.ActedBy(pod, deadline, 0, failed(pod))
		assert.EqualError(t, w.Timeline(pod)[0].Err, "panic: out of order")
	})
}

func TestStart_whatIsWrongWithTheOptions(t *testing.T) {
	broken := errors.New("broken")
	for want, o := range map[string]requeuetest.Options{
		"Options.Setup is nil": {},
		"setup at +0s: broken": {Setup: func(manager.Manager) error { return broken }},
		"setup at +0s: it has added no controller to the manager": {Setup: func(manager.Manager) error { return nil }},
		"setup at +0s: the fake cache selects no namespaces": {
			Setup:   setup(planned),
			Manager: manager.Options{Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{"a": {}}}},
		},
	} {
		contains(t, failure(t, func(t testing.TB) { requeuetest.Start(t, o) }), want)
	}
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		requeuetest.Start(r, requeuetest.Options{Setup: setup(planned)})
	}()
	<-done
	contains(t, r.failures[0], "Start is called outside of a bubble; call it in the function given to synctest.Test")
}

// A day of a controller that polls every five minutes.
func TestDay(t *testing.T) {
	everyQueue(t, func(t *testing.T, queue string) {
		began := time.Now()
		synctest.Test(t, func(t *testing.T) {
			pod, _ := newPod()
			pod.Status.StartTime.Time = time.Now().Add(24 * time.Hour) // not over
			w := start(t, queue, fixedPoll, pod)
			w.Sleep(24 * time.Hour)
			assert.Len(t, w.Timeline(pod), 24*12+1, "one every five minutes, and a resync")
			w.NotLost(pod, 5*time.Minute)
		})
		t.Log("a day of virtual time took", time.Since(began))
	})
}
