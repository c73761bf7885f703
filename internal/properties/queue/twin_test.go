// Package queue_test holds the work queue against a model and its promises, on
// random input.
package queue_test

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/requeue-go/requeue"
)

// The numbers of the rules.
const (
	tries        = 5   // failures in a row for which a retry goes before the others
	retriesShare = 4   // every so many hand-outs of the others go to a retry
	outage       = 100 // failures in a row of all, from which on retries do not go first
	probe        = 64  // in an outage every so many hand-outs of the others go to a retry
)

// reading is one look at both clocks.
type reading struct {
	wall time.Time
	mono time.Duration
}

// twin is the slow, obvious twin of the queue: a slice of keys, scanned each time, and
// what has happened to each as facts.
type twin struct {
	keys    []*fact // those that the queue holds
	every   int     // OldestEvery; 0: never
	down    bool
	answers map[int]time.Time // of Options.Deadline, zero or not there if there is none; nil: the option is not set
	asked   map[int]int       // how often Options.Deadline was asked for a key
	limited map[int]int       // the failures that the limiter counts

	count    int // numbers what happens
	outs     int // hand-outs
	noRetry  int // hand-outs of group 3 since the last that went to a retry
	failed   int // reconciles for passed deadlines that have failed in a row
	isOutage bool
}

// fact is what has happened to a key.
type fact struct {
	key      int
	priority int
	added    bool // since its hand-out
	place    int  // in the order of the adds
	ready    bool // or added while it is processed
	since    int  // ready since then, in the count of what happens
	waits    bool
	end      time.Duration // of the wait, by the monotonic clock
	of       time.Time     // the deadline that the wait is for; zero: it is a wake-up by itself

	deadline time.Time // not spent unless it is processed; zero: none
	floor    time.Time
	spent    time.Time // the last one that is spent
	failures int       // in a row, of reconciles for a passed deadline; 0: no retry

	processing bool
	out        int               // its last hand-out, in the count of what happens
	at         time.Time         // when that was
	urgent     bool              // it was for a passed deadline, or as a retry
	forPassed  bool              // the reconcile is for a passed deadline
	told       *requeue.Decision // the last plan
	limited    bool              // the reconcile has failed
	answer     time.Time         // of Options.Deadline at the last add while it is processed
}

// add is an add of any kind.
type add struct {
	priority int
	after    time.Duration
	limited  bool
}

// limit is the wait of the rate limiter.
func limit(key int) time.Duration { return time.Duration(key) * 10 * time.Second } // 0 for the key 0

// sooner returns the earlier of two instants that are not zero.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// passes is when the deadline passes: at the floor, if that is later. It is zero if
// there is no deadline.
func (k *fact) passes() time.Time {
	if !k.deadline.IsZero() && k.deadline.Before(k.floor) {
		return k.floor
	}
	return k.deadline
}

// due reports whether the deadline has passed.
func (k *fact) due(now reading) bool {
	return !k.deadline.IsZero() && !k.passes().After(now.wall)
}

func (k *fact) isSpent(t time.Time) bool { return !t.IsZero() && t.Equal(k.spent) }

// wakes is how long it takes until something makes the key ready, and whether that is
// a wait; math.MaxInt64 is never.
func (k *fact) wakes(now reading) (left time.Duration, byWait bool) {
	left = math.MaxInt64
	if isFor := !k.of.IsZero() && k.of.Equal(k.deadline); k.waits && !isFor {
		left, byWait = k.end-now.mono, true
	}
	if !k.deadline.IsZero() && k.passes().Sub(now.wall) < left {
		left, byWait = k.passes().Sub(now.wall), false
	}
	return left, byWait
}

// comes is the place of a key; a retry has that of its hand-out.
func (k *fact) comes() int {
	if k.failures > 0 {
		return k.out
	}
	return k.place
}

func (m *twin) find(key int) *fact {
	for _, k := range m.keys {
		if k.key == key {
			return k
		}
	}
	return nil
}

func (m *twin) number() int {
	m.count++
	return m.count
}

func (m *twin) ask(key int, now reading) time.Time {
	m.asked[key]++
	return inSight(m.answers[key], now)
}

// inSight returns the deadline as an instant of the wall clock, or zero if it is more than
// 292 years ahead: that is none.
func inSight(t time.Time, now reading) time.Time {
	if t = t.Round(0); t.Sub(now.wall) == math.MaxInt64 {
		return time.Time{}
	}
	return t
}

