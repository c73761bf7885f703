package requeuetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// For returns a Setup for a reconciler without SetupWithManager: one controller for objects of the
// kind of obj. The function options makes the controller's options with the Reconciler. Set NewQueue
// or UsePriorityQueue there for a queue other than controller-runtime's default.
func For(obj client.Object, options func(c client.Client) controller.Options) func(manager.Manager) error {
	return func(mgr manager.Manager) error {
		o := options(mgr.GetClient())
		r := o.Reconciler
		o.Reconciler = nil // the builder takes it from one place only
		return builder.ControllerManagedBy(mgr).For(obj).WithOptions(o).Complete(r)
	}
}

// watchedManager is a manager that has the looks of its controllers noted.
type watchedManager struct {
	manager.Manager
	w *World
	p *process
}

// Add implements manager.Manager.
func (m *watchedManager) Add(r manager.Runnable) error {
	if err := m.w.watchLooks(m.p, r); err != nil {
		return err
	}
	return m.Manager.Add(r)
}

// GetAPIReader implements manager.Manager.
func (m *watchedManager) GetAPIReader() client.Reader { return m.w.clientOf(m.p, nil) }

// newManager returns a manager of controller-runtime from which nothing leaves the process.
func (w *World) newManager(p *process) (*watchedManager, error) {
	o := w.o.Manager
	if c := o.Cache; len(c.DefaultNamespaces)+len(c.ByObject) > 0 || c.DefaultLabelSelector != nil || c.DefaultFieldSelector != nil {
		return nil, errors.New("the fake cache selects no namespaces or objects; leave DefaultNamespaces, ByObject and selectors out of Options.Manager.Cache")
	}
	o.Scheme = w.scheme
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	o.LeaderElection = false
	o.Metrics = metricsserver.Options{BindAddress: "0"}
	o.HealthProbeBindAddress, o.PprofBindAddress = "0", "0"
	o.WebhookServer = webhooks{webhook.NewServer(webhook.Options{})}
	o.Controller.SkipNameValidation = ptr.To(true) // each restart has the same names
	mapper := w.newMapper()
	o.MapperProvider = func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil }
	o.NewClient = func(_ *rest.Config, o client.Options) (client.Client, error) { return w.clientOf(p, o.Cache), nil }
	o.NewCache = func(config *rest.Config, o cache.Options) (cache.Cache, error) {
		o.NewInformer = w.newInformers(ptr.Deref(o.SyncPeriod, 10*time.Hour)) // the default
		return cache.New(config, o)
	}
	mgr, err := manager.New(&rest.Config{Host: "http://requeuetest.invalid", Transport: nowhere{}}, o)
	return &watchedManager{Manager: mgr, w: w, p: p}, err
}

// newMapper maps the kinds of the scheme. No scheme says which of them have a namespace.
func (w *World) newMapper() meta.RESTMapper {
	root := map[string]bool{}
	for _, kind := range []string{"Namespace", "Node", "PersistentVolume", "StorageClass", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "CustomResourceDefinition"} {
		root[kind] = true
	}
	for _, obj := range w.o.Objects {
		root[w.keyOf(obj).kind.Kind] = obj.GetNamespace() == ""
	}
	mapper := meta.NewDefaultRESTMapper(w.scheme.PrioritizedVersionsAllGroups())
	for kind := range w.scheme.AllKnownTypes() {
		scope := meta.RESTScopeNamespace
		if root[kind.Kind] {
			scope = meta.RESTScopeRoot
		}
		mapper.Add(kind, scope)
	}
	return mapper
}

// nowhere is the network of the manager. It swallows events, and nothing else should need it.
type nowhere struct{}

// RoundTrip implements http.RoundTripper.
func (nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path+"/", "/events/") {
		return nil, fmt.Errorf("requeuetest: %s %s: there is no API server; use the client, the cache or the API reader of the manager", r.Method, r.URL.Path)
	}
	if r.Method == http.MethodPatch { // of one that is not kept
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
	}
	header := http.Header{"Content-Type": r.Header["Content-Type"]} // what was created is what was sent
	return &http.Response{StatusCode: http.StatusCreated, Header: header, Body: r.Body, Request: r}, nil
}

// webhooks is a server that takes webhooks and serves none.
type webhooks struct{ webhook.Server }

// Start implements webhook.Server.
func (webhooks) Start(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
