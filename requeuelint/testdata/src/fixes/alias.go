package fixes

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// The name requeue is something else here, and the comment speaks of what is gone.
func shadowed(o *object) (ctrl.Result, error) {
	requeue := ctrl.Result{RequeueAfter: time.Minute}
	if o.Timeout > 0 {
		requeue.RequeueAfter = time.Second
		return ctrl.Result{
			/* want `RQ001` */ RequeueAfter: time.Until(o.Deadline), // Until may be negative
		}, nil
	}
	return requeue, nil
}
