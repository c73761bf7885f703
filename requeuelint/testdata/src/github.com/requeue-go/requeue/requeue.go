// Package requeue stands in for the real one: it has the signatures that the suggested
// fixes use.
package requeue

import "time"

type Clock interface{ Now() time.Time }

func NextRequeue(start time.Time, timeout, interval time.Duration, clock Clock) time.Duration {
	return interval
}

func Soonest(waits ...time.Duration) time.Duration { return 0 }

type Plan struct{}

func From(now time.Time) Plan                                      { return Plan{} }
func (p Plan) Every(interval time.Duration) Plan                   { return p }
func (p Plan) Timeout(start time.Time, timeout time.Duration) Plan { return p }
func (p Plan) Deadline(t time.Time) Plan                           { return p }
func (p Plan) After() time.Duration                                { return 0 }
func TimeOf(t interface{ IsZero() bool }) time.Time                { return time.Time{} }
