package audit

import (
	"math"
	"slices"
	"time"
)

// Count is how the deadlines of some promotions were met.
type Count struct {
	// Due is how many had a deadline and did not finish before it. Each of them is
	// met, lost, doubled or early.
	Due int
	// Met were failed once, not before the deadline.
	Met int
	// Lost were not failed, or were deleted.
	Lost int
	// Doubled were written again once they were failed.
	Doubled int
	// Early were failed before their deadline, or though they had finished; these
	// are not due, and count all the same.
	Early int
	// Late is how late those were that were failed, in ascending order.
	Late []time.Duration
}

// CountOf counts. Call it when all deadlines have passed.
func CountOf(entries []Entry) Count {
	var c Count
	for _, e := range entries {
		failed, finished := !e.FailedAt.IsZero(), !e.FinishedAt.IsZero()
		if finished && e.FinishedAt.Before(e.Deadline) {
			if failed {
				c.Early++
			}
			continue
		}
		if e.Deadline.IsZero() {
			continue
		}
		c.Due++
		switch {
		case !failed || e.Gone:
			c.Lost++
		case e.WritesAfter > 0:
			c.Doubled++
		case e.Late() < 0:
			c.Early++
		default:
			c.Met++
		}
		if failed {
			c.Late = append(c.Late, e.Late())
		}
	}
	slices.Sort(c.Late)
	return c
}

// Wrong is how many were not failed exactly once and in time.
func (c Count) Wrong() int { return c.Lost + c.Doubled + c.Early }

// LateAt is the smallest lateness that is no less than the share q of them, 0 if there
// is none.
func (c Count) LateAt(q float64) time.Duration {
	if len(c.Late) == 0 {
		return 0
	}
	return c.Late[max(int(math.Ceil(q*float64(len(c.Late))))-1, 0)]
}
