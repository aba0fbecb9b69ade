package simnet

import (
	"sync/atomic"
	"time"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

// station is an IPCP on a link, with the queue of what it sends. All but the
// first fields belong to the lock of the segment.
type station struct {
	seg   *Segment
	layer *layer
	mac   wire.MAC
	index int

	own     *Link // instead of the segment's; nil = that
	ways    []*way
	clear   int64       // when the last bit of what was sent leaves
	finish  fifo[int64] // when the last bit of each waiting packet leaves
	flying  int         // copies on the ways
	stalled bool        // a sender waits for room
	room    alarm
	stats   Stats
}

// alarm is a timer that is made when it is first needed, and can be set
// anew.
type alarm struct {
	timer *time.Timer
	at    int64 // 0 = not set
}

func (a *alarm) stop() {
	a.at = 0
	if a.timer != nil {
		a.timer.Stop()
	}
}

// cfg is what happens to the frames of the station.
func (s *station) cfg() *Link {
	if s.own != nil {
		return s.own
	}
	return &s.seg.cfg
}

// way gives the way to another station.
func (s *station) way(to *station) *way {
	for _, w := range s.ways {
		if w.to == to {
			return w
		}
	}
	w := &way{from: s, to: to}
	s.ways = append(s.ways, w)
	return w
}

// waiting is how many packets have not left.
func (s *station) waiting(now int64) int {
	for s.finish.len() > 0 && s.finish.at(0) <= now {
		s.finish.pop()
	}
	return s.finish.len()
}

// fits is how many packets there is room for.
func (s *station) fits(now int64) int {
	if c := s.cfg(); c.Bandwidth > 0 {
		return max(0, c.queue()-s.waiting(now))
	}
	return max(0, flying-s.flying)
}

// send puts packets on the wire and says how many it took. head is the header
// of those that are.
func (s *station) send(batch []*packet.Buffer, head header) (taken int) {
	g := s.seg
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.net.now()
	fits := s.fits(now)
	for _, b := range batch {
		switch {
		case g.cut:
			s.stats.Lost++
			b.Release()
		case taken < fits:
			head.put(b)
			s.put(b, now)
		case s.cfg().DropTail && s.cfg().Bandwidth > 0:
			s.stats.Overflowed++
			b.Release()
		default:
			s.stats.Full++
			s.wait(now)
			return taken
		}
		taken++
	}
	return taken
}

// put paces a frame.
func (s *station) put(b *packet.Buffer, now int64) {
	s.stats.Sent++
	s.stats.Bytes += uint64(b.Len())
	if f := s.seg.tap; f != nil {
		f(b.Bytes())
	}
	at := now
	if bw := s.cfg().Bandwidth; bw > 0 {
		at = max(s.clear, now) + int64(uint64(b.Len())*8*uint64(time.Second)/bw)
		s.clear = at
		s.finish.push(at)
	}
	s.seg.carry(s, b, at)
}

// wait sees to it that senders hear when a quarter of the queue is free.
func (s *station) wait(now int64) {
	s.stalled = true
	c := s.cfg()
	if c.Bandwidth == 0 {
		return // the ways see to it
	}
	limit := c.queue()
	first := s.waiting(now) - (limit - max(1, limit/4)) - 1
	if first < 0 || s.room.at > now {
		return
	}
	s.room.at = s.finish.at(first)
	d := time.Duration(s.room.at - now)
	if s.room.timer == nil {
		s.room.timer = s.layer.env.AfterFunc(d, s.writable)
	} else {
		s.room.timer.Reset(d)
	}
}

// writable tells senders that there is room.
func (s *station) writable() {
	s.seg.mu.Lock()
	s.stalled, s.room.at = false, 0
	s.seg.mu.Unlock()
	s.layer.Writable()
}

// follow tells the layer what has become of the carrier.
func (s *station) follow() {
	for {
		cut := s.seg.IsCut()
		if cut {
			s.layer.Directory.Clear()
		}
		s.layer.SetDown(cut)
		s.layer.Writable()
		if s.seg.IsCut() == cut {
			return
		}
	}
}

// queueLen is waiting for those without the lock; it is asked often, and of
// most links nothing waits.
func (s *station) queueLen() int {
	s.seg.mu.Lock()
	defer s.seg.mu.Unlock()
	return s.waiting(s.seg.net.now())
}

// counters are what the IPCP saw.
type counters struct {
	foreign, malformed atomic.Uint64 // frames that were not taken
	queried            atomic.Uint64 // own queries sent
	queries, answered  atomic.Uint64 // of others; of those, for names that are here
}
