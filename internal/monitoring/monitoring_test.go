// Package monitoring tests the rules and the dashboard of monitoring/.
package monitoring

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// What the rules say is tested by promtool, on series by hand (monitoring/rules_test.yaml).
// Here is what these series and the dashboard take for granted.

const root = "../.." // of the clone

// metrics are the values by the name of each metric, of those with the label.
func metrics(t *testing.T, label, value string) map[string][]float64 {
	t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	require.NoError(t, err)
	found := map[string][]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					found[f.GetName()] = append(found[f.GetName()], m.GetGauge().GetValue())
				}
			}
		}
	}
	return found
}

// What the rules tell a warm standby by: it has a queue, and no number of workers yet. And
// each metric that the rules and the dashboard name is one of such a controller, or is recorded.
func TestMonitoring_metrics(t *testing.T) {
	// The metrics outlive the test. Another run of it needs another name.
	name := t.Name() + strconv.FormatInt(time.Now().UnixNano(), 10)
	ctx, stop := context.WithCancel(t.Context())
	dq := deadlinequeue.For(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
		return reconcile.Result{}, nil
	}), deadlinequeue.Options[reconcile.Request]{})
	c, err := controller.NewTypedUnmanaged(name, controller.Options{
		Reconciler: dq, NewQueue: dq.NewQueue, EnableWarmup: new(true), SkipNameValidation: new(true),
		LogConstructor: func(*reconcile.Request) logr.Logger { return logr.Discard() },
	})
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: "one"}})
		return nil
	})))
	const depth, workers = "workqueue_depth", "controller_runtime_max_concurrent_reconciles"
	require.NoError(t, c.(interface{ Warmup(context.Context) error }).Warmup(ctx))
	assert.Equal(t, []float64{1}, metrics(t, "controller", name)[depth])
	assert.NotContains(t, metrics(t, "controller", name), workers)

	known := metrics(t, "name", name) // those of a queue end with it
	stop()                            // it starts, and ends
	require.NoError(t, c.Start(ctx))
	assert.Equal(t, []float64{1}, metrics(t, "controller", name)[workers])

	for metric, values := range metrics(t, "controller", name) {
		known[metric] = values
	}
	rules, err := os.ReadFile(filepath.Join(root, "monitoring/rules.yaml"))
	require.NoError(t, err)
	dashboard, err := os.ReadFile(filepath.Join(root, "monitoring/dashboard.json"))
	require.NoError(t, err)
	named := regexp.MustCompile(`\b(requeue|workqueue|controller_runtime)(:|_)[a-z0-9_:]+[{\[]`).FindAllString(string(rules)+string(dashboard), -1)
	require.Greater(t, len(named), 20)
	for _, metric := range named {
		metric = strings.TrimRight(metric, "{[")
		if strings.Contains(metric, ":") {
			assert.Contains(t, string(rules), "record: "+metric+"\n")
			continue
		}
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			metric = strings.TrimSuffix(metric, suffix)
		}
		assert.NotNil(t, known[metric], metric)
	}
}

// Each panel can be narrowed to a namespace, a job and a queue, and each but those of recorded
// series, which are sums of the instances, to an instance. None covers another.
func TestMonitoring_dashboard(t *testing.T) {
	var board struct {
		Panels []struct {
			ID                 int
			Title, Description string
			GridPos            struct{ X, Y, W, H int }
			FieldConfig        struct{ Defaults struct{ Unit string } }
			Targets            []struct{ Expr string }
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "monitoring/dashboard.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &board))
	require.NotEmpty(t, board.Panels)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		assert.NotEmpty(t, p.Title)
		assert.NotEmpty(t, p.Description, p.Title)
		assert.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		assert.NotEmpty(t, p.Targets, p.Title)
		assert.False(t, ids[p.ID], "%s: id %d twice", p.Title, p.ID)
		ids[p.ID] = true
		for _, target := range p.Targets {
			for _, name := range []string{"namespace", "job", "instance", "name"} {
				if name != "instance" || !strings.Contains(target.Expr, "requeue:") {
					assert.Contains(t, target.Expr, name+`=~"$`+name+`"`, p.Title)
				}
			}
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s covers another", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
	}
}
