package requeuetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/requeuetest"
)

// The three that are wrong.

// And the right ones.

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
