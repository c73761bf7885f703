// Package plan_test holds the core against an exact model, on random input.
package plan_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/requeue-go/requeue"
)

// A wait is one call that adds to a plan.
type wait struct {
	kind waitKind
	t    time.Time     // start, instant or floor
	d    time.Duration // interval or timeout, or the wait of what is due
}

type waitKind uint8

const (
	every waitKind = iota
	timeout
	deadline
	upcoming
	again
	due
	notBefore
	waitKinds
)

// add calls the method on p itself, so that one which changed its plan would be
// found out.
func (w wait) add(p *requeue.Plan) requeue.Plan {
	switch w.kind {
	case every:
		return p.Every(w.d)
	case timeout:
		return p.Timeout(w.t, w.d)
	case deadline:
		return p.Deadline(w.t)
	case upcoming:
		return p.Upcoming(w.t)
	case again:
		return p.At(w.t)
	case due:
		return p.Due(w.t, w.d)
	default:
		return p.NotBefore(w.t)
	}
}

// instant is the point in time that w names, exactly, in nanoseconds since 1970.
func (w wait) instant() *big.Int {
	if w.kind == timeout {
		return new(big.Int).Add(nanos(w.t), big.NewInt(int64(w.d)))
	}
	return nanos(w.t)
}

// none reports whether w asks for nothing: rule 3.
func (w wait) none() bool {
	if w.kind == timeout && w.instant().Cmp(nanos(time.Time{})) == 0 { // start and timeout sum up to the zero time
		return true
	}
	return (w.kind == every || w.kind == timeout) && w.d <= 0 || w.kind != every && w.t.IsZero()
}

func nanos(t time.Time) *big.Int {
	n := new(big.Int).Mul(big.NewInt(t.Unix()), big.NewInt(int64(time.Second)))
	return n.Add(n, big.NewInt(int64(t.Nanosecond())))
}

// saturated is n as a duration.
func saturated(n *big.Int) time.Duration {
	switch {
	case n.IsInt64():
		return time.Duration(n.Int64())
	case n.Sign() < 0:
		return math.MinInt64
	default:
		return math.MaxInt64
	}
}

// answer is what the model says of a plan: a decision, with its deadlines exact.
type answer struct {
	requeue.Decision
	expired           bool
	floor             time.Duration // until the latest floor
	deadline, overdue *big.Int      // nil: none
}

// decide is the obvious model of Plan: exact arithmetic, all rules one by one.
func decide(now time.Time, waits []wait) (a answer) {
	a.Now = now
	take := func(after time.Duration, cause requeue.Cause) {
		after = max(after, requeue.Immediate)
		rank := map[requeue.Cause]int{requeue.CausePoll: 1, requeue.CauseOverdue: 2, requeue.CauseDeadline: 3}
		if a.Cause == requeue.CauseNone || after < a.After || after == a.After && rank[cause] > rank[a.Cause] {
			a.After, a.Cause = after, cause
		}
	}
	earlier := func(named **big.Int, at *big.Int) {
		if *named == nil || at.Cmp(*named) < 0 {
			*named = at
		}
	}
	for _, w := range waits {
		if w.none() {
			continue
		}
		if w.kind == every {
			take(w.d, requeue.CausePoll)
			continue
		}
		left := new(big.Int).Sub(w.instant(), nanos(now))
		passed := left.Sign() <= 0
		until := saturated(left)
		if passed { // as long again as it is late
			until = min(saturated(new(big.Int).Neg(left)), time.Minute)
		}
		switch {
		case w.kind == notBefore:
			a.floor = max(a.floor, saturated(left))
		case w.kind == due && passed: // again, without backing off
			take(w.d, requeue.CausePoll)
		case w.kind == due, w.kind == again:
			take(until, requeue.CausePoll)
		case !passed:
			take(until, requeue.CauseDeadline)
			earlier(&a.deadline, w.instant())
		case w.kind != upcoming:
			take(until, requeue.CauseOverdue)
			earlier(&a.overdue, w.instant())
			a.expired = true
		}
	}
	if a.Cause != requeue.CauseNone && a.floor > a.After {
		a.After, a.Cause = a.floor, requeue.CauseNotBefore
	}
	return a
}

