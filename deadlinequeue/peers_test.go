package deadlinequeue_test

import (
	"fmt"
	"runtime"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// peer is one of the implementations that are held against each other.
type peer[T comparable] struct {
	name string
	new  func(workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T]
}

func ours[T comparable]() peer[T] {
	return peer[T]{"deadlinequeue", func(l workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T] {
		return deadlinequeue.New("", deadlinequeue.Options[T]{RateLimiter: l})
	}}
}

func clientGo[T comparable]() peer[T] {
	return peer[T]{"client-go", workqueue.NewTypedRateLimitingQueue[T]}
}

func controllerRuntime[T comparable]() peer[T] {
	return peer[T]{"controller-runtime", func(l workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T] {
		return priorityqueue.New("", func(o *priorityqueue.Opts[T]) { o.RateLimiter = l })
	}}
}

func peers[T comparable]() []peer[T] {
	return []peer[T]{ours[T](), clientGo[T](), controllerRuntime[T]()}
}

func limiter[T comparable]() workqueue.TypedRateLimiter[T] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[T](5*time.Millisecond, 1000*time.Second)
}

type request = reconcile.Request

func requests(n int) []request {
	rs := make([]request, n)
	for i := range rs {
		rs[i].Namespace, rs[i].Name = "default", fmt.Sprint("object-", i)
	}
	return rs
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
