// Package priorityqueue stands in for the real one.
package priorityqueue

import "time"

type AddOpts struct {
	After       time.Duration
	RateLimited bool
	Priority    *int
}

type PriorityQueue[T comparable] interface{ AddWithOpts(o AddOpts, items ...T) }
