package requeuetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Options configure a [World].
type Options struct {
	// Setup adds the controllers to a manager, as in production: make new reconcilers, give them
	// mgr.GetClient(), and call their SetupWithManager. Setup is called for each process, so that
	// nothing in memory outlives a restart. Use [For] for a reconciler without SetupWithManager.
	Setup func(mgr manager.Manager) error

	// Objects exist when the process starts. Their times are cut to whole seconds, as by an API
	// server. If the objects of a kind have no namespace here, the kind counts as cluster-scoped.
	Objects []client.Object

	// Manager is the options of the manager in production. The scheme, the resync period, the
	// client's cache options and the defaults of controllers count. Options that would leave the
	// process are replaced: client, cache, mapper, servers, leader election. Without a Logger,
	// nothing is logged.
	Manager manager.Options

	// Client builds the fake client with its scheme, for example to add interceptors. Nil means a
	// client with Manager.Scheme, in which each kind with a field Status has the subresource
	// status. Setup, not this client, adds the indices of the cache.
	Client *fake.ClientBuilder
}

// World is a process with its controllers and an API server, in virtual time. Call its methods
// only from the goroutine of the test.
type World struct {
	// Client is the test's own client. It reads the stored objects, and its calls take no time.
	Client client.Client

	t      testing.TB
	o      Options
	base   client.WithWatch
	scheme *runtime.Scheme
	start  time.Time
	now    *process

	following chan struct{} // is held by who follows another kind
	watches   map[schema.GroupVersionKind]watch.Interface

	mu      sync.Mutex
	latency time.Duration
	lag     time.Duration
	refuse  int // so many changes yet
	looks   map[types.NamespacedName]Timeline
	history []change
	stored  map[objectKey]change // the last of each object that there is
	changed chan struct{}        // is closed and made anew after each change, and when something is broken
	broken  string               // what keeps the test from going on
}

// process is what a restart ends.
type process struct {
	ending atomic.Bool // the queues stand still
	ctx    context.Context
	kill   context.CancelFunc
	ended  chan error

	controllers int
}

// Start starts a process in the calling bubble of [testing/synctest.Test], and stops the process
// when the test ends.
func Start(t testing.TB, o Options) *World {
	t.Helper()
	w := &World{
		t: t, o: o, start: now(t),
		following: make(chan struct{}, 1),
		watches:   map[schema.GroupVersionKind]watch.Interface{},
		looks:     map[types.NamespacedName]Timeline{},
		stored:    map[objectKey]change{},
		changed:   make(chan struct{}),
	}
	if o.Setup == nil {
		t.Fatalf("requeuetest: Options.Setup is nil; want a function that adds a controller, such as that of For")
	}
	t.Cleanup(func() {
		w.stop()
		for _, changes := range w.watches {
			changes.Stop()
		}
	})
	w.serve()
	w.boot()
	return w
}

// now is the virtual time.
func now(t testing.TB) time.Time {
	t.Helper()
	defer func() {
		if recover() != nil {
			t.Fatalf("requeuetest: Start is called outside of a bubble; call it in the function given to synctest.Test")
		}
	}()
	synctest.Wait() // panics outside
	return time.Now()
}

// Sleep lets the virtual time d pass, and returns when everything that happens until then is done.
func (w *World) Sleep(d time.Duration) {
	w.t.Helper()
	time.Sleep(d)
	w.settle()
}

// settle waits until nothing goes on at this instant, and ends the test if it cannot go on.
func (w *World) settle() {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	broken := w.broken
	w.mu.Unlock()
	if broken != "" {
		w.t.Fatalf("requeuetest: %s", broken)
	}
}

// breaks notes what keeps the test from going on.
func (w *World) breaks(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
	w.wake()
}

// wake wakes who waits for a change. The caller holds the lock.
func (w *World) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// Restart ends the process and starts another one after the given time. The objects stay;
// everything in memory is lost. A pending API call fails, and has no effect.
func (w *World) Restart(after time.Duration) {
	w.t.Helper()
	w.stop()
	w.Sleep(after)
	w.boot()
}

// Latency sets how long each later API call of the process takes: each write, and each read that
// is not from the cache. A write takes effect at the end of this time. The initial latency is 0.
func (w *World) Latency(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latency = d
}

// Lag sets how late the cache learns of later changes. The initial lag is 0.
func (w *World) Lag(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lag = d
}

// Conflict makes the next n calls of Update, Patch, Apply and Delete by the process fail with a
// conflict (409), including calls on the status and other subresources. Create, DeleteAllOf and
// writes by [World].Client are not affected.
func (w *World) Conflict(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = n
}

// boot starts a process.
func (w *World) boot() {
	w.t.Helper()
	p := &process{ended: make(chan error, 1)}
	p.ctx, p.kill = context.WithCancel(context.Background())
	w.now = p
	mgr, err := w.newManager(p)
	if err == nil {
		err = w.o.Setup(mgr)
	}
	if err == nil && p.controllers == 0 {
		err = fmt.Errorf("it has added no controller to the manager that it was given")
	}
	if err != nil {
		p.kill()
		p.ended <- nil
		w.t.Fatalf("requeuetest: setup at %s: %v", w.at(time.Now()), err)
	}
	go func() {
		err := mgr.Start(p.ctx)
		if p.ctx.Err() == nil {
			w.breaks("the manager ended by itself at %s: %v", w.at(time.Now()), err)
		}
		p.ended <- err
	}()
	w.settle()
}

// stop ends the process.
func (w *World) stop() {
	w.t.Helper()
	if w.now == nil {
		return
	}
	synctest.Wait()
	w.now.ending.Store(true)
	w.now.kill()
	began := time.Now()
	if err := <-w.now.ended; err != nil {
		w.breaks("the manager that was stopped at %s: %v", w.at(began), err)
	}
	w.now = nil
	synctest.Wait()
}

// at prints an instant as the time since the start.
func (w *World) at(t time.Time) string { return "+" + t.Sub(w.start).String() }
