package rq002

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// A long chain, which must not take twice as long with each.
func chain() (ctrl.Result, error) {
	err := work()
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		err = work()
	}
	if err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}
