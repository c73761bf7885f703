package queuesim

import (
	"slices"
	"time"
)

// Report is what was measured of one policy in one scenario. Hand-outs of objects
// that always fail count in Reconciles and Failures only.
type Report struct {
	// Scenario and Policy are the names of what was run.
	Scenario, Policy string
	// Lateness of the deadlines. One of an object that was never served counts
	// as late as it was at the end.
	Lateness Spread
	// Moved is the lateness of those that an event has moved, since the event if
	// they had passed then.
	Moved Spread
	// AfterOutage is, of the deadlines that passed in an outage, how long after its end
	// they are acted on, and Limiter is how much of that the wait of the rate
	// limiter takes.
	AfterOutage, Limiter Spread
	// Wait of the other hand-outs: since the object was added or its poll was due.
	Wait Spread
	// PollLateness of the other hand-outs: since the poll of the object was due.
	// Each poll that is asked for counts once, when its object is handed out next.
	// If that is before it was due, because the object was added, the poll is not
	// late and counts as 0. So an add neither hides that a poll is late nor makes
	// it late.
	PollLateness Spread
	// Interval from one hand-out to the next of an object without deadlines.
	Interval Spread
	// Reconciles is the number of all hand-outs.
	Reconciles int
	// Failures is the number of those that failed.
	Failures int
	// Deadlines is the number of hand-outs at a deadline or after it.
	Deadlines int
	// NeverServed is the number of objects that were not handed out once, warm-up
	// included.
	NeverServed int
	// Uncalled is the number of hand-outs of objects that were not added and had
	// no poll or deadline due.
	Uncalled int
}

// Spread is the distribution of a duration; all zero if there was none.
type Spread struct{ Min, P50, P99, Max time.Duration }

func spread(sample []time.Duration) Spread {
	if len(sample) == 0 {
		return Spread{}
	}
	slices.Sort(sample)
	at := func(q float64) time.Duration { return sample[int(q*float64(len(sample)-1)+0.5)] }
	return Spread{Min: at(0), P50: at(0.5), P99: at(0.99), Max: at(1)}
}
