package requeue

import (
	"math"
	"time"
)

// Jitter returns d, moved by up to the given fraction of d either way. Jitter
// always moves the same key (an object's namespace/name or UID) by the same
// share, in every process. So objects that were listed all at once are polled at
// different times, and each object keeps its time.
//
// Jitter is for polls. Do not move a deadline.
//
// d <= 0 gives 0: no polling stays no polling. For other d the answer is above
// 0, and at least the smaller of d and [Immediate]. A fraction below 0 (or NaN)
// counts as 0, and a fraction above 1 as 1; 0.1 is usual. The answer saturates at
// the longest time.Duration.
func Jitter(d time.Duration, fraction float64, key string) time.Duration {
	if d <= 0 {
		return 0
	}
	if !(fraction > 0) {
		return d
	}
	// From -1 to 1: the top 53 bits of the hash are all that a float64 holds.
	share := float64(hash(key)>>11)/(1<<52) - 1
	moved := math.Round(float64(d) * (1 + min(fraction, 1)*share))
	if moved >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(time.Duration(moved), min(d, Immediate))
}

// hash is FNV-1a with the finalizer of MurmurHash3, as FNV alone leaves the top
// bits of short, similar keys alike. hash/fnv would allocate, hash/maphash
// differs between processes.
func hash(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
