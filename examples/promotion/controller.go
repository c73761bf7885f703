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
	Failed bool          // by this reconcile
	Late   time.Duration // if Failed: from the step's deadline to the API server's answer
	Wait   time.Duration // if still running: until the next look
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var p v1alpha1.Promotion
	if err := r.Get(ctx, req.NamespacedName, &p); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if stepOf(&p).Uses == BallastStep {
		select {
		case <-time.After(r.Ballast):
		case <-ctx.Done():
		}
	}
	event := Event{Name: p.Name}
	var result ctrl.Result
	if p.Status.Phase == "" {
		// What is decided below is decided on the answer of the API server: it
		// keeps whole seconds, so the persisted start is earlier than ours.
		if err := r.patch(ctx, &p, start); err != nil {
			return ctrl.Result{}, err
		}
	}
	if p.Status.Phase == v1alpha1.PhaseRunning {
		plan := requeue.From(r.Clock.Now()).Every(r.Interval).Timeout(startOf(&p), stepOf(&p).Timeout())
		if plan.Expired() {
			if err := r.patch(ctx, &p, fail); err != nil {
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

// patch changes the status of p here and in the API server. It sends no more
// than the difference, so fields of the status that this program does not know
// stay, and is refused if somebody else changed the object in between.
func (r *Reconciler) patch(ctx context.Context, p *v1alpha1.Promotion, change func(*v1alpha1.Promotion, metav1.Time)) error {
	before := p.DeepCopy()
	change(p, metav1.NewTime(r.Clock.Now()))
	return r.Status().Patch(ctx, p, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// start begins the promotion with the first step that has to be waited for.
func start(p *v1alpha1.Promotion, now metav1.Time) {
	p.Status.Phase, p.Status.StartedAt = v1alpha1.PhaseRunning, &now
	for i, step := range p.Spec.Steps {
		done := step.Timeout() <= 0 && i+1 < len(p.Spec.Steps)
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

// fail ends the promotion because its current step has timed out.
func fail(p *v1alpha1.Promotion, now metav1.Time) {
	i := int(p.Status.CurrentStep)
	message := fmt.Sprintf("step %q timed out after %v", aliasOf(p, i), stepOf(p).Timeout())
	metadata := &p.Status.StepExecutionMetadata[i]
	metadata.Status, metadata.Message, metadata.FinishedAt = v1alpha1.PhaseFailed, message, &now
	p.Status.Phase, p.Status.Message, p.Status.FinishedAt = v1alpha1.PhaseFailed, message, &now
}

// stepOf returns the current step of p, or an empty one if the status names a
// step that the spec does not have.
func stepOf(p *v1alpha1.Promotion) v1alpha1.PromotionStep {
	if i := p.Status.CurrentStep; i >= 0 && i < int64(len(p.Spec.Steps)) {
		return p.Spec.Steps[i]
	}
	return v1alpha1.PromotionStep{}
}

// startOf returns when the current step of p started, zero if it has not.
func startOf(p *v1alpha1.Promotion) time.Time {
	if i := p.Status.CurrentStep; i >= 0 && i < int64(len(p.Status.StepExecutionMetadata)) {
		return requeue.TimeOf(p.Status.StepExecutionMetadata[i].StartedAt)
	}
	return time.Time{}
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
