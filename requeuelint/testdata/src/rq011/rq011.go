package rq011

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
)

const seconds = 30

var interval = time.Duration(seconds)

func converted() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Duration(30)}, nil // want `RQ011: this wait is 30ns`
}

func bare() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: 5}, nil // want `RQ011`
}

func variable() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: interval}, nil // want `RQ011`
}

func queue(q workqueue.TypedRateLimitingInterface[string]) {
	q.AddAfter("key", 10) // want `RQ011`
}

func units() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: seconds * time.Second}, nil
}

// The shortest wait that is one.
func immediate() (ctrl.Result, error) { return ctrl.Result{RequeueAfter: 1}, nil }

func microsecond() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Microsecond}, nil
}

type options struct {
	PollInterval time.Duration
	Workers      time.Duration
}

func defaults(o *options) {
	o.PollInterval = 60 // want `RQ011`
	o.Workers = 5
}
