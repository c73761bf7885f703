package deadlinequeue_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// inBubble runs a test of a queue in virtual time and fails it with what the
// probe found wrong.
func inBubble(t *testing.T, o deadlinequeue.Options[string], test func(t *testing.T, q deadlinequeue.Queue[string], p *probe)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := deadlinequeue.New("", o)
		p := &probe{q: q}
		defer func() {
			q.ShutDown()
			assert.Empty(t, p.wrong)
		}()
		test(t, q, p)
	})
}

// objects are the deadlines that Options.Deadline finds.
type objects map[string]time.Time

func (o objects) deadline(key string) (time.Time, bool) {
	t, ok := o[key]
	return t, ok
}

// due sets the deadline of an object, so far from now.
func (o objects) due(key string, in time.Duration) { o[key] = time.Now().Add(in) }

// withObjects is inBubble with Options.Deadline.
func withObjects(t *testing.T, o deadlinequeue.Options[string], test func(t *testing.T, q deadlinequeue.Queue[string], p *probe, known objects)) {
	t.Helper()
	known := objects{}
	o.Deadline = known.deadline
	inBubble(t, o, func(t *testing.T, q deadlinequeue.Queue[string], p *probe) { test(t, q, p, known) })
}

// succeeds ends the reconcile of an item as controller-runtime does, with the wait of a plan
// and no error.
func succeeds(q deadlinequeue.Queue[string], item string, plan requeue.Plan) {
	d := plan.Decide()
	q.Decide(item, d)
	if q.Forget(item); d.After > 0 {
		q.AddAfter(item, d.After)
	}
	q.Done(item)
}

// fails ends the reconcile of an item with a plan and an error.
func fails(q deadlinequeue.Queue[string], item string, plan requeue.Plan) {
	q.Decide(item, plan.Decide())
	failsBare(q, item)
}

// failsBare ends the reconcile of an item with an error alone.
func failsBare(q deadlinequeue.Queue[string], item string) {
	q.AddRateLimited(item)
	q.Done(item)
}

// waits has an item wait for its deadline and nothing else that a test lasts for.
func waits(q deadlinequeue.Queue[string], p *probe, item string, deadline time.Time) {
	q.Add(item)
	p.takes(item)
	succeeds(q, item, requeue.From(time.Now()).Every(1000*time.Hour).Deadline(deadline))
}

// startsDraining returns when a ShutDownWithDrain has begun.
func startsDraining[T comparable](q deadlinequeue.Queue[T]) {
	go q.ShutDownWithDrain()
	for !q.ShuttingDown() {
		runtime.Gosched()
	}
}
