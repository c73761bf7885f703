package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrl "sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// onServer calls use with an API server in this process, and with a directory of its own.
func onServer(ctx context.Context, out io.Writer, use func(server *kubeapi.Server, dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "promotion-") // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = cleanedUp(err, os.RemoveAll(dir)) }()
	fmt.Fprint(out, "starting etcd and a Kubernetes API server in this process ... ")
	begin := time.Now()
	server, err := kubeapi.StartIn(ctx, dir, 0)
	if err != nil {
		return err
	}
	defer func() { err = cleanedUp(err, server.Stop()) }()
	for _, crd := range []*apiextensionsv1.CustomResourceDefinition{v1alpha1.CRD(), kubeapi.LeaseCRD()} {
		if err := kubeapi.InstallCRD(ctx, server.Config, crd); err != nil {
			return err
		}
		if err := server.SkipEstablishingDelay(ctx, crd.Name); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "ready in %v\n", round(time.Since(begin)))
	return use(server, dir)
}

// run runs the demo, in this process or on a cluster.
func run(ctx context.Context, o options, manifests []manifest, b *board) error {
	if o.kubeconfig != "" {
		return runOn(ctx, o, manifests, b)
	}
	return onServer(ctx, b.out, func(server *kubeapi.Server, _ string) error {
		return race(ctx, server.Config, manifests, o.load, b)
	})
}

// runOn runs the demo on a cluster that is not this program's.
func runOn(ctx context.Context, o options, manifests []manifest, b *board) (err error) {
	cfg, err := kubeapi.LoadKubeconfig(o.kubeconfig)
	if err != nil {
		return err
	}
	needs, err := newInstallation(cfg, b.contenders)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "On %s this installs, and removes at the end:\n%s", cfg.Host, needs.describe(len(manifests)))
	if err := needs.check(ctx); err != nil {
		return err
	}
	if !o.yes {
		return errors.New("nothing has been installed; run again with -yes to go on")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = cleanedUp(err, needs.remove(ctx))
	}()
	if err := needs.install(ctx); err != nil {
		return err
	}
	return race(ctx, cfg, manifests, o.load, b)
}

// cleanedUp adds what went wrong at the end to the error of a run. An interrupted
// run that leaves something behind is not one that was just interrupted.
func cleanedUp(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return cleanup
	}
	return errors.Join(err, cleanup)
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
			"spec":       map[string]any{"steps": []any{map[string]any{"uses": controller.BallastStep}}},
		}}}
	}
	return all
}

// grace is how long after the last deadline and poll a run is given up.
const grace = 10 * time.Second

// race runs the controllers until each has failed every promotion that has a
// timeout.
func race(ctx context.Context, cfg *rest.Config, manifests []manifest, load bool, b *board) error {
	if err := validate(ctx, cfg, b.contenders[0].namespace, manifests); err != nil {
		return err
	}
	var extra ballast
	settings := ctrl.Options{MaxConcurrentReconciles: workers}
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
		r := &controller.Reconciler{Interval: b.interval, Next: c.next, Ballast: extra.look, Observe: func(e controller.Event) { b.observe(i, e) }}
		o := controller.Options{Namespace: c.namespace, Controller: settings, Queue: c.queue, Synced: func() { close(synced) }}
		controllers.Go(func() {
			err := controller.Run(ctx, cfg, r, o)
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
	b.start(manifests, load)
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
		return fmt.Errorf("%s not timed out: %w", promotions(missed), context.Cause(ctx))
	}
	return nil
}

// An installation is what the demo needs in a cluster.
type installation struct {
	cfg       *rest.Config
	client    client.Client
	objects   []client.Object // in the order of installation
	installed []client.Object
}

func newInstallation(cfg *rest.Config, contenders []contender) (*installation, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	// The kinds are built in and need no discovery, which an API server without
	// the core group does not answer for them.
	c, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: builtInKinds()})
	if err != nil {
		return nil, err
	}
	in := &installation{cfg: cfg, client: c, objects: []client.Object{v1alpha1.CRD()}}
	for _, c := range contenders {
		in.objects = append(in.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})
	}
	for _, o := range in.objects {
		o.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "requeue-example"})
	}
	return in, nil
}

func (in *installation) describe(promotions int) string {
	var text strings.Builder
	for _, o := range in.objects {
		fmt.Fprintf(&text, "  %-25s %s\n", kindOf(o), o.GetName())
	}
	fmt.Fprintf(&text, "  %-25s %d in each namespace\n", v1alpha1.Kind, promotions)
	return text.String()
}

// check refuses a cluster in which one of the objects is there already: what is
// not this run's must not be used, and not removed. Where Kargo is installed, its
// own controller would act on the promotions.
func (in *installation) check(ctx context.Context) error {
	for _, o := range in.objects {
		found := o.DeepCopyObject().(client.Object)
		err := in.client.Get(ctx, client.ObjectKeyFromObject(o), found)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		default:
			return fmt.Errorf("%s %s is there already: it is Kargo's, or of another run of this program that goes on "+
				"or was killed; use another cluster, or delete it if you know that nobody needs it", kindOf(o), o.GetName())
		}
	}
	return nil
}

func (in *installation) install(ctx context.Context) error {
	for _, o := range in.objects {
		created := o.DeepCopyObject().(client.Object)
		err := in.client.Create(ctx, created)
		if _, ok := o.(*corev1.Namespace); ok && apierrors.IsNotFound(err) {
			continue // an API server without namespaces needs none
		}
		if err != nil {
			return fmt.Errorf("install %s %s: %w", kindOf(o), o.GetName(), err)
		}
		in.installed = append(in.installed, created)
		if crd, ok := o.(*apiextensionsv1.CustomResourceDefinition); ok {
			if err := kubeapi.InstallCRD(ctx, in.cfg, crd); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes what install has made and waits until it is gone. The promotions
// go with their CRD.
func (in *installation) remove(ctx context.Context) error {
	var errs []error
	for _, o := range in.installed {
		if err := in.client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("remove %s %s: %w", kindOf(o), o.GetName(), err))
			continue
		}
		err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			err := in.client.Get(ctx, client.ObjectKeyFromObject(o), o)
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s is being removed but not gone: %w", kindOf(o), o.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

func kindOf(o client.Object) string {
	switch o.(type) {
	case *corev1.Namespace:
		return "Namespace"
	default:
		return "CustomResourceDefinition"
	}
}

func builtInKinds() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	mapper.Add(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"), meta.RESTScopeRoot)
	return mapper
}
