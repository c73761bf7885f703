package deadlinequeue_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// scrape returns the metrics of a queue as controller-runtime serves them, and
// their labels.
func scrape(t *testing.T, queue string) (map[string]float64, map[string]map[string]string) {
	t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	require.NoError(t, err)
	values, labels := map[string]float64{}, map[string]map[string]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			of := map[string]string{}
			for _, l := range m.GetLabel() {
				of[l.GetName()] = l.GetValue()
			}
			if of["name"] != queue {
				continue
			}
			name := f.GetName()
			if cause, ok := of["cause"]; ok {
				name += "/" + cause
			}
			require.NotContains(t, values, name, "one series a metric, whatever the deadlines")
			labels[name] = of
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				values[name] = m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				values[name] = m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				values[name] = m.GetHistogram().GetSampleSum()
				values[name+"_count"] = float64(m.GetHistogram().GetSampleCount())
			default:
				t.Fatal(f.GetType())
			}
		}
	}
	return values, labels
}

// unique is a name of a queue that no other test of the process has used: the
// registry is one for all.
func unique() string { return fmt.Sprint("queue-", names.Add(1)) }

var names atomic.Int64

func TestMetrics_areThoseOfControllerRuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		name := unique()
		known := objects{"a": clock.Now().Add(time.Second), "b": clock.Now().Add(3 * time.Second)}
		q := deadlinequeue.New(name, options{Clock: clock, Deadline: known.deadline})
		defer q.ShutDown()
		q.AddAfter("a", time.Hour)
		q.AddAfter("b", time.Hour)
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(-100)}, "c")
		q.Add("c")
		values, _ := scrape(t, name)
		assert.Equal(t, 1.0, values["workqueue_adds_total"], "counted when it is ready, once")
		assert.Equal(t, 1.0, values["workqueue_depth"])
		assert.Equal(t, 2.0, values["workqueue_retries_total"], "adds with a wait")
		assert.Equal(t, 2.0, values["requeue_waiting"])
		assert.Zero(t, values["requeue_overdue"])

		clock.Step(3 * time.Second)
		values, _ = scrape(t, name)
		assert.Zero(t, values["requeue_waiting"])
		assert.Equal(t, 2.0, values["requeue_overdue"])
		assert.Equal(t, 2.0, values["requeue_oldest_overdue_seconds"], "of a")
		for _, want := range []string{"a", "b", "c"} {
			item, _ := q.Get()
			require.Equal(t, want, item)
		}
		clock.Step(10 * time.Second)
		synctest.Wait()
		values, _ = scrape(t, name)
		assert.Equal(t, 30.0, values["workqueue_unfinished_work_seconds"], "of three workers")
		assert.Equal(t, 10.0, values["workqueue_longest_running_processor_seconds"])
		q.Done("a")
		q.Done("b")
		q.Done("c")
		clock.Step(time.Second)
		synctest.Wait()
		values, _ = scrape(t, name)
		assert.Zero(t, values["workqueue_unfinished_work_seconds"])
		q.Add("d")
		q.Get()
		q.ShutDown()
		assert.False(t, clock.HasWaiters(), "no timer is left")
		q.Done("d")
		values, labels := scrape(t, name)
		assert.Equal(t, map[string]float64{
			"workqueue_adds_total":                        4,
			"workqueue_depth":                             0,
			"workqueue_retries_total":                     2,
			"workqueue_queue_duration_seconds":            3, // c waited since the start, the others were found when due
			"workqueue_queue_duration_seconds_count":      4,
			"workqueue_work_duration_seconds":             30,
			"workqueue_work_duration_seconds_count":       4,
			"workqueue_unfinished_work_seconds":           0,
			"workqueue_longest_running_processor_seconds": 0,
			"requeue_deadline_lateness_seconds":           2 + 0,
			"requeue_deadline_lateness_seconds_count":     2,
			"requeue_wakeups_total/deadline":              2,
			"requeue_wakeups_total/event":                 2,
			"requeue_wakeups_total/poll":                  0,
			"requeue_wakeups_total/resync":                0,
			"requeue_wakeups_total/retry":                 0,
		}, values, "the gauges of a queue that is shut down are gone")
		assert.Equal(t, map[string]string{"name": name, "controller": name, "priority": ""}, labels["workqueue_depth"])
		assert.Equal(t, map[string]string{"name": name}, labels["requeue_deadline_lateness_seconds"])
	})
}

// The gauges of what is being processed have one timer, and none when nothing is.
func TestMetrics_leaveNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		q := deadlinequeue.New(unique(), options{Clock: clock})
		timers := func() int {
			clock.Step(time.Second)
			synctest.Wait()
			return clock.Waiters()
		}
		q.Add("a")
		q.Add("b")
		a, _ := q.Get()
		b, _ := q.Get()
		assert.Equal(t, 1, timers())
		q.Done(a)
		assert.Equal(t, 1, timers())
		q.Done(b)
		assert.Zero(t, timers())
		q.Add("c")
		q.Add("d")
		_, _ = q.Get()
		assert.Equal(t, 1, timers())
		go q.ShutDownWithDrain()
		synctest.Wait()
		_, _ = q.Get()
		assert.Zero(t, timers())
		q.ShutDown()
	})
}

