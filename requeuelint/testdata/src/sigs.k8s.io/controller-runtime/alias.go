// Package controllerruntime stands in for the real one.
package controllerruntime

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

type (
	Result  = reconcile.Result
	Request = reconcile.Request
)

type Manager interface{ Start(context.Context) error }
