package serve

import (
	"container/heap"
	"sync"

	"ouroboros/internal/tool/console"
)

// descriptors numbers flows from console.FirstFD, the lowest free first. The
// zero value is ready.
type descriptors struct {
	mu   sync.Mutex
	free ints
	next int // taken ever, from FirstFD
}

func (d *descriptors) take() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) > 0 {
		return heap.Pop(&d.free).(int)
	}
	d.next++
	return console.FirstFD + d.next - 1
}

func (d *descriptors) give(fd int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	heap.Push(&d.free, fd)
}

// ints is a heap of numbers.
type ints []int

func (h ints) Len() int           { return len(h) }
func (h ints) Less(i, j int) bool { return h[i] < h[j] }
func (h ints) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ints) Push(v any)        { *h = append(*h, v.(int)) }
func (h *ints) Pop() any {
	old := *h
	v := old[len(old)-1]
	*h = old[:len(old)-1]
	return v
}
