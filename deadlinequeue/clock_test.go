package deadlinequeue_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// A clock of the caller's, which calls AfterFunc with its own lock held.
func TestClock_isTheCallers(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	known := objects{}
	q := deadlinequeue.New("", options{Clock: clock, Deadline: known.deadline})
	defer q.ShutDown()
	q.AddAfter("poll", time.Hour)
	known["deadline"] = clock.Now().Add(time.Minute)
	q.AddAfter("deadline", 2*time.Hour)
	for _, want := range []string{"deadline", "poll"} {
		assert.Zero(t, q.Len())
		clock.Step(time.Minute)
		item, _ := q.Get()
		assert.Equal(t, want, item)
		q.Done(item)
		clock.Step(58 * time.Minute)
	}
}

// A deadline that passes while its key is processed wakes it without another step
// of the clock.
func TestClock_standsStill(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	q := deadlinequeue.New("", options{Clock: clock})
	defer q.ShutDown()
	q.Add("a")
	item, _ := q.Get()
	clock.Step(time.Minute)
	succeeds(q, item, requeue.From(clock.Now().Add(-2*time.Second)).Every(time.Hour).Deadline(clock.Now().Add(-time.Second)))
	item, _ = q.Get() // would wait for ever
	assert.Equal(t, "a", item)
}

// lateTimers is a clock whose timers do not get to run, but for what a test makes
// of the last one.
type lateTimers struct {
	*testingclock.FakeClock
	last func()
}

func (c *lateTimers) AfterFunc(_ time.Duration, f func()) clock.Timer {
	c.last = f
	return c.NewTimer(math.MaxInt64)
}

// A timer that fires while another takes its place leaves that one alone.
func TestClock_firesATimerThatWasReplaced(t *testing.T) {
	clock := &lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	inBubble(t, options{Clock: clock}, func(t *testing.T, q queue, _ *probe) {
		q.AddAfter("a", time.Hour)
		replaced := clock.last
		q.AddAfter("b", time.Second)
		assert.Equal(t, 1, clock.Waiters())
		replaced()
		synctest.Wait()
		assert.Equal(t, 1, clock.Waiters())
		q.ShutDown()
		assert.Zero(t, clock.Waiters())
	})
}

// A wait is over when the clock says so, whether or not the timer has run.
func TestClock_isAheadOfItsTimers(t *testing.T) {
	clock := &lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	for name, use := range map[string]func(queue){
		"Get":               func(queue) {},
		"Len":               func(q queue) { assert.Equal(t, 1, q.Len()) },
		"ShutDownWithDrain": func(q queue) { startsDraining(q) },
	} {
		t.Run(name, func(t *testing.T) {
			q := deadlinequeue.New("", options{Clock: clock})
			defer q.ShutDown()
			q.AddAfter("a", time.Hour)
			clock.Step(time.Hour)
			use(q)
			item, down := q.Get()
			assert.Equal(t, "a", item)
			assert.False(t, down)
		})
	}
}

// The clock of an AddAfter starts with the call, not when a background goroutine
// gets to it.
func TestAddAfter_countsFromTheCall(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	q := deadlinequeue.New("", options{Clock: clock})
	defer q.ShutDown()
	q.AddAfter("a", time.Second)
	clock.Step(time.Second)
	assert.Equal(t, 1, q.Len())
}

func (c *wallClock) Now() time.Time {
	t := twoReadings.Add(time.Since(c.begin))
	// There is no other way to make a time.Time whose readings differ. Its first word
	// has the wall clock: the nanoseconds in bits 0 to 29, the seconds in bits 30 to 62.
	word := (*uint64)(unsafe.Pointer(&t))
	wall := int64(*word>>30&(1<<33-1))*int64(time.Second) + int64(*word&(1<<30-1)) + c.ahead.Load()
	*word = 1<<63 | uint64(wall/int64(time.Second))<<30 | uint64(wall%int64(time.Second))
	return t
}

func (c *overtaken) Now() time.Time {
	t := c.wallClock.Now()
	if during := c.during; during != nil {
		c.during = nil
		during()
	}
	return t
}
