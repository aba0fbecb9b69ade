package packet

// Queue is a first-in first-out queue of buffers that grows as needed and
// allocates nothing once it has grown. It owns what is in it. The zero value
// is an empty queue; it is not safe for use by several goroutines at once.
type Queue struct {
	ring  []*Buffer // length a power of two, or none
	head  int       // index of the oldest
	n     int
	bytes int
}

// Len is the number of packets, Bytes the sum of their lengths.
func (q *Queue) Len() int   { return q.n }
func (q *Queue) Bytes() int { return q.bytes }

// Push appends a packet.
func (q *Queue) Push(b *Buffer) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = b
	q.n++
	q.bytes += b.Len()
}

// Pop gives the oldest packet, nil when there is none.
func (q *Queue) Pop() *Buffer {
	if q.n == 0 {
		return nil
	}
	b := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= b.Len()
	return b
}

// Peek gives the i-th oldest packet without removing it.
func (q *Queue) Peek(i int) *Buffer {
	if i < 0 || i >= q.n {
		panic("packet: no such place in the queue")
	}
	return q.ring[(q.head+i)&(len(q.ring)-1)]
}

// Unpop puts packets back that were popped, batch[0] being the oldest.
func (q *Queue) Unpop(batch []*Buffer) {
	for i := len(batch) - 1; i >= 0; i-- {
		if q.n == len(q.ring) {
			q.grow()
		}
		q.head = (q.head - 1) & (len(q.ring) - 1)
		q.ring[q.head] = batch[i]
		q.n++
		q.bytes += batch[i].Len()
	}
}

// Drop releases all and gives how many.
func (q *Queue) Drop() int {
	n := q.n
	for q.n > 0 {
		q.Pop().Release()
	}
	return n
}

func (q *Queue) grow() {
	size := 2 * len(q.ring)
	if size == 0 {
		size = 16
	}
	ring := make([]*Buffer, size)
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
