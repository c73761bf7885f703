package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/requeue-go/requeue"
)

// What is in the folder monitoring.
const (
	rulesFile     = "monitoring/rules.yaml"
	dashboardFile = "monitoring/dashboard.json"
)

// watched is what the dashboard shows, and which alerts fire, of a controller whose
// reconciles take long for a while.
type watched struct {
	Objects, Workers int
	From, To         time.Duration // of the trouble
	Length           time.Duration
	Normal, Slow     time.Duration // of a reconcile
	Poll, Spin       time.Duration // the interval, and in trouble; 0: no other
	Lateness         []curve       // of the panel of that name
	Fired            map[string]firing
	Samples          int
}

// curve is one line of a panel.
type curve struct {
	Name string
	X, Y []float64 // seconds since the start, value
}

// firing is when an alert first fired, and when it last did.
type firing struct{ From, To time.Duration }

var watchedRun = watched{
	Objects: 100, Workers: 2, From: 2 * time.Hour, To: 2*time.Hour + 20*time.Minute, Length: 4 * time.Hour,
	Normal: 20 * time.Millisecond, Slow: 1500 * time.Millisecond, Poll: 5 * time.Minute,
}

// scrapeInterval is Prometheus's default.
const scrapeInterval = 15 * time.Second

func measureMonitoring(m *measuring) watched {
	w := watchedRun
	m.say("running the controller")
	samples := w.scrapes(m.T)
	m.say("evaluating %d samples", len(samples))
	e, err := evaluate(m.T.TempDir(), cloneRoot(), samples)
	if err != nil {
		m.Fatal(err)
	}
	defer e.close()
	w.Samples, w.Fired, w.Lateness = len(samples), e.fired, e.panels["Lateness of deadlines"]
	return w
}

// cloneRoot is where the command was started; see the flag -root.
func cloneRoot() string {
	if dir := os.Getenv(rootEnv); dir != "" {
		return dir
	}
	return "."
}

// sample is one value of one scrape.
type sample struct {
	labels labels.Labels
	at     time.Time
	value  float64
}

// scrapes runs a controller with deadlinequeue on objects with a deadline a minute away
// on average, in virtual time, and reads its metrics as Prometheus would.
func (w watched) scrapes(t *testing.T) (samples []sample) {
	t.Helper()
	var mu sync.Mutex
	deadlines := map[string]time.Time{}
	draws := rand.New(rand.NewPCG(1, 1))
	next := func() time.Time {
		return time.Now().Add(time.Duration(draws.ExpFloat64() * float64(time.Minute)))
	}
	var began time.Time
	arrive := func(create func(name string)) {
		mu.Lock()
		began = time.Now()
		for i := range w.Objects {
			deadlines[strconv.Itoa(i)] = next()
		}
		mu.Unlock()
		for i := range w.Objects {
			create(strconv.Itoa(i))
		}
		for time.Since(began) < w.Length-scrapeInterval {
			time.Sleep(scrapeInterval)
			samples = append(samples, scrape(t)...)
		}
	}
	inVirtualTime(t, w.Length, w.Workers, true, arrive, func(ctx context.Context, name string, _ func()) (time.Duration, error) {
		mu.Lock()
		trouble := time.Since(began) >= w.From && time.Since(began) < w.To
		mu.Unlock()
		took, poll := w.Normal, w.Poll
		if trouble {
			took, poll = w.Slow, cmp.Or(w.Spin, w.Poll)
		}
		time.Sleep(took)
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if !now.Before(deadlines[name]) {
			deadlines[name] = next()
		}
		return tell(ctx, requeue.From(now).Every(poll).Deadline(deadlines[name])), nil
	})
	return samples
}

