package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	settings "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/requeue-go/requeue/deadlinequeue"
	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

const (
	namespace = "faults"
	workers   = 4
	// poll is longer than any scenario, so that a poll makes up for nothing.
	poll = 10 * time.Minute
	// write is what a worker takes to act on a promotion, where many are due at once.
	write = 50 * time.Millisecond
	// slack is what a machine may take that does something else, too.
	slack = 2 * time.Second
	// patience is how long a scenario may take.
	patience = 2 * time.Minute
)

// world is an API server, what is watched on it, and what was started on it.
type world struct {
	cfg      *rest.Config
	client   client.WithWatch
	audit    audit.Audit
	changed  chan struct{}
	progress func(string)
	report   Report // Finished and Moved

	ctx   context.Context // ends with the scenario, or if a task fails
	fail  context.CancelCauseFunc
	tasks sync.WaitGroup
}

// inWorld runs a scenario on an API server in this process, in a directory that is removed.
// The kubeconfig is a file in it.
func inWorld(ctx context.Context, progress func(string), scenario func(w *world, dir string) (Report, error)) (r Report, err error) {
	return inDirectory(func(dir string) (r Report, err error) {
		server, err := kubeapi.StartIn(ctx, dir, 0)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		if err := install(ctx, server); err != nil {
			return r, err
		}
		if err := server.WriteKubeconfig(kubeconfigIn(dir)); err != nil {
			return r, err
		}
		return on(ctx, server.Config, progress, func(w *world) (Report, error) { return scenario(w, dir) })
	})
}

func inDirectory(scenario func(dir string) (Report, error)) (r Report, err error) {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return scenario(dir)
}

func kubeconfigIn(dir string) string { return filepath.Join(dir, "kubeconfig") }

func install(ctx context.Context, server *kubeapi.Server) error {
	for _, crd := range []*apiextensionsv1.CustomResourceDefinition{v1alpha1.CRD(), kubeapi.LeaseCRD()} {
		if err := kubeapi.InstallCRD(ctx, server.Config, crd); err != nil {
			return err
		}
		if err := server.SkipEstablishingDelay(ctx, crd.Name); err != nil {
			return err
		}
	}
	return nil
}

// on runs a scenario on an API server, and watches that.
func on(ctx context.Context, cfg *rest.Config, progress func(string), scenario func(w *world) (Report, error)) (Report, error) {
	c, err := audit.NewClient(cfg)
	if err != nil {
		return Report{}, err
	}
	w := &world{cfg: cfg, client: c, changed: make(chan struct{}, 1), progress: progress}
	w.audit.Changed = func(audit.Entry) { w.wake() }
	ctx, stop := context.WithTimeoutCause(ctx, patience, errors.New("gave up: what is waited for does not come"))
	defer stop()
	w.ctx, w.fail = context.WithCancelCause(ctx)
	defer w.tasks.Wait()
	defer w.fail(nil)
	w.tasks.Go(func() { w.audit.Watch(w.ctx, c, namespace) })
	return scenario(w)
}

func (w *world) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// until waits until a condition holds, which it looks at after each change, and now and
// then.
func (w *world) until(condition func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-w.changed:
		case <-tick.C:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
	return nil
}

// control runs a controller with so many workers in this process, until the scenario ends,
// and returns when it sees the promotions. The clock is that of the queue, nil the system's.
func (w *world) control(cfg *rest.Config, r *controller.Reconciler, workers int, c clock.WithDelayedExecution) error {
	synced := make(chan struct{})
	r.Next = controller.DeadlineAware
	w.tasks.Go(func() {
		err := controller.Run(w.ctx, cfg, r, controller.Options{
			Namespace: namespace, Controller: settings.Options{MaxConcurrentReconciles: workers},
			Queue: &deadlinequeue.Options[reconcile.Request]{Clock: c}, Synced: func() { close(synced) },
		})
		if err != nil {
			w.fail(fmt.Errorf("controller: %w", err))
		}
	})
	select {
	case <-synced:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// kind is what becomes of a promotion, but for what the controller does.
type kind string

const (
	due      kind = "due"      // nothing
	finished kind = "finished" // it finishes before its deadline
	later    kind = "later"    // its deadline is moved
	sooner   kind = "sooner"   // its deadline is moved
)

// kindOf is the kind of the i-th promotion: of twelve, two finish, and two are moved.
func kindOf(i int) kind {
	switch i % 12 {
	case 3, 9:
		return finished
	case 5:
		return later
	case 7:
		return sooner
	default:
		return due
	}
}

// total is how many promotions are made for so many that are due.
func total(n int) int { return (n*12 + 9) / 10 }

// movedBy is by how much a deadline is moved.
const movedBy = time.Second

// newPromotion makes one whose only step has a timeout.
func newPromotion(name string, timeout time.Duration) *v1alpha1.Promotion {
	p := &v1alpha1.Promotion{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	p.Spec.Steps = []v1alpha1.PromotionStep{{As: "wait", Retry: &v1alpha1.PromotionStepRetry{Timeout: timeout.String()}}}
	return p
}

// populate creates promotions, n of which are due, and whose deadlines are spread. When all
// have started, some finish, and the deadlines of some are moved. The first deadline passes
// when all that is done: after what it takes to start, and some time for each.
func (w *world) populate(prefix string, n int, start, spread time.Duration) error {
	n = total(n)
	w.progress(fmt.Sprintf("%d promotions start", n))
	first := start + 2*time.Second + time.Duration(n)*write
	name := func(i int) string { return fmt.Sprintf("%s-%04d", prefix, i) }
	err := w.each(n, func(i int) error {
		timeout := first + spread*time.Duration(i)/time.Duration(n)
		return w.client.Create(w.ctx, newPromotion(name(i), timeout.Truncate(time.Millisecond)))
	})
	if err != nil {
		return err
	}
	err = w.until(func() bool {
		started := 0
		for _, e := range w.audit.Entries() {
			if !e.StartedAt.IsZero() && strings.HasPrefix(e.Name, prefix) {
				started++
			}
		}
		return started == n
	})
	if err != nil {
		return err
	}
	if err := w.each(n, func(i int) error { return w.disturb(name(i), kindOf(i)) }); err != nil {
		return err
	}
	return w.settled(n)
}

// each calls do for all numbers below n, some at a time.
func (w *world) each(n int, do func(i int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, n)
	for range 4 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && w.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				errs[i] = do(i)
			}
		})
	}
	all.Wait()
	return errors.Join(append(errs, context.Cause(w.ctx))...)
}