// requireInstant asserts that a time is the instant, and zero where there is none.
func requireInstant(t require.TestingT, want *big.Int, got time.Time, what string) {
	if want == nil {
		require.Zero(t, got, what)
		return
	}
	require.Zero(t, want.Cmp(nanos(got)), "%s is %v", what, got)
}

// check holds a plan of the waits, made at now, against the model and the rules.
func check(t require.TestingT, now time.Time, waits []wait) {
	plan := requeue.From(now)
	for _, w := range waits {
		before := plan
		after := w.add(&plan)
		require.Equal(t, before, plan, "a plan is never changed by its methods")
		if w.kind != notBefore && before.After() != 0 {
			require.LessOrEqual(t, after.After(), before.After(), "adding %+v made it later", w)
		}
		plan = after
	}
	got := plan.Decide()

	want := decide(now, waits)
	requireInstant(t, want.deadline, got.Deadline, "the deadline ahead")
	requireInstant(t, want.overdue, got.Overdue, "the overdue deadline")
	want.Deadline, want.Overdue = got.Deadline, got.Overdue
	if want.floor > 0 {
		want.NotBefore = now.Add(want.floor).Round(0)
	}
	require.Equal(t, want.Decision, got)
	left := time.Duration(0)
	if want.deadline != nil {
		left = saturated(new(big.Int).Sub(want.deadline, nanos(now)))
	}
	require.Equal(t, left, got.Left())
	require.Equal(t, got.After, plan.After())
	require.Equal(t, want.expired, plan.Expired())

	asked, ceiling, floor := false, time.Duration(math.MaxInt64), time.Duration(0)
	for _, w := range waits {
		switch {
		case w.none():
		case w.kind == notBefore:
			floor = max(floor, w.t.Sub(now))
		case w.kind == every:
			ceiling = min(ceiling, w.d)
			asked = true
		case w.kind != upcoming || w.t.After(now):
			asked = true
		}
	}
	if !asked {
		require.Zero(t, got.After, "nothing was asked for")
	} else {
		require.GreaterOrEqual(t, got.After, requeue.Immediate)
	}
	require.LessOrEqual(t, got.After, max(ceiling, requeue.Immediate, floor), "later than the interval")

	if got.Cause == requeue.CauseDeadline && got.After < math.MaxInt64 {
		woken, found := now.Add(got.After), false
		for _, w := range waits {
			switch {
			case w.none():
			case w.kind == timeout:
				clock := requeue.ClockFunc(func() time.Time { return woken })
				found = found || requeue.From(now).Timeout(w.t, w.d).After() == got.After && requeue.Expired(w.t, w.d, clock)
			case w.kind == deadline || w.kind == upcoming:
				found = found || w.t.After(now) && !woken.Before(w.t)
			}
		}
		require.True(t, found, "woken before its deadline")
	}

	shuffled := append([]wait(nil), waits...)
	rand.New(rand.NewPCG(uint64(len(waits)), 1)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	})
	reordered := requeue.From(now)
	for _, w := range shuffled {
		reordered = w.add(&reordered)
	}
	require.Equal(t, got.After, reordered.After(), "the order of the calls matters")
	other := reordered.Decide()
	require.Equal(t, got.Cause, other.Cause, "the order of the calls matters")
	require.True(t, got.Deadline.Equal(other.Deadline) && got.Overdue.Equal(other.Overdue), "the order of the calls matters")
}

var (
	year1    = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	year9999 = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	// started has a monotonic reading; so has what is added to it.
	// Only the clock gives one, so a failure saved by rapid or the fuzzer repeats
	// itself but for how far the years in it are from today.
	started = time.Now()
)

