package requeuelint

import (
	"fmt"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

var rq001 = Rule{
	Code: "RQ001",
	Doc:  "a wait that can be zero or negative, which controller-runtime drops and client-go takes for now",
	run: func(c *code) {
		for _, w := range c.waits() {
			if w.Stale && !w.slow() {
				continue // RQ003
			}
			pos, end := c.place(w.at())
			c.report(finding{
				pos: pos, end: end, fixes: c.fixWait(w),
				cause:       fmt.Sprintf("%s %s (%s)%s", w.Name, canBe(w), c.made(w), c.unchecked(w)),
				consequence: consequence(w.Family),
				remedy:      remedy(w),
			})
		}
	},
}

func canBe(w wait) string {
	switch w.Why {
	case flow.Zeroed:
		return "can be zero here, for a deadline that has passed"
	case flow.Negative:
		return "can be a negative number here"
	case flow.Number:
		return "is a number that can be negative, as only 0 is excluded"
	case flow.Jitter:
		return "can be negative here, because the jitter that is taken off may be longer"
	case flow.Rounded:
		return "can be zero or negative here, as it is rounded after it was checked"
	case flow.Elapsed:
		return "is the time since an instant that lies ahead, which is negative"
	default:
	}
	return "can be zero or negative here"
}

// unchecked tells on which path a wait is not checked that is on another.
func (c *code) unchecked(w wait) string {
	if w.Elsewhere == nil || w.Elsewhere.At == nil {
		return ""
	}
	return fmt.Sprintf(", as the check (%s) is not on every path", c.tested(*w.Elsewhere))
}

func remedy(w wait) string {
	switch w.Why {
	case flow.Number, flow.Negative, flow.Rounded:
		return "check that it is above 0"
	case flow.Jitter:
		return "check that the rest is above 0, or add jitter with requeue.Jitter"
	case flow.Elapsed:
		return "use time.Until, or a requeue.Plan"
	default:
	}
	return "use requeue.NextRequeue or a requeue.Plan, or check > 0"
}
