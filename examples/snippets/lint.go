package snippets

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/requeue-go/requeue"
)

// What docs/lint.md has in place of what the linter finds.

func (r *Reconciler) _(deadline time.Time) (ctrl.Result, error) {
	// doc: rq001
	return ctrl.Result{RequeueAfter: requeue.From(r.Clock.Now()).Deadline(deadline).After()}, nil
	// end
}

func (r *Reconciler) _(ctx context.Context, obj any) (ctrl.Result, error) {
	// doc: rq002
	if err := r.step(ctx, obj); err != nil {
		return ctrl.Result{}, err // or log it, and return the minute alone
	}
	// end
	return ctrl.Result{}, nil
}

func (r *Reconciler) _(deadline time.Time) (ctrl.Result, error) {
	// doc: rq003
	plan := requeue.From(r.Clock.Now()).Deadline(deadline)
	if !plan.Expired() {
		return ctrl.Result{RequeueAfter: plan.After()}, nil
	}
	// end
	return ctrl.Result{}, nil
}

func _(a, b ctrl.Result) ctrl.Result {
	// doc: rq004
	merged := ctrl.Result{RequeueAfter: requeue.Soonest(a.RequeueAfter, b.RequeueAfter)}
	// end
	return merged
}

func _(lastTry time.Time, failures int) time.Time {
	// doc: rq006
	retry := requeue.Backoff(lastTry, failures, time.Second, 10*time.Minute)
	// end
	return retry
}

func _(now time.Time, timeout time.Duration, obj struct {
	Status struct{ StartedAt *metav1.Time }
}) time.Duration {
	// doc: rq007
	wait := requeue.From(now).Timeout(requeue.TimeOf(obj.Status.StartedAt), timeout).After()
	// end
	return wait
}

func (r *Reconciler) _(lastTry time.Time, interval time.Duration) (ctrl.Result, error) {
	// doc: rq009
	plan := requeue.From(r.Clock.Now()).Timeout(lastTry, interval)
	if !plan.Expired() {
		return ctrl.Result{RequeueAfter: plan.After()}, nil
	}
	// end
	return ctrl.Result{}, nil
}

func _(plan requeue.Plan) (ctrl.Result, error) {
	// doc: rq010
	return ctrl.Result{RequeueAfter: plan.After()}, nil
	// end
}

func _() (ctrl.Result, error) {
	// doc: rq011
	return ctrl.Result{RequeueAfter: 30 * time.Second}, nil
	// end
}
