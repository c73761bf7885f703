package deadlinequeue_test

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// contract is what the documentation of client-go's and controller-runtime's
// queues promises, a sentence each. A peer named in differs breaks it, in the way
// that is told there; the test fails if it no longer does.
var contract = []struct {
	sentence string
	prove    func(p *probe)
	differs  map[string]string
}{
	{"items are handed out in the order in which they were added", func(p *probe) {
		for _, item := range []string{"c", "a", "b"} {
			p.q.Add(item)
		}
		p.lenIs(3)
		p.serves("c", "a", "b")
	}, nil},
	{"an item added several times before it is handed out is handed out once", func(p *probe) {
		p.q.Add("a")
		p.q.Add("b")
		p.q.Add("a")
		p.lenIs(2)
		p.serves("a", "b")
	}, nil},
	{"an item is not handed out again before it is Done", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.Add("a")
		p.q.Add("a")
		p.getsNothing()
		p.q.Done("a")
		p.serves("a")
	}, nil},
	{"the others go on when a worker never calls Done", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.Add("a")
		p.q.Add("b")
		p.serves("b")
	}, nil},
	{"Len counts an item that was added again while it is processed", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.Add("a")
		p.lenIs(1)
	}, map[string]string{"client-go": "counts it from Done on"}},
	{"Done of an item that is not being processed does nothing", func(p *probe) {
		p.q.Done("never seen")
		p.q.Add("a")
		p.q.Done("a")
		p.lenIs(1)
		p.serves("a")
	}, map[string]string{"client-go": "queues it a second time"}},
	{"Done twice does nothing the second time", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.Done("a")
		p.q.Done("a")
		p.q.Add("a")
		p.serves("a")
	}, nil},
	{"AddAfter makes an item ready after the wait and not before", func(p *probe) {
		p.q.AddAfter("a", time.Second)
		time.Sleep(time.Second - 1)
		p.lenIs(0)
		p.getsNothing()
		time.Sleep(time.Nanosecond)
		p.serves("a")
	}, nil},
	{"AddAfter of 0 or less is Add", func(p *probe) {
		p.q.AddAfter("a", 0)
		p.q.AddAfter("b", -1)
		p.q.AddAfter("c", math.MinInt64)
		p.serves("a", "b", "c")
	}, nil},
	{"the longest wait is not an overflow", func(p *probe) {
		p.q.AddAfter("a", math.MaxInt64)
		p.getsNothing()
		p.q.AddAfter("a", time.Second)
		time.Sleep(time.Second)
		p.serves("a")
	}, nil},
	{"of two waits the sooner counts", func(p *probe) {
		p.q.AddAfter("a", time.Minute)
		p.q.AddAfter("a", time.Second)
		p.q.AddAfter("a", time.Hour)
		time.Sleep(time.Second)
		p.serves("a")
		time.Sleep(2 * time.Hour)
		p.getsNothing()
	}, nil},
	{"waits that end together are handed out in the order of the adds", func(p *probe) {
		for _, item := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			p.q.AddAfter(item, time.Second)
		}
		time.Sleep(time.Second)
		p.serves("a", "b", "c", "d", "e", "f", "g")
	}, map[string]string{"client-go": "its heap does not keep their order"}},
	{"a wait that ends while the item is processed makes it ready after Done", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.AddAfter("a", time.Second)
		time.Sleep(time.Minute)
		p.getsNothing()
		p.q.Done("a")
		p.serves("a")
	}, nil},
	{"Add ends a wait", func(p *probe) {
		p.q.AddAfter("a", time.Second)
		p.q.Add("a")
		p.serves("a")
		time.Sleep(time.Minute)
		p.getsNothing()
	}, map[string]string{"client-go": "hands the item out again when the wait is over"}},
	{"AddAfter of an item that is ready leaves it ready", func(p *probe) {
		p.q.Add("a")
		p.q.AddAfter("a", time.Second)
		p.serves("a")
		time.Sleep(time.Minute)
		p.getsNothing()
	}, map[string]string{"client-go": "hands the item out again when the wait is over"}},
	{"AddRateLimited waits as the limiter says, and Forget starts again", func(p *probe) {
		for _, wait := range []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond} {
			p.q.AddRateLimited("a")
			synctest.Wait()
			time.Sleep(wait - 1)
			p.getsNothing()
			time.Sleep(time.Nanosecond)
			p.serves("a")
		}
		p.q.Forget("a")
		p.q.AddRateLimited("a")
		synctest.Wait()
		time.Sleep(5 * time.Millisecond)
		p.serves("a")
	}, nil},
	{"NumRequeues counts at once", func(p *probe) {
		p.q.AddRateLimited("a")
		p.q.AddRateLimited("a")
		if n := p.q.NumRequeues("a"); n != 2 {
			p.fail("NumRequeues is %d, want 2", n)
		}
		p.q.Forget("a")
		if n := p.q.NumRequeues("a"); n != 0 {
			p.fail("NumRequeues is %d after Forget", n)
		}
	}, map[string]string{"controller-runtime": "asks the limiter in the background"}},
	{"Forget does not cancel a wait", func(p *probe) {
		p.q.AddRateLimited("a")
		synctest.Wait()
		p.q.Forget("a")
		time.Sleep(time.Second)
		p.serves("a")
	}, nil},
	{"ShutDown makes those who wait in Get return", func(p *probe) {
		p.getsNothing()
		p.q.ShutDown()
		p.shutsDown()
		if !p.q.ShuttingDown() {
			p.fail("not ShuttingDown")
		}
	}, nil},
	{"what is added after ShutDown is ignored", func(p *probe) {
		p.q.ShutDown()
		p.q.Add("a")
		p.q.AddAfter("b", time.Second)
		p.q.AddRateLimited("c")
		time.Sleep(time.Minute)
		p.lenIs(0)
		p.shutsDown()
	}, nil},
	{"what waits at ShutDown is dropped", func(p *probe) {
		p.q.AddAfter("a", time.Second)
		synctest.Wait()
		p.q.ShutDown()
		time.Sleep(time.Minute)
		p.lenIs(0)
		p.shutsDown()
	}, nil},
	{"ShutDown may be called twice", func(p *probe) {
		defer func() {
			if r := recover(); r != nil {
				p.fail("panic: %v", r)
			}
		}()
		p.q.ShutDown()
		p.q.ShutDown()
		p.shutsDown()
	}, map[string]string{"controller-runtime": "panics"}},
	{"Done after ShutDown is allowed", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.ShutDown()
		p.q.Done("a")
		p.shutsDown()
	}, nil},
	{"ShutDownWithDrain waits until what is processed is Done", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		done := make(chan struct{})
		go func() { defer close(done); p.q.ShutDownWithDrain() }()
		synctest.Wait()
		select {
		case <-done:
			p.fail("did not wait")
			return
		default:
		}
		p.q.Done("a")
		synctest.Wait()
		select {
		case <-done:
		default:
			p.fail("waits for ever")
			p.q.ShutDown()
		}
	}, map[string]string{"controller-runtime": "does not wait"}},
	{"ShutDownWithDrain waits until what is ready has been handed out and is Done", func(p *probe) {
		p.q.Add("a")
		synctest.Wait()
		if p.returns(p.q.ShutDownWithDrain) {
			p.fail("did not wait")
		}
		if g, ok := p.get(); !ok || g.item != "a" {
			p.fail("got %+v, %v, want a", g, ok)
		}
		p.q.Done("a")
		p.shutsDown()
	}, map[string]string{"controller-runtime": "drops what is ready", "client-go": "waits for what is processed only"}},
	{"an item added again while it is processed is drained, too", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		p.q.Add("a")
		synctest.Wait()
		go p.q.ShutDownWithDrain()
		synctest.Wait()
		p.q.Done("a")
		if g, ok := p.get(); !ok || g.item != "a" {
			p.fail("got %+v, %v, want a", g, ok)
		}
		p.q.Done("a")
		p.shutsDown()
	}, map[string]string{"controller-runtime": "drops what is ready", "client-go": "tells one that waits in Get to stop, though the item is to come"}},
	{"ShutDown ends a ShutDownWithDrain", func(p *probe) {
		p.q.Add("a")
		p.gets("a")
		done := make(chan struct{})
		go func() { defer close(done); p.q.ShutDownWithDrain() }()
		synctest.Wait()
		func() {
			defer func() {
				if r := recover(); r != nil {
					p.fail("panic: %v", r)
				}
			}()
			p.q.ShutDown()
		}()
		synctest.Wait()
		select {
		case <-done:
		default:
			p.fail("waits for ever")
			p.q.Done("a")
		}
	}, map[string]string{"controller-runtime": "panics"}},
}

