package intests

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

func result(t time.Time) ctrl.Result {
	return ctrl.Result{RequeueAfter: time.Until(t)} // want `RQ001`
}
