package deadlinequeue

// heap is a binary heap whose items know their places, so that any of them can
// be moved or removed. It knows nothing of queues: less orders the items, place
// points to the field in which an item keeps its place. An item may be in
// several heaps, with a place for each.
//
// Invariants: items[i] has *place(items[i]) == i+1; an item in no heap has 0; no
// item is less than its parent, items[(i-1)/2].
type heap[E any] struct {
	items []*E
	less  func(a, b *E) bool
	place func(*E) *int32
}

// min returns the least item, nil if there is none.
func (h *heap[E]) min() *E {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0]
}

func (h *heap[E]) push(e *E) {
	h.items = append(h.items, e)
	h.up(len(h.items)-1, e)
}

// fix moves e to where it belongs after what less looks at has changed.
func (h *heap[E]) fix(e *E) {
	i := int(*h.place(e)) - 1
	if i > 0 && h.less(e, h.items[(i-1)/2]) {
		h.up(i, e)
	} else {
		h.down(i, e)
	}
}

func (h *heap[E]) remove(e *E) {
	i, last := int(*h.place(e))-1, len(h.items)-1
	moved := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	*h.place(e) = 0
	if i < last {
		*h.place(moved) = int32(i) + 1
		h.items[i] = moved
		h.fix(moved)
	}
	// Give memory back, at a cost that the removals before have paid for.
	if cap(h.items) > 1024 && last < cap(h.items)/4 {
		h.items = append(make([]*E, 0, cap(h.items)/2), h.items...)
	}
}

// up puts e at i or above.
func (h *heap[E]) up(i int, e *E) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(e, h.items[parent]) {
			break
		}
		h.set(i, h.items[parent])
		i = parent
	}
	h.set(i, e)
}

// down puts e at i or below.
func (h *heap[E]) down(i int, e *E) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if right := child + 1; right < len(h.items) && h.less(h.items[right], h.items[child]) {
			child = right
		}
		if !h.less(h.items[child], e) {
			break
		}
		h.set(i, h.items[child])
		i = child
	}
	h.set(i, e)
}

func (h *heap[E]) set(i int, e *E) {
	h.items[i] = e
	*h.place(e) = int32(i) + 1
}
