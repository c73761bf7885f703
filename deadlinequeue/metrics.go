package deadlinequeue

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// metrics are those of one queue. Its methods are called under the lock of the
// queue, and do nothing on a nil pointer.
type metrics[T comparable] struct {
	depth      workqueue.GaugeMetric
	adds       workqueue.CounterMetric
	latency    workqueue.HistogramMetric
	work       workqueue.HistogramMetric
	unfinished workqueue.SettableGaugeMetric
	longest    workqueue.SettableGaugeMetric
	retries    workqueue.CounterMetric
	lateness   workqueue.HistogramMetric

	q     *Queue[T]
	timer clock.Timer // of watch; nil if nothing is being processed
}

// unfinishedPeriod is how often the gauges of what is being processed are set,
// as in client-go.
const unfinishedPeriod = 500 * time.Millisecond

func newMetrics[T comparable](q *Queue[T], name string, p workqueue.MetricsProvider) *metrics[T] {
	if name == "" {
		return nil
	}
	if p == nil {
		p = registered()
	}
	return &metrics[T]{
		q:          q,
		depth:      given(p.NewDepthMetric, "NewDepthMetric", name),
		adds:       given(p.NewAddsMetric, "NewAddsMetric", name),
		latency:    given(p.NewLatencyMetric, "NewLatencyMetric", name),
		work:       given(p.NewWorkDurationMetric, "NewWorkDurationMetric", name),
		unfinished: given(p.NewUnfinishedWorkSecondsMetric, "NewUnfinishedWorkSecondsMetric", name),
		longest:    given(p.NewLongestRunningProcessorSecondsMetric, "NewLongestRunningProcessorSecondsMetric", name),
		retries:    given(p.NewRetriesMetric, "NewRetriesMetric", name),
		lateness:   latenessOf(name),
	}
}

// given returns what a method of the MetricsProvider returns, which must be
// something.
func given[M comparable](method func(string) M, called, name string) M {
	m := method(name)
	var none M
	if m == none {
		panic(fmt.Sprintf("deadlinequeue: MetricsProvider.%s(%q) returned nil; want a metric", called, name))
	}
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
	if m == nil {
		return
	}
	if depth, ok := m.depth.(interface{ Sub(float64) }); ok { // all gauges of Prometheus
		depth.Sub(float64(n))
		return
	}
	for range n {
		m.depth.Dec()
	}
}

// handedOut is called before the hand-out changes the entry.
func (m *metrics[T]) handedOut(e *entry[T], now int64) {
	if m == nil {
		return
	}
	m.depth.Dec()
	// Not below 0, also with a clock that was set back.
	m.latency.Observe(seconds(max(now-e.soft, 0)))
	if e.deadline <= now {
		m.lateness.Observe(seconds(saturatingAdd(now, -e.deadline)))
	}
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

func (m *metrics[T]) setUnfinished(now int64) {
	var total, longest int64
	for _, r := range m.q.running {
		took := max(now-r.began, 0)
		total += took
		longest = max(longest, took)
	}
	m.unfinished.Set(seconds(total))
	m.longest.Set(seconds(longest))
}

func (m *metrics[T]) stop() {
	if m != nil && m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

// registered returns the provider that adds to the metrics of controller-runtime.
// It is public in no other way than by what its registry answers to one who
// registers the same metric again.
var registered = sync.OnceValue(func() workqueue.MetricsProvider {
	return &collectors{
		depth: register(gauge("depth", "Current depth of workqueue by workqueue and priority", "priority")),
		adds:  register(counter("adds_total", "Total number of adds handled by workqueue")),
		latency: register(histogram("queue_duration_seconds",
			"How long in seconds an item stays in workqueue before being requested")),
		work: register(histogram("work_duration_seconds",
			"How long in seconds processing an item from workqueue takes.")),
		unfinished: register(gauge("unfinished_work_seconds", "How many seconds of work has been done that "+
			"is in progress and hasn't been observed by work_duration. Large "+
			"values indicate stuck threads. One can deduce the number of stuck "+
			"threads by observing the rate at which this increases.")),
		longest: register(gauge("longest_running_processor_seconds",
			"How many seconds has the longest running processor for workqueue been running.")),
		retries: register( // the help changed in v0.24
			counter("retries_total", "Total number of items added to the workqueue with a non-zero delay "+
				"(rate-limited requeues, explicit RequeueAfter or AddAfter calls)"),
			counter("retries_total", "Total number of retries handled by workqueue")),
	}
})

// lateness is registered when the first queue with a name is made.
var lateness = sync.OnceValue(func() *prometheus.HistogramVec {
	return register(prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "requeue_deadline_lateness_seconds",
		Help: "How long in seconds after its deadline an item is handed out",
		// One of them is a second, the objective of the rules in monitoring.
		Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"name"}))
})

func latenessOf(name string) workqueue.HistogramMetric { return lateness().WithLabelValues(name) }

// register returns the first of the collectors that the registry has or takes.
// If it takes none, because it has one with other labels or another help, the
// last one counts unseen.
func register[C prometheus.Collector](candidates ...C) C {
	for _, c := range candidates {
		err := ctrlmetrics.Registry.Register(c)
		if err == nil {
			return c
		}
		var already prometheus.AlreadyRegisteredError
		if errors.As(err, &already) {
			if existing, ok := already.ExistingCollector.(C); ok {
				return existing
			}
		}
	}
	return candidates[len(candidates)-1]
}

var labels = []string{"name", "controller"}

func gauge(name, help string, more ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Subsystem: ctrlmetrics.WorkQueueSubsystem, Name: name, Help: help,
	}, append(labels[:2:2], more...))
}

func counter(name, help string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Subsystem: ctrlmetrics.WorkQueueSubsystem, Name: name, Help: help,
	}, labels)
}

func histogram(name, help string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Subsystem: ctrlmetrics.WorkQueueSubsystem, Name: name, Help: help,
		Buckets: prometheus.ExponentialBuckets(10e-9, 10, 12),
	}, labels)
}

// collectors is a MetricsProvider over the vectors of controller-runtime. As its
// own does for a queue without priorities, it leaves the label priority empty.
type collectors struct {
	depth, unfinished, longest *prometheus.GaugeVec
	adds, retries              *prometheus.CounterVec
	latency, work              *prometheus.HistogramVec
}

func (c *collectors) NewDepthMetric(name string) workqueue.GaugeMetric {
	return c.depth.WithLabelValues(name, name, "")
}

func (c *collectors) NewAddsMetric(name string) workqueue.CounterMetric {
	return c.adds.WithLabelValues(name, name)
}

func (c *collectors) NewLatencyMetric(name string) workqueue.HistogramMetric {
	return c.latency.WithLabelValues(name, name)
}

func (c *collectors) NewWorkDurationMetric(name string) workqueue.HistogramMetric {
	return c.work.WithLabelValues(name, name)
}

func (c *collectors) NewUnfinishedWorkSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return c.unfinished.WithLabelValues(name, name)
}

func (c *collectors) NewLongestRunningProcessorSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return c.longest.WithLabelValues(name, name)
}

func (c *collectors) NewRetriesMetric(name string) workqueue.CounterMetric {
	return c.retries.WithLabelValues(name, name)
}