// priorityContract is the part of the contract that only queues with priorities
// have.
var priorityContract = []struct {
	sentence string
	prove    func(p *probe)
}{
	{"the highest priority is handed out first, equal ones in their order", func(p *probe) {
		p.priority(-100, 0, "low")
		p.priority(0, 0, "a", "b")
		p.priority(7, 0, "high")
		p.q.Add("c")
		p.serves("high", "a", "b", "c", "low")
	}},
	{"adding an item again raises its priority, and puts it last there", func(p *probe) {
		p.priority(-100, 0, "a")
		p.priority(0, 0, "b")
		synctest.Wait()
		p.priority(0, 0, "a")
		p.serves("b", "a")
	}},
	{"adding an item again neither lowers its priority nor moves it", func(p *probe) {
		p.priority(7, 0, "a", "b")
		synctest.Wait()
		p.priority(-100, 0, "a")
		p.priority(7, 0, "a")
		p.serves("a", "b")
	}},
	{"GetWithPriority returns the priority, and the next add begins anew", func(p *probe) {
		p.priority(-100, 0, "a")
		if g, _ := p.get(); g.priority != -100 {
			p.fail("got %+v, want priority -100", g)
		}
		p.q.Done("a")
		p.q.Add("a")
		if g, _ := p.get(); g.priority != 0 {
			p.fail("got %+v, want priority 0", g)
		}
	}},
	{"a wait keeps the priority", func(p *probe) {
		p.priority(-100, time.Second, "a")
		p.priority(7, time.Second, "b")
		p.priority(7, time.Minute, "a")
		time.Sleep(time.Second)
		p.serves("b", "a")
	}},
	{"with both a delay and a rate limit the sooner counts", func(p *probe) {
		pq := p.q.(priorityqueue.PriorityQueue[string])
		pq.AddWithOpts(priorityqueue.AddOpts{After: time.Hour, RateLimited: true}, "a")
		pq.AddWithOpts(priorityqueue.AddOpts{After: time.Millisecond, RateLimited: true}, "b")
		synctest.Wait()
		time.Sleep(time.Millisecond)
		p.serves("b")
		time.Sleep(4 * time.Millisecond)
		p.serves("a")
	}},
}

