// Package clock stands in for the real one.
package clock

import "time"

type PassiveClock interface {
	Now() time.Time
	Since(time.Time) time.Duration
}

type Clock interface {
	PassiveClock
	Sleep(time.Duration)
}
