package deadlinequeue

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// ownMetrics are the metrics that other work queues do not have. They are registered when
// the first queue with a name is made.
type ownMetrics struct {
	lateness *prometheus.HistogramVec
	wakeUps  *prometheus.CounterVec
	gauges   *gauges
}

var own = sync.OnceValue(func() ownMetrics {
	return ownMetrics{
		lateness: register(prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "requeue_deadline_lateness_seconds",
			Help: "How long in seconds after its deadline an item is handed out",
			// One of them is a second, the objective of the rules in monitoring.
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"name"})),
		wakeUps: register(prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "requeue_wakeups_total",
			Help: "Total number of items handed out, by what woke them: event, resync, poll, deadline or retry",
		}, []string{"name", "cause"})),
		gauges: register(&gauges{queues: map[gauged]string{}}),
	}
})

// gauged is a queue, of keys of any type.
type gauged interface {
	gauge() gaugeValues
}

// gaugeValues are what the gauges of a queue show.
type gaugeValues struct {
	waiting, overdue int
	oldest           float64 // seconds
}

// gauge looks at the queue. It takes the lock for as long as a call of Len.
func (q *queue[T]) gauge() gaugeValues {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.wakeUpAll()
	v := gaugeValues{
		waiting: q.entries.len() - q.order.n - len(q.running),
		overdue: len(q.order.passed.items),
	}
	if e := q.order.passed.min(); e != nil {
		v.oldest = seconds(max(saturatingSub(now.wall, e.due()), 0))
	}
	return v
}

// gauges are computed when they are read, so they cost the queue nothing. Of several
// queues of one name they show the sum, and the oldest.
type gauges struct {
	mu     sync.Mutex
	queues map[gauged]string
}

var (
	waitingDesc = prometheus.NewDesc("requeue_waiting", "Number of items that wait for a poll, a retry or a deadline", []string{"name"}, nil)
	overdueDesc = prometheus.NewDesc("requeue_overdue", "Number of items whose deadline has passed and that wait for a worker", []string{"name"}, nil)
	oldestDesc  = prometheus.NewDesc("requeue_oldest_overdue_seconds", "How late in seconds the oldest passed deadline is whose item waits for a worker", []string{"name"}, nil)
)

func (g *gauges) add(q gauged, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queues[q] = name
}

// remove is called under the lock of the queue, add when nobody else knows it yet.
func (g *gauges) remove(q gauged) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.queues, q)
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{waitingDesc, overdueDesc, oldestDesc} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(metrics chan<- prometheus.Metric) {
	for name, v := range g.read() {
		metrics <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(v.waiting), name)
		metrics <- prometheus.MustNewConstMetric(overdueDesc, prometheus.GaugeValue, float64(v.overdue), name)
		metrics <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, v.oldest, name)
	}
}

// read looks at the queues without the lock of the gauges, which a queue that shuts down
// needs.
func (g *gauges) read() map[string]gaugeValues {
	g.mu.Lock()
	queues := make(map[gauged]string, len(g.queues))
	for q, name := range g.queues {
		queues[q] = name
	}
	g.mu.Unlock()
	values := map[string]gaugeValues{}
	for q, name := range queues {
		v, sum := q.gauge(), values[name]
		values[name] = gaugeValues{sum.waiting + v.waiting, sum.overdue + v.overdue, max(sum.oldest, v.oldest)}
	}
	return values
}
