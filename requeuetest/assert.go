package requeuetest

import (
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// After a deadline that was missed, ActedBy goes on for so long, or so many looks, to say
// how late it was acted on.
const (
	patience      = 24 * time.Hour
	patienceLooks = 5000
)

// ActedBy lets virtual time pass until the controller acts on an object. It fails the test if this
// happens before the deadline, or more than the tolerance after it. It also sees what happened
// before the call. For each version of the object, ActedBy copies the version into obj and calls
// acted, which returns true if the controller has acted. If acted is nil, ActedBy waits until the
// object is deleted.
func (w *World) ActedBy(obj client.Object, deadline time.Time, tolerance time.Duration, acted func() bool) {
	w.t.Helper()
	w.settle()
	key, limit := w.keyOf(obj), deadline.Add(tolerance)
	what := "acted on"
	if acted == nil {
		what = "deleted"
	}
	var begin, gone time.Time
	for read := 0; ; {
		w.mu.Lock()
		changes, changed := w.history[read:], w.changed
		w.mu.Unlock()
		read += len(changes)
		for _, c := range changes {
			if c.key != key {
				continue
			}
			if begin.IsZero() {
				begin = c.at
			}
			done := acted == nil && c.gone
			if c.gone {
				gone = c.at
			} else {
				c.into(obj)
				done = acted != nil && acted()
			}
			if !done {
				continue
			}
			late, side, want := c.at.Sub(deadline), "after", "that"
			if late < 0 {
				side, want = "before", "that at the deadline or"
			} else if late <= tolerance {
				return
			}
			w.t.Fatalf("requeuetest: %s was %s at %s, %v %s its deadline at %s: want %s at most %v after it\n%s",
				w.nameOf(obj), what, w.at(c.at), late.Abs(), side, w.at(deadline), want, tolerance, w.story(obj, deadline, c.at))
		}
		if begin.IsZero() {
			w.fatalUnknown(obj)
		}
		left := time.Until(limit.Add(patience))
		if looks := w.Timeline(obj); left < 0 || len(looks) > patienceLooks && looks[len(looks)-patienceLooks].At.After(limit) {
			break
		}
		select {
		case <-changed:
		case <-time.After(left + 1): // what happens at that instant is seen, too
		}
		w.settle()
	}
	what = "was not " + what
	if acted != nil && !gone.IsZero() {
		what = fmt.Sprintf("was deleted at %s and not acted on", w.at(gone))
	}
	w.t.Fatalf("requeuetest: %s %s until %s, %v after its deadline at %s: want that at most %v after it\n%s",
		w.nameOf(obj), what, w.at(time.Now()), time.Since(deadline).Truncate(time.Second), w.at(deadline), tolerance, w.story(obj, deadline, time.Now()))
}

func (w *World) fatalUnknown(obj client.Object) {
	w.t.Helper()
	w.t.Fatalf("requeuetest: there is no %s at %s; want it in Options.Objects, or created by World.Client or the controller", w.nameOf(obj), w.at(time.Now()))
}

// story tells what happened about a deadline.
func (w *World) story(obj client.Object, deadline, until time.Time) string {
	looks := w.Timeline(obj)
	next := 0 // the first look that is not before the deadline
	for next < len(looks) && looks[next].At.Before(deadline) {
		next++
	}
	out := "nothing looked at it before its deadline; "
	if next > 0 {
		out = fmt.Sprintf("the last look before the deadline, at %s, ended in: %s; ", w.at(looks[next-1].At), looks[next-1].outcome())
	}
	if next == len(looks) || looks[next].At.After(until) {
		return out + "nothing has looked at it since\n" + w.looksOf(looks)
	}
	out += fmt.Sprintf("the next one was at %s (%s)", w.at(looks[next].At), looks[next].Cause)
	if after := len(looks) - next; after > 1 {
		out += fmt.Sprintf(", the first of %d", after)
	}
	return out + "\n" + w.looksOf(looks)
}

// looksOf prints the last looks of an object.
func (w *World) looksOf(looks Timeline) string {
	const most = 30
	lines := strings.SplitAfter(looks.String(), "\n")
	if left := len(lines) - most; left > 1 {
		lines = append([]string{fmt.Sprintf("%12s  %d lines before\n", "...", left)}, lines[left:]...)
	}
	return "its looks:\n" + strings.Join(lines, "")
}

// NotLost fails the test if the controller ever left an object alone for longer than longest. It
// checks the time from the object's creation until now, or until its deletion. Call NotLost while
// the object waits for something.
func (w *World) NotLost(obj client.Object, longest time.Duration) {
	w.t.Helper()
	w.settle()
	looks := w.Timeline(obj)
	var from time.Time
	until := time.Now()
	w.mu.Lock()
	for _, c := range w.history {
		if c.key != w.keyOf(obj) {
			continue
		}
		if from.IsZero() {
			from = c.at
		}
		if c.gone {
			until = c.at
		}
	}
	w.mu.Unlock()
	if from.IsZero() {
		w.fatalUnknown(obj)
	}
	why := "nothing has looked at it before"
	for _, l := range append(looks, Look{At: until}) {
		next := l.At
		if next.After(until) {
			next = until
		}
		if alone := next.Sub(from); alone > longest {
			w.t.Errorf("requeuetest: nothing looked at %s from %s to %s, for %v: want a look at least every %v\n%s\n%s",
				w.nameOf(obj), w.at(from), w.at(next), alone, longest, why, w.looksOf(looks))
			return
		}
		from, why = l.At.Add(l.Took), fmt.Sprintf("the look at %s ended in: %s", w.at(l.At), l.outcome())
	}
}

// AtMost fails the test if any period of the length span, for example an hour, has more than n
// looks at an object.
func (w *World) AtMost(obj client.Object, n int, span time.Duration) {
	w.t.Helper()
	looks := w.Timeline(obj)
	most, first, begin := 0, 0, 0
	for i, l := range looks {
		for l.At.Sub(looks[begin].At) >= span {
			begin++
		}
		if in := i - begin + 1; in > most {
			most, first = in, begin
		}
	}
	if most > n {
		w.t.Errorf("requeuetest: %s was looked at %d times in the %v from %s on: want at most %d\n%s",
			w.nameOf(obj), most, span, w.at(looks[first].At), n, w.looksOf(looks))
	}
}

// nameOf returns the kind and the name of an object.
func (w *World) nameOf(obj client.Object) string {
	key := w.keyOf(obj)
	return key.kind.Kind + " " + strings.TrimPrefix(key.name.String(), "/")
}