// scrape reads the metrics of controller-runtime's registry, but for those of queues that
// other tests have run.
func scrape(t *testing.T) (samples []sample) {
	t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			base := map[string]string{"job": "controller", "namespace": "default", "instance": "controller-0"}
			for _, l := range m.GetLabel() {
				base[l.GetName()] = l.GetValue()
			}
			if name, ok := base["name"]; ok && name != t.Name() {
				continue
			}
			add := func(suffix string, value float64, more ...string) {
				b := labels.NewBuilder(labels.FromMap(base)).Set(model.MetricNameLabel, f.GetName()+suffix)
				for i := 0; i < len(more); i += 2 {
					b.Set(more[i], more[i+1])
				}
				samples = append(samples, sample{b.Labels(), now, value})
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				add("", m.GetCounter().GetValue())
			case dto.MetricType_GAUGE:
				add("", m.GetGauge().GetValue())
			case dto.MetricType_HISTOGRAM:
				h := m.GetHistogram()
				for _, b := range h.GetBucket() {
					add("_bucket", float64(b.GetCumulativeCount()), "le", labels.FormatOpenMetricsFloat(b.GetUpperBound()))
				}
				add("_bucket", float64(h.GetSampleCount()), "le", "+Inf")
				add("_sum", h.GetSampleSum())
				add("_count", float64(h.GetSampleCount()))
			default: // not of a queue
			}
		}
	}
	return samples
}

// evaluated is what rules and dashboard make of the samples.
type evaluated struct {
	db     *tsdb.DB
	fired  map[string]firing
	panels map[string][]curve // by title
}

func (e *evaluated) close() { _ = e.db.Close() }

// ruleInterval is Prometheus's default.
const ruleInterval = time.Minute

// evaluate has Prometheus's own engine evaluate the rules every minute and then all
// panels of the dashboard.
func evaluate(dir, root string, samples []sample) (*evaluated, error) {
	options := tsdb.DefaultOptions()
	options.OutOfOrderTimeWindow = (24 * time.Hour).Milliseconds() // rules come after all samples
	db, err := tsdb.Open(dir, nil, nil, options, nil)
	if err != nil {
		return nil, err
	}
	e := &evaluated{db: db, fired: map[string]firing{}, panels: map[string][]curve{}}
	if err := e.load(samples); err != nil {
		return nil, err
	}
	rules, err := readRules(root)
	if err != nil {
		return nil, err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	first, last := samples[0].at, samples[len(samples)-1].at
	if err := e.runRules(engine, rules, first, last); err != nil {
		return nil, err
	}
	board, err := readDashboard(root)
	if err != nil {
		return nil, err
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			curves, err := e.rangeOf(engine, fillIn(target.Expr), first, last)
			if err != nil {
				return nil, fmt.Errorf("panel %q: %w", p.Title, err)
			}
			for _, c := range curves {
				c.Name = strings.NewReplacer("{{name}} ", "", "{{cause}}", c.Name).Replace(target.LegendFormat)
				e.panels[p.Title] = append(e.panels[p.Title], c)
			}
		}
	}
	return e, nil
}

func (e *evaluated) load(samples []sample) error {
	appender := e.db.Appender(context.Background())
	for _, s := range samples {
		if _, err := appender.Append(0, s.labels, s.at.UnixMilli(), s.value); err != nil {
			return err
		}
	}
	return appender.Commit()
}

// readRules reads the rules as Prometheus does.
func readRules(root string) ([]rulefmt.Rule, error) {
	groups, errs := rulefmt.ParseFile(filepath.Join(root, rulesFile), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		return nil, errs[0]
	}
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules, nil
}

func (e *evaluated) runRules(engine *promql.Engine, rules []rulefmt.Rule, first, last time.Time) error {
	pending := map[string]time.Time{}
	for at := first; !at.After(last); at = at.Add(ruleInterval) {
		for _, r := range rules {
			vector, err := e.instant(engine, r.Expr, at)
			if err != nil {
				return fmt.Errorf("%s%s: %w", r.Record, r.Alert, err)
			}
			if r.Record != "" {
				var recorded []sample
				for _, s := range vector {
					l := labels.NewBuilder(s.Metric).Set(model.MetricNameLabel, r.Record).Labels()
					recorded = append(recorded, sample{l, at, s.F})
				}
				if err := e.load(recorded); err != nil {
					return err
				}
				continue
			}
			if len(vector) == 0 {
				delete(pending, r.Alert)
				continue
			}
			since, ok := pending[r.Alert]
			if !ok {
				since = at
				pending[r.Alert] = at
			}
			if at.Sub(since) < time.Duration(r.For) {
				continue
			}
			f, ok := e.fired[r.Alert]
			if !ok {
				f.From = at.Sub(first)
			}
			f.To = at.Sub(first)
			e.fired[r.Alert] = f
		}
	}
	return nil
}

