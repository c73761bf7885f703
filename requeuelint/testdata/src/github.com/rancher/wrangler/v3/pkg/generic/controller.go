// Package generic stands in for the real one.
package generic

import "time"

type ControllerInterface interface {
	EnqueueAfter(namespace, name string, duration time.Duration)
}
