package deadlinequeue

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

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

// collectors are the metrics of controller-runtime's queue. As it does for a queue without
// priorities, ours leaves the label priority empty.
type collectors struct {
	depth, unfinished, longest *prometheus.GaugeVec
	adds, retries              *prometheus.CounterVec
	latency, work              *prometheus.HistogramVec
}

// workQueue returns those that controller-runtime has registered. They are public in no
// other way than by what its registry answers to one who registers the same again.
var workQueue = sync.OnceValue(func() collectors {
	return collectors{
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
