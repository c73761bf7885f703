package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

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

// ballast is what keeps the workers busy: promotions that are polled like all
// others, and a look at each takes some time.
type ballast struct {
	promotions int
	look       time.Duration
}

const (
	workers        = 4 // of each controller
	workersAtLoad  = 2
	ballastLook    = 100 * time.Millisecond
	mostPromotions = 1000
)

// ballastFor returns as much as takes the workers 5/3 of each interval, so that
// the backlog never ends.
func ballastFor(interval time.Duration) ballast {
	work := workersAtLoad * 5 * (min(interval, 24*time.Hour) / 3)
	n := int(min(max(work/ballastLook, 1), mostPromotions))
	return ballast{promotions: n, look: work / time.Duration(n)}
}

// manifests returns the promotions of the ballast.
func (b ballast) manifests() []manifest {
	all := make([]manifest, b.promotions)
	for i := range all {
		name := fmt.Sprintf("ballast-%03d", i+1)
		all[i] = manifest{name: name, object: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(),
			"kind":       v1alpha1.Kind,
			"metadata":   map[string]any{"name": name},
			"spec":       map[string]any{"steps": []any{map[string]any{"uses": BallastStep}}},
		}}}
	}
	return all
}

// grace is how long after the last deadline and poll a run is given up.
const grace = 10 * time.Second

// race runs the controllers until each has failed every promotion that has a
// timeout.
func race(ctx context.Context, cfg *rest.Config, manifests []manifest, load bool, b *board) error {
	var extra ballast
	settings := controller.Options{MaxConcurrentReconciles: workers}
	if load {
		extra = ballastFor(b.interval)
		settings.MaxConcurrentReconciles = workersAtLoad
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var controllers sync.WaitGroup
	defer controllers.Wait()
	defer cancel(nil)
	for i, c := range b.contenders {
		synced := make(chan struct{})
		settings.NewQueue = c.queue
		r := Reconciler{Interval: b.interval, Next: c.next, Ballast: extra.look, Observe: func(e Event) { b.observe(i, e) }}
		controllers.Go(func() {
			err := control(ctx, cfg, c.namespace, settings, r, synced)
			if err != nil {
				cancel(fmt.Errorf("controller %q: %w", c.title, err))
			}
		})
		select {
		case <-synced:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	objects, err := client.New(cfg, client.Options{})
	if err != nil {
		return err
	}
	b.start(load)
	// The ballast last, so that the promotions have started when the backlog begins.
	for _, m := range append(slices.Clip(manifests), extra.manifests()...) {
		for _, c := range b.contenders {
			if err := objects.Create(ctx, m.copyFor(c.namespace)); err != nil {
				return fmt.Errorf("create promotion %s: %w", m.name, err)
			}
		}
	}
	ctx, stopTimer := context.WithTimeoutCause(ctx, b.length(load)+grace,
		errors.New("gave up waiting; -v shows the logs"))
	defer stopTimer()
	b.watch(ctx)
	if missed := b.summary(); missed > 0 {
		return fmt.Errorf("%d promotions were not failed at all: %w", missed, context.Cause(ctx))
	}
	return nil
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