// instants draws any time of the years 1 to 9999: near base, far from it, zero,
// with and without a monotonic reading, in any zone.
func instants(base time.Time) *rapid.Generator[time.Time] {
	return rapid.OneOf(
		rapid.Just(time.Time{}),
		rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(
				rapid.Int64Range(year1.Unix(), year9999.Unix()).Draw(t, "unix"),
				rapid.Int64Range(0, 999999999).Draw(t, "nanosecond")).UTC()
		}),
		rapid.Map(rapid.Int64Range(-int64(3*time.Minute), int64(3*time.Minute)), func(d int64) time.Time {
			return base.Add(time.Duration(d))
		}),
		rapid.Map(rapid.Int64Range(-int64(3*time.Minute), int64(3*time.Minute)), func(d int64) time.Time {
			return base.Add(time.Duration(d)).Round(0).In(time.FixedZone("", 19800))
		}),
		rapid.Map(rapid.Int64Range(-int64(48*time.Hour), int64(48*time.Hour)), func(d int64) time.Time {
			return started.Add(time.Duration(d))
		}),
	)
}

// durations draws any duration, most of them of everyday size.
func durations() *rapid.Generator[time.Duration] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), func(d int64) time.Duration { return time.Duration(d) }),
		rapid.Map(rapid.Int64Range(-int64(time.Second), int64(3*time.Minute)), func(d int64) time.Duration { return time.Duration(d) }),
		rapid.SampledFrom([]time.Duration{math.MinInt64, -1, 0, 1, requeue.Immediate - 1, requeue.Immediate, time.Minute, math.MaxInt64}),
	)
}

func TestPlan_properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := instants(started).Draw(t, "now")
		waits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wait {
			return wait{
				kind: waitKind(rapid.IntRange(0, int(waitKinds)-1).Draw(t, "kind")),
				t:    instants(now).Draw(t, "t"),
				d:    durations().Draw(t, "d"),
			}
		}), 0, 8).Draw(t, "waits")
		check(t, now, waits)
	})
}

func TestNextRequeue_isAPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := instants(started).Draw(t, "now")
		start := instants(now).Draw(t, "start")
		timeout, interval := durations().Draw(t, "timeout"), durations().Draw(t, "interval")
		clock := requeue.ClockFunc(func() time.Time { return now })

		got := requeue.NextRequeue(start, timeout, interval, clock)
		require.Equal(t, requeue.From(now).Every(interval).Timeout(start, timeout).After(), got)

		left := new(big.Int).Sub(wait{kind: 1, t: start, d: timeout}.instant(), nanos(now))
		expired := !wait{kind: 1, t: start, d: timeout}.none() && left.Sign() <= 0
		require.Equal(t, expired, requeue.Expired(start, timeout, clock))

		deadline := requeue.DeadlineOf(start, timeout)
		require.Equal(t, wait{kind: 1, t: start, d: timeout}.none(), deadline.IsZero())
		require.Equal(t, requeue.From(now).Timeout(start, timeout).Decide(), requeue.From(now).Deadline(deadline).Decide())
	})
}

func TestBackoff_neverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, ceiling := durations().Draw(t, "base"), durations().Draw(t, "max")
		attempt := rapid.IntRange(-2, 200).Draw(t, "attempt")
		this := requeue.Backoff(started, attempt, base, ceiling)
		next := requeue.Backoff(started, attempt+1, base, ceiling)
		require.False(t, this.Before(started))
		require.False(t, next.Before(this))
		if ceiling > 0 {
			require.LessOrEqual(t, next.Sub(started), ceiling)
		}
	})
}

func TestBetween_staysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := instants(started).Draw(t, "from"), instants(started).Draw(t, "to")
		if from.IsZero() || to.IsZero() {
			return
		}
		low, high := from, to
		if to.Before(from) {
			low, high = to, from
		}
		got := requeue.Between(from, to, rapid.Float64().Draw(t, "fraction"))
		require.False(t, got.Before(low))
		require.False(t, got.After(high))
	})
}

func TestByAge_isAShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		age, fraction := durations().Draw(t, "age"), rapid.Float64().Draw(t, "fraction")
		least, most := durations().Draw(t, "least"), durations().Draw(t, "most")
		want := new(big.Float).Mul(big.NewFloat(float64(age)), big.NewFloat(fraction))
		atLeast := max(least, requeue.Immediate)
		got := requeue.ByAge(age, fraction, least, most)
		switch {
		case age <= 0 || fraction <= 0 || want.Cmp(big.NewFloat(float64(atLeast))) < 0 || most < atLeast:
			require.InDelta(t, float64(atLeast), float64(got), 1)
		case want.Cmp(big.NewFloat(float64(most))) > 0:
			require.Equal(t, most, got)
		default:
			share, _ := want.Float64()
			require.InDelta(t, share, float64(got), max(1, share*1e-6)) // rounded to the nanosecond
		}
	})
}

