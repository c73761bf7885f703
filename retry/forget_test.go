package retry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
)

// Forget leaves nothing of a key, and Tell of a plan without a deadline keeps nothing.
func TestLimiter_forgets(t *testing.T) {
	now := time.Now()
	l := New[int](Options{})
	for k := range 1000 {
		l.Tell(k, requeue.From(now).Deadline(now.Add(time.Millisecond)).NotBefore(now.Add(time.Hour)))
		l.When(k)
		l.Forget(k)
		l.Tell(k, requeue.From(now).Every(time.Minute))
	}
	assert.Empty(t, l.keys)
	assert.Equal(t, 5*time.Millisecond, l.When(1))
}
