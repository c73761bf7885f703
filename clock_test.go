package requeue_test

import (
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/requeue-go/requeue"
)

// The clocks of the field fit as they are.
var (
	_ requeue.Clock = clock.RealClock{}
	_ requeue.Clock = clock.PassiveClock(nil)
	_ requeue.Clock = (*testingclock.FakeClock)(nil)
	_ requeue.Clock = (*testingclock.FakePassiveClock)(nil)
	_ requeue.Clock = requeue.ClockFunc(nil)
)
