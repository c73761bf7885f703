package plan_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/requeue-go/requeue"
)

// What the API server makes of a time: whole seconds, UTC, no monotonic reading.
func TestTimeOf_roundTripOfAnAPITime(t *testing.T) {
	kept := metav1.Now()
	data, err := json.Marshal(&kept)
	require.NoError(t, err)
	var persisted metav1.Time
	require.NoError(t, json.Unmarshal(data, &persisted))

	got := requeue.TimeOf(&persisted)
	assert.Equal(t, kept.Truncate(time.Second).UTC(), got)
	early := kept.Sub(got)
	assert.GreaterOrEqual(t, early, time.Duration(0), "cut, so never later than it was")
	assert.Less(t, early, time.Second)

	// Both give the same deadline, to that second.
	now := kept.Add(time.Minute)
	fromKept := requeue.From(now).Timeout(requeue.TimeOf(&kept), 5*time.Minute).After()
	fromPersisted := requeue.From(now).Timeout(got, 5*time.Minute).After()
	assert.Equal(t, 4*time.Minute, fromKept)
	assert.Equal(t, early, fromKept-fromPersisted)

	micro := metav1.NewMicroTime(kept.Time)
	assert.Equal(t, kept.Round(0).UTC(), requeue.TimeOf(&micro))
}

func TestTimeOf_nilAPITime(t *testing.T) {
	var none *metav1.Time
	var noneMicro *metav1.MicroTime
	assert.Zero(t, requeue.TimeOf(none))
	assert.Zero(t, requeue.TimeOf(noneMicro))
	assert.Zero(t, requeue.TimeOf(&metav1.Time{}))
	assert.Equal(t, time.Minute, requeue.NextRequeue(requeue.TimeOf(none), time.Second, time.Minute, nil), "not started")
	assert.False(t, requeue.Expired(requeue.TimeOf(none), time.Second, nil))
}
