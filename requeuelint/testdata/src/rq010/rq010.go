package rq010

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/requeue-go/requeue"
)

func literal() (ctrl.Result, error) {
	return ctrl.Result{Requeue: true}, nil // want `RQ010: Requeue: true is deprecated`
}

func assigned() (result ctrl.Result, err error) {
	result.Requeue = true // want `RQ010`
	return result, nil
}

func besidePlan(now, deadline time.Time) (ctrl.Result, error) {
	plan := requeue.From(now).Deadline(deadline)
	_ = plan.After()
	return ctrl.Result{Requeue: true}, nil // want `RQ010`
}

func not() (ctrl.Result, error) { return ctrl.Result{Requeue: false}, nil }

type other struct{ Requeue bool }

func notOurs() other { return other{Requeue: true} }
