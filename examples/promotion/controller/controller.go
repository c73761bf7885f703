// Package controller is a controller-runtime controller for Promotions, in the shape of
// Kargo's, that fails each step whose timeout is over.
package controller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// Reconciler runs promotions whose steps wait for something that never comes, so
// that each must be failed when its step's timeout is over.
//
// What a step would do is left out: one without a timeout that is followed by
// another is done at once, every other waits.
type Reconciler struct {
	client.Client
	// Clock is what decides whether a timeout is over. nil is the system clock.
	Clock clock.PassiveClock
	// Interval is how often a step is looked at if nothing else is known of it.
	Interval time.Duration
	// Next decides when to look at a step again.
	Next Next
	// Ballast is how long each look at a step that uses BallastStep takes.
	Ballast time.Duration
	// Observe, if set, is told how each reconcile ended. It is called by
	// several goroutines.
	Observe func(Event)
}

// BallastStep is the kind of step that keeps a worker busy.
const BallastStep = "ballast"

// Next returns when to look again at a step that is polled at the interval, and whose
// plan says what else there is to wait for.
type Next func(interval time.Duration, plan requeue.Plan) time.Duration

// FixedInterval looks again after the interval, whatever the timeout is.
func FixedInterval(interval time.Duration, _ requeue.Plan) time.Duration { return interval }

// DeadlineAware looks again after the interval or at the timeout, whichever is
// sooner.
func DeadlineAware(_ time.Duration, plan requeue.Plan) time.Duration { return plan.After() }

// Event is the end of one reconcile.
type Event struct {
	Name   string
	Phase  string        // of the promotion, as the API server has it now
	Failed bool          // at its timeout, by this reconcile
	Late   time.Duration // if Failed: from the step's deadline to the API server's answer
	Wait   time.Duration // if still running: until the next look
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var p v1alpha1.Promotion
	if err := r.Get(ctx, req.NamespacedName, &p); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if current(&p, p.Spec.Steps).Uses == BallastStep {
		select {
		case <-time.After(r.Ballast):
		case <-ctx.Done():
		}
	}
	event := Event{Name: p.Name}
	var result ctrl.Result
	timeouts, err := p.Timeouts()
	if err != nil && (p.Status.Phase == "" || p.Status.Phase == v1alpha1.PhaseRunning) {
		// Trying again would not help, so the promotion ends, and no other does.
		if err := r.patch(ctx, &p, fail(err.Error())); err != nil {
			return ctrl.Result{}, err
		}
	}
	if p.Status.Phase == "" {
		// What is decided below is decided on the answer of the API server: it
		// keeps whole seconds, so the persisted start is earlier than ours.
		if err := r.patch(ctx, &p, start(timeouts)); err != nil {
			return ctrl.Result{}, err
		}
	}
	if p.Status.Phase == v1alpha1.PhaseRunning {
		started, timeout := waitsFor(&p, timeouts)
		plan := requeue.From(r.Clock.Now()).Every(r.Interval).Timeout(started, timeout)
		deadlinequeue.Tell(ctx, plan)
		if plan.Expired() {
			message := fmt.Sprintf("step %q timed out after %v", aliasOf(&p, int(p.Status.CurrentStep)), timeout)
			if err := r.patch(ctx, &p, fail(message)); err != nil {
				return ctrl.Result{}, err
			}
			deadlinequeue.Tell(ctx, requeue.Plan{}) // there is nothing more to wait for
			event.Failed, event.Late = true, r.Clock.Since(plan.Decide().Overdue)
		} else {
			result.RequeueAfter = r.Next(r.Interval, plan)
		}
	}
	event.Phase, event.Wait = p.Status.Phase, result.RequeueAfter
	if r.Observe != nil {
		r.Observe(event)
	}
	return result, nil
}

// waitsFor returns when the current step of p has started and how long it may take.
func waitsFor(p *v1alpha1.Promotion, timeouts []time.Duration) (started time.Time, timeout time.Duration) {
	return requeue.TimeOf(current(p, p.Status.StepExecutionMetadata).StartedAt), current(p, timeouts)
}

// Deadline returns the deadline of the current step of p, false if it has none or p has
// ended.
func Deadline(p *v1alpha1.Promotion) (time.Time, bool) {
	timeouts, err := p.Timeouts()
	if err != nil || p.Status.Phase != v1alpha1.PhaseRunning {
		return time.Time{}, false
	}
	deadline := requeue.DeadlineOf(waitsFor(p, timeouts))
	return deadline, !deadline.IsZero()
}

// Deadline is what deadlinequeue.Options takes under that name. It answers from the
// cache, so only while Run runs.
func (r *Reconciler) Deadline(req reconcile.Request) (time.Time, bool) {
	var p v1alpha1.Promotion
	if err := r.Get(context.Background(), req.NamespacedName, &p); err != nil {
		return time.Time{}, false
	}
	return Deadline(&p)
}

// A change changes the status of a promotion.
type change func(p *v1alpha1.Promotion, now metav1.Time)

// patch makes a change here and in the API server. It sends no more than the
// difference, so fields of the status that this program does not know stay, and is
// refused if somebody else changed the object in between.
func (r *Reconciler) patch(ctx context.Context, p *v1alpha1.Promotion, apply change) error {
	before := p.DeepCopy()
	apply(p, metav1.NewTime(r.Clock.Now()))
	return r.Status().Patch(ctx, p, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// start begins the promotion with the first step that has to be waited for.
func start(timeouts []time.Duration) change {
	return func(p *v1alpha1.Promotion, now metav1.Time) {
		p.Status.Phase, p.Status.StartedAt = v1alpha1.PhaseRunning, &now
		for i := range p.Spec.Steps {
			done := timeouts[i] <= 0 && i+1 < len(p.Spec.Steps)
			metadata := v1alpha1.StepExecutionMetadata{Alias: aliasOf(p, i), Status: v1alpha1.PhaseRunning, StartedAt: &now}
			if done {
				metadata.Status, metadata.FinishedAt = v1alpha1.PhaseSucceeded, &now
			}
			p.Status.StepExecutionMetadata = append(p.Status.StepExecutionMetadata, metadata)
			p.Status.CurrentStep = int64(i)
			if !done {
				return
			}
		}
	}
}

// fail ends the promotion and its current step, if one has started.
func fail(message string) change {
	return func(p *v1alpha1.Promotion, now metav1.Time) {
		p.Status.Phase, p.Status.Message, p.Status.FinishedAt = v1alpha1.PhaseFailed, message, &now
		if i, steps := p.Status.CurrentStep, p.Status.StepExecutionMetadata; i >= 0 && i < int64(len(steps)) {
			steps[i].Status, steps[i].Message, steps[i].FinishedAt = v1alpha1.PhaseFailed, message, &now
		}
	}
}

// current returns what ofSteps has for the current step of p, or nothing if there
// is no such step.
func current[T any](p *v1alpha1.Promotion, ofSteps []T) (none T) {
	if i := p.Status.CurrentStep; i >= 0 && i < int64(len(ofSteps)) {
		return ofSteps[i]
	}
	return none
}

func aliasOf(p *v1alpha1.Promotion, step int) string {
	if as := p.Spec.Steps[step].As; as != "" {
		return as
	}
	return fmt.Sprintf("step-%d", step+1)
}
