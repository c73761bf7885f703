// Package deadlinequeue stands in for the real one.
package deadlinequeue

import (
	"github.com/requeue-go/requeue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func Result(d requeue.Decision) reconcile.Result { return reconcile.Result{RequeueAfter: d.After} }

func NewQueue(name string) any { return nil }
