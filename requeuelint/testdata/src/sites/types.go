// Package sites has the shapes of real sites. The comment above a function is the verdict.
package sites

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
)

type Obj struct {
	CreationTimestamp metav1.Time
	Spec              struct {
		Deadline metav1.Time
		Timeout  metav1.Duration
		TTL      metav1.Duration
		Poll     metav1.Duration
	}
	Status struct {
		StartedAt metav1.Time
		EndsAt    *metav1.Time
		Failures  int
	}
}

type Run struct {
	Status struct{ StartTime metav1.Time }
}

func (*Run) TasksTimeout() time.Duration { return 0 }

type Reconciler struct {
	queue workqueue.TypedRateLimitingInterface[string]
}

func patch(*Obj) error  { return nil }
func finish(*Obj) error { return nil }
func fail(*Obj) error   { return nil }
func del(*Obj) error    { return nil }