func TestConformance(t *testing.T) {
	for _, peer := range peers[string]() {
		run := func(sentence string, prove func(*probe), differs string) {
			t.Run(peer.name+"/"+sentence, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &probe{q: peer.new(limiter[string]())}
					defer func() {
						defer func() { _ = recover() }() // controller-runtime, the second time
						p.q.ShutDown()
					}()
					prove(p)
					if differs == "" {
						assert.Empty(t, p.wrong)
					} else {
						assert.NotEmpty(t, p.wrong, "it no longer differs: %s", differs)
					}
				})
			})
		}
		for _, c := range contract {
			require.Empty(t, c.differs["deadlinequeue"], "ours keeps all of it")
			run(c.sentence, c.prove, c.differs[peer.name])
		}
		if peer.name == "client-go" {
			continue
		}
		for _, c := range priorityContract {
			run(c.sentence, c.prove, "")
		}
	}
}

// What differs between the peers: what is ready is dropped, or drained.
func TestShutDown_dropsAndShutDownWithDrainDrains(t *testing.T) {
	for _, drain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q := deadlinequeue.New("", deadlinequeue.Options[string]{})
			p := &probe{q: q}
			for _, item := range []string{"a", "b", "again"} {
				q.Add(item)
			}
			p.takes("a", "b", "again")
			q.Done("a")
			q.Done("b")
			q.Add("a")
			q.Add("b")
			q.Add("again") // is still being processed
			if drain {
				startsDraining(q)
				var drained []string
				for range 2 {
					g, ok := p.get()
					require.True(t, ok && !g.shutdown)
					drained = append(drained, g.item)
				}
				q.Done("again")
				g, ok := p.get()
				require.True(t, ok && !g.shutdown)
				drained = append(drained, g.item)
				slices.Sort(drained)
				assert.Equal(t, []string{"a", "again", "b"}, drained)
			}
			q.ShutDown()
			q.ShutDown()
			p.shutsDown()
			p.lenIs(0)
			assert.Empty(t, p.wrong)
			for _, item := range []string{"a", "b", "again"} {
				q.Done(item)
			}
			q.ShutDownWithDrain() // nothing to wait for
			assert.Zero(t, q.Load().Objects)
		})
	}
}