func (e *evaluated) instant(engine *promql.Engine, expr string, at time.Time) (found promql.Vector, err error) {
	q, err := engine.NewInstantQuery(context.Background(), e.db, nil, expr, at)
	err = ask(q, err, func(result *promql.Result) error {
		v, err := result.Vector()
		found = slices.Clone(v)
		return err
	})
	return found, err
}

func (e *evaluated) rangeOf(engine *promql.Engine, expr string, from, to time.Time) (curves []curve, err error) {
	q, err := engine.NewRangeQuery(context.Background(), e.db, nil, expr, from, to, time.Minute)
	err = ask(q, err, func(result *promql.Result) error {
		matrix, err := result.Matrix()
		for _, s := range matrix {
			c := curve{Name: s.Metric.Get("cause")}
			for _, point := range s.Floats {
				if !math.IsNaN(point.F) { // nothing to count
					c.X = append(c.X, float64(point.T-from.UnixMilli())/1000)
					c.Y = append(c.Y, point.F)
				}
			}
			if c.X != nil {
				curves = append(curves, c)
			}
		}
		return err
	})
	return curves, err
}

// ask runs a query, unless it could not be made. The result is gone with the query: read
// copies what it needs.
func ask(q promql.Query, err error, read func(*promql.Result) error) error {
	if err != nil {
		return err
	}
	defer q.Close()
	result := q.Exec(context.Background())
	if result.Err != nil {
		return result.Err
	}
	return read(result)
}

// dashboard is what matters here of Grafana's format.
type dashboard struct {
	Title  string
	Panels []struct {
		ID                       int
		Title, Description, Type string
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct{ RefID, Expr, LegendFormat string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readDashboard(root string) (d dashboard, err error) {
	data, err := os.ReadFile(filepath.Join(root, dashboardFile))
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("%s: %w", dashboardFile, err)
	}
	return d, nil
}

// fillIn does what Grafana does with its variables.
func fillIn(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h",
		"$namespace", ".*", "$job", ".*", "$instance", ".*", "$name", ".*").Replace(expr)
}

func (w watched) show() shown {
	s := shown{values: map[string]string{
		"objects": whole(w.Objects), "workers": whole(w.Workers), "normal": w.Normal.String(), "slow": w.Slow.String(),
		"from": spanOf(w.From), "trouble": spanOf(w.To - w.From), "samples": whole(w.Samples),
	}}
	var rows [][]string
	for _, alert := range []string{"RequeueDeadlinesLate", "RequeueDeadlinesLateSlowBurn", "RequeueSpinning", "RequeueQueueStalled", "RequeueBacklog"} {
		row := []string{"`" + alert + "`", "", ""}
		if f, ok := w.Fired[alert]; ok {
			row[1], row[2] = spanOf(f.From-w.From), spanOf(f.To-w.To)
		} else {
			row[1], row[2] = "did not fire", ""
		}
		rows = append(rows, row)
	}
	s.values["alerts"] = table([]string{"alert", "fires so long after the trouble began", "and until so long after its end"}, rows...)
	p := panel{Title: "Lateness of deadlines", X: "minutes", Y: "seconds, logarithmic", LogY: true}
	for _, c := range w.Lateness {
		line := series{Name: c.Name}
		for i := range c.X {
			line.X = append(line.X, c.X[i]/60)
			line.Y = append(line.Y, max(c.Y[i], 1e-3))
		}
		p.Lines = append(p.Lines, line)
	}
	objective := series{Name: "objective: p99 below 1 s", X: []float64{0, w.Length.Minutes()}, Y: []float64{1, 1}}
	p.Lines = append(p.Lines, objective)
	s.figures = []figure{{Name: "monitoring", Panels: []panel{p}, Width: 2}}
	return s
}
