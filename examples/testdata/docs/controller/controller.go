// Package controller stands in for two packages of this name: the one of
// controller-runtime, and the one of knative.dev/pkg, which this module does not depend
// on. It declares what the documentation uses of them.
package controller

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller"
)

// Of controller-runtime.

type (
	Controller = controller.Controller
	Options    = controller.Options
)

// Of knative.

type Impl struct{}

func (c *Impl) EnqueueAfter(obj any, after time.Duration) {}

func NewRequeueAfter(dur time.Duration) error { return nil }
