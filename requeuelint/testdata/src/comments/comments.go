package comments

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

func accepted(t time.Time) (r ctrl.Result) {
	r = ctrl.Result{RequeueAfter: time.Until(t)} // requeue:ok the queue of this controller takes 0 for now
	r = ctrl.Result{RequeueAfter: time.Until(t)} //requeue:ok for a reason
	// requeue:ok for a reason
	r = ctrl.Result{RequeueAfter: time.Until(t)}
	r = ctrl.Result{RequeueAfter: time.Until(t)} //nolint:requeuelint // for a reason
	r = ctrl.Result{RequeueAfter: time.Until(t)} //nolint:errcheck,requeuelint
	r = ctrl.Result{RequeueAfter: time.Until(t)} //nolint:all
	r = ctrl.Result{RequeueAfter: time.Until(t)} //nolint
	r = ctrl.Result{RequeueAfter: time.Until(t)} //nolint:rq001
	//nolint:requeuelint // for a reason
	r = ctrl.Result{RequeueAfter: time.Until(t)}
	r = ctrl.Result{
		RequeueAfter: time.Until(t), // requeue:ok on the line of the field
	}
	return r
}

func notAccepted(t time.Time) (r ctrl.Result) {
	r = ctrl.Result{RequeueAfter: time.Until(t)} /* want `RQ001: .*; requeue:ok has no effect without a reason` */ // requeue:ok
	r = ctrl.Result{RequeueAfter: time.Until(t)} /* want `RQ001` */                                                //nolint:errcheck // another linter
	r = ctrl.Result{RequeueAfter: time.Until(t)} /* want `RQ001` */                                                //nolint:rq002
	_ = r                                        // requeue:ok that line, not the next
	r = ctrl.Result{RequeueAfter: time.Until(t)} // want `RQ001`
	// requeue:ok two lines above

	r = ctrl.Result{RequeueAfter: time.Until(t)} // want `RQ001`
	return r
}
