package deadlinequeue

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// metrics are those of one queue. Its methods are called under the lock of the
// queue, and do nothing on a nil pointer.
type metrics[T comparable] struct {
	depth      prometheus.Gauge
	adds       prometheus.Counter
	latency    prometheus.Observer
	work       prometheus.Observer
	unfinished prometheus.Gauge
	longest    prometheus.Gauge
	retries    prometheus.Counter
	lateness   prometheus.Observer
	wakeUps    [len(causes)]prometheus.Counter

	q     *queue[T]
	timer clock.Timer // of watch; nil if nothing is being processed
}

// unfinishedPeriod is how often the gauges of what is being processed are set,
// as in client-go.
const unfinishedPeriod = 500 * time.Millisecond

func newMetrics[T comparable](q *queue[T], name string) *metrics[T] {
	if name == "" {
		return nil
	}
	c, mine := workQueue(), own()
	m := &metrics[T]{
		q:          q,
		depth:      c.depth.WithLabelValues(name, name, ""),
		adds:       c.adds.WithLabelValues(name, name),
		latency:    c.latency.WithLabelValues(name, name),
		work:       c.work.WithLabelValues(name, name),
		unfinished: c.unfinished.WithLabelValues(name, name),
		longest:    c.longest.WithLabelValues(name, name),
		retries:    c.retries.WithLabelValues(name, name),
		lateness:   mine.lateness.WithLabelValues(name),
	}
	for i, cause := range causes {
		m.wakeUps[i] = mine.wakeUps.WithLabelValues(name, cause)
	}
	mine.gauges.add(q, name)
	return m
}

func (m *metrics[T]) retried() {
	if m != nil {
		m.retries.Inc()
	}
}

// added counts an item that became ready.
func (m *metrics[T]) added() {
	if m != nil {
		m.adds.Inc()
		m.depth.Inc()
	}
}

// dropped counts n ready items that a shutdown has dropped.
func (m *metrics[T]) dropped(n int) {
	if m != nil {
		m.depth.Sub(float64(n))
	}
}

// handedOut is called before the hand-out changes the entry.
func (m *metrics[T]) handedOut(e *entry[T], now instant) {
	if m == nil {
		return
	}
	m.depth.Dec()
	// Not below 0, also with a clock that was set back.
	m.latency.Observe(seconds(max(now.mono-e.soft, 0)))
	why := e.cause
	if e.passed(now) {
		why = causeDeadline
		m.lateness.Observe(seconds(saturatingSub(now.wall, e.due())))
	}
	m.wakeUps[why].Inc()
	if m.timer == nil && !m.q.shuttingDown {
		m.watch()
	}
}

func (m *metrics[T]) done(took int64) {
	if m != nil {
		m.work.Observe(seconds(took))
	}
}

// watch sets the gauges of unfinished work again and again while there is any.
func (m *metrics[T]) watch() {
	m.timer = m.q.clock.AfterFunc(unfinishedPeriod, func() {
		go func() {
			m.q.mu.Lock()
			defer m.q.mu.Unlock()
			m.setUnfinished(m.q.observe(m.q.clock.Now()))
			if m.timer = nil; len(m.q.running) > 0 && !m.q.shuttingDown {
				m.watch()
			}
		}()
	})
}

func (m *metrics[T]) setUnfinished(now instant) {
	var total, longest int64
	for _, r := range m.q.running {
		took := max(now.mono-r.began.mono, 0)
		total += took
		longest = max(longest, took)
	}
	m.unfinished.Set(seconds(total))
	m.longest.Set(seconds(longest))
}

func (m *metrics[T]) stop() {
	if m == nil {
		return
	}
	own().gauges.remove(m.q)
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }
