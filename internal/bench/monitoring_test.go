package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// shortRun has its trouble after half an hour.
func shortRun() watched {
	w := watchedRun
	w.From, w.To, w.Length = 30*time.Minute, 50*time.Minute, 110*time.Minute
	return w
}

func evaluateAll(t *testing.T, samples []sample) *evaluated {
	t.Helper()
	e, err := evaluate(t.TempDir(), root, samples)
	require.NoError(t, err)
	t.Cleanup(e.close)
	return e
}

func TestRules_late(t *testing.T) {
	w := shortRun()
	e := evaluateAll(t, w.scrapes(t))
	f, ok := e.fired["RequeueDeadlinesLate"]
	require.True(t, ok)
	assert.Greater(t, f.From, w.From)
	assert.Less(t, f.From, w.From+15*time.Minute)
	assert.Less(t, f.To, w.To+35*time.Minute, "the short windows end it")
	assert.NotContains(t, e.fired, "RequeueQueueStalled")
}

func TestRules_quiet(t *testing.T) {
	w := shortRun()
	w.To = w.From
	e := evaluateAll(t, w.scrapes(t))
	assert.Empty(t, e.fired)
	// Every panel has something to show, of metrics as they are.
	board, err := readDashboard(root)
	require.NoError(t, err)
	for _, p := range board.Panels {
		assert.NotEmpty(t, e.panels[p.Title], p.Title)
		assert.GreaterOrEqual(t, len(e.panels[p.Title]), len(p.Targets), "%s: an expression without data", p.Title)
	}
}

// No reconcile ends any more.
func TestRules_stalled(t *testing.T) {
	w := shortRun()
	w.To, w.Slow = w.Length, 3*time.Hour
	e := evaluateAll(t, w.scrapes(t))
	f, ok := e.fired["RequeueQueueStalled"]
	require.True(t, ok)
	assert.Less(t, f.From, w.From+25*time.Minute)
}

// A warm standby has all objects in its queue and works off none, while the leader has nothing
// to do: no alarm. If nobody leads, it is one.
func TestRules_warmStandby(t *testing.T) {
	queue := func(leader bool) (samples []sample) {
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for at := begin; at.Before(begin.Add(time.Hour)); at = at.Add(scrapeInterval) {
			add := func(metric, instance string, value float64, more ...string) {
				l := labels.FromStrings(append(more, model.MetricNameLabel, metric, "namespace", "default",
					"job", "controller", "instance", instance, "controller", "promotions")...)
				samples = append(samples, sample{l, at, value})
			}
			if leader {
				add("controller_runtime_max_concurrent_reconciles", "controller-0", 2)
				add("workqueue_depth", "controller-0", 0, "name", "promotions")
				add("workqueue_work_duration_seconds_count", "controller-0", 200, "name", "promotions")
			}
			add("workqueue_depth", "controller-1", 50, "name", "promotions")
			add("workqueue_work_duration_seconds_count", "controller-1", 0, "name", "promotions")
		}
		return samples
	}
	assert.Empty(t, evaluateAll(t, queue(true)).fired)
	assert.Contains(t, evaluateAll(t, queue(false)).fired, "RequeueQueueStalled")
}

// What the rules tell a warm standby by: it has a queue, and no number of workers yet.
func TestRules_standbyOfControllerRuntime(t *testing.T) {
	// The metrics outlive the test. Another run of it needs another name.
	t.Run(strconv.FormatInt(time.Now().UnixNano(), 10), standbyOfControllerRuntime)
}

func standbyOfControllerRuntime(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	dq := deadlinequeue.For(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
		return reconcile.Result{}, nil
	}), deadlinequeue.Options[reconcile.Request]{})
	c, err := controller.NewTypedUnmanaged(t.Name(), controller.Options{
		Reconciler: dq, NewQueue: dq.NewQueue, EnableWarmup: new(true), SkipNameValidation: new(true),
		LogConstructor: func(*reconcile.Request) logr.Logger { return logr.Discard() },
	})
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: "one"}})
		return nil
	})))
	values := func(metric string) (values []float64) {
		for _, s := range scrape(t) {
			if s.labels.Get(model.MetricNameLabel) == metric && s.labels.Get("controller") == t.Name() {
				values = append(values, s.value)
			}
		}
		return values
	}

	require.NoError(t, c.(interface{ Warmup(context.Context) error }).Warmup(ctx))
	assert.Equal(t, []float64{1}, values("workqueue_depth"))
	assert.Empty(t, values("controller_runtime_max_concurrent_reconciles"))

	stop() // it starts, and ends
	require.NoError(t, c.Start(ctx))
	assert.Equal(t, []float64{1}, values("controller_runtime_max_concurrent_reconciles"))
}

