package controllers

import (
	"errors"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	ctrl "sigs.k8s.io/controller-runtime"
)

func Reconcile(plan requeue.Plan) (ctrl.Result, error) {
	return deadlinequeue.Result(plan.Decide()), nil
}

func withError(plan requeue.Plan) (ctrl.Result, error) {
	return deadlinequeue.Result(plan.Decide()), errors.New("failed") // want `RQ008: deadlinequeue.Result is returned with an error`
}

func failed(plan requeue.Plan) (ctrl.Result, error) {
	return deadlinequeue.Failed(plan.Decide()), errors.New("failed")
}
