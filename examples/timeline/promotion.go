package main

import "time"

// write is how long a write to the API server takes. All else takes no time.
const write = 50 * time.Millisecond

// A scenario is what the flags say.
type scenario struct {
	timeout, poll time.Duration
	fails         int // how many tries to fail the promotion meet a conflict
}

// A promotion is an object whose step never finishes, so it has to be failed at its timeout.
// It is also the clock, which moves only when something is written or waited for.
type promotion struct {
	scenario
	started time.Time
	now     time.Time
	tries   int // to fail it
	failed  bool
}

// Now implements requeue.Clock.
func (p *promotion) Now() time.Time { return p.now }

// report writes the status.
func (p *promotion) report() { p.now = p.now.Add(write) }

// fail writes that the promotion has failed, and says whether that succeeded. It does not
// if somebody else has written the object in between. A controller takes that for no error:
// it looks again later.
func (p *promotion) fail() bool {
	p.now = p.now.Add(write)
	p.tries++
	p.failed = p.tries > p.fails
	return p.failed
}

// A look is what one reconcile did, in times since the start of the promotion.
type look struct {
	at, end  time.Duration
	what     kind
	returned time.Duration // the RequeueAfter
}

// kind is what happened in a look. Of two in one place of the drawing the greater is drawn.
type kind int

const (
	waiting  kind = iota + 1 // the promotion was not over yet
	conflict                 // it was to be failed, and could not be written
	failed                   // it was failed
)

// String returns how the drawing calls it.
func (k kind) String() string {
	return map[kind]string{waiting: "status written", conflict: "conflict", failed: "failed"}[k]
}

// lost is whether nothing will look again, though the promotion is not failed.
func (l look) lost() bool { return l.what != failed && l.returned <= 0 }

// run has a controller look at a promotion until nothing more happens. It does what
// controller-runtime does with a RequeueAfter: it waits so long, and 0 or less ends it. No
// event wakes the promotion.
func (s scenario) run(r reconcile) (looks []look) {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &promotion{scenario: s, started: started, now: started}
	for {
		l := look{at: p.now.Sub(started), what: waiting}
		tries := p.tries
		l.returned = r(p)
		l.end = p.now.Sub(started)
		switch {
		case p.failed:
			l.what = failed
		case p.tries > tries:
			l.what = conflict
		}
		looks = append(looks, l)
		if l.returned <= 0 {
			return looks
		}
		p.now = p.now.Add(l.returned)
	}
}
