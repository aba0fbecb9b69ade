package operf

import (
	"fmt"
	"sync/atomic"
	"time"
)

// meter counts the data of one flow at the server. One goroutine counts, and
// others may look.
type meter struct {
	packets    atomic.Int64
	bytes      atomic.Int64
	missing    atomic.Int64 // ids that were passed over
	outOfOrder atomic.Int64 // of these, those that came after all, and repetitions
	expected   uint32       // next id; of the goroutine that counts
}

// add counts a message.
func (m *meter) add(id uint32, size int) {
	m.packets.Add(1)
	m.bytes.Add(int64(size))
	// Ids go round: what is less than half the circle ahead is new.
	switch ahead := id - m.expected; {
	case ahead == 0:
		m.expected = id + 1
	case ahead < 1<<31:
		m.missing.Add(int64(ahead))
		m.expected = id + 1
	default:
		m.outOfOrder.Add(1)
	}
}

// reading is what a meter shows.
type reading struct {
	packets, bytes, missing, outOfOrder int64
}

func (m *meter) read() reading {
	return reading{m.packets.Load(), m.bytes.Load(), m.missing.Load(), m.outOfOrder.Load()}
}

// since is the difference to an earlier reading.
func (r reading) since(before reading) reading {
	return reading{r.packets - before.packets, r.bytes - before.bytes,
		r.missing - before.missing, r.outOfOrder - before.outOfOrder}
}

// lost is how many messages did not come; those that came late are not lost.
func (r reading) lost() int64 { return max(r.missing-r.outOfOrder, 0) }

// mbps is the rate in Mb/s; 0 in no time.
func (r reading) mbps(span time.Duration) float64 {
	if span <= 0 {
		return 0
	}
	return float64(r.bytes) * 8 / (float64(span) / 1e3)
}

// line is the reading as text.
func (r reading) line(span time.Duration) string {
	return fmt.Sprintf("%d packets, %d bytes in %.3f ms, %.3f Mb/s, %d lost, %d out-of-order",
		r.packets, r.bytes, float64(span)/1e6, r.mbps(span), r.lost(), r.outOfOrder)
}

// figures are a reading as JSON.
type figures struct {
	Packets    int64   `json:"packets"`
	Bytes      int64   `json:"bytes"`
	Span       float64 `json:"time_ms"`
	Mbps       float64 `json:"mbps"`
	Lost       int64   `json:"lost"`
	OutOfOrder int64   `json:"out_of_order"`
}

func (r reading) figures(span time.Duration) *figures {
	return &figures{r.packets, r.bytes, float64(span) / 1e6, r.mbps(span), r.lost(), r.outOfOrder}
}