// settled waits until all that has finished, of n more, is seen to have, and counts those
// and the ones that were moved.
func (w *world) settled(n int) error {
	for i := range n {
		switch kindOf(i) {
		case finished:
			w.report.Finished++
		case sooner, later:
			w.report.Moved++
		case due: // nobody moves these
		}
	}
	return w.until(func() bool {
		seen := 0
		for _, e := range w.audit.Entries() {
			if !e.FinishedAt.IsZero() {
				seen++
			}
		}
		return seen == w.report.Finished
	})
}

// disturb does to a promotion what others than the controller do.
func (w *world) disturb(name string, k kind) error {
	if k == due {
		return nil
	}
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var p v1alpha1.Promotion
		if err := w.client.Get(w.ctx, client.ObjectKey{Namespace: namespace, Name: name}, &p); err != nil {
			return err
		}
		if p.Status.Phase != v1alpha1.PhaseRunning {
			return fmt.Errorf("it has the phase %q already; the machine is too slow for this", p.Status.Phase)
		}
		if k == finished {
			p.Status.Phase = v1alpha1.PhaseSucceeded
			return w.client.Status().Update(w.ctx, &p)
		}
		timeouts, err := p.Timeouts()
		if err != nil {
			return err
		}
		by := movedBy
		if k == sooner {
			by = -movedBy
		}
		p.Spec.Steps[0].Retry.Timeout = (timeouts[0] + by).String()
		return w.client.Update(w.ctx, &p)
	})
	if err != nil {
		return fmt.Errorf("promotion %s: %w", name, err)
	}
	return nil
}

// share waits until so many of a hundred deadlines were acted on.
func (w *world) share(percent int) error {
	return w.until(func() bool {
		open, failed := w.tally()
		return failed*100 >= (open+failed)*percent
	})
}

// caughtUp waits until all deadlines that have passed on a clock were acted on, and none is
// about to pass.
func (w *world) caughtUp(c clock.PassiveClock) error {
	return w.until(func() bool {
		soon := c.Now().Add(50 * time.Millisecond)
		for _, e := range w.audit.Entries() {
			if e.FailedAt.IsZero() && e.FinishedAt.IsZero() && !e.Deadline.IsZero() && e.Deadline.Before(soon) {
				return false
			}
		}
		return true
	})
}

// next is how long it takes until the next deadline passes on a clock.
func (w *world) next(c clock.PassiveClock) (wait time.Duration) {
	now := c.Now()
	for _, e := range w.audit.Entries() {
		ahead := e.Deadline.Sub(now)
		if e.FailedAt.IsZero() && e.FinishedAt.IsZero() && ahead > 0 && (wait == 0 || ahead < wait) {
			wait = ahead
		}
	}
	return wait
}

// sleep waits.
func (w *world) sleep(d time.Duration) error {
	end := time.Now().Add(d)
	return w.until(func() bool { return !time.Now().Before(end) })
}

// tally returns how many promotions have a deadline and have not ended, and how many are
// failed.
func (w *world) tally() (open, failed int) {
	for _, e := range w.audit.Entries() {
		switch {
		case !e.FailedAt.IsZero():
			failed++
		case e.FinishedAt.IsZero() && !e.Deadline.IsZero():
			open++
		}
	}
	return open, failed
}

// count waits until all deadlines were acted on, or until the bound is over since the last
// has passed and everything was back, and counts. The function due returns when a deadline
// came to pass where that is not the instant itself, by the clock of the audit: for a
// controller whose clock was set, or that was not there. nil is the instant itself.
func (w *world) count(faults map[string]int, bound time.Duration, due func(audit.Entry) time.Time) (Report, error) {
	w.progress("waiting for the last deadlines")
	entries := func() []audit.Entry {
		all := w.audit.Entries()
		for i := range all {
			if due != nil {
				all[i].Deadline = due(all[i])
			}
		}
		return all
	}
	end := time.Now()
	for _, e := range entries() {
		if e.FinishedAt.IsZero() && e.Deadline.After(end) {
			end = e.Deadline
		}
	}
	err := w.until(func() bool {
		open, _ := w.tally()
		return open == 0 || time.Since(end) > bound
	})
	if err != nil {
		return Report{}, err
	}
	// What was written since is seen by this.
	if _, err := w.audit.List(w.ctx, w.client, namespace); err != nil {
		return Report{}, err
	}
	r := newReport(faults, audit.CountOf(entries()), bound)
	r.Finished, r.Moved = w.report.Finished, w.report.Moved
	return r, nil
}
