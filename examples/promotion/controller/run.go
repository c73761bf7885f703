package controller

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// Options say how a Reconciler runs.
type Options struct {
	// Namespace is that of the promotions, and of the Lease.
	Namespace string
	// Controller has the number of workers, and so on.
	Controller controller.Options
	// Queue, if set, is that of deadlinequeue, with these options. It asks the Reconciler
	// for the deadlines of what is listed, so that what is overdue when the controller
	// starts comes first, in the order of the deadlines.
	Queue *deadlinequeue.Options[reconcile.Request]
	// Election, if set, makes it wait until it leads.
	Election *Election
	// Synced, if set, is called when it sees all promotions; it acts on them if it leads.
	Synced func()
}

// Election is by a Lease of Kubernetes, among all who run in the namespace. Only the
// leader acts on promotions.
type Election struct {
	// Identity is what the Lease says of its holder.
	Identity string
	// Lease is for how long after the last renewal nobody else becomes the leader: whole
	// seconds.
	Lease time.Duration
	// Renew is for how long a leader tries to renew it before it gives up.
	Renew time.Duration
	// Retry is how often it is renewed, or tried to be had.
	Retry time.Duration
	// Elected, if set, is called when this one leads.
	Elected func() `json:"-"`
}

// Takeover is the longest that it takes from the end of a leader until another leads, as
// long as the API server answers at once: the Lease, and two tries, as the last renewal
// has to be seen before. client-go draws the time between two tries, up to 2.2 times Retry.
func (e Election) Takeover() time.Duration {
	return e.Lease + time.Duration(2*(1+leaderelection.JitterFactor)*float64(e.Retry))
}

// Run runs a manager with one controller until ctx ends, or until it has lost the
// election that it had won, which is an error.
func Run(ctx context.Context, cfg *rest.Config, r *Reconciler, o Options) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	options := ctrl.Options{
		Scheme:     scheme,
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{o.Namespace: {}}},
		Metrics:    metricsserver.Options{BindAddress: "0"}, // no listener
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
	if o.Election != nil {
		if err := o.Election.apply(cfg, o.Namespace, &options); err != nil {
			return err
		}
	}
	mgr, err := ctrl.NewManager(cfg, options)
	if err != nil {
		return err
	}
	r.Client = mgr.GetClient()
	if r.Clock == nil {
		r.Clock = clock.RealClock{}
	}
	reconciler := reconcile.Reconciler(r)
	if o.Queue != nil {
		options := *o.Queue
		options.Deadline = r.Deadline
		dq := deadlinequeue.For(reconciler, options)
		reconciler, o.Controller.NewQueue = dq, dq.NewQueue
	}
	// As in Kargo, a change of the status wakes nobody.
	err = ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Promotion{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(o.Controller).
		Complete(reconciler)
	if err != nil {
		return err
	}
	go func() {
		// The informer of the controller, so this waits for its first list.
		_, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Promotion{})
		if err == nil && mgr.GetCache().WaitForCacheSync(ctx) && o.Synced != nil {
			o.Synced()
		}
	}()
	if o.Election != nil && o.Election.Elected != nil {
		go func() {
			select {
			case <-mgr.Elected():
				o.Election.Elected()
			case <-ctx.Done():
			}
		}()
	}
	return mgr.Start(ctx)
}

func (e *Election) apply(cfg *rest.Config, namespace string, options *ctrl.Options) error {
	leases, err := coordinationv1.NewForConfig(cfg)
	if err != nil {
		return err
	}
	options.LeaderElection = true
	// The other fields would have it record Events, which kubeapi does not serve.
	options.LeaderElectionResourceLockInterface = &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "promotion-controller"},
		Client:     leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
	}
	options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = &e.Lease, &e.Renew, &e.Retry
	// One that is told to stop does not keep the others waiting.
	options.LeaderElectionReleaseOnCancel = true
	return nil
}
