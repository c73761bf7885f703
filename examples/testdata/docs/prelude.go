// Package docs declares what the Go blocks of README.md and docs/ use and do not declare
// themselves. docs_test.go compiles each block with the imports and the declarations of
// this file. A block that uses a new name needs it here.
package docs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	v1 "github.com/requeue-go/requeue/examples/promotion/v1alpha1"
	"github.com/requeue-go/requeue/requeuetest"
	"github.com/requeue-go/requeue/retry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"controller" // the stand-in in the directory of this name
)

// A controller of controller-runtime.

type Reconciler struct {
	client.Client
	Clock clock.PassiveClock
}

func (r *Reconciler) Reconcile(context.Context, ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

func (r *Reconciler) now() time.Time { return r.Clock.Now() }

func (r *Reconciler) fail(context.Context, client.Object) error { return nil }
func (r *Reconciler) step(context.Context, client.Object) error { return nil }
func (r *Reconciler) run(context.Context, client.Object) error  { return nil }

// Object is any object, with the fields that the recipes are about.
type Object struct {
	v1.Promotion
	Spec   struct{ ExpireAfter, Timeout *metav1.Duration }
	Status struct{ StartedAt, LastRun *metav1.Time }
}

var (
	r   *Reconciler
	mgr ctrl.Manager
	ctx context.Context
	obj *Object
	err error

	now, started, start, deadline time.Time
	timeout, poll, interval       time.Duration

	lastTry  time.Time
	failures int

	req     ctrl.Request
	ready   bool
	limiter *retry.Limiter[reconcile.Request]
	waits   *retry.Limiter[reconcile.Request]

	plan requeue.Plan
)

// The queue of such a controller, as an event handler is given it, or as it is kept to
// look at its load.

var q deadlinequeue.Queue[reconcile.Request]

// A test in virtual time.

var setup func(ctrl.Manager) error

var pod *corev1.Pod

func newPod() (*corev1.Pod, time.Time) { return pod, deadline }

var (
	_ = synctest.Test
	_ = requeuetest.Start
)

// A controller that uses a work queue by itself.

var (
	queue deadlinequeue.Queue[string]
	key   string

	_ workqueue.TypedRateLimitingInterface[string] = queue
)

// A controller of knative or Tekton.

var (
	c struct {
		clock clock.PassiveClock
		impl  *controller.Impl
	}
	impl = c.impl

	pipelineTimeout, tasksTimeout, finallyTimeout time.Duration
	finallyStarted                                time.Time
	tasksTimedOut                                 bool
)

// Kargo.

type Promotion struct {
	Spec   struct{ Steps []struct{ Retry *Retry } }
	Status struct {
		CurrentStep           int64
		StepExecutionMetadata []Metadata
	}
}

type Retry struct{}

func (*Retry) GetTimeout(byDefault time.Duration) time.Duration { return byDefault }

type Metadata struct {
	StartedAt, FinishedAt *metav1.Time
	ErrorCount            uint32
}

var (
	md         Metadata
	suggested  *time.Duration
	promoteErr error
)

// A test with a fake clock.

var (
	t          *testing.T
	fakeClient client.Client
	request    ctrl.Request
)
