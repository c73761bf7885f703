package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// owner marks what this program installed, and so may remove.
var owner = map[string]string{"app.kubernetes.io/managed-by": "requeue-example"}

// A site is what the demo needs in a cluster.
type site struct {
	cfg     *rest.Config
	objects []client.Object // in the order of installation
}

func newSite(cfg *rest.Config) site {
	crd := v1alpha1.CRD()
	crd.Labels = owner
	s := site{cfg: cfg, objects: []client.Object{crd}}
	for _, c := range contenders {
		s.objects = append(s.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace, Labels: owner}})
	}
	return s
}

func (s site) describe(promotions int) string {
	var text strings.Builder
	for _, o := range s.objects {
		fmt.Fprintf(&text, "  %-25s %s\n", kindOf(o), o.GetName())
	}
	fmt.Fprintf(&text, "  %-25s %d in each namespace\n", v1alpha1.Kind, promotions)
	return text.String()
}

// check refuses a cluster in which one of the objects is somebody else's: where
// Kargo is installed, its own controller would act on the promotions.
func (s site) check(ctx context.Context) error {
	objects, err := s.client()
	if err != nil {
		return err
	}
	for _, o := range s.objects {
		found := o.DeepCopyObject().(client.Object)
		err := objects.Get(ctx, client.ObjectKeyFromObject(o), found)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		default:
			for key, value := range owner {
				if found.GetLabels()[key] != value {
					return fmt.Errorf("%s %s is there and was not made by this program (no label %s=%s); use a cluster without it",
						kindOf(o), o.GetName(), key, value)
				}
			}
		}
	}
	return nil
}

func (s site) install(ctx context.Context) error {
	objects, err := s.client()
	if err != nil {
		return err
	}
	for _, o := range s.objects {
		if crd, ok := o.(*apiextensionsv1.CustomResourceDefinition); ok {
			err = kubeapi.InstallCRD(ctx, s.cfg, crd)
		} else {
			err = objects.Create(ctx, o.DeepCopyObject().(client.Object))
		}
		// An API server without the kind Namespace needs none.
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("install %s %s: %w", kindOf(o), o.GetName(), err)
		}
	}
	return nil
}

// remove deletes what install made; the promotions go with their CRD.
func (s site) remove(ctx context.Context) error {
	objects, err := s.client()
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range s.objects {
		if err := objects.Delete(ctx, o.DeepCopyObject().(client.Object)); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("remove %s %s: %w", kindOf(o), o.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

func (s site) client() (client.Client, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	// The kinds are built in and need no discovery, which an API server without
	// the core group does not answer for them.
	return client.New(s.cfg, client.Options{Scheme: scheme, Mapper: builtInKinds()})
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
