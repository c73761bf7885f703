package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

func TestMain(m *testing.M) {
	if Child() {
		return
	}
	os.Exit(m.Run())
}

func ExampleAll() {
	for _, s := range All() {
		fmt.Println(s.Name)
	}
	// Output:
	// leader
	// stopped
	// apiserver
	// network
	// clock
	// backlog
}

func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			began := time.Now()
			r, err := s.Run(t.Context(), scaleOfTest(), func(text string) { t.Logf("%6.2fs %s", time.Since(began).Seconds(), text) })
			t.Logf("%+v", r)
			require.NoError(t, err)
			for kind, n := range r.Faults {
				assert.Positive(t, n, kind)
			}
			assert.NotEmpty(t, r.Faults)
			assert.Positive(t, r.Finished)
			assert.Positive(t, r.Moved)
			left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

// scaleOfTest is small, unless somebody wants to see the large one.
func scaleOfTest() Scale {
	if os.Getenv("FAULTS") == "large" {
		return Large()
	}
	return Small()
}

func TestScenarios_cancelled(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server, which -short does without")
	}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			_, err := s.Run(ctx, Small(), func(string) { cancel() })
			require.ErrorIs(t, err, context.Canceled)
			left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
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
