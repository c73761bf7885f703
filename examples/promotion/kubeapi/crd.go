package kubeapi

import (
	"context"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
)

// InstallCRD creates a CRD and waits until its objects can be created, listed
// and discovered. It works on any cluster, and makes no change to a CRD that is
// there already.
func InstallCRD(ctx context.Context, cfg *rest.Config, crd *apiextensionsv1.CustomResourceDefinition) error {
	clients, err := clientset.NewForConfig(cfg)
	if err != nil {
		return err
	}
	crds := clients.ApiextensionsV1().CustomResourceDefinitions()
	if _, err := crds.Create(ctx, crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	resource := []string{"/apis", crd.Spec.Group, crd.Spec.Versions[0].Name, crd.Spec.Names.Plural}
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		got, err := crds.Get(ctx, crd.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		// Until its watch cache is filled a list is answered with 429, which
		// clients take as a wait of a second; hence no retries.
		return established(got) && clients.RESTClient().Get().AbsPath(resource...).
			Param("resourceVersion", "0").MaxRetries(0).Do(ctx).Error() == nil, nil
	})
	if err != nil {
		return fmt.Errorf("kubeapi: waiting for %s: %w", crd.Name, err)
	}
	return nil
}

// SkipEstablishingDelay tells this server that a CRD was established an hour
// ago. For the first two seconds every create sleeps for two seconds, so that
// the other servers of a highly available set-up get to know the CRD; there are
// none here.
func (s *Server) SkipEstablishingDelay(ctx context.Context, name string) error {
	clients, err := clientset.NewForConfig(s.Config)
	if err != nil {
		return err
	}
	crds := clients.ApiextensionsV1().CustomResourceDefinitions()
	hourAgo := metav1.NewTime(time.Now().Add(-time.Hour))
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		crd, err := crds.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for i := range crd.Status.Conditions {
			if c := &crd.Status.Conditions[i]; c.Type == apiextensionsv1.Established {
				c.LastTransitionTime = hourAgo
			}
		}
		_, err = crds.UpdateStatus(ctx, crd, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return false, nil // the server's own controllers write conditions, too
		}
		return err == nil, err
	})
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established {
			return c.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}
