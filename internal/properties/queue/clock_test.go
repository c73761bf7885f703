package queue_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
)

// steppedClock is a clock with two readings: a wall clock that can be stepped, and a
// monotonic one that goes on.
type steppedClock struct {
	clock.RealClock
	began time.Time
	ahead atomic.Int64 // by how much the wall clock is before that of the bubble
}

func newSteppedClock() *steppedClock { return &steppedClock{began: time.Now()} }

// Now returns a time with a monotonic reading, which a bubble has not.
func (c *steppedClock) Now() time.Time {
	return withReading(time.Now().Add(time.Duration(c.ahead.Load())), time.Since(c.began)+1)
}

func (c *steppedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// withReading gives a time a monotonic reading. There is no other way to make one than
// to write it as package time does.
func withReading(t time.Time, reading time.Duration) time.Time {
	const (
		has   = 1 << 63
		since = 2_682_288_000 // seconds from 1885 to 1970
	)
	out := struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}{has | uint64(t.Unix()+since)<<30 | uint64(t.Nanosecond()), int64(reading), time.Local}
	return *(*time.Time)(unsafe.Pointer(&out))
}

func TestSteppedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSteppedClock()
		before, plain := c.Now(), time.Now()
		require.True(t, before.Equal(plain))
		time.Sleep(1500 * time.Millisecond)
		c.ahead.Store(int64(-time.Hour))
		require.Equal(t, 1500*time.Millisecond, c.Since(before))
		require.Equal(t, 1500*time.Millisecond-time.Hour, c.Now().Round(0).Sub(before.Round(0)))
		require.True(t, c.Now().Round(0).Equal(time.Now().Add(-time.Hour)))
		require.Equal(t, 1500*time.Millisecond, c.Now().Sub(before))
	})
}
