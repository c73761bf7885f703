package main

import (
	"time"

	"github.com/requeue-go/requeue"
)

// A reconcile is one look of a controller at the promotion. It returns the RequeueAfter.
type reconcile func(p *promotion) time.Duration

// fixedInterval looks again after the interval, whatever the timeout.
func fixedInterval(p *promotion) time.Duration {
	if p.Now().Before(p.started.Add(p.timeout)) {
		p.report()
	} else if p.fail() {
		return 0
	}
	return p.poll
}

// byHand looks again at the timeout if that is sooner. At or after the timeout it returns 0
// or less, which controller-runtime takes for "do not requeue".
func byHand(p *promotion) time.Duration {
	deadline := p.started.Add(p.timeout)
	if p.Now().Before(deadline) {
		p.report()
	} else if p.fail() {
		return 0
	}
	return min(p.poll, deadline.Sub(p.Now())) // time.Until(deadline)
}

// withRequeue has the same shape as byHand, and asks requeue for the wait.
func withRequeue(p *promotion) time.Duration {
	if !requeue.Expired(p.started, p.timeout, p) {
		p.report()
	} else if p.fail() {
		return 0
	}
	return requeue.NextRequeue(p.started, p.timeout, p.poll, p)
}
