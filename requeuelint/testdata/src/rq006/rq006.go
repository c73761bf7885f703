package rq006

import (
	"math"
	"math/rand"
	"time"
)

// Positive.

func percent(d time.Duration, n int) time.Duration {
	return d * time.Duration(n) / 100 // want `RQ006`
}

func ninety(d time.Duration) time.Duration { return d * 90 / 100 } // want `RQ006`

func pow(failures int) time.Duration {
	return time.Duration(math.Pow(2, float64(failures))) * time.Second // want `RQ006`
}

func powFloat(failures int, base time.Duration) time.Duration {
	return time.Duration(float64(base) * math.Pow(2, float64(failures))) // want `RQ006`
}

func shifted(failures int) time.Duration {
	d := time.Duration(1<<failures) * time.Second // want `RQ006`
	if d > time.Minute {
		d = time.Minute
	}
	return d
}

func minimum(failures uint) time.Duration {
	return min(time.Minute, time.Second<<failures) // want `RQ006`
}

func counted() (all []time.Duration) {
	for i := 0; ; i++ {
		all = append(all, time.Second<<i) // want `RQ006`
	}
}

func shiftedInt(failures int, base time.Duration) time.Duration {
	return time.Duration(int64(base) << failures) // want `RQ006`
}

type lease struct {
	Seconds int64 `json:"seconds"`
	Few     int32 `json:"few"`
}

func fromUser(l lease, start time.Time) time.Time {
	return start.Add(time.Duration(l.Seconds) * time.Second) // want `RQ006: a number of 64 bits`
}

func doubled(failures int) time.Duration {
	wait := time.Second
	for i := 0; i < failures; i++ {
		wait *= 2 // want `RQ006`
	}
	return wait
}

type options struct{ period time.Duration }

func unitTwice(o options) time.Duration {
	return o.period * time.Second // want `RQ006: a duration is multiplied by a unit`
}

// Negative.

func fewFromUser(l lease, start time.Time) time.Time {
	return start.Add(time.Duration(l.Few) * time.Second)
}

func ceilingFromUser(l lease, start time.Time) time.Time {
	if l.Seconds > 86400 {
		return start
	}
	return start.Add(time.Duration(l.Seconds) * time.Second)
}

func doubledToCeiling(failures int) time.Duration {
	wait := time.Second
	for i := 0; i < failures && wait < time.Minute; i++ {
		wait *= 2
	}
	return wait
}

func doubledTwice() time.Duration {
	wait := time.Second
	for range 2 {
		wait *= 2
	}
	return wait
}

func twoThirds(d time.Duration) time.Duration { return d * 2 / 3 }

func divided(d time.Duration) time.Duration { return d / 100 * 80 }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second / 2 }

func ceilingOfN(failures int) time.Duration {
	if failures > 10 {
		failures = 10
	}
	return time.Second << failures
}

func minOfN(failures int) time.Duration {
	return time.Duration(math.Pow(2, float64(min(failures, 10)))) * time.Second
}

func tried() (all []time.Duration) {
	for i := 0; i < 5; i++ {
		all = append(all, time.Second<<i)
	}
	return all
}

func ranged(names []string) (all []time.Duration) {
	for i := range 5 {
		all = append(all, time.Second<<i)
	}
	return all
}

func floatCeiling(failures int) time.Duration {
	return time.Duration(math.Min(math.Pow(2, float64(failures)), 300)) * time.Second
}

func floatCompared(failures int) time.Duration {
	f := float64(time.Second) * math.Pow(2, float64(failures))
	if f > math.MaxInt64 {
		return time.Hour
	}
	return time.Duration(f)
}

func signChecked(failures int) time.Duration {
	d := time.Second << failures
	if d <= 0 || d > time.Hour {
		return time.Hour
	}
	return d
}

func baseChecked(failures int, base time.Duration) time.Duration {
	d := base * time.Duration(math.Pow(2, float64(failures-1)))
	if d < base || d > time.Hour {
		return time.Hour
	}
	return d
}

func calledWithFew() time.Duration { return few(3) + few(4) }

func few(n int) time.Duration { return time.Second << n }

func random(d time.Duration) time.Duration { return d * time.Duration(rand.Intn(10)) / 10 }

func spread(d time.Duration, n int, each func(func(i int) time.Duration)) {
	each(func(i int) time.Duration { return d * time.Duration(i) / time.Duration(n) })
}

func table(i int) time.Duration { return [...]time.Duration{time.Second, time.Minute}[i] }

// Whether it overflows is tested in the other direction.
func shiftedBack(base, ceiling time.Duration, count int) time.Duration {
	shift := count - 1
	if base > ceiling>>shift {
		return ceiling
	}
	return time.Duration(base << shift)
}

func dividedBy(base time.Duration, n int) time.Duration {
	factor := math.Pow(2, float64(n))
	if factor > float64(math.MaxInt64)/float64(base) {
		return time.Duration(math.MaxInt64)
	}
	return base * time.Duration(factor)
}