func (m *twin) add(now reading, key int, a add) {
	if m.down {
		return
	}
	if a.limited {
		m.limited[key]++
	}
	k := m.find(key)
	unknown := k == nil
	if unknown {
		k = &fact{key: key}
		m.keys = append(m.keys, k)
	}

	anew := false
	switch requeue := k.told != nil && (a.after > 0 || a.limited); {
	case m.answers == nil || requeue:
	case k.processing:
		k.answer = m.ask(key, now)
	default:
		if at := m.ask(key, now); !k.isSpent(at) { // else it says nothing new
			anew = k.failures > 0 // a retry no more
			k.failures, k.deadline = 0, at
		}
	}
	if m.prioritize(k, a.priority) || anew {
		k.place = m.number()
	}
	waits, end := k.ends(now, a)
	if unknown && waits && k.due(now) {
		k.floor = now.wall.Add(end - now.mono)
	}
	k.limited = k.limited || k.processing && a.limited

	switch {
	case k.ready:
	case !waits:
		m.makeReady(k)
	default:
		if !k.waits || end < k.end {
			k.waits, k.end = true, end
		}
		if !k.processing {
			k.putToWait(now)
		}
	}
	m.wakeUp(now)
}

// ends returns whether an add waits, and until when. The floor holds back the rate
// limiter; what comes of it is a span from now on, even if the clock is set.
func (k *fact) ends(now reading, a add) (waits bool, end time.Duration) {
	floor := k.floor
	if k.told != nil {
		floor = k.told.NotBefore
	}
	left, held := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
	if !floor.IsZero() {
		held = floor.Sub(now.wall)
	}
	if a.limited {
		left = max(limit(k.key), held)
	}
	if a.after > 0 {
		left = min(left, a.after)
	}
	return a.limited || a.after > 0, now.mono + min(left, math.MaxInt64-now.mono)
}

// prioritize is what an add does to the priority of a key. It reports whether the key
// comes anew.
func (m *twin) prioritize(k *fact, priority int) bool {
	anew := !k.added || priority > k.priority
	if k.added = true; anew {
		k.priority = priority
	}
	return anew
}

// putToWait sees whether the wait is one for the deadline: it ends with it, or up to half a
// second later. A microsecond before it is with it.
func (k *fact) putToWait(now reading) {
	left := k.end - now.mono
	late := left - k.passes().Sub(now.wall)
	if k.of = (time.Time{}); !k.deadline.IsZero() && left > 0 && -time.Microsecond <= late && late <= 500*time.Millisecond {
		k.of = k.deadline
	}
}

func (m *twin) makeReady(k *fact) {
	k.ready, k.since, k.waits = true, m.number(), false
}

// wakeUp makes ready what has waited long enough, in the order of the ends and then of
// the places.
func (m *twin) wakeUp(now reading) {
	if m.down {
		return
	}
	var due []*fact
	for _, k := range m.keys {
		if left, _ := k.wakes(now); !k.processing && !k.ready && left <= 0 {
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b *fact) int {
		x, _ := a.wakes(now)
		y, _ := b.wakes(now)
		return cmp.Or(cmp.Compare(x, y), a.place-b.place)
	})
	var before time.Duration
	for i, k := range due {
		left, byWait := k.wakes(now)
		m.makeReady(k)
		if i > 0 && left == before {
			k.since = due[i-1].since
		}
		before = left
		if byWait {
			k.place = m.number()
		}
	}
}

// available lists the keys that may be handed out.
func (m *twin) available() (keys []*fact) {
	for _, k := range m.keys {
		if k.ready && !k.processing {
			keys = append(keys, k)
		}
	}
	return keys
}

// first returns the first in an order of those keys that are meant, nil if there are none.
func first(keys []*fact, meant func(*fact) bool, order ...func(*fact) int) (best *fact) {
	for _, k := range keys {
		if !meant(k) {
			continue
		}
		c := 0
		for i := 0; best != nil && c == 0 && i < len(order); i++ {
			c = cmp.Compare(order[i](k), order[i](best))
		}
		if best == nil || c < 0 {
			best = k
		}
	}
	return best
}

// oldest returns the key that has been ready longest. If several are ready since one
// instant, it is the one that is meant, or else one that passes.
func (m *twin) oldest(meant int, passes func(*fact) bool) *fact {
	keys := m.available()
	oldest := first(keys, func(*fact) bool { return true }, func(k *fact) int { return k.since })
	for _, k := range keys {
		if k.since == oldest.since && (k.key == meant || oldest.key != meant && passes(k)) {
			oldest = k
		}
	}
	return oldest
}

