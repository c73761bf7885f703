package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
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
type Next func(interval time.Duration, plan requeue.Plan) ctrl.Result

// fixedInterval looks again after the interval, whatever the timeout is.
func fixedInterval(interval time.Duration, _ requeue.Plan) ctrl.Result {
	return ctrl.Result{RequeueAfter: interval}
}

// deadlineAware looks again after the interval or at the timeout, whichever is
// sooner.
func deadlineAware(_ time.Duration, plan requeue.Plan) ctrl.Result {
	return ctrl.Result{RequeueAfter: plan.After()}
}

// deadlineTold is deadlineAware and tells the queue of the deadline.
func deadlineTold(_ time.Duration, plan requeue.Plan) ctrl.Result {
	return deadlinequeue.Result(plan.Decide())
}

// A contender is one of the controllers. It has a copy of every promotion in a
// namespace of its own.
type contender struct {
	title     string
	namespace string
	next      Next
	queue     newQueue // nil: controller-runtime's
}

type newQueue func(string, workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request]

// contenders returns who takes part.
func contenders(load bool) []contender {
	cs := []contender{
		{"fixed interval", "requeue-example-fixed", fixedInterval, nil},
		{"requeue", "requeue-example-requeue", deadlineAware, nil},
	}
	if load {
		cs = append(cs, contender{"deadlinequeue", "requeue-example-queue", deadlineTold, deadlinequeue.NewQueue})
	}
	return cs
}

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
		started := requeue.TimeOf(current(&p, p.Status.StepExecutionMetadata).StartedAt)
		timeout := current(&p, timeouts)
		plan := requeue.From(r.Clock.Now()).Every(r.Interval).Timeout(started, timeout)
		if plan.Expired() {
			message := fmt.Sprintf("step %q timed out after %v", aliasOf(&p, int(p.Status.CurrentStep)), timeout)
			if err := r.patch(ctx, &p, fail(message)); err != nil {
				return ctrl.Result{}, err
			}
			event.Failed, event.Late = true, r.Clock.Since(plan.Decide().Overdue)
		} else {
			result = r.Next(r.Interval, plan)
		}
	}
	event.Phase, event.Wait = p.Status.Phase, result.RequeueAfter
	if r.Observe != nil {
		r.Observe(event)
	}
	return result, nil
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

// control runs a manager with one controller for the promotions of a namespace
// until ctx ends. It closes synced when the controller sees new promotions.
func control(ctx context.Context, cfg *rest.Config, namespace string, settings controller.Options, r Reconciler, synced chan<- struct{}) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:     scheme,
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics:    metricsserver.Options{BindAddress: "0"}, // no listener
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return err
	}
	r.Client, r.Clock = mgr.GetClient(), clock.RealClock{}
	// As in Kargo, a change of the status wakes nobody.
	err = ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Promotion{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(settings).
		Complete(&r)
	if err != nil {
		return err
	}
	go func() {
		// The informer of the controller, so this waits for its first list.
		if _, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Promotion{}); err == nil && mgr.GetCache().WaitForCacheSync(ctx) {
			close(synced)
		}
	}()
	return mgr.Start(ctx)
}
