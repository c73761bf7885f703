package rq004

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// Positive.

func minimum(a, b ctrl.Result) ctrl.Result {
	return ctrl.Result{RequeueAfter: min(a.RequeueAfter, b.RequeueAfter)} // want `RQ004`
}

func isZero(a, b ctrl.Result) ctrl.Result {
	if a.IsZero() {
		return b
	}
	if b.IsZero() {
		return a
	}
	if a.RequeueAfter < b.RequeueAfter { // want `RQ004`
		return a
	}
	return b
}

func loop(all []ctrl.Result) ctrl.Result {
	result := ctrl.Result{RequeueAfter: time.Hour}
	for _, r := range all {
		if result.RequeueAfter > r.RequeueAfter { // want `RQ004`
			result = r
		}
	}
	return result
}

func part(name string) time.Duration {
	if name == "" {
		return 0
	}
	return time.Duration(len(name)) * time.Second
}

func parts(a, b string) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: min(part(a), part(b))}, nil // want `RQ004`
}

func least(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

func byHelper(a, b ctrl.Result) ctrl.Result {
	return ctrl.Result{RequeueAfter: least(a.RequeueAfter, b.RequeueAfter)} // want `RQ004`
}

// Negative.

func most(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

func longestByHelper(a, b ctrl.Result) ctrl.Result {
	return ctrl.Result{RequeueAfter: most(a.RequeueAfter, b.RequeueAfter)}
}

func positive(a, b ctrl.Result) ctrl.Result {
	switch {
	case a.RequeueAfter <= 0:
		return b
	case b.RequeueAfter <= 0:
		return a
	case a.RequeueAfter < b.RequeueAfter:
		return a
	}
	return b
}

func accumulate(all []ctrl.Result) ctrl.Result {
	var result ctrl.Result
	for _, r := range all {
		if r.RequeueAfter > 0 && (result.RequeueAfter == 0 || r.RequeueAfter < result.RequeueAfter) {
			result.RequeueAfter = r.RequeueAfter
		}
	}
	return result
}

func ceiling(r ctrl.Result, most time.Duration) ctrl.Result {
	if r.RequeueAfter > most {
		r.RequeueAfter = most
	}
	return r
}

// A ceiling of a wait, not a merge.
func atMost(name string) ctrl.Result {
	wait := part(name)
	if wait <= 0 {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: min(wait, time.Minute)}
}

func longest(a, b ctrl.Result) ctrl.Result {
	if a.RequeueAfter < b.RequeueAfter {
		return b
	}
	return a
}

// Variables, of which one is 0 for nothing.
func variables(name string, next ctrl.Result) ctrl.Result {
	var wait time.Duration
	if name != "" {
		wait = part(name)
	}
	if next.RequeueAfter == 0 || wait < next.RequeueAfter { // want `RQ004`
		next.RequeueAfter = wait
	}
	return next
}

type step struct{ retrySeconds int32 }

func steps(a, b step) (ctrl.Result, error) {
	least := a.retrySeconds
	if b.retrySeconds < least { // want `RQ004`
		least = b.retrySeconds
	}
	if least == 0 {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: time.Duration(least) * time.Second}, nil // want `RQ001`
}

func variablesTested(name string, next ctrl.Result) ctrl.Result {
	wait := part(name)
	if wait > 0 && wait < next.RequeueAfter {
		next.RequeueAfter = wait
	}
	return next
}

// The soonest of several times left, of which one has passed.
func soonestLeft(all []time.Time, now time.Time) (next time.Duration) {
	for _, t := range all {
		if left := t.Sub(now); next == 0 || left < next { // want `RQ004`
			next = left
		}
	}
	return next
}

// It stays 0.
func staysZero(all []time.Time, now time.Time) (ctrl.Result, error) {
	var next time.Duration
	for _, t := range all {
		left := t.Sub(now)
		if left <= 0 {
			continue
		}
		if left < next { // want `RQ004`
			next = left
		}
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

func soonestAhead(all []time.Time, now time.Time) (next time.Duration) {
	for _, t := range all {
		if left := t.Sub(now); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}

// A wait that a test of another form has found to be above 0.

type graced struct{ grace time.Duration }

func (g graced) period() time.Duration {
	if g.grace > 0 {
		return g.grace
	}
	return time.Minute
}

func (g graced) next(created []time.Time, now time.Time) (ctrl.Result, error) {
	var next time.Duration
	for _, at := range created {
		age := now.Sub(at)
		if age <= g.period() {
			if left := g.period() - age + time.Second; next == 0 || left < next {
				next = left
			}
		}
	}
	return ctrl.Result{RequeueAfter: next}, nil
}
