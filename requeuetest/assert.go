package requeuetest

import (
	"fmt"
	"reflect"
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

// ActedBy lets virtual time pass until an object is acted on, and fails the test if that was
// before its deadline or more than the tolerance after it. It also sees what has
// happened before the call. The object is acted on when acted returns true; each version of
// it is copied into obj before acted is called. A nil acted waits until the object is deleted.
func (w *World) ActedBy(obj client.Object, deadline time.Time, tolerance time.Duration, acted func() bool) {
	w.t.Helper()
	key := w.keyOf(obj)
	read := 0 // so many versions
	var gone time.Time
	next := func() (at time.Time, ok bool, changed <-chan struct{}) {
		w.mu.Lock()
		versions := w.history[key][read:]
		changed = w.changed
		w.mu.Unlock()
		for _, v := range versions {
			read++
			if v.obj == nil {
				if gone = v.at; acted == nil {
					return v.at, true, changed
				}
				continue
			}
			reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(v.obj.DeepCopyObject()).Elem())
			if acted != nil && acted() {
				return v.at, true, changed
			}
		}
		return time.Time{}, false, changed
	}

	w.mu.Lock()
	known := w.history[key] != nil
	w.mu.Unlock()
	if !known {
		w.t.Fatalf("requeuetest: there is no %s at %s; want it in Options.Objects, or created by World.Client or the controller", w.nameOf(obj), w.at(time.Now()))
	}
	what := "acted on"
	if acted == nil {
		what = "deleted"
	}
	limit := deadline.Add(tolerance)
	for _, until := range []time.Time{limit, limit.Add(patience)} {
		enough := len(w.Timeline(obj)) + patienceLooks
		for {
			at, ok, changed := next()
			if ok {
				w.judge(obj, what, deadline, tolerance, at)
				return
			}
			wait := time.Until(until)
			if wait < 0 || until.After(limit) && len(w.Timeline(obj)) > enough {
				break
			}
			timer := time.NewTimer(wait + 1) // what happens at that instant is seen, too
			select {
			case <-changed:
			case <-timer.C:
			}
			timer.Stop()
			w.settle()
		}
	}
	what = "was not " + what
	if acted != nil && !gone.IsZero() {
		what = fmt.Sprintf("was deleted at %s and not acted on", w.at(gone))
	}
	w.t.Fatalf("requeuetest: %s %s until %s, %v after its deadline at %s: want that at most %v after it\n%s",
		w.nameOf(obj), what, w.at(time.Now()), time.Since(deadline).Truncate(time.Second), w.at(deadline), tolerance, w.story(obj, deadline, time.Now()))
}

// judge fails the test if the object was acted on too early or too late.
func (w *World) judge(obj client.Object, what string, deadline time.Time, tolerance time.Duration, at time.Time) {
	w.t.Helper()
	late := at.Sub(deadline)
	switch {
	case late < 0:
		w.t.Fatalf("requeuetest: %s was %s at %s, %v before its deadline at %s: want that at the deadline or at most %v after it\n%s",
			w.nameOf(obj), what, w.at(at), -late, w.at(deadline), tolerance, w.story(obj, deadline, at))
	case late > tolerance:
		w.t.Fatalf("requeuetest: %s was %s at %s, %v after its deadline at %s: want that at most %v after it\n%s",
			w.nameOf(obj), what, w.at(at), late, w.at(deadline), tolerance, w.story(obj, deadline, at))
	}
}

// story tells what happened about a deadline.
func (w *World) story(obj client.Object, deadline, until time.Time) string {
	looks := w.Timeline(obj)
	last := -1 // look before the deadline
	for i, l := range looks {
		if l.At.Before(deadline) {
			last = i
		}
	}
	var out strings.Builder
	if last < 0 {
		fmt.Fprintf(&out, "nothing looked at it before its deadline; ")
	} else {
		l := looks[last]
		fmt.Fprintf(&out, "the last look before the deadline, at %s, ended in: %s; ", w.at(l.At), l.outcome())
	}
	if last+1 < len(looks) && !looks[last+1].At.After(until) {
		next := looks[last+1]
		fmt.Fprintf(&out, "the next one was at %s (%s)", w.at(next.At), next.Cause)
		if after := len(looks) - last - 1; after > 1 {
			fmt.Fprintf(&out, ", the first of %d", after)
		}
	} else {
		fmt.Fprintf(&out, "nothing has looked at it since")
	}
	return out.String() + "\n" + w.looksOf(looks)
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

// NotLost fails the test if an object was ever left alone for longer than that, from when it was
// there until now, or until it was deleted. Call it while the object waits for something.
func (w *World) NotLost(obj client.Object, longest time.Duration) {
	w.t.Helper()
	looks := w.Timeline(obj)
	var from time.Time
	until := time.Now()
	w.mu.Lock()
	for i, v := range w.history[w.keyOf(obj)] {
		if i == 0 {
			from = v.at
		}
		if v.obj == nil {
			until = v.at
		}
	}
	w.mu.Unlock()
	if from.IsZero() {
		w.t.Fatalf("requeuetest: there was no %s until %s; want it in Options.Objects, or created by World.Client or the controller", w.nameOf(obj), w.at(until))
	}
	why := "nothing has looked at it before"
	for i := 0; i <= len(looks); i++ {
		next := until
		if i < len(looks) && looks[i].At.Before(until) {
			next = looks[i].At
		}
		if alone := next.Sub(from); alone > longest {
			w.t.Errorf("requeuetest: nothing looked at %s from %s to %s, for %v: want a look at least every %v\n%s\n%s",
				w.nameOf(obj), w.at(from), w.at(next), alone, longest, why, w.looksOf(looks))
			return
		}
		if i < len(looks) {
			from = looks[i].At.Add(looks[i].Took)
			why = fmt.Sprintf("the look at %s ended in: %s", w.at(looks[i].At), looks[i].outcome())
		}
	}
}

// AtMost fails the test if there was any span of that length, such as an hour, with more than n
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
	kind := w.keyOf(obj).kind.Kind
	if kind == "" {
		kind = fmt.Sprintf("%T", obj)
	}
	if obj.GetNamespace() == "" {
		return kind + " " + obj.GetName()
	}
	return kind + " " + obj.GetNamespace() + "/" + obj.GetName()
}
