package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/process"
)

// The times of the election are shorter than the usual 15 s, 10 s and 2 s.
var election = controller.Election{Lease: 3 * time.Second, Renew: 2 * time.Second, Retry: 250 * time.Millisecond}

const replicas = 3

// runKilled kills the leader, and starts another controller in its place, which waits for
// its turn. The bound is the longest takeover.
var runKilled = deposed("kill -9 of the leader", func(f *fleet, leader *process.Process) (next *process.Process, err error) {
	leader.Kill()
	if err := f.start(); err != nil {
		return nil, err
	}
	return receive(f.w, f.leads)
})

// runStopped stops the leader (SIGSTOP), as a machine that is moved does, until another has
// led for more than a second. Then it goes on (SIGCONT): it believes that it leads, has
// slept through deadlines, and knows promotions as they were, until it finds that the Lease
// is gone and ends. The bound is the longest takeover.
var runStopped = deposed("leader stopped for longer than its Lease", func(f *fleet, leader *process.Process) (next *process.Process, err error) {
	defer leader.Kill() // one that is stopped does not end by itself
	if err := leader.Signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	if next, err = receive(f.w, f.leads); err != nil {
		return nil, err
	}
	// What it writes is seen, as its time is another second.
	if err := f.w.sleep(1100 * time.Millisecond); err != nil {
		return nil, err
	}
	if err := leader.Signal(syscall.SIGCONT); err != nil {
		return nil, err
	}
	if _, err := receive(f.w, leader.Ended()); err != nil {
		return nil, err
	}
	return next, f.start()
})

// deposed is a scenario in which one leader after the other ceases to lead.
func deposed(fault string, depose func(f *fleet, leader *process.Process) (next *process.Process, err error)) scenario {
	return func(ctx context.Context, s Scale, progress func(string)) (Report, error) {
		return inWorld(ctx, progress, func(w *world, dir string) (r Report, err error) {
			f := &fleet{w: w, dir: dir, leads: make(chan *process.Process, 100), synced: make(chan bool, 100)}
			defer func() { err = errors.Join(err, f.stop()) }()
			for range replicas {
				if err := f.start(); err != nil {
					return r, err
				}
				if _, err := receive(w, f.synced); err != nil { // whoever takes over sees the promotions
					return r, err
				}
			}
			leader, err := receive(w, f.leads)
			if err != nil {
				return r, err
			}
			if err := w.populate("p", s.Promotions, 0, s.Spread); err != nil {
				return r, err
			}
			for i := range s.Times {
				if err := w.share(100 * (i + 1) / (s.Times + 2)); err != nil {
					return r, err
				}
				progress(fmt.Sprintf("%s, %d of %d", fault, i+1, s.Times))
				if leader, err = depose(f, leader); err != nil {
					return r, err
				}
			}
			return w.count(map[string]int{fault: s.Times}, election.Takeover()+slack, nil)
		})
	}
}

// runController is process.RunController in a process group of its own: when its parent is
// gone, the kernel lets one that is stopped go on, which then ends.
func runController(ctx context.Context, config json.RawMessage, tell func(any)) error {
	if err := syscall.Setpgid(0, 0); err != nil {
		return err
	}
	return process.RunController(ctx, config, tell)
}

// fleet is controllers in processes of their own, one of which leads.
type fleet struct {
	w       *world
	dir     string
	started []*process.Process
	leads   chan *process.Process // who leads from then on
	synced  chan bool             // somebody sees the promotions
}

func (f *fleet) start() error {
	own := election
	own.Identity = fmt.Sprintf("replica-%d", len(f.started)+1)
	p, err := process.Start("controller", process.Controller{
		Kubeconfig: kubeconfigIn(f.dir), Namespace: namespace, Interval: poll, Workers: workers, Election: &own,
	}, f.dir)
	if err != nil {
		return err
	}
	f.started = append(f.started, p)
	f.w.tasks.Go(func() {
		for text := range p.Messages {
			var m process.Message
			switch err := json.Unmarshal(text, &m); {
			case err != nil:
				f.w.fail(fmt.Errorf("%s said %q: %w", own.Identity, text, err))
			case m.Leads:
				f.leads <- p
			case m.Synced:
				f.synced <- true
			}
		}
	})
	return nil
}

func (f *fleet) stop() error {
	var errs []error
	for _, p := range f.started {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

// receive waits for what comes next.
func receive[T any](w *world, from <-chan T) (next T, err error) {
	select {
	case next = <-from:
		return next, nil
	case <-w.ctx.Done():
		return next, context.Cause(w.ctx)
	}
}
