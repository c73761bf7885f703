package deadlinequeue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/retry"
)

// The limiter of package retry in controllers that keep their queue. These tests are here, as
// this module is tested with the oldest and the newest controller-runtime.

var _ workqueue.TypedRateLimiter[request] = (*retry.Limiter[request])(nil)

// limited runs a controller of controller-runtime with a rate limiter, and one of its queues,
// until the reconciler stops it.
func limited(t *testing.T, l workqueue.TypedRateLimiter[request], priorities bool, one func(stop func()) (reconcile.Result, error)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c, err := controller.NewTypedUnmanaged("test", controller.Options{
		RateLimiter:        l,
		SkipNameValidation: ptr.To(true),
		UsePriorityQueue:   &priorities,
		LogConstructor:     func(*request) logr.Logger { return logr.Discard() },
		Reconciler: reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
			time.Sleep(time.Millisecond)
			return one(stop)
		}),
	})
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, q limiting) error {
		list("step")(&handler.EnqueueRequestForObject{}, q)
		return nil
	})))
	require.NoError(t, c.Start(ctx))
	synctest.Wait()
}

// failsUntil is a step that fails until its timeout. It returns how late that is noticed, and in
// how many looks.
func failsUntil(t *testing.T, timeout time.Duration, l workqueue.TypedRateLimiter[request], priorities bool) (late time.Duration, looks int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		limited(t, l, priorities, func(stop func()) (reconcile.Result, error) {
			looks++
			plan := requeue.From(time.Now()).Every(5*time.Minute).Timeout(started, timeout)
			if plan.Expired() {
				late = time.Since(started.Add(timeout))
				stop()
				return reconcile.Result{}, nil
			}
			if knows, ok := l.(*retry.Limiter[request]); ok {
				knows.Tell(stepKey, plan)
			}
			return reconcile.Result{}, errStep
		})
	})
	return late, looks
}

var stepKey = func() request {
	var r request
	r.Namespace, r.Name = "default", "step"
	return r
}()

func TestRetryLimiter_aFailingStepIsLookedAtWhenItsTimeoutPasses(t *testing.T) {
	for _, priorities := range []bool{true, false} {
		for _, timeout := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 24 * time.Hour} {
			late, looks := failsUntil(t, timeout, retry.New[request](retry.Options{}), priorities)
			theirs, theirLooks := failsUntil(t, timeout, workqueue.DefaultTypedControllerRateLimiter[request](), priorities)
			t.Logf("%v, priorities %v: %v late in %d looks; without %v in %d", timeout, priorities, late, looks, theirs, theirLooks)
			assert.LessOrEqual(t, late, 5*time.Millisecond)
			assert.LessOrEqual(t, looks, theirLooks+10)
			assert.Greater(t, theirs, 10*time.Second, "what this is for")
		}
	}
}

// The same with client-go alone.
func TestRetryLimiter_withClientGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := retry.New[string](retry.Options{})
		q := workqueue.NewTypedRateLimitingQueue[string](l)
		deadline := time.Now().Add(time.Hour)
		q.Add("step")
		for looks := 1; ; looks++ {
			item, _ := q.Get()
			if plan := requeue.From(time.Now()).Deadline(deadline); !plan.Expired() {
				l.Tell(item, plan)
				q.AddRateLimited(item)
				q.Done(item)
				continue
			}
			assert.Zero(t, time.Since(deadline))
			assert.LessOrEqual(t, looks, 23)
			q.Forget(item)
			q.Done(item)
			break
		}
		q.ShutDown()
		synctest.Wait()
	})
}

// The limiter of Next is not that of the controller's options: controller-runtime forgets an
// object there whenever a reconcile ends without an error, so it would never back off.
func TestRetryLimiter_nextNeedsOneOfItsOwn(t *testing.T) {
	for _, priorities := range []bool{true, false} {
		for _, own := range []bool{true, false} {
			var waits []time.Duration
			synctest.Test(t, func(t *testing.T) {
				options := retry.New[request](retry.Options{Base: time.Second})
				limiter := options
				if own {
					limiter = retry.New[request](retry.Options{Base: time.Second})
				}
				limited(t, options, priorities, func(stop func()) (reconcile.Result, error) {
					if len(waits) == 4 {
						stop()
						return reconcile.Result{}, nil
					}
					waits = append(waits, limiter.Next(stepKey, requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour))))
					return reconcile.Result{RequeueAfter: waits[len(waits)-1]}, nil
				})
			})
			if s := time.Second; own {
				assert.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s}, waits)
			} else {
				assert.Equal(t, []time.Duration{s, s, s, s}, waits)
			}
		}
	}
}
