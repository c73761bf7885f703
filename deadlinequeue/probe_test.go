package deadlinequeue_test

import (
	"fmt"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
)

// probe looks at a queue from outside, in virtual time. It tells what is wrong in
// place of failing a test, as the peers are known to differ in places.
type probe struct {
	q       workqueue.TypedRateLimitingInterface[string]
	pending chan got // a Get that has not returned
	wrong   string
}

type got struct {
	item     string
	priority int
	shutdown bool
}

// get returns what Get hands out now, and false if it waits.
func (p *probe) get() (got, bool) {
	if p.pending == nil {
		pending := make(chan got, 1)
		p.pending = pending
		go func() {
			var g got
			if pq, ok := p.q.(priorityqueue.PriorityQueue[string]); ok {
				g.item, g.priority, g.shutdown = pq.GetWithPriority()
			} else {
				g.item, g.shutdown = p.q.Get()
			}
			pending <- g
		}()
	}
	synctest.Wait()
	select {
	case g := <-p.pending:
		p.pending = nil
		return g, true
	default:
		return got{}, false
	}
}

func (p *probe) fail(format string, args ...any) {
	if p.wrong == "" {
		p.wrong = fmt.Sprintf(format, args...)
	}
}

// takes fails unless these items are handed out first now, in this order.
func (p *probe) takes(items ...string) {
	for _, want := range items {
		if g, ok := p.get(); !ok || g.shutdown || g.item != want {
			p.fail("got %+v, %v, want %q", g, ok, want)
			return
		}
	}
}

// gets is takes, and nothing else is handed out. A Get then waits, which takes
// what is added next at once.
func (p *probe) gets(items ...string) {
	p.takes(items...)
	p.getsNothing()
}

func (p *probe) getsNothing() {
	if g, ok := p.get(); ok {
		p.fail("got %+v, want nothing", g)
	}
}

// serves is gets with a Done for each.
func (p *probe) serves(items ...string) {
	for _, item := range items {
		p.takes(item)
		p.q.Done(item)
	}
	p.getsNothing()
}

func (p *probe) lenIs(want int) {
	synctest.Wait()
	if got := p.q.Len(); got != want {
		p.fail("Len is %d, want %d", got, want)
	}
}

func (p *probe) shutsDown() {
	if g, ok := p.get(); !ok || !g.shutdown {
		p.fail("Get gave %+v, %v after the shutdown", g, ok)
	}
}

// returns reports whether f returns without time going on.
func (p *probe) returns(f func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (p *probe) priority(priority int, after time.Duration, items ...string) {
	p.q.(priorityqueue.PriorityQueue[string]).AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(priority), After: after}, items...)
}
