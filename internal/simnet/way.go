package simnet

import (
	"hash/fnv"
	"math/rand/v2"
	"time"

	"ouroboros/internal/packet"
)

// batchMost is how many frames are delivered at a time.
const batchMost = 64

// way is what one station sends to another. It belongs to the lock of the
// segment, but for the batch that is being delivered.
type way struct {
	from, to *station
	chance   *rand.Rand // made when first needed

	order fifo[flight] // by due
	held  heap         // those that are overtaken
	last  int64        // due of the last in order

	next  alarm
	busy  bool // delivering
	batch []*packet.Buffer
}

// flight is a frame on a way.
type flight struct {
	due int64
	b   *packet.Buffer
}

// draw decides with a chance.
func (w *way) draw(chance float64) bool { return chance > 0 && w.random().Float64() < chance }

func (w *way) random() *rand.Rand {
	if w.chance == nil {
		h := fnv.New64a()
		h.Write([]byte(w.from.seg.name))
		h.Write([]byte{byte(w.from.index), byte(w.from.index >> 8), byte(w.to.index), byte(w.to.index >> 8)})
		w.chance = rand.New(rand.NewPCG(w.from.seg.net.seed, h.Sum64()))
	}
	return w.chance
}

// put decides on a frame whose last bit leaves at a time.
func (w *way) put(c *Link, b *packet.Buffer, at int64) {
	st := &w.from.stats
	if w.from.seg.silent || w.draw(c.Loss) {
		st.Lost++
		b.Release()
		return
	}
	if w.draw(c.Duplicate) {
		st.Duplicated++
		w.schedule(c, b.Clone(), at)
	}
	w.schedule(c, b, at)
}

func (w *way) schedule(c *Link, b *packet.Buffer, at int64) {
	due := at + int64(c.Delay)
	if c.Jitter > 0 {
		due += w.random().Int64N(int64(c.Jitter) + 1)
	}
	w.from.flying++
	if w.draw(c.Reorder) {
		w.from.stats.Reordered++
		w.held.push(flight{due + int64(HoldBack), b})
	} else {
		w.last = max(due, w.last)
		w.order.push(flight{w.last, b})
	}
	if !w.busy {
		w.arm(w.from.seg.net.now())
	}
}

// first is when the next frame is due; false when there is none.
func (w *way) first() (due int64, ok bool) {
	if w.order.len() > 0 {
		due, ok = w.order.at(0).due, true
	}
	if len(w.held) > 0 && (!ok || w.held[0].due < due) {
		due, ok = w.held[0].due, true
	}
	return due, ok
}

// arm has the way delivered when the next frame is due, in the wall of the
// receiver. Also what is due at once goes by the timer: in virtual time all that
// is sent in one instant then arrives together.
func (w *way) arm(now int64) {
	due, ok := w.first()
	if !ok || w.next.at != 0 && w.next.at <= due {
		return
	}
	w.next.at = max(due, 1)
	if d := time.Duration(due - now); w.next.timer == nil {
		w.next.timer = w.to.layer.env.AfterFunc(d, w.run)
	} else {
		w.next.timer.Reset(d)
	}
}

// take moves what is due into the batch.
func (w *way) take(now int64) {
	w.batch = w.batch[:0]
	for len(w.batch) < batchMost {
		due, ok := w.first()
		if !ok || due > now {
			return
		}
		if len(w.held) > 0 && w.held[0].due == due {
			w.batch = append(w.batch, w.held.pop().b)
		} else {
			w.batch = append(w.batch, w.order.pop().b)
		}
	}
}

// run delivers what is due. One goroutine at a time does.
func (w *way) run() {
	g := w.from.seg
	g.mu.Lock()
	defer g.mu.Unlock()
	w.next.at = 0
	if w.busy {
		return
	}
	w.busy = true
	now := g.net.now()
	for w.take(now); len(w.batch) > 0; w.take(now) {
		w.landed(len(w.batch))
		w.from.stats.Delivered += uint64(len(w.batch))
		w.deliver()
		now = g.net.now()
	}
	w.busy = false
	w.arm(now)
}

// deliver calls the receiver without the lock, which is held again when it
// returns or panics.
func (w *way) deliver() {
	w.from.seg.mu.Unlock()
	defer w.from.seg.mu.Lock()
	w.to.layer.receive(w.batch)
	clear(w.batch)
}

// landed counts frames that are no longer on the way.
func (w *way) landed(n int) {
	s := w.from
	s.flying -= n
	if s.stalled && s.cfg().Bandwidth == 0 && s.flying <= flying/2 {
		s.stalled = false
		s.layer.env.Go(s.layer.Writable)
	}
}

// drop loses all that is on the way and says how many.
func (w *way) drop() (n int) {
	for w.order.len() > 0 {
		w.order.pop().b.Release()
		n++
	}
	for len(w.held) > 0 {
		w.held.pop().b.Release()
		n++
	}
	w.last = 0
	w.next.stop()
	w.landed(n)
	return n
}

// fifo is a queue that grows as needed and allocates nothing once it has.
type fifo[T any] struct {
	ring []T // length a power of two, or none
	head int
	n    int
}

func (q *fifo[T]) len() int   { return q.n }
func (q *fifo[T]) at(i int) T { return q.ring[(q.head+i)&(len(q.ring)-1)] }
func (q *fifo[T]) reset()     { *q = fifo[T]{} }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		ring := make([]T, max(8, 2*len(q.ring)))
		for i := range q.n {
			ring[i] = q.at(i)
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = v
	q.n++
}

func (q *fifo[T]) pop() T {
	var none T
	v := q.ring[q.head]
	q.ring[q.head] = none
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return v
}

// heap has the flight that is due next in front. They are few.
type heap []flight

func (h *heap) push(f flight) {
	*h = append(*h, f)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].due <= s[i].due {
			break
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *heap) pop() flight {
	s := *h
	f, last := s[0], len(s)-1
	s[0], s[last] = s[last], flight{}
	s = s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < len(s); k++ {
			if s[k].due < s[least].due {
				least = k
			}
		}
		if least == i {
			return f
		}
		s[least], s[i] = s[i], s[least]
		i = least
	}
}
