package deadlinequeue_test

import (
	"testing"
	"time"

	"github.com/requeue-go/requeue"
	"github.com/stretchr/testify/assert"
)

// Retries come after the passed deadlines that nobody has seen, in the order of
// their last hand-outs: keys that fail for ever do not delay healthy deadlines.
func TestRetries_goAfterPassedDeadlines(t *testing.T) {
	withObjects(t, options{RateLimiter: limiter[string]()}, func(_ *testing.T, q queue, p *probe, known objects) {
		for i, item := range []string{"fails 1", "fails 2", "fails 3"} {
			known.due(item, time.Duration(i-10)*time.Hour)
			q.Add(item)
			p.takes(item)
			time.Sleep(time.Millisecond)
		}
		for _, item := range []string{"fails 3", "fails 1", "fails 2"} {
			fails(q, item, requeue.From(time.Now()).Deadline(known[item]))
		}
		time.Sleep(time.Second)
		known.due("passed", -time.Millisecond)
		q.Add("ordinary")
		q.Add("passed")
		p.serves("passed", "fails 1", "fails 2", "fails 3", "ordinary")
	})
}

// A step has failed for an hour when its timeout passes. What fails then is tried again soon.
func TestRetries_atTheDeadlineTheLimiterBeginsAnew(t *testing.T) {
	inBubble(t, options{RateLimiter: limiter[string]()}, func(t *testing.T, q queue, p *probe) {
		deadline := time.Now().Add(time.Hour)
		q.Add("a")
		for time.Now().Before(deadline) {
			item, _ := q.Get()
			if time.Now().Before(deadline) {
				fails(q, item, requeue.From(time.Now()).Deadline(deadline))
			}
		}
		assert.Zero(t, time.Since(deadline))
		for _, wait := range []time.Duration{5 * time.Millisecond, 10 * time.Millisecond} {
			fails(q, "a", requeue.From(time.Now()).Deadline(deadline))
			time.Sleep(wait - 1)
			p.lenIs(0)
			time.Sleep(time.Nanosecond)
			p.takes("a")
		}
	})
}

// A key that an event gives another deadline is no retry any more.
func TestRetries_endWithTheirDeadline(t *testing.T) {
	for name, event := range map[string]func(objects){
		"moved":    func(known objects) { known.due("a", time.Hour) },
		"finished": func(known objects) { delete(known, "a") },
		"the same": func(objects) {},
	} {
		withObjects(t, slow(time.Second), func(_ *testing.T, q queue, p *probe, known objects) {
			known.due("a", -time.Second)
			q.Add("a")
			p.takes("a")
			failsBare(q, "a")
			q.Add("b")
			event(known)
			q.Add("a")
			if name == "the same" {
				p.serves("a", "b")
			} else {
				p.serves("b", "a")
			}
			if p.wrong != "" {
				p.wrong = name + ": " + p.wrong
			}
		})
	}
}

// A step that fails and says that one deadline is overdue and another ahead is a retry,
// and is called at the other.
func TestRetries_oneOverdueAndOneAhead(t *testing.T) {
	inBubble(t, slow(time.Minute), func(_ *testing.T, q queue, p *probe) {
		start := time.Now()
		for _, ahead := range []time.Duration{30 * time.Second, time.Hour} {
			q.Add("a")
			p.takes("a")
			fails(q, "a", requeue.From(start).Deadline(start.Add(-time.Hour)).Deadline(start.Add(ahead)))
			time.Sleep(30 * time.Second)
			q.Add("ordinary")
			if ahead == time.Hour {
				q.Add("a") // an event
			}
			p.serves("a", "ordinary")
		}
	})
}
