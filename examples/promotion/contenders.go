package main

import (
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/examples/promotion/controller"
)

// A contender is one of the controllers. It has a copy of every promotion in a
// namespace of its own.
type contender struct {
	title     string
	namespace string
	next      controller.Next
	queue     *deadlinequeue.Options[reconcile.Request] // nil: controller-runtime's queue
}

// contenders returns who takes part.
func contenders(load bool) []contender {
	cs := []contender{
		{"fixed interval", "requeue-example-fixed", controller.FixedInterval, nil},
		{"requeue", "requeue-example-requeue", controller.DeadlineAware, nil},
	}
	if load {
		cs = append(cs, contender{"deadlinequeue", "requeue-example-queue", controller.DeadlineAware, &deadlinequeue.Options[reconcile.Request]{}})
	}
	return cs
}
