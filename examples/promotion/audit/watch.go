package audit

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// NewClient makes a client for promotions.
func NewClient(cfg *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return client.NewWithWatch(cfg, client.Options{Scheme: scheme})
}

// List takes the state of all promotions of a namespace now, and returns the version of
// the list. What is not in it any more is gone.
func (a *Audit) List(ctx context.Context, c client.Client, namespace string) (version string, err error) {
	var list v1alpha1.PromotionList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return "", err
	}
	at := time.Now()
	there := map[string]bool{}
	for i := range list.Items {
		there[list.Items[i].Name] = true
		a.Observe(&list.Items[i], at)
	}
	for _, e := range a.Entries() {
		if !there[e.Name] {
			a.Delete(e.Name)
		}
	}
	return list.ResourceVersion, nil
}

// Watch takes every change in a namespace until ctx ends. When the API server is away it
// lists as soon as that is back; several changes of an object before that are seen as one.
func (a *Audit) Watch(ctx context.Context, c client.WithWatch, namespace string) {
	for ctx.Err() == nil {
		a.watchOnce(ctx, c, namespace)
		select {
		case <-time.After(20 * time.Millisecond): // do not run hot while it is away
		case <-ctx.Done():
		}
	}
}

func (a *Audit) watchOnce(ctx context.Context, c client.WithWatch, namespace string) {
	version, err := a.List(ctx, c, namespace)
	if err != nil {
		return
	}
	changes, err := c.Watch(ctx, &v1alpha1.PromotionList{}, client.InNamespace(namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
	if err != nil {
		return
	}
	defer changes.Stop()
	defer context.AfterFunc(ctx, changes.Stop)()
	for change := range changes.ResultChan() {
		p, ok := change.Object.(*v1alpha1.Promotion)
		switch {
		case !ok: // an error, after which the watch ends, or a bookmark
		case change.Type == watch.Deleted:
			a.Delete(p.Name)
		default:
			a.Observe(p, time.Now())
		}
	}
}
