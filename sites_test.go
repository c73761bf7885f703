package requeue_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/requeue-go/requeue"
)

// site is what a public controller computes by hand, and the right answer. All
// instants are offsets from t0.
type site struct {
	Name, Site string
	Every      duration
	Timeouts   [][2]*duration // start (null: not started) and timeout
	Deadlines  []duration
	Upcoming   []duration
	NotBefore  *duration `json:"not_before"`
	Now        duration
	Want       duration
	Cause      string
}

type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

func TestSites(t *testing.T) {
	data, err := os.ReadFile("testdata/sites.json")
	require.NoError(t, err)
	var file struct {
		T0    time.Time
		Cases []site
	}
	require.NoError(t, json.Unmarshal(data, &file))
	require.NotEmpty(t, file.Cases)

	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			at := func(d duration) time.Time { return file.T0.Add(time.Duration(d)) }
			start := func(d *duration) time.Time {
				if d == nil {
					return time.Time{}
				}
				return at(*d)
			}
			plan := requeue.From(at(c.Now)).Every(time.Duration(c.Every))
			for _, timeout := range c.Timeouts {
				plan = plan.Timeout(start(timeout[0]), time.Duration(*timeout[1]))
			}
			for _, d := range c.Deadlines {
				plan = plan.Deadline(at(d))
			}
			for _, d := range c.Upcoming {
				plan = plan.Upcoming(at(d))
			}
			if c.NotBefore != nil {
				plan = plan.NotBefore(at(*c.NotBefore))
			}
			got := plan.Decide()
			require.Equal(t, time.Duration(c.Want), got.After)
			require.Equal(t, c.Cause, got.Cause.String())

			if len(c.Timeouts) == 1 && len(c.Deadlines)+len(c.Upcoming) == 0 && c.NotBefore == nil {
				now := requeue.ClockFunc(func() time.Time { return at(c.Now) })
				require.Equal(t, time.Duration(c.Want), requeue.NextRequeue(
					start(c.Timeouts[0][0]), time.Duration(*c.Timeouts[0][1]), time.Duration(c.Every), now))
			}
		})
	}
}
