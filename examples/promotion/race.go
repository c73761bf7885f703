package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// A contender is one of the two controllers. It has a copy of every promotion in
// a namespace of its own.
type contender struct {
	title     string
	namespace string
	next      func(interval time.Duration) Next
}

var contenders = [...]contender{
	{"fixed interval", "requeue-example-fixed", fixedInterval},
	{"requeue", "requeue-example-requeue", deadlineAware},
}

// grace is how long after the last deadline and poll a run is given up.
const grace = 10 * time.Second

// race runs both controllers until each has failed every promotion that has a
// timeout.
func race(ctx context.Context, cfg *rest.Config, manifests []manifest, b *board) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var controllers sync.WaitGroup
	defer controllers.Wait()
	defer cancel(nil)
	for i, c := range contenders {
		synced := make(chan struct{})
		controllers.Go(func() {
			err := control(ctx, cfg, c.namespace, c.next(b.interval), synced, func(e Event) { b.observe(i, e) })
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
	b.start()
	for _, m := range manifests {
		for _, c := range contenders {
			if err := objects.Create(ctx, m.copyFor(c.namespace)); err != nil {
				return fmt.Errorf("create promotion %s: %w", m.name, err)
			}
		}
	}
	ctx, stopTimer := context.WithTimeoutCause(ctx, saturated(b.length()+grace),
		errors.New("gave up waiting; -v shows the logs"))
	defer stopTimer()
	b.watch(ctx)
	if missed := b.summary(); missed > 0 {
		return fmt.Errorf("%d promotions were not failed at all: %w", missed, context.Cause(ctx))
	}
	return nil
}

// saturated is the sum of two positive durations, which has overflowed if it is
// negative.
func saturated(sum time.Duration) time.Duration {
	if sum < 0 {
		return math.MaxInt64
	}
	return sum
}

// control runs a manager with one controller for the promotions of a namespace
// until ctx ends. It closes synced when the controller sees new promotions.
func control(ctx context.Context, cfg *rest.Config, namespace string, next Next, synced chan<- struct{}, observe func(Event)) error {
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
	// As in Kargo, a change of the status wakes nobody.
	err = ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Promotion{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(&Reconciler{Client: mgr.GetClient(), Clock: clock.RealClock{}, Next: next, Observe: observe})
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
