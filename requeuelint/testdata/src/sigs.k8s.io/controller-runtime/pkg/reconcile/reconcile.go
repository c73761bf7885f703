// Package reconcile stands in for the real one.
package reconcile

import "time"

type Result struct {
	Requeue      bool
	RequeueAfter time.Duration
	Priority     *int
}

func (r *Result) IsZero() bool { return r == nil || *r == Result{} }

type Request struct{ Name string }

func TerminalError(wrapped error) error { return wrapped }
