package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/process"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

const (
	replicasNamespace = "requeue-example-replicas"
	mostReplicas      = 10
)

// election has the times of a demo; the defaults are 15 s, 10 s and 2 s.
var election = controller.Election{Lease: 3 * time.Second, Renew: 2 * time.Second, Retry: 250 * time.Millisecond}

// parts are what this program executes itself for.
var parts = map[string]process.Part{"controller": process.RunController}

// runReplicas runs the controller in several processes, and kills the leading one.
// They remove the directory if this process is killed.
func runReplicas(ctx context.Context, server *kubeapi.Server, dir string, o options, manifests []manifest, out io.Writer) (err error) {
	if err := validate(ctx, server.Config, replicasNamespace, manifests); err != nil {
		return err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := server.WriteKubeconfig(kubeconfig); err != nil {
		return err
	}
	f := newFailover(out, manifests)
	ctx, cancel := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel(nil)
	for i := range o.replicas {
		own := election
		own.Identity = fmt.Sprintf("replica-%d", i+1)
		p, err := process.Start("controller", process.Controller{
			Kubeconfig: kubeconfig, Namespace: replicasNamespace, Interval: o.interval, Workers: workers, Verbose: o.verbose,
			Election: &own,
		}, dir)
		if err != nil {
			return err
		}
		defer func() { err = cleanedUp(err, p.Stop()) }()
		tasks.Go(func() { f.listen(own.Identity, p, cancel) })
	}
	return f.run(ctx, server.Config, o.interval)
}

// failover is what is seen of the replicas: who leads is told by them, all else by a
// watch.
type failover struct {
	out       io.Writer
	manifests []manifest
	due       map[string]time.Duration // the timeouts of the promotions that have one
	audit     audit.Audit
	changed   chan struct{} // something has

	mu       sync.Mutex // guards all below
	begin    time.Time
	synced   int
	leader   string
	process  *process.Process // of the leader
	killed   time.Time
	takeover time.Time
}

func newFailover(out io.Writer, manifests []manifest) *failover {
	f := &failover{out: out, manifests: manifests, due: map[string]time.Duration{}, begin: time.Now(), changed: make(chan struct{}, 1)}
	for _, m := range manifests {
		if m.timeout > 0 {
			f.due[m.name] = m.timeout
		}
	}
	f.audit.Changed = f.see
	return f
}

// say prints a line with the time. The caller holds the lock.
func (f *failover) say(format string, args ...any) {
	fmt.Fprintf(f.out, "%7.3fs  %s\n", time.Since(f.begin).Seconds(), fmt.Sprintf(format, args...))
}

// listen takes what a replica tells, until it ends.
func (f *failover) listen(name string, p *process.Process, fail context.CancelCauseFunc) {
	for text := range p.Messages {
		var m process.Message
		if err := json.Unmarshal(text, &m); err != nil {
			fail(fmt.Errorf("%s said %q: %w", name, text, err))
		}
		f.mu.Lock()
		if m.Synced {
			f.synced++
		}
		if m.Leads {
			f.leader, f.process = name, p
			after := ""
			if !f.killed.IsZero() {
				f.takeover = time.Now()
				after = fmt.Sprintf(", %v after the kill", round(f.takeover.Sub(f.killed)))
			}
			f.say("%s (pid %d) leads%s", name, p.Pid(), after)
		}
		f.mu.Unlock()
		f.wake()
	}
	<-p.Ended()
	f.mu.Lock()
	defer f.mu.Unlock()
	if p != f.process || f.killed.IsZero() || !f.takeover.IsZero() {
		fail(fmt.Errorf("%s (pid %d) has ended by itself; -v shows the logs", name, p.Pid()))
	}
}

// see takes a change of a promotion.
func (f *failover) see(e audit.Entry) {
	defer f.wake()
	if e.Phase != v1alpha1.PhaseFailed {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	again := ""
	if e.WritesAfter > 0 {
		again = ", and is written again"
	}
	f.say("%-18s timeout %-5v timed out %v late%s", e.Name, f.due[e.Name], round(e.Late()), again)
}

// wake lets until look again.
func (f *failover) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// until waits until the condition holds, which it looks at after each change.
func (f *failover) until(ctx context.Context, condition func() bool) error {
	for !condition() {
		select {
		case <-f.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// run creates the promotions, kills the leader when half of those that have a timeout
// are failed, and returns when all are.
func (f *failover) run(ctx context.Context, cfg *rest.Config, interval time.Duration) error {
	// Whoever is to take over sees the promotions, too.
	err := f.until(ctx, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.leader != "" && f.synced > 1
	})
	if err != nil {
		return err
	}
	objects, err := audit.NewClient(cfg)
	if err != nil {
		return err
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	watching.Go(func() { f.audit.Watch(watchCtx, objects, replicasNamespace) })

	length := time.Duration(0)
	for _, timeout := range f.due {
		length = max(length, timeout)
	}
	length = min(length, math.MaxInt64/2) + election.Takeover() // no overflow
	fmt.Fprintf(f.out, "%s; the leader (Lease of %v) is killed halfway; it takes up to %v\n%s\n",
		promotions(len(f.manifests)), election.Lease, round(length), notes(f.manifests))
	for _, m := range f.manifests {
		if err := objects.Create(ctx, m.copyFor(replicasNamespace)); err != nil {
			return fmt.Errorf("create promotion %s: %w", m.name, err)
		}
	}
	ctx, stopTimer := context.WithTimeoutCause(ctx, length+interval+grace, errors.New("gave up waiting; -v shows the logs"))
	defer stopTimer()
	err = f.until(ctx, func() bool {
		failed, started := f.count()
		return started == len(f.manifests) && failed >= len(f.due)/2
	})
	if err != nil {
		return err
	}
	f.kill()
	waiting := f.until(ctx, func() bool {
		failed, _ := f.count()
		f.mu.Lock()
		defer f.mu.Unlock()
		return failed == len(f.due) && !f.takeover.IsZero()
	})
	if errors.Is(waiting, context.Canceled) {
		return waiting
	}
	if wrong := f.summary(); wrong > 0 {
		return errors.Join(fmt.Errorf("%s not timed out exactly once", promotions(wrong)), waiting)
	}
	return waiting
}

// count returns how many promotions have been failed at a timeout, and have started.
func (f *failover) count() (failed, started int) {
	for _, e := range f.audit.Entries() {
		if !e.FailedAt.IsZero() && f.due[e.Name] > 0 {
			failed++
		}
		if !e.StartedAt.IsZero() {
			started++
		}
	}
	return failed, started
}

func (f *failover) kill() {
	f.mu.Lock()
	f.killed = time.Now()
	f.say("kill -9 of %s (pid %d), which leads", f.leader, f.process.Pid())
	p := f.process
	f.mu.Unlock()
	p.Kill()
}

// summary prints how it went and returns how many promotions went wrong. The gap is from
// the kill to the takeover.
func (f *failover) summary() (wrong int) {
	var entries, inGap, others []audit.Entry
	entries = f.audit.Entries()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		if e.Deadline.After(f.killed) && e.Deadline.Before(f.takeover) {
			inGap = append(inGap, e)
		} else {
			others = append(others, e)
		}
	}
	gap, other := audit.CountOf(inGap), audit.CountOf(others)
	line := func(title string, value func(audit.Count) string) {
		fmt.Fprintf(f.out, "%-32s  %-16s  %s\n", title, value(gap), value(other))
	}
	late := func(q float64) func(audit.Count) string {
		return func(c audit.Count) string { return quantile(c.Late, q) }
	}
	fmt.Fprintf(f.out, "\n%-32s  %-16s  %s\n", "", "due in the gap", "others")
	line("timed out exactly once", func(c audit.Count) string { return fmt.Sprintf("%d of %d", c.Met, c.Due) })
	line("lost, timed out twice, too early", func(c audit.Count) string { return fmt.Sprintf("%d, %d, %d", c.Lost, c.Doubled, c.Early) })
	line("late, p50", late(0.5))
	line("late, max", late(1))
	fmt.Fprintf(f.out, "%-32s  %v\n", "the most a takeover takes", round(election.Takeover()))
	return gap.Wrong() + other.Wrong() + len(f.due) - gap.Due - other.Due
}
