package deadlinequeue

import (
	"hash/maphash"
	"iter"
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

// find returns the entry of a key, nil if there is none, and the hash of the key.
func (t *table[T]) find(key T) (e *entry[T], hash uint64) {
	hash = t.hash(key)
	return t.lookUp(hash, key), hash
}

// findOrAdd returns the entry of a key, a new one if it is not known.
func (t *table[T]) findOrAdd(key T) (e *entry[T], known bool) {
	hash := t.hash(key)
	if e := t.lookUp(hash, key); e != nil {
		return e, true
	}
	e = t.pool.Get().(*entry[T])
	e.key, e.deadline, e.floor, e.spent, e.soft = key, never, always, never, never
	t.put(hash, e)
	return e, false
}

func (t *table[T]) put(hash uint64, e *entry[T]) {
	if t.byHash[hash] != nil {
		t.clashes[e.key] = e
		return
	}
	t.byHash[hash] = e
	t.most = max(t.most, len(t.byHash))
}

func (t *table[T]) lookUp(hash uint64, key T) *entry[T] {
	e := t.byHash[hash]
	switch {
	case e != nil && e.key == key:
		return e
	case len(t.clashes) == 0:
		return nil
	}
	return t.clashes[key]
}

// remove drops an entry, which must not be used any more. The hash is that of its
// key.
func (t *table[T]) remove(hash uint64, e *entry[T]) {
	if t.byHash[hash] == e {
		delete(t.byHash, hash)
	} else {
		delete(t.clashes, e.key)
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

// removeAllBut drops all entries that are not kept.
func (t *table[T]) removeAllBut(kept iter.Seq[*entry[T]]) {
	t.byHash, t.clashes, t.most = map[uint64]*entry[T]{}, map[T]*entry[T]{}, 0
	for e := range kept {
		t.put(t.hash(e.key), e)
	}
}
