// Command minimal is a whole controller with requeue and deadlinequeue: it deletes each
// Pod that has run longer than its annotation example.com/timeout allows. It is there to
// be read, and copied:
//
//   - reconciler.go is all that matters. A plan is made of the clock, the poll and the
//     timeout; it says whether the timeout is over and else when to look again. Tell
//     gives it to the queue, which NewQueue makes.
//   - reconciler_test.go tests it without a cluster and without waiting: one look on a fake
//     client and a fake clock, and the whole controller in virtual time, with requeuetest.
//   - main.go runs it in the cluster of your kubeconfig, where it does delete Pods.
//
// To test it, from the root of the repository:
//
//	go test ./examples/minimal
package main

import (
	"fmt"
	"os"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "minimal:", err)
		os.Exit(1)
	}
}

func run() error {
	ctrl.SetLogger(klog.Background())
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{})
	if err != nil {
		return err
	}
	r := &Reconciler{Client: mgr.GetClient(), Clock: clock.RealClock{}, Poll: 10 * time.Minute}
	if err := r.SetupWithManager(mgr); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}
