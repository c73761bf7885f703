// Package audit counts what became of promotions by a watch on the API server, without
// asking those who act on them.
package audit

import (
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// Audit is the account of the promotions of a namespace. The zero value is ready for
// use, by any number of goroutines.
type Audit struct {
	// Changed, if set, is called after each change of an entry, one at a time. It must
	// not call the Audit.
	Changed func(Entry)

	mu      sync.Mutex
	entries map[string]*Entry
	failed  int
}

// Entry is what became of one promotion.
type Entry struct {
	Name  string
	Phase string // the latest
	// StartedAt is when it was first seen to run, or to have run.
	StartedAt time.Time
	// Deadline is the one of the current step, by its persisted start, which has whole
	// seconds, and its timeout: the instant at which a controller has to act. Zero if
	// it has none.
	Deadline time.Time
	// FinishedAt is when it was first seen to have succeeded.
	FinishedAt time.Time
	// FailedAt is when it was first seen to be failed.
	FailedAt time.Time
	// FailedOrder is the place of that among all that failed, from 1 on.
	FailedOrder int
	// WritesAfter is how often it was written once it was failed: by somebody who
	// acted on it again.
	WritesAfter int
	// Gone says that it was deleted.
	Gone bool

	version string
}

// Late is how long after its deadline it was seen to be failed; negative if before.
func (e Entry) Late() time.Duration { return e.FailedAt.Sub(e.Deadline) }

// Observe takes one state of a promotion, that was seen at an instant. A state that was
// seen before, or is older than that, as a list has it beside a watch, changes nothing.
func (a *Audit) Observe(p *v1alpha1.Promotion, at time.Time) {
	a.change(p.Name, func(e *Entry) bool {
		if order, err := resourceversion.CompareResourceVersion(p.ResourceVersion, e.version); err == nil && order <= 0 {
			return false
		}
		e.version, e.Phase, e.Gone = p.ResourceVersion, p.Status.Phase, false
		if e.StartedAt.IsZero() && p.Status.StartedAt != nil {
			e.StartedAt = at
		}
		switch {
		case !e.FailedAt.IsZero():
			e.WritesAfter++
		case e.Phase == v1alpha1.PhaseFailed:
			a.failed++
			e.FailedAt, e.FailedOrder = at, a.failed
		case e.Phase == v1alpha1.PhaseSucceeded && e.FinishedAt.IsZero():
			e.FinishedAt = at
		}
		// The deadline that a failed or finished one had is that of its step still.
		running := p.DeepCopy()
		running.Status.Phase = v1alpha1.PhaseRunning
		if deadline, ok := controller.Deadline(running); ok {
			e.Deadline = deadline
		}
		return true
	})
}

// Delete says that a promotion is not there any more.
func (a *Audit) Delete(name string) {
	a.change(name, func(e *Entry) bool {
		changed := !e.Gone
		e.Gone = true
		return changed
	})
}

func (a *Audit) change(name string, change func(*Entry) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[name]
	if e == nil {
		e = &Entry{Name: name}
		if a.entries == nil {
			a.entries = map[string]*Entry{}
		}
		a.entries[name] = e
	}
	if change(e) && a.Changed != nil {
		a.Changed(*e)
	}
}

// Entries returns all, by name.
func (a *Audit) Entries() []Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Entry
	for _, e := range a.entries {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(x, y Entry) int { return strings.Compare(x.Name, y.Name) })
	return all
}