func TestStretch_isTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := requeue.Load{
			Objects: rapid.Int().Draw(t, "objects"), Workers: rapid.IntRange(-1, 1000).Draw(t, "workers"),
			Service: durations().Draw(t, "service"),
		}
		poll, utilization := durations().Draw(t, "poll"), rapid.Float64Range(-1, 2).Draw(t, "utilization")
		got := l.Stretch(poll, utilization)
		if poll <= 0 {
			require.Zero(t, got)
			return
		}
		require.GreaterOrEqual(t, got, poll)
		if l.Objects <= 0 || l.Workers <= 0 || l.Service <= 0 || utilization <= 0 {
			require.Equal(t, poll, got)
			return
		}
		want := new(big.Float).Mul(big.NewFloat(float64(l.Objects)), big.NewFloat(float64(l.Service)))
		want.Quo(want, new(big.Float).Mul(big.NewFloat(float64(l.Workers)), big.NewFloat(min(utilization, 1))))
		interval, _ := want.Float64()
		interval = max(float64(poll), min(interval, math.MaxInt64))
		require.InDelta(t, interval, float64(got), max(1, interval*1e-6)) // rounded to the nanosecond
	})
}

// FuzzPlan holds a plan of seven waits against the model. Times are seconds and
// nanoseconds around a base that has a monotonic reading; bit i of wallOnly
// takes it from the i-th time.
func FuzzPlan(f *testing.F) {
	minute := int64(time.Minute)
	for _, seed := range []struct {
		nowSeconds, now, start, limit, dueSeconds, interval, due, ahead, floor int64
		wallOnly                                                               uint8
	}{
		// everything at one instant
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		// a deadline before the poll, and one just overdue
		{0, 270e9, 0, 5 * minute, 0, 5 * minute, 24 * 60 * minute, 0, 0, 0},
		{0, 300e9 + 20e6, 0, 5 * minute, 0, 5 * minute, 24 * 60 * minute, 0, 0, 0},
		// overdue and ahead and held back, by the wall clock only
		{3700, 0, 60, 5 * minute, 3600, 0, 0, 3800, 3730, 31},
		{0, 0, -1, math.MaxInt64, 0, -1, math.MaxInt64, math.MinInt64, math.MaxInt64, 0},
		{math.MaxInt64, math.MinInt64, math.MaxInt64, math.MinInt64, math.MaxInt64, math.MaxInt64, math.MinInt64, -1, 1, 21},
	} {
		f.Add(seed.nowSeconds, seed.now, seed.start, seed.limit, seed.dueSeconds, seed.interval, seed.due, seed.ahead, seed.floor, seed.wallOnly)
	}
	f.Fuzz(func(t *testing.T, nowSeconds, nowNanos, startNanos, limit, dueSeconds, interval, dueNanos, aheadSeconds, floorNanos int64, wallOnly uint8) {
		time9999 := func(seconds, nanos int64, bit int) time.Time {
			at := started.Add(time.Duration(nanos))
			if wallOnly&(1<<bit) != 0 {
				span := year9999.Unix() - year1.Unix()
				at = time.Unix(year1.Unix()+((seconds%span)+span)%span, at.UnixNano()%int64(time.Second)).UTC()
			}
			return at
		}
		check(t, time9999(nowSeconds, nowNanos, 0), []wait{
			{kind: every, d: time.Duration(interval)},
			{kind: timeout, t: time9999(startNanos, startNanos, 1), d: time.Duration(limit)},
			{kind: deadline, t: time9999(dueSeconds, dueNanos, 2)},
			{kind: upcoming, t: time9999(aheadSeconds, aheadSeconds, 3)},
			{kind: again, t: time9999(aheadSeconds, dueNanos, 3)},
			{kind: due, t: time9999(dueSeconds, floorNanos, 4), d: time.Duration(limit)},
			{kind: notBefore, t: time9999(floorNanos, floorNanos, 4)},
		})
	})
}
