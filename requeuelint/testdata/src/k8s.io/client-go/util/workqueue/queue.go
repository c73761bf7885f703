// Package workqueue stands in for the real one.
package workqueue

import "time"

type TypedInterface[T comparable] interface{ Add(item T) }

type TypedDelayingInterface[T comparable] interface {
	TypedInterface[T]
	AddAfter(item T, duration time.Duration)
}

type TypedRateLimitingInterface[T comparable] interface {
	TypedDelayingInterface[T]
	AddRateLimited(item T)
	NumRequeues(item T) int
}
