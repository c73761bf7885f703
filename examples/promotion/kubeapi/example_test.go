package kubeapi_test

import (
	"context"
	"fmt"

	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// A test of a controller that wants a real API server starts one, installs its
// CRD and hands server.Config to the manager.
func ExampleStart() {
	ctx := context.Background()
	server, err := kubeapi.Start(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kubeapi.InstallCRD(ctx, server.Config, v1alpha1.CRD()))
	fmt.Println(server.Stop())
	// Output:
	// <nil>
	// <nil>
}
