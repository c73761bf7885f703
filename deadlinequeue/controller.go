package deadlinequeue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
)

// Controller is a reconciler together with the queue that learns its deadlines. Make one
// with [For]. Put its NewQueue into the options of the controller, and use the Controller
// in place of the reconciler.
type Controller[T comparable] struct {
	reconciler reconcile.TypedReconciler[T]
	options    Options[T]
	current    atomic.Pointer[current[T]]
}

// current is the queue that a Controller has made.
type current[T comparable] struct {
	name  string
	queue *queue[T]
	wrong error
}

// For returns a Controller of a reconciler. The reconciler's results stay as they are. Call For
// once for each controller.
func For[T comparable](r reconcile.TypedReconciler[T], o Options[T]) *Controller[T] {
	return &Controller[T]{reconciler: r, options: o}
}

// NewQueue makes the queue. controller-runtime calls it when the controller starts. The queue
// uses the rate limiter of the options, or else limiter.
func (c *Controller[T]) NewQueue(controllerName string, limiter workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T] {
	o := c.options
	if o.RateLimiter == nil {
		o.RateLimiter = limiter
	}
	is := &current[T]{name: controllerName, queue: newQueue(controllerName, o)}
	if was := c.current.Swap(is); was != nil && !was.queue.ShuttingDown() {
		is.wrong = fmt.Errorf("deadlinequeue: the controllers %q and %q were given one Controller; call For for each, also for one that is started again before its queue was shut down", was.name, controllerName)
		c.current.Store(is)
	}
	return is.queue
}

// Reconcile calls the reconciler, and tells the queue the plan that the reconciler told by
// [Tell]. If NewQueue did not make the controller's queue, Reconcile does not call the
// reconciler, and returns an error that says so. The error is terminal, because another try
// would not help.
func (c *Controller[T]) Reconcile(ctx context.Context, key T) (reconcile.Result, error) {
	q, run, err := c.start(key)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	rec := &recorder{cause: run.cause}
	defer func() { // also for a panic, which controller-runtime makes an error
		if plan, told := rec.get(); told {
			q.decideFor(key, run.seq, plan.Decide())
		}
	}()
	return c.reconciler.Reconcile(context.WithValue(ctx, recorderKey{}, rec), key)
}

// start returns the hand-out that a reconcile is for, as it is then.
func (c *Controller[T]) start(key T) (*queue[T], run[T], error) {
	is := c.current.Load()
	if is == nil {
		return nil, run[T]{}, fmt.Errorf("deadlinequeue: the controller of %T has another queue; set NewQueue in its controller.Options to that of this Controller", c.reconciler)
	}
	if is.wrong != nil {
		return nil, run[T]{}, is.wrong
	}
	is.queue.mu.Lock()
	defer is.queue.mu.Unlock()
	r := is.queue.runOf(key)
	if r == nil {
		return nil, run[T]{}, fmt.Errorf("deadlinequeue: %v was not handed out by the queue of controller %q; set NewQueue in its controller.Options to that of this Controller, and call For for each controller", key, is.name)
	}
	return is.queue, *r, nil
}

// Load returns the [Queue.Load] of the queue, or zero before the controller has started.
func (c *Controller[T]) Load() requeue.Load {
	if is := c.current.Load(); is != nil {
		return is.queue.Load()
	}
	return requeue.Load{}
}

// recorder is where a reconcile leaves its plan.
type recorder struct {
	cause cause

	mu   sync.Mutex
	plan requeue.Plan
	told bool
}

func (r *recorder) get() (plan requeue.Plan, told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plan, r.told
}

type recorderKey struct{}

// Tell tells the queue the plan of a reconcile. ctx is the context of the call of Reconcile, or a
// context made from it. Call Tell where the reconciler makes the plan, even if a poll comes before
// the deadline. The reconcile's result and error stay as they are. The last call in a reconcile
// counts, whether the reconcile succeeds, fails or panics. A zero plan says that there is nothing
// to wait for. After the reconcile has ended, and without a [Controller], as in a test of the
// reconciler alone, Tell does nothing.
func Tell(ctx context.Context, p requeue.Plan) {
	if r, ok := ctx.Value(recorderKey{}).(*recorder); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.plan, r.told = p, true
	}
}

// Cause returns what woke the object of a reconcile, for a log line: "event", "resync" (an add
// with controller-runtime's low priority: a resync or the initial list), "poll" (the end of a
// RequeueAfter), "retry" (the end of a wait of the rate limiter) or "deadline". Without a
// [Controller] it returns "".
func Cause(ctx context.Context) string {
	if r, ok := ctx.Value(recorderKey{}).(*recorder); ok {
		return causes[r.cause]
	}
	return ""
}
