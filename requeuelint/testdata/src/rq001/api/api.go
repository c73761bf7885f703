// Package api has an object with predicates, as the packages of types have.
package api

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

type Run struct {
	Started *metav1.Time
	timeout time.Duration
	tasks   time.Duration
	Flag    bool
}

func (r *Run) Timeout(context.Context) time.Duration {
	if r.timeout == 0 {
		return time.Hour
	}
	return r.timeout
}

func (r *Run) Tasks() time.Duration { return r.tasks }

// Over tests the deadline.
func (r *Run) Over(ctx context.Context, c clock.Clock) bool {
	timeout := r.Timeout(ctx)
	if !r.Started.IsZero() {
		if timeout == 0 {
			return false
		}
		if c.Since(r.Started.Time) > timeout {
			return true
		}
	}
	return false
}

// LongOver tests it by another predicate.
func (r *Run) LongOver(ctx context.Context, c clock.Clock) bool {
	if !r.Over(ctx, c) {
		return false
	}
	return c.Since(r.Started.Time) >= 2*r.Timeout(ctx)
}

// HasTimedOut tests no deadline, whatever its name.
func (r *Run) HasTimedOut() bool { return r.Flag }
