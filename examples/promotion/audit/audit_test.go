package audit_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/requeue-go/requeue/examples/promotion/audit"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// promotion has a step that has started at start; with a timeout, if that is not "".
func promotion(name string, version int, phase, timeout string) *v1alpha1.Promotion {
	p := &v1alpha1.Promotion{ObjectMeta: metav1.ObjectMeta{Namespace: "here", Name: name, ResourceVersion: strconv.Itoa(version)}}
	if version == 0 {
		p.ResourceVersion = "" // as it is created
	}
	p.Spec.Steps = []v1alpha1.PromotionStep{{Retry: &v1alpha1.PromotionStepRetry{Timeout: timeout}}}
	p.Status.Phase = phase
	p.Status.StartedAt = &metav1.Time{Time: start}
	p.Status.StepExecutionMetadata = []v1alpha1.StepExecutionMetadata{{StartedAt: &metav1.Time{Time: start}}}
	return p
}

func Example() {
	var a audit.Audit
	a.Observe(promotion("p", 1, v1alpha1.PhaseRunning, "5m"), start)
	a.Observe(promotion("p", 2, v1alpha1.PhaseFailed, "5m"), start.Add(5*time.Minute+7*time.Millisecond))
	c := audit.CountOf(a.Entries())
	fmt.Println("due", c.Due, "met", c.Met, "late", c.LateAt(1))
	a.Observe(promotion("p", 3, v1alpha1.PhaseFailed, "5m"), start.Add(6*time.Minute))
	c = audit.CountOf(a.Entries())
	fmt.Println("due", c.Due, "met", c.Met, "doubled", c.Doubled)
	// Output:
	// due 1 met 1 late 7ms
	// due 1 met 0 doubled 1
}

func TestCountOf(t *testing.T) {
	const running, failed, succeeded = v1alpha1.PhaseRunning, v1alpha1.PhaseFailed, v1alpha1.PhaseSucceeded
	type seen struct {
		at             time.Duration
		phase, timeout string
	}
	for name, tt := range map[string]struct {
		seen []seen
		want audit.Count
	}{
		"met":             {[]seen{{0, running, "5m"}, {5 * time.Minute, failed, "5m"}}, audit.Count{Due: 1, Met: 1, Late: []time.Duration{0}}},
		"late":            {[]seen{{0, running, "5m"}, {6 * time.Minute, failed, "5m"}}, audit.Count{Due: 1, Met: 1, Late: []time.Duration{time.Minute}}},
		"lost":            {[]seen{{0, running, "5m"}}, audit.Count{Due: 1, Lost: 1}},
		"early":           {[]seen{{0, running, "5m"}, {299 * time.Second, failed, "5m"}}, audit.Count{Due: 1, Early: 1, Late: []time.Duration{-time.Second}}},
		"doubled":         {[]seen{{0, running, "5m"}, {5 * time.Minute, failed, "5m"}, {5 * time.Minute, failed, "5m"}}, audit.Count{Due: 1, Doubled: 1, Late: []time.Duration{0}}},
		"started again":   {[]seen{{5 * time.Minute, failed, "5m"}, {6 * time.Minute, running, "5m"}}, audit.Count{Due: 1, Doubled: 1, Late: []time.Duration{0}}},
		"finished":        {[]seen{{0, running, "5m"}, {time.Minute, succeeded, "5m"}}, audit.Count{}},
		"finished late":   {[]seen{{0, running, "5m"}, {6 * time.Minute, succeeded, "5m"}}, audit.Count{Due: 1, Lost: 1}},
		"finished failed": {[]seen{{time.Minute, succeeded, "5m"}, {6 * time.Minute, failed, "5m"}}, audit.Count{Early: 1}},
		"moved":           {[]seen{{0, running, "5m"}, {0, running, "7m"}, {7 * time.Minute, failed, "7m"}}, audit.Count{Due: 1, Met: 1, Late: []time.Duration{0}}},
		"moved, early":    {[]seen{{0, running, "5m"}, {0, running, "7m"}, {5 * time.Minute, failed, "7m"}}, audit.Count{Due: 1, Early: 1, Late: []time.Duration{-2 * time.Minute}}},
		"no deadline":     {[]seen{{0, running, ""}}, audit.Count{}},
	} {
		t.Run(name, func(t *testing.T) {
			var a audit.Audit
			for i, s := range tt.seen {
				for range 2 { // as by a list and by a watch
					a.Observe(promotion("p", i+1, s.phase, s.timeout), start.Add(s.at))
				}
			}
			got := audit.CountOf(a.Entries())
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.want.Lost+tt.want.Doubled+tt.want.Early, got.Wrong())
		})
	}
}

func TestCountOf_gone(t *testing.T) {
	var a audit.Audit
	a.Observe(promotion("p", 1, v1alpha1.PhaseFailed, "5m"), start.Add(5*time.Minute))
	a.Delete("p")
	assert.Equal(t, 1, audit.CountOf(a.Entries()).Lost)
}

func TestCount_LateAt(t *testing.T) {
	assert.Zero(t, audit.Count{}.LateAt(0.5))
	c := audit.Count{Late: []time.Duration{1, 2, 3, 4}}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 2, 0.51: 3, 0.99: 4, 1: 4} {
		assert.Equal(t, want, c.LateAt(q), q)
	}
}

func TestAudit_Observe_outOfOrder(t *testing.T) {
	var a audit.Audit
	a.Observe(promotion("p", 10, v1alpha1.PhaseFailed, "5m"), start.Add(5*time.Minute))
	a.Observe(promotion("p", 9, v1alpha1.PhaseRunning, "5m"), start.Add(6*time.Minute))
	assert.Equal(t, 1, audit.CountOf(a.Entries()).Met)
}

func TestAudit_FailedOrder(t *testing.T) {
	var a audit.Audit
	for i, name := range []string{"b", "c", "a"} {
		a.Observe(promotion(name, i+1, v1alpha1.PhaseFailed, "5m"), start)
	}
	var order []int
	for _, e := range a.Entries() {
		order = append(order, e.FailedOrder)
	}
	assert.Equal(t, []int{3, 1, 2}, order, "of a, b and c")
}

func TestAudit_Watch(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	there := promotion("there", 1, v1alpha1.PhaseRunning, "5m")
	watching := make(chan struct{}, 1)
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(there).WithInterceptorFuncs(interceptor.Funcs{
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			w, err := c.Watch(ctx, list, opts...)
			watching <- struct{}{}
			return w, err
		},
	}).Build()
	changes := make(chan audit.Entry, 100)
	a := audit.Audit{Changed: func(e audit.Entry) { changes <- e }}
	a.Observe(promotion("before", 1, v1alpha1.PhaseRunning, "5m"), start)
	assert.Equal(t, "before", (<-changes).Name)

	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { a.Watch(ctx, c, "here"); close(stopped) }()
	e := <-changes
	assert.Equal(t, "there", e.Name)
	assert.False(t, e.StartedAt.IsZero())
	assert.True(t, e.Deadline.Equal(start.Add(5*time.Minute)), e.Deadline)
	e = <-changes
	assert.Equal(t, "before", e.Name)
	assert.True(t, e.Gone, "not in the list")

	<-watching
	require.NoError(t, c.Create(t.Context(), promotion("new", 0, v1alpha1.PhaseFailed, "5m")))
	e = <-changes
	assert.Equal(t, "new", e.Name)
	assert.Equal(t, 1, e.FailedOrder)
	require.NoError(t, c.Delete(t.Context(), there))
	e = <-changes
	assert.Equal(t, "there", e.Name)
	assert.True(t, e.Gone)
	cancel()
	<-stopped
}