// turn returns the key whose turn it is, and its group.
func (m *twin) turn(now reading, meant int) (k *fact, group int) {
	keys := m.available()
	place := func(k *fact) int { return k.place }
	out := func(k *fact) int { return k.out }

	var passed *fact
	for _, k := range keys {
		if k.due(now) && (passed == nil || cmp.Or(k.passes().Compare(passed.passes()), k.comes()-passed.comes()) < 0) {
			passed = k
		}
	}
	if passed != nil {
		return passed, 1
	}

	retry := first(keys, func(k *fact) bool { return 0 < k.failures && k.failures <= tries }, out)
	worn := first(keys, func(k *fact) bool { return k.failures > tries }, out)
	other := first(keys, func(k *fact) bool { return k.failures == 0 }, func(k *fact) int { return ^k.priority }, place)
	share := m.noRetry >= retriesShare-1 // three in a row went to no retry
	switch {
	case m.isOutage && worn != nil && m.noRetry >= probe-1:
		return worn, 3
	case m.isOutage && other != nil && share:
		if oldest := m.oldest(meant, func(k *fact) bool { return k.failures == 0 }); oldest.failures > 0 {
			return oldest, 3
		}
		return other, 3
	case m.isOutage && other == nil && worn == nil:
		return retry, 3
	case !m.isOutage && retry != nil:
		return retry, 2
	case other == nil, worn != nil && share && !m.isOutage:
		return worn, 3
	}
	return other, 3
}

// handOut hands out a key that the rules allow, the one that is meant if they allow
// several: keys that have become ready at one instant are equally old. There must be
// one that is available.
func (m *twin) handOut(now reading, meant int) *fact {
	turn, group := m.turn(now, meant)
	k := turn
	m.outs++
	if m.every > 0 && m.outs%m.every == 0 {
		isLike := func(k *fact) bool {
			return group == 3 && turn.failures == 0 && k.failures == 0 && k.priority == turn.priority
		}
		if oldest := m.oldest(meant, isLike); !isLike(oldest) {
			k, group = oldest, 4
		}
	}
	if group == 3 {
		m.noRetry++
		if k.failures > 0 {
			m.noRetry = 0
		}
	}
	m.take(now, k)
	return k
}

// take is what a hand-out does to a key.
func (m *twin) take(now reading, k *fact) {
	k.urgent = k.due(now) || k.failures > 0
	k.forPassed = k.urgent
	if k.due(now) {
		k.spent, k.failures = k.deadline, 0
		delete(m.limited, k.key)
	}
	k.ready, k.added, k.processing = false, false, true
	k.told, k.limited, k.answer = nil, false, time.Time{}
	k.out, k.at = m.number(), now.wall
}

func (m *twin) decide(now reading, key int, d requeue.Decision) bool {
	k := m.find(key)
	if k == nil || !k.processing {
		return false
	}
	if !d.Deadline.IsZero() && !d.Deadline.Round(0).After(k.at) { // the clocks disagree
		d.Deadline = now.wall.Add(max(d.Deadline.Sub(d.Now), requeue.Immediate))
	}
	d.Deadline, d.Overdue, d.NotBefore = inSight(d.Deadline, now), d.Overdue.Round(0), d.NotBefore.Round(0)
	k.told = &d
	if k.isSpent(d.Deadline) { // ahead
		k.spent = time.Time{}
	}
	if !d.Overdue.IsZero() && !d.Overdue.After(k.at) {
		k.spent = d.Overdue
	}
	return true
}

func (m *twin) done(now reading, key int) {
	k := m.find(key)
	if k == nil || !k.processing {
		return
	}
	switch {
	case k.told != nil:
		ahead, overdue := k.told.Deadline, k.told.Overdue
		k.forPassed = k.isSpent(overdue)
		if k.isSpent(overdue) {
			overdue = time.Time{}
		}
		k.deadline, k.floor = sooner(ahead, overdue), k.told.NotBefore
	case k.limited:
		if k.isSpent(k.deadline) {
			k.deadline = time.Time{}
		}
	default:
		k.deadline, k.floor = time.Time{}, time.Time{}
		if m.answers != nil && !m.down {
			if at := m.ask(key, now); !k.isSpent(at) {
				k.deadline = at
			}
		}
	}
	if !k.isSpent(k.answer) {
		k.deadline = sooner(k.deadline, k.answer)
	}

	if k.forPassed && k.limited {
		k.failures++
		m.failed++
		m.isOutage = m.isOutage || m.failed >= outage
	} else {
		k.failures = 0
	}
	if k.urgent && !k.limited {
		m.isOutage, m.failed = false, 0
	}
	k.processing, k.told = false, nil
	k.place = m.number()
	if k.ready {
		m.makeReady(k)
	}
	k.putToWait(now)
	m.wakeUp(now)
	m.forget()
}

// forget drops the keys of which nothing is left.
func (m *twin) forget() {
	m.keys = slices.DeleteFunc(m.keys, func(k *fact) bool {
		return !k.processing && !k.ready && (m.down || !k.waits && k.deadline.IsZero())
	})
}

func (m *twin) shutDown() {
	m.down = true
	for _, k := range m.keys {
		k.waits, k.ready = false, false
	}
	m.forget()
}

// len is how many keys are ready or added while they are processed. Up to so many more
// are processed, and their wait is over.
func (m *twin) len(now reading) (n, more int) {
	for _, k := range m.keys {
		switch {
		case k.ready:
			n++
		case k.processing && k.waits && k.end <= now.mono:
			more++
		}
	}
	return n, more
}
