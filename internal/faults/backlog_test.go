package faults

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

const (
	away = 3 * time.Hour
	// overload is how many times the promotions of the scale there are.
	overload = 4
)

// runBacklog starts a controller, with one worker, when all deadlines of the last 3 h have
// passed. It is to work them off in their order, but for every 16th, which the queue hands
// out by its age, so that nothing starves.
//
// How late a deadline is, is counted from when the controller was started. The bound is what
// the whole backlog takes.
func runBacklog(ctx context.Context, s Scale, progress func(string)) (Report, error) {
	return inWorld(ctx, progress, func(w *world, _ string) (r Report, err error) {
		n := total(s.Promotions * overload)
		progress(fmt.Sprintf("%d promotions start, 3 h ago", n))
		began := time.Now().Add(-away).Truncate(time.Second)
		// By name they are in no order.
		places := rand.New(rand.NewPCG(1, 1)).Perm(n)
		err = w.each(n, func(i int) error {
			name := fmt.Sprintf("p-%05d", i)
			started := metav1.NewTime(began.Add(time.Duration(places[i]) * time.Second))
			p := newPromotion(name, 5*time.Minute)
			if err := w.client.Create(w.ctx, p); err != nil {
				return err
			}
			p.Status = v1alpha1.PromotionStatus{
				Phase: v1alpha1.PhaseRunning, StartedAt: &started,
				StepExecutionMetadata: []v1alpha1.StepExecutionMetadata{{Alias: "wait", Status: v1alpha1.PhaseRunning, StartedAt: &started}},
			}
			if err := w.client.Status().Update(w.ctx, p); err != nil {
				return err
			}
			return w.disturb(name, kindOf(i))
		})
		if err != nil {
			return r, err
		}
		if err := w.settled(n); err != nil {
			return r, err
		}
		back := time.Now()
		due := func(audit.Entry) time.Time { return back }
		progress("the controller is started")
		reconciler := &controller.Reconciler{Interval: poll}
		if err := w.control(w.cfg, reconciler, 1, nil); err != nil {
			return r, err
		}
		r, err = w.count(map[string]int{"start after 3 h": 1}, time.Duration(n)*write+slack, due)
		r.Inversions = inversions(w.audit.Entries())
		return r, err
	})
}

// inversions is how many were failed right after one with a later deadline.
func inversions(entries []audit.Entry) (n int) {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e audit.Entry) bool { return e.FailedAt.IsZero() })
	slices.SortFunc(entries, func(x, y audit.Entry) int { return cmp.Compare(x.FailedOrder, y.FailedOrder) })
	for i := 1; i < len(entries); i++ {
		if entries[i].Deadline.Before(entries[i-1].Deadline) {
			n++
		}
	}
	return n
}
