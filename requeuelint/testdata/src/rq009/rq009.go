package rq009

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

type object struct {
	Finished metav1.Time
	Next     time.Time
	TTL      metav1.Duration
}

type reconciler struct {
	now   func() time.Time
	queue workqueue.TypedRateLimitingInterface[string]
	wake  chan string
	logs  map[string]time.Time
	get   func(context.Context, string) (*object, error)
}

func (r *reconciler) remove(context.Context, *object) error { return nil }
func (r *reconciler) renew(context.Context, *object) error  { return nil }

// Positive.

func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o, err := r.get(ctx, req.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if time.Since(o.Finished.Time) < o.TTL.Duration {
		return ctrl.Result{}, nil // want `RQ009: a deadline is tested \(time.Since\(o.Finished.Time\) < o.TTL.Duration, line \d+\)`
	}
	if r.now().Before(o.Next) {
		return r.notYet()
	}
	return r.expire(ctx, o)
}

func (r *reconciler) notYet() (ctrl.Result, error) { return ctrl.Result{}, nil }

// A step, whose result the reconciler returns.
func (r *reconciler) expire(ctx context.Context, o *object) (ctrl.Result, error) {
	if !o.expired(r.now()) {
		return ctrl.Result{}, nil // want `RQ009`
	}
	return ctrl.Result{}, r.remove(ctx, o)
}

func (o *object) expired(now time.Time) bool {
	return !o.Finished.IsZero() && !now.Before(o.Finished.Add(o.TTL.Duration))
}

func (r *reconciler) afterwards(ctx context.Context, o *object) (ctrl.Result, error) {
	if r.now().After(o.Next) {
		return ctrl.Result{}, r.renew(ctx, o)
	}
	return ctrl.Result{}, nil // want `RQ009`
}

// Negative.

func (r *reconciler) waits(ctx context.Context, o *object) (ctrl.Result, error) {
	now := r.now()
	if now.Before(o.Next) {
		return ctrl.Result{RequeueAfter: o.Next.Sub(now)}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

func (r *reconciler) adds(ctx context.Context, o *object) (ctrl.Result, error) {
	now := r.now()
	if now.Before(o.Next) {
		r.queue.AddAfter("key", o.Next.Sub(now))
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

func (r *reconciler) sends(ctx context.Context, o *object) (ctrl.Result, error) {
	if r.now().Before(o.Next) {
		r.wake <- "key"
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

func (r *reconciler) tells(ctx context.Context, o *object) (ctrl.Result, error) {
	deadlinequeue.Tell(ctx, requeue.From(r.now()).Deadline(o.Next))
	if r.now().Before(o.Next) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

// What is done then is a line in the log.
func (r *reconciler) logged(o *object, key string) (ctrl.Result, error) {
	if time.Since(r.logs[key]) < time.Minute {
		return ctrl.Result{}, nil
	}
	r.logs[key] = time.Now()
	return ctrl.Result{}, nil
}

// It is done, whatever the deadline.
func (r *reconciler) done(ctx context.Context, o *object, ready bool) (ctrl.Result, error) {
	if r.now().After(o.Next) {
		return ctrl.Result{}, r.remove(ctx, o)
	}
	if ready {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: time.Second}, nil
}

// Who calls it waits.
func (r *reconciler) caller(ctx context.Context, o *object) (ctrl.Result, error) {
	result, err := r.part(ctx, o)
	if err == nil && result.RequeueAfter == 0 {
		result.RequeueAfter = time.Minute
	}
	return result, err
}

func (r *reconciler) part(ctx context.Context, o *object) (ctrl.Result, error) {
	if r.now().Before(o.Next) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

func (r *reconciler) accepted(ctx context.Context, o *object) (ctrl.Result, error) {
	if r.now().Before(o.Next) {
		return ctrl.Result{}, nil // requeue:ok the lease is updated when it ends
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

// A deferred function puts in the wait, and a helper starts a timer.
func (r *reconciler) deferred(ctx context.Context, o *object) (result ctrl.Result, err error) {
	defer func() {
		if err == nil {
			result.RequeueAfter = time.Minute
		}
	}()
	if r.now().Before(o.Next) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

func (r *reconciler) timer(ctx context.Context, o *object) (ctrl.Result, error) {
	if r.now().Before(o.Next) {
		r.start(time.Minute)
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.renew(ctx, o)
}

func (r *reconciler) start(wait time.Duration) {
	time.AfterFunc(wait, func() { r.wake <- "key" })
}
