package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// A site is what the demo needs in a cluster.
type site struct {
	cfg       *rest.Config
	client    client.Client
	objects   []client.Object // in the order of installation
	installed []client.Object
}

func newSite(cfg *rest.Config, contenders []contender) (*site, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	// The kinds are built in and need no discovery, which an API server without
	// the core group does not answer for them.
	c, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: builtInKinds()})
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, client: c, objects: []client.Object{v1alpha1.CRD()}}
	for _, c := range contenders {
		s.objects = append(s.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})
	}
	for _, o := range s.objects {
		o.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "requeue-example"})
	}
	return s, nil
}

func (s *site) describe(promotions int) string {
	var text strings.Builder
	for _, o := range s.objects {
		fmt.Fprintf(&text, "  %-25s %s\n", kindOf(o), o.GetName())
	}
	fmt.Fprintf(&text, "  %-25s %d in each namespace\n", v1alpha1.Kind, promotions)
	return text.String()
}

// check refuses a cluster in which one of the objects is there already: what is
// not this run's must not be used, and not removed. Where Kargo is installed, its
// own controller would act on the promotions.
func (s *site) check(ctx context.Context) error {
	for _, o := range s.objects {
		found := o.DeepCopyObject().(client.Object)
		err := s.client.Get(ctx, client.ObjectKeyFromObject(o), found)
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

func (s *site) install(ctx context.Context) error {
	for _, o := range s.objects {
		created := o.DeepCopyObject().(client.Object)
		err := s.client.Create(ctx, created)
		if _, ok := o.(*corev1.Namespace); ok && apierrors.IsNotFound(err) {
			continue // an API server without namespaces needs none
		}
		if err != nil {
			return fmt.Errorf("install %s %s: %w", kindOf(o), o.GetName(), err)
		}
		s.installed = append(s.installed, created)
		if crd, ok := o.(*apiextensionsv1.CustomResourceDefinition); ok {
			if err := kubeapi.InstallCRD(ctx, s.cfg, crd); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes what install has made and waits until it is gone. The promotions
// go with their CRD.
func (s *site) remove(ctx context.Context) error {
	var errs []error
	for _, o := range s.installed {
		if err := s.client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("remove %s %s: %w", kindOf(o), o.GetName(), err))
			continue
		}
		err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			err := s.client.Get(ctx, client.ObjectKeyFromObject(o), o)
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
