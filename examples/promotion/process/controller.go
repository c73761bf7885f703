package process

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	settings "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
)

// Controller configures RunController.
type Controller struct {
	Kubeconfig string
	Namespace  string
	Interval   time.Duration
	Workers    int
	Election   *controller.Election // nil: it acts at once
	Verbose    bool                 // logs on standard error
}

// Message is what RunController tells, once for each field.
type Message struct {
	Synced bool `json:",omitempty"` // it sees the promotions
	Leads  bool `json:",omitempty"` // it won the election
}

// RunController is the Part that runs the promotion controller with deadlinequeue.
func RunController(ctx context.Context, config json.RawMessage, tell func(any)) error {
	var c Controller
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	SetLogger(c.Verbose)
	cfg, err := kubeapi.LoadKubeconfig(c.Kubeconfig)
	if err != nil {
		return err
	}
	if c.Election != nil {
		c.Election.Elected = func() { tell(Message{Leads: true}) }
	}
	r := &controller.Reconciler{Interval: c.Interval, Next: controller.DeadlineAware}
	return controller.Run(ctx, cfg, r, controller.Options{
		Namespace:  c.Namespace,
		Controller: settings.Options{MaxConcurrentReconciles: c.Workers},
		Queue:      &deadlinequeue.Options[reconcile.Request]{},
		Election:   c.Election,
		Synced:     func() { tell(Message{Synced: true}) },
	})
}

// SetLogger sends the logs of klog (API server, client-go) and of controller-runtime
// to standard error, or nowhere.
func SetLogger(verbose bool) {
	handler := slog.DiscardHandler
	if verbose {
		handler = slog.NewTextHandler(os.Stderr, nil)
	}
	klog.SetSlogLogger(slog.New(handler))
	ctrl.SetLogger(logr.FromSlogHandler(handler))
}
