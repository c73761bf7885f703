// Package faults breaks what a controller with deadlines stands on, and counts what
// became of the deadlines: real processes are killed (kill -9), a real API server goes
// away, requests fail, and the clock is set. The controller is that of
// examples/promotion, and what coordinates several of it is Kubernetes (a Lease, the watch,
// the status with its resourceVersion).
//
// Who counts is an independent watch on the API server (package audit), which goes past
// what is broken. Each scenario has a bound for how late a deadline may be, which is the sum
// of what was broken for so long and of how the clients of Kubernetes come back from it.
// Lost is a deadline on which nobody has acted when that time is over, counted from when it
// passed or from when everything was back, whichever is later.
package faults

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/process"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

// parts are what this program executes itself for.
var parts = map[string]process.Part{"controller": runController, "server": runServer}

func TestMain(m *testing.M) {
	if process.Main(parts) {
		return
	}
	process.SetLogger(false)
	os.Exit(m.Run())
}

// Scale is how large a scenario is.
type Scale struct {
	// Promotions is how many have a deadline that comes to pass. A fifth more have none,
	// as they finish before.
	Promotions int
	// Spread is from the first deadline to the last.
	Spread time.Duration
	// Times is how often that is killed which is killed.
	Times int
	// Down is for how long the API server is away each time.
	Down time.Duration
	// Cuts is how often the watches are cut.
	Cuts int
}

// At the small scale, of a test, a scenario takes no more than 15 s; at the large one, of a
// measurement, no more than a minute.
var (
	small = Scale{Promotions: 20, Spread: 3 * time.Second, Times: 1, Down: time.Second, Cuts: 1}
	large = Scale{Promotions: 200, Spread: 24 * time.Second, Times: 3, Down: 3 * time.Second, Cuts: 2}
)

// A scenario injects one kind of fault and counts.
type scenario func(ctx context.Context, s Scale, progress func(string)) (Report, error)

var scenarios = []struct {
	name, title string
	run         scenario
}{
	{"leader", "the leading controller is killed (kill -9), a standby takes over", runKilled},
	{"stopped", "the leading controller is stopped (SIGSTOP), and goes on beside the next", runStopped},
	{"apiserver", "API server and etcd are killed (kill -9), and started again", runAPIServer},
	{"network", "requests are delayed by 1 s, dropped, answered with 409 or 500, watches lag and are cut", runNetwork},
	{"clock", "the wall clock is set back by an hour, forward again, and forward by another", runClock},
	{"backlog", "a controller is started after 3 h", runBacklog},
}

// Each scenario meets all deadlines. go run ./internal/bench -run faults has it do so at the
// large scale, and tells what came of each.
func TestMeasure(t *testing.T) {
	t.Run("faults", func(t *testing.T) {
		scale := small
		if os.Getenv("REQUEUE_BENCH") != "" {
			scale = large
		}
		// A signal ends all scenarios, so that they remove what they have made.
		ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		reports := make([]Report, len(scenarios))
		inAll(t, func(t *testing.T, i int, run scenario) {
			began := time.Now()
			r, err := run(ctx, scale, func(text string) { t.Logf("%6.2fs %s", time.Since(began).Seconds(), text) })
			t.Logf("%+v", r)
			require.NoError(t, err)
			require.NoError(t, r.Check())
			for kind, n := range r.Faults {
				assert.Positive(t, n, kind)
			}
			assert.NotEmpty(t, r.Faults)
			assert.Positive(t, r.Finished)
			assert.Positive(t, r.Moved)
			reports[i] = r
		})
		for i, s := range scenarios {
			data, err := json.Marshal(map[string]any{"Of": []string{s.name, s.title, reports[i].injected()}, "Values": reports[i].values()})
			require.NoError(t, err)
			t.Attr("row", string(data))
		}
	})
}

// inAll runs a test in each scenario, some at a time, and checks that nothing is left of them.
func inAll(t *testing.T, test func(t *testing.T, i int, run scenario)) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Run("each", func(t *testing.T) {
		for i, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				test(t, i, s.run)
			})
		}
	})
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestScenarios_cancelled(t *testing.T) {
	inAll(t, func(t *testing.T, _ int, run scenario) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := run(ctx, small, func(string) { cancel() })
		require.ErrorIs(t, err, context.Canceled)
	})
}

