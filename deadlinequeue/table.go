package deadlinequeue

import (
	"hash/maphash"
	"maps"
	"sync"
)

// table finds the entry of a key. It is a map by the hash of the key, and not by
// the key: smaller where keys are larger than eight bytes, and quicker, for most
// of what a deep queue costs is memory that is not in the processor's cache.
// (The caller could take the hash before it locks the queue. Measured with as
// many goroutines that add as get, that is slower: they meet at the lock more
// often.)
type table[T comparable] struct {
	hash    func(T) uint64
	byHash  map[uint64]*entry[T]
	clashes map[T]*entry[T] // of keys whose hash another key had when they were added
	most    int             // entries in byHash since it was made, for a map does not shrink by itself
	pool    sync.Pool       // of entries, all zero
}

func newTable[T comparable]() *table[T] {
	seed := maphash.MakeSeed()
	return &table[T]{
		hash:    func(key T) uint64 { return maphash.Comparable(seed, key) },
		byHash:  map[uint64]*entry[T]{},
		clashes: map[T]*entry[T]{},
		pool:    sync.Pool{New: func() any { return new(entry[T]) }},
	}
}

func (t *table[T]) len() int { return len(t.byHash) + len(t.clashes) }

// find returns the entry of a key, nil if there is none.
func (t *table[T]) find(key T) *entry[T] {
	e, _ := t.lookUp(t.hash(key), key)
	return e
}

// findOrAdd returns the entry of a key, a new one if there is none.
func (t *table[T]) findOrAdd(key T) *entry[T] {
	hash := t.hash(key)
	e, clash := t.lookUp(hash, key)
	if e != nil {
		return e
	}
	e = t.pool.Get().(*entry[T])
	e.key, e.hash, e.clashed = key, hash, clash
	e.deadline, e.seen, e.soft, e.handed = never, never, never, neverHanded
	if clash {
		t.clashes[key] = e
	} else {
		t.byHash[hash] = e
		t.most = max(t.most, len(t.byHash))
	}
	return e
}

// lookUp returns the entry of a key, nil if there is none, and whether another
// key has its place in byHash.
func (t *table[T]) lookUp(hash uint64, key T) (e *entry[T], clash bool) {
	e = t.byHash[hash]
	if e != nil && e.key == key {
		return e, false
	}
	if len(t.clashes) == 0 {
		return nil, e != nil
	}
	return t.clashes[key], e != nil
}

// remove drops an entry, which must not be used any more.
func (t *table[T]) remove(e *entry[T]) {
	if e.clashed {
		delete(t.clashes, e.key)
	} else {
		delete(t.byHash, e.hash)
	}
	*e = entry[T]{}
	t.pool.Put(e)
	// A map keeps its memory; a smaller copy gives it back, at a cost that the
	// removals before have paid for. A small one, of half a megabyte or so, is
	// kept.
	if t.most > 1<<14 && len(t.byHash) < t.most/8 {
		smaller := make(map[uint64]*entry[T], 2*len(t.byHash))
		maps.Copy(smaller, t.byHash)
		t.byHash, t.most = smaller, len(smaller)
	}
}

// all yields every entry, each of which may be removed then.
func (t *table[T]) all(yield func(*entry[T]) bool) {
	for _, e := range t.byHash {
		if !yield(e) {
			return
		}
	}
	for _, e := range t.clashes {
		if !yield(e) {
			return
		}
	}
}
