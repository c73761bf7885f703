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

// The caller makes use of the wait where there is no error.
func readyYet(n int) (bool, ctrl.Result, error) {
	if err := work(); err != nil {
		return false, ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return n > 0, ctrl.Result{RequeueAfter: time.Minute}, nil
}

func asksReady(n int) (ctrl.Result, error) {
	ready, result, err := readyYet(n)
	if err != nil {
		return result, err
	} else if !ready {
		return result, nil
	}
	return ctrl.Result{}, nil
}
