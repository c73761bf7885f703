package snippets

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// knative is what Tekton uses of knative.dev/pkg/controller, on which this module does not
// depend.
type knative struct{}

func (knative) NewRequeueAfter(time.Duration) error { return nil }

func _(c struct{ clock clock.PassiveClock }, controller knative, started, finallyStarted time.Time, pipelineTimeout, finallyTimeout, tasksTimeout time.Duration, tasksTimedOut bool) error {
	// doc: tekton
	plan := requeue.From(c.clock.Now()).
		Timeout(started, pipelineTimeout).
		Timeout(finallyStarted, finallyTimeout) // zero until then: no deadline
	if !tasksTimedOut { // a handled timeout is a fact of the object
		plan = plan.Timeout(started, tasksTimeout)
	}
	if wait := plan.After(); wait > 0 {
		return controller.NewRequeueAfter(wait)
	}
	return nil
	// end
}

// Promotion is what Kargo's is, where its timeouts are concerned.
type Promotion struct {
	Spec   struct{ Steps []struct{ Retry *Retry } }
	Status struct {
		CurrentStep           int64
		StepExecutionMetadata []Metadata
	}
}

// Retry is that of a step.
type Retry struct{}

// GetTimeout returns the timeout of the step.
func (*Retry) GetTimeout(byDefault time.Duration) time.Duration { return byDefault }

// Metadata is that of a step that runs.
type Metadata struct {
	StartedAt  *metav1.Time
	ErrorCount uint32
}

// doc: kargo
func after(now time.Time, p *Promotion, suggested *time.Duration, byDefault time.Duration) requeue.Plan {
	interval := 5 * time.Minute
	if suggested != nil {
		interval = *suggested
	}
	plan := requeue.From(now).Every(interval)
	i := int(p.Status.CurrentStep)
	if i >= len(p.Spec.Steps) || i >= len(p.Status.StepExecutionMetadata) {
		return plan
	}
	started := requeue.TimeOf(p.Status.StepExecutionMetadata[i].StartedAt)
	return plan.Timeout(started, p.Spec.Steps[i].Retry.GetTimeout(byDefault))
}

// end

func (r *Reconciler) _(ctx context.Context, promo *Promotion, suggested *time.Duration, byDefault time.Duration, promoteErr error) (ctrl.Result, error) {
	plan := after(r.Clock.Now(), promo, suggested, byDefault)
	// doc: kargo-tell
	deadlinequeue.Tell(ctx, plan)
	if promoteErr != nil {
		return ctrl.Result{}, promoteErr
	}
	return ctrl.Result{RequeueAfter: plan.After()}, nil
	// end
}

func _(now time.Time, md Metadata, timeout, interval time.Duration) time.Duration {
	// doc: kargo-retry
	retry := requeue.Backoff(now, int(md.ErrorCount), time.Second, interval)
	wait := requeue.From(now).At(retry).Timeout(requeue.TimeOf(md.StartedAt), timeout).After()
	// end
	return wait
}
