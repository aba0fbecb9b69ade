package relay

import (
	"container/heap"
	"time"
)

// Impairment is what happens to the frames of one direction. The zero value is
// a faultless cable. Chances are from 0 to 1, of each frame on its own.
type Impairment struct {
	Loss  float64 // share of the frames that are lost
	Burst int     // how many in a row; 0 and 1: each on its own

	Duplicate float64       // chance to pass twice
	Reorder   float64       // chance to be held back by HoldBack, so that later ones pass
	HoldBack  time.Duration // 0: 5 ms
	Damage    float64       // chance that one bit behind the Ethernet header is wrong

	Delay  time.Duration // one way
	Jitter time.Duration // up to this more, evenly; reorders

	Rate  int64 // bits per second; 0: as fast as it goes
	Queue int   // frames that wait for the Rate; 0: 1000

	// Only says which frames are impaired; the others pass at once. nil: all.
	Only func(frame []byte) bool
}

// lost decides on one frame. Bursts come as often as the share asks for: with
// a burst of n and a share of l, a burst begins at a frame that is not in one
// with the chance l / (l + n(1-l)).
func (w *way) lost(i *Impairment) bool {
	if w.burst > 0 {
		w.burst--
		return true
	}
	if i.Loss <= 0 {
		return false
	}
	n := float64(max(i.Burst, 1))
	if w.rand.Float64() >= i.Loss/(i.Loss+n*(1-i.Loss)) {
		return false
	}
	w.burst = max(i.Burst, 1) - 1
	return true
}

// take decides on a frame that arrived at now, and queues what is left of it.
// The stats lock is held.
func (w *way) take(frame []byte, now time.Time) {
	w.stats.Taken++
	i := w.fate.Load()
	if i.Only != nil && !i.Only(frame) {
		w.push(frame, now, false)
		return
	}
	if w.lost(i) {
		w.stats.Lost++
		return
	}
	copies := 1
	if i.Duplicate > 0 && w.rand.Float64() < i.Duplicate {
		w.stats.Duplicated++
		copies = 2
	}
	for range copies {
		w.schedule(i, frame, now)
	}
}

func (w *way) schedule(i *Impairment, frame []byte, now time.Time) {
	due, paced := now, i.Rate > 0
	if paced {
		limit := i.Queue
		if limit == 0 {
			limit = 1000
		}
		if w.queued >= limit {
			w.stats.Overflowed++
			return
		}
		if w.clear.Before(now) {
			w.clear = now
		}
		// 24 bytes: preamble, checksum and gap of a cable.
		w.clear = w.clear.Add(time.Duration(int64(len(frame)+24) * 8 * int64(time.Second) / i.Rate))
		due = w.clear
		w.queued++
	}
	due = due.Add(i.Delay)
	if i.Jitter > 0 {
		due = due.Add(time.Duration(w.rand.Int64N(int64(i.Jitter))))
	}
	if i.Reorder > 0 && w.rand.Float64() < i.Reorder {
		w.stats.Reordered++
		hold := i.HoldBack
		if hold == 0 {
			hold = 5 * time.Millisecond
		}
		due = due.Add(hold)
	}
	at := w.push(frame, due, paced)
	if i.Damage > 0 && len(at) > etherHeader && w.rand.Float64() < i.Damage {
		w.stats.Damaged++
		bit := w.rand.IntN((len(at) - etherHeader) * 8)
		at[etherHeader+bit/8] ^= 1 << (bit % 8)
	}
}

// push queues a copy of a frame.
func (w *way) push(frame []byte, due time.Time, paced bool) []byte {
	b := w.queue.buffer(len(frame))
	copy(b, frame)
	w.queue.order++
	heap.Push(&w.queue, entry{due: due, order: w.queue.order, frame: b, paced: paced})
	return b
}

const etherHeader = 14

// entry is a frame that waits for its hour.
type entry struct {
	due   time.Time
	order uint64 // of arrival: equal hours keep it
	frame []byte
	paced bool
}

// queue is a heap with the next frame first, and the buffers that it had.
type queue struct {
	entries []entry
	order   uint64
	free    [][]byte
}

func (q *queue) Len() int { return len(q.entries) }
func (q *queue) Less(i, j int) bool {
	a, b := &q.entries[i], &q.entries[j]
	if a.due.Equal(b.due) {
		return a.order < b.order
	}
	return a.due.Before(b.due)
}
func (q *queue) Swap(i, j int) { q.entries[i], q.entries[j] = q.entries[j], q.entries[i] }
func (q *queue) Push(x any)    { q.entries = append(q.entries, x.(entry)) }
func (q *queue) Pop() any {
	last := len(q.entries) - 1
	e := q.entries[last]
	q.entries[last] = entry{}
	q.entries = q.entries[:last]
	return e
}

const common = 2048 // what most frames fit in

func (q *queue) buffer(n int) []byte {
	if n > common {
		return make([]byte, n)
	}
	if last := len(q.free) - 1; last >= 0 {
		b := q.free[last]
		q.free = q.free[:last]
		return b[:n]
	}
	return make([]byte, n, common)
}

func (q *queue) release(b []byte) {
	if cap(b) == common {
		q.free = append(q.free, b)
	}
}
