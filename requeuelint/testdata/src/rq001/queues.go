package rq001

import (
	"context"
	"rq001/api"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// Added at once, it is looked at again and found expired.
func addChecked(q workqueue.TypedRateLimitingInterface[string], o *object) error {
	if time.Now().After(o.Deadline) {
		return do(o)
	}
	q.AddAfter("key", time.Until(o.Deadline))
	return nil
}

// The same, where another package tests it.
func addPredicate(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r *api.Run, c clock.Clock) {
	if r.Over(ctx, c) {
		return
	}
	elapsed := c.Since(r.Started.Time)
	q.AddAfter("key", r.Timeout(ctx)-elapsed)
}

func addPredicateOfPredicate(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r *api.Run, c clock.Clock) error {
	if r.LongOver(ctx, c) {
		return nil
	}
	return addRest(ctx, q, r, c)
}

func addRest(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], r *api.Run, c clock.Clock) error {
	q.AddAfter("key", r.Timeout(ctx)-c.Since(r.Started.Time))
	return nil
}

// Another function tests it, and what is added at once comes there.
func addFar(q workqueue.TypedRateLimitingInterface[string], o *object) {
	if o.Limit != nil {
		q.AddAfter("key", time.Until(*o.Limit))
	}
}

func far(o *object) bool { return o.Limit != nil && time.Now().UTC().After(*o.Limit) }

func (o *object) ends() *time.Time { return nil }

// Once an event is no loop.
func handle(q workqueue.TypedRateLimitingInterface[string], e event.UpdateEvent, o *object) {
	q.AddAfter(e.Name, time.Until(o.Deadline))
}

func informed(q workqueue.TypedRateLimitingInterface[string], obj any) {
	if o, ok := obj.(*object); ok {
		informedOf(q, o)
	}
}

func informedOf(q workqueue.TypedRateLimitingInterface[string], o *object) {
	q.AddAfter("key", time.Until(o.Ends))
}

// Not a queue.
type timers struct{}

func (timers) AddAfter(name string, d time.Duration) {}

func timer(t timers, o *object) { t.AddAfter("key", time.Until(o.Deadline)) }

// Not the result of a reconciler.
type answer struct{ RequeueAfter time.Duration }

func answers(o *object) answer { return answer{RequeueAfter: time.Until(o.Deadline)} }

// A loop over sub-results that keeps the soonest positive.
func loop(all []object) (ctrl.Result, error) {
	var soonest time.Duration
	for i := range all {
		left := time.Until(all[i].Deadline)
		if left > 0 && (soonest == 0 || left < soonest) {
			soonest = left
		}
	}
	return ctrl.Result{RequeueAfter: soonest}, nil
}
