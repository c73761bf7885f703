package deadlinequeue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// The tests that need a whole controller of controller-runtime are in module requeuetest.

// A leader that is lost stops its controllers while they reconcile. What these say then is for
// nobody, and no error; nothing is left of it.
func TestController_aLostLeader(t *testing.T) {
	dq := deadlinequeue.For(reconcile.Func(func(ctx context.Context, _ request) (reconcile.Result, error) {
		deadlinequeue.Tell(ctx, requeue.From(time.Now()).Deadline(time.Now().Add(time.Hour)))
		return reconcile.Result{}, nil
	}), deadlinequeue.Options[request]{})
	assert.Zero(t, dq.Load(), "it has not started")
	for range 2 { // the second is the next leader, in this process
		q := dq.NewQueue("test", nil)
		q.Add(request{})
		key, _ := q.Get()
		assert.Equal(t, 1, dq.Load().Objects)
		q.ShutDown()
		_, err := dq.Reconcile(t.Context(), key)
		assert.NoError(t, err)
		q.Forget(key)
		q.AddAfter(key, time.Hour)
		q.Done(key)
		assert.Zero(t, dq.Load().Objects)
	}
}

// The retries of a key that panics are counted like errors.
func TestController_aPanicGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := deadlinequeue.For(reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
			panic("broken")
		}), deadlinequeue.Options[request]{})
		queue := q.NewQueue("test", nil)
		defer queue.ShutDown()
		queue.Add(request{})
		key, _ := queue.Get()
		assert.PanicsWithValue(t, "broken", func() { _, _ = q.Reconcile(t.Context(), key) })
	})
}

// A wrapper gives up on a reconcile that goes on. What that tells at its end is not for the
// hand-out of then.
func TestController_aReconcileThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plans := make(chan requeue.Plan)
		dq := deadlinequeue.For(reconcile.Func(func(ctx context.Context, _ request) (reconcile.Result, error) {
			deadlinequeue.Tell(ctx, <-plans)
			return reconcile.Result{}, nil
		}), deadlinequeue.Options[request]{})
		q := dq.NewQueue("test", nil)
		defer q.ShutDown()
		begin := func() {
			q.Add(request{})
			key, _ := q.Get()
			go func() { _, _ = dq.Reconcile(t.Context(), key) }()
			synctest.Wait()
		}
		begin()
		q.Done(request{}) // it is given up
		begin()
		now := time.Now()
		plans <- requeue.From(now) // to the first, as goroutines take in turn
		synctest.Wait()
		plans <- requeue.From(now).Deadline(now.Add(time.Minute))
		synctest.Wait()
		q.Done(request{})
		time.Sleep(time.Minute)
		assert.Equal(t, 1, q.Len())
	})
}

// A Controller that was given to two controllers says so, by their names.
func TestController_twoControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dq := deadlinequeue.For(reconcile.Func(func(context.Context, request) (reconcile.Result, error) {
			t.Error("it reconciles")
			return reconcile.Result{}, nil
		}), deadlinequeue.Options[request]{})
		for _, name := range []string{"first", "second"} {
			q := dq.NewQueue(name, nil)
			defer q.ShutDown()
			q.Add(request{})
			_, _ = q.Get()
		}
		_, err := dq.Reconcile(t.Context(), request{})
		assert.ErrorContains(t, err, `the controllers "first" and "second" were given one Controller`)
		assert.ErrorIs(t, err, reconcile.TerminalError(nil))
	})
}

// Without a Controller, as in a unit test of the reconciler, nothing is told and nothing
// goes wrong.
func TestTell_withoutAController(t *testing.T) {
	deadlinequeue.Tell(t.Context(), requeue.From(time.Now()))
	assert.Empty(t, deadlinequeue.Cause(t.Context()))
}