// What the audit sees of one promotion decides what the report says, and whether that is a
// good one.
func TestReport_Check(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const bound = 3 * time.Second
	type seen struct {
		at    time.Duration
		phase string
	}
	running, failed := seen{0, v1alpha1.PhaseRunning}, func(at time.Duration) seen { return seen{at, v1alpha1.PhaseFailed} }
	for name, tt := range map[string]struct {
		seen []seen
		want string
	}{
		"met":      {[]seen{running, failed(6 * time.Second)}, ""},
		"lost":     {[]seen{running}, "of 1 deadlines 0 were met, 1 lost, 0 doubled, 0 early"},
		"doubled":  {[]seen{running, failed(6 * time.Second), failed(7 * time.Second)}, "of 1 deadlines 0 were met, 0 lost, 1 doubled, 0 early"},
		"early":    {[]seen{running, failed(4 * time.Second)}, "of 1 deadlines 0 were met, 0 lost, 0 doubled, 1 early"},
		"late":     {[]seen{running, failed(9 * time.Second)}, "a deadline was 4.000 s late; want 3.000 s at most"},
		"finished": {[]seen{running, {time.Second, v1alpha1.PhaseSucceeded}, failed(6 * time.Second)}, "no deadline was due\nof 0 deadlines 0 were met, 0 lost, 0 doubled, 1 early"},
	} {
		t.Run(name, func(t *testing.T) {
			var a audit.Audit
			for i, s := range tt.seen {
				p := newPromotion("p", 5*time.Second)
				p.ResourceVersion, p.Status.Phase = strconv.Itoa(i+1), s.phase
				p.Status.StepExecutionMetadata = []v1alpha1.StepExecutionMetadata{{StartedAt: new(metav1.NewTime(begin))}}
				a.Observe(p, begin.Add(s.at))
			}
			err := newReport(nil, audit.CountOf(a.Entries()), bound).Check()
			if tt.want == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tt.want)
			}
		})
	}
	assert.EqualError(t, Report{Due: 32, Met: 32, Inversions: 4}.Check(), "4 were acted on right after one with a later deadline; want 3 at most")
	assert.NoError(t, Report{Due: 32, Met: 32, Inversions: 3}.Check())
}

func TestInversions(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	entry := func(order int, deadline time.Duration) audit.Entry {
		return audit.Entry{FailedAt: at, FailedOrder: order, Deadline: at.Add(deadline)}
	}
	assert.Zero(t, inversions([]audit.Entry{entry(2, 2), entry(1, 1), entry(3, 2), {Deadline: at}}))
	assert.Equal(t, 1, inversions([]audit.Entry{entry(1, 1), entry(2, 3), entry(3, 2)}))
}

func TestKindOf(t *testing.T) {
	for _, n := range []int{20, 200} {
		count := map[kind]int{}
		for i := range total(n) {
			count[kindOf(i)]++
		}
		assert.Equal(t, n, count[due]+count[later]+count[sooner])
		assert.Positive(t, count[later]*count[sooner])
	}
}

func TestSteppedClock(t *testing.T) {
	c := newSteppedClock(time.Now())
	before := c.Now()
	c.step(-time.Hour)
	now := c.Now()
	assert.GreaterOrEqual(t, now.Sub(before), time.Duration(0), "monotonic")
	assert.Less(t, now.Round(0).Sub(before.Round(0)), -59*time.Minute, "wall")
}

func TestSteppedClock_due(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	c := &steppedClock{eras: []era{{start, 0}, {at(10), -time.Hour}, {at(20), 0}, {at(30), time.Hour}}}
	for _, tt := range []struct{ started, deadline, want int }{
		{1, 5, 5},
		{1, 15, 20}, // not while the clock is back
		{1, 25, 25},
		{1, 35, 30}, // at once, with the hour
		{1, 3625, 30},
		{1, 3640, 40},
		{12, 15 - 3600, 15}, // started while it was back
		{12, 25 - 3600, 20},
		{12, 25, 25},
	} {
		got := c.due(audit.Entry{StartedAt: at(tt.started), Deadline: at(tt.deadline)})
		assert.Equal(t, at(tt.want), got, "%+v", tt)
	}
}
