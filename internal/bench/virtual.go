package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// waiting is a way to wait for a timeout.
type waiting struct {
	name string
	ours bool // the queue is deadlinequeue; else it is controller-runtime's
	// expired and after are what the reconciler asks, one after the other, with what
	// takes time in between.
	expired func(start time.Time, timeout time.Duration) bool
	after   func(ctx context.Context, start time.Time, timeout, interval time.Duration) time.Duration
}

func passed(start time.Time, timeout time.Duration) bool {
	return time.Now().After(start.Add(timeout))
}

func expired(start time.Time, timeout time.Duration) bool {
	return requeue.Expired(start, timeout, nil)
}

// The ways that are compared. Those by hand are written as the controllers do that they
// come from.
var (
	fixedInterval = waiting{"fixed interval", false, passed, func(_ context.Context, _ time.Time, _, interval time.Duration) time.Duration {
		return interval
	}}
	byHand = waiting{"by hand", false, passed, func(_ context.Context, start time.Time, timeout, interval time.Duration) time.Duration {
		if deadline := start.Add(timeout); deadline.Before(time.Now().Add(interval)) {
			return time.Until(deadline) // requeue:ok as it is written by hand
		}
		return interval
	}}
	nextRequeue = waiting{"NextRequeue", false, expired, func(_ context.Context, start time.Time, timeout, interval time.Duration) time.Duration {
		return requeue.NextRequeue(start, timeout, interval, nil)
	}}
	withQueue = waiting{"with deadlinequeue", true, expired, func(ctx context.Context, start time.Time, timeout, interval time.Duration) time.Duration {
		return tell(ctx, requeue.From(time.Now()).Every(interval).Timeout(start, timeout))
	}}
)

// tell tells the queue a plan, if that is deadlinequeue, and returns how long to wait.
func tell(ctx context.Context, plan requeue.Plan) time.Duration {
	deadlinequeue.Tell(ctx, plan)
	return plan.After()
}

// inVirtualTime runs a controller of controller-runtime, with the name of the test, until
// stop is called or the time is over. arrive sends the events of a watch.
func inVirtualTime(t *testing.T, length time.Duration, workers int, ours bool, arrive func(create func(name string)),
	reconcileOne func(ctx context.Context, name string, stop func()) (time.Duration, error),
) {
	t.Helper()
	var dq *deadlinequeue.Options[reconcile.Request]
	if ours {
		dq = &deadlinequeue.Options[reconcile.Request]{}
	}
	withQueueOf(t, length, workers, dq, arrive, reconcileOne)
}

// withQueueOf is inVirtualTime with the options of our queue, nil for controller-runtime's.
func withQueueOf(t *testing.T, length time.Duration, workers int, dq *deadlinequeue.Options[reconcile.Request],
	arrive func(create func(name string)), reconcileOne func(ctx context.Context, name string, stop func()) (time.Duration, error),
) {
	t.Helper()
	name := t.Name()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), length)
		defer stop()
		options := controller.Options{
			MaxConcurrentReconciles: workers, SkipNameValidation: new(true),
			LogConstructor: func(*reconcile.Request) logr.Logger { return logr.Discard() },
			Reconciler: reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
				after, err := reconcileOne(ctx, r.Name, stop)
				return reconcile.Result{RequeueAfter: after}, err
			}),
		}
		if dq != nil {
			told := deadlinequeue.For(options.Reconciler, *dq)
			options.Reconciler, options.NewQueue = told, told.NewQueue
		}
		c, err := controller.NewTypedUnmanaged(name, options)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			go arrive(func(name string) {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "1"}}
				(&handler.EnqueueRequestForObject{}).Create(ctx, event.CreateEvent{Object: object}, q)
			})
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// spread is the distribution of a duration, in seconds.
type spread struct {
	P50, P99, Max float64
	// CDF has the 1st to the 100th hundredth, and the ends more finely.
	CDF []float64 `json:",omitempty"`
}

// shares are the quantiles of a CDF.
var shares = func() (qs []float64) {
	for q := 0.0; q <= 100; q++ {
		qs = append(qs, q/100)
	}
	return slices.Insert(qs, 100, 0.992, 0.994, 0.996, 0.998, 0.999, 0.9995)
}()

func spreadOf(sample []time.Duration) spread {
	if len(sample) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(sample))
	at := func(q float64) float64 { return sorted[int(q*float64(len(sorted)-1)+0.5)].Seconds() }
	s := spread{P50: at(0.5), P99: at(0.99), Max: at(1)}
	for _, q := range shares {
		s.CDF = append(s.CDF, at(q))
	}
	return s
}

// seconds writes a time for a reader.
func seconds(s float64) string { return amount(s, "s") }

// whole writes a count for a reader.
func whole(n int) string { return digits(float64(n)) }

func percent(part, of int) string {
	return amount(100*float64(part)/float64(of), "%")
}