// Is a busy controller polling or spinning? A poll every 5 minutes is no alarm, however many
// objects there are; one of 10 ms is, and the cause says that it is a poll.
func TestRules_spinning(t *testing.T) {
	w := shortRun()
	w.Objects, w.Slow, w.Spin = 10, w.Normal, 10*time.Millisecond
	e := evaluateAll(t, w.scrapes(t))
	f, ok := e.fired["RequeueSpinning"]
	require.True(t, ok)
	assert.Greater(t, f.From, w.From)
	assert.Less(t, f.From, w.From+15*time.Minute)
	assert.Less(t, f.To, w.To+10*time.Minute)
	assert.NotContains(t, e.fired, "RequeueDeadlinesLate")
	most := map[string]float64{}
	for _, c := range e.panels["Wake-ups of an object"] {
		most[c.Name] = slices.Max(c.Y)
	}
	t.Log(most)
	assert.Greater(t, most["poll"], 5.0)
	assert.Less(t, most["retry"], 0.1)
	assert.Less(t, most["deadline"], 0.1)

	w.Objects, w.Spin = 2000, 0
	assert.NotContains(t, evaluateAll(t, w.scrapes(t)).fired, "RequeueSpinning")
}

// More polls than can be made; deadlines are acted on all the same.
func TestRules_backlog(t *testing.T) {
	w := shortRun()
	w.Objects, w.Workers, w.Slow, w.To = 2000, 20, 4*time.Second, w.Length
	e := evaluateAll(t, w.scrapes(t))
	assert.Contains(t, e.fired, "RequeueBacklog")
}

// Prometheus 2 keeps a bucket's bound as "1", Prometheus 3 as "1.0".
func TestRules_bothFormsOfABound(t *testing.T) {
	w := shortRun()
	samples := w.scrapes(t)
	renamed := 0
	for i, s := range samples {
		if s.labels.Get("le") == "1.0" {
			samples[i].labels = labels.NewBuilder(s.labels).Set("le", "1").Labels()
			renamed++
		}
	}
	require.Positive(t, renamed)
	assert.Contains(t, evaluateAll(t, samples).fired, "RequeueDeadlinesLate")
}

func TestRules_say(t *testing.T) {
	rules, err := readRules(root)
	require.NoError(t, err)
	alerts := 0
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		alerts++
		for _, annotation := range []string{"summary", "description"} {
			assert.Regexp(t, `^\S.*\.$`, r.Annotations[annotation], "%s: no sentence", r.Alert)
		}
		assert.Contains(t, []string{"critical", "warning"}, r.Labels["severity"], r.Alert)
	}
	assert.Equal(t, 5, alerts)
}

// Each panel can be narrowed to a namespace, a job and a queue, and each but those of recorded
// series, which are sums of the instances, to an instance.
func TestDashboard_variables(t *testing.T) {
	board, err := readDashboard(root)
	require.NoError(t, err)
	var names []string
	for _, v := range board.Templating.List {
		names = append(names, v.Name)
	}
	assert.Equal(t, []string{"datasource", "namespace", "job", "instance", "name"}, names)
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			for _, name := range names[1:] {
				if name == "instance" && strings.Contains(target.Expr, "requeue:") {
					continue
				}
				assert.Contains(t, target.Expr, name+`=~"$`+name+`"`, p.Title)
			}
			assert.NotContains(t, fillIn(target.Expr), "$", p.Title)
		}
	}
}

func TestDashboard_panels(t *testing.T) {
	board, err := readDashboard(root)
	require.NoError(t, err)
	require.NotEmpty(t, board.Panels)
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range board.Panels {
		assert.NotEmpty(t, p.Title)
		assert.NotEmpty(t, p.Description, p.Title)
		assert.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		assert.NotEmpty(t, p.Targets, p.Title)
		assert.False(t, ids[p.ID], "%s: id %d twice", p.Title, p.ID)
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s covers another", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
	}
}
