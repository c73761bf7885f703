package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/process"
)

// The times of the election are shorter than the usual 15 s, 10 s and 2 s.
var election = controller.Election{Lease: 3 * time.Second, Renew: 2 * time.Second, Retry: 250 * time.Millisecond}

const replicas = 3

// runLeader kills the leader again and again, and starts another controller in its place,
// which waits for its turn. The bound is the longest takeover.
func runLeader(ctx context.Context, s Scale, progress func(string)) (Report, error) {
	return inWorld(ctx, progress, func(w *world, dir string) (r Report, err error) {
		f := fleet{w: w, dir: dir, leads: make(chan *process.Process, 100), synced: make(chan bool, 100)}
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
			progress(fmt.Sprintf("kill -9 of the leader, %d of %d", i+1, s.Times))
			leader.Kill()
			if err := f.start(); err != nil {
				return r, err
			}
			if leader, err = receive(w, f.leads); err != nil {
				return r, err
			}
		}
		return w.count(map[string]int{"kill -9 of the leader": s.Times}, election.Takeover()+slack, nil)
	})
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