// ticking is a clock that goes on with every reading, so that one who reads it twice
// in a call sees two times. Its timers do not get to run, so all readings are those of
// calls.
type ticking struct {
	lateTimers
	readings int
}

func (c *ticking) Now() time.Time {
	c.readings++
	c.Step(time.Microsecond)
	return c.FakeClock.Now()
}

// The clock is read once a call, so no duration is below 0.
func TestMetrics_oneReadingACall(t *testing.T) {
	clock := &ticking{lateTimers: lateTimers{FakeClock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}}
	name := unique()
	q := deadlinequeue.New(name, options{Clock: clock})
	defer q.ShutDown()
	reads := func(call string, f func()) {
		t.Helper()
		before := clock.readings
		f()
		assert.Equal(t, 1, clock.readings-before, call)
	}
	sums := map[string]float64{}
	for range 10 {
		values, _ := scrape(t, name)
		for _, sum := range []string{"workqueue_queue_duration_seconds", "workqueue_work_duration_seconds"} {
			assert.GreaterOrEqual(t, values[sum], sums[sum], "a duration below 0")
			sums[sum] = values[sum]
		}
		reads("AddAfter", func() { q.AddAfter("a", time.Second) })
		reads("Add", func() { q.Add("b") })
		clock.Step(time.Second)
		for _, want := range []string{"b", "a"} { // a is woken by the Get that hands it out
			var item string
			reads("Get", func() { item, _ = q.Get() })
			require.Equal(t, want, item)
			reads("AddAfter", func() { q.AddAfter(item, time.Minute) })
			reads("Done", func() { q.Done(item) })
		}
		reads("Len", func() { assert.Zero(t, q.Len()) })
		// A clock that is set back.
		q.Add("c")
		clock.Step(-time.Hour)
		item, _ := q.Get()
		require.Equal(t, "c", item)
		clock.Step(-time.Hour)
		q.Done("c")
		assert.GreaterOrEqual(t, q.Load().Service, time.Duration(0))
		clock.Step(3 * time.Hour)
		for q.Len() > 0 {
			item, _ := q.Get()
			q.Done(item)
		}
	}
}

// What a shutdown drops is not queued any more.
func TestMetrics_ofAShutDown(t *testing.T) {
	name := unique()
	q := deadlinequeue.New(name, options{})
	q.Add("a")
	q.Add("b")
	item, _ := q.Get()
	q.Done(item)
	q.Add("c")
	q.ShutDown()
	values, _ := scrape(t, name)
	assert.Equal(t, 3.0, values["workqueue_adds_total"])
	assert.Zero(t, values["workqueue_depth"])
}

// Each hand-out has a cause.
func TestMetrics_causes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := unique()
		q := deadlinequeue.New(name, options{RateLimiter: limiter[string]()})
		defer q.ShutDown()
		causes := func() map[string]float64 {
			values, _ := scrape(t, name)
			of := map[string]float64{}
			for _, cause := range []string{"event", "resync", "poll", "deadline", "retry"} {
				of[cause] = values["requeue_wakeups_total/"+cause]
			}
			return of
		}
		next := func(end func()) {
			_, _ = q.Get()
			end()
			q.Done("a")
		}
		tell := func(in time.Duration) {
			now := time.Now()
			q.Decide("a", requeue.From(now).Deadline(now.Add(in)).Decide())
		}
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(-100)}, "a")
		next(func() { q.AddRateLimited("a") })                                                         // resync
		next(func() { q.AddAfter("a", time.Hour); q.AddRateLimited("a") })                             // retry
		next(func() { q.AddAfter("a", time.Minute); q.AddAfter("a", time.Hour); tell(2 * time.Hour) }) // retry, the sooner
		next(func() { tell(time.Minute); q.AddAfter("a", time.Minute) })                               // poll
		next(func() { tell(time.Minute); q.AddAfter("a", time.Second) })                               // deadline
		time.Sleep(2 * time.Minute)
		next(func() { tell(time.Hour) }) // a poll that was over, then its deadline passed
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(-100)}, "a")
		q.Add("a")
		next(func() {}) // a resync that became an event
		assert.Equal(t, map[string]float64{"event": 1, "resync": 1, "poll": 1, "deadline": 2, "retry": 2}, causes())
		assert.Zero(t, q.Load().Objects)
	})
}

// Queues of one name show their sum, and the oldest deadline of all.
func TestMetrics_gaugesOfQueuesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name, known := unique(), objects{}
		known.due("a", -time.Minute)
		known.due("b", -time.Hour)
		for _, item := range []string{"a", "b"} {
			q := deadlinequeue.New(name, options{Deadline: known.deadline})
			defer q.ShutDown()
			q.Add(item)
			q.AddAfter("c", time.Hour)
		}
		values, _ := scrape(t, name)
		assert.Equal(t, 2.0, values["requeue_waiting"])
		assert.Equal(t, 2.0, values["requeue_overdue"])
		assert.Equal(t, 3600.0, values["requeue_oldest_overdue_seconds"])
	})
}

// What controller-runtime marks as less urgent is a resync.
func TestMetrics_resyncsHaveControllerRuntimesPriority(t *testing.T) {
	assert.Equal(t, -100, handler.LowPriority)
}
