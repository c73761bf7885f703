package controllers

import (
	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	ctrl "sigs.k8s.io/controller-runtime"
)

func Reconcile(plan requeue.Plan) (ctrl.Result, error) {
	return deadlinequeue.Result(plan.Decide()), nil
}
