package deadlinequeue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/util/workqueue"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/retry"
)

// The limiter of package retry is one of client-go. What it does in a controller is tested in module
// requeuetest.

var _ workqueue.TypedRateLimiter[request] = (*retry.Limiter[request])(nil)

// A step that fails with a queue of client-go is looked at when its deadline passes.
func TestRetryLimiter_withClientGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := retry.New[string](retry.Options{})
		q := workqueue.NewTypedRateLimitingQueue[string](l)
		deadline := time.Now().Add(time.Hour)
		q.Add("step")
		for looks := 1; ; looks++ {
			item, _ := q.Get()
			if plan := requeue.From(time.Now()).Deadline(deadline); !plan.Expired() {
				l.Tell(item, plan)
				q.AddRateLimited(item)
				q.Done(item)
				continue
			}
			assert.Zero(t, time.Since(deadline))
			assert.LessOrEqual(t, looks, 23)
			q.Forget(item)
			q.Done(item)
			break
		}
		q.ShutDown()
		synctest.Wait()
	})
}
