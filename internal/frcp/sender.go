package frcp

import (
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
)

// sender is what is known of the packets that were given to Send.
//
//	     una             nxt              end
//	──────┼───────────────┼────────────────┼──────
//	 gone │ on the way or │ not sent yet   │ not given yet
//	      │ lost          │                │
//
// On a flow without retransmission una is always nxt.
type sender struct {
	una, nxt, end frcp.Seq
	ring          []slot // by number; the length is a power of two
	bytes         int    // of all in the ring
	started       bool   // the first data was sent
	refused       bool   // Send took fewer: EventWritable is owed
	spoke         int64  // when data was last sent

	edge   frcp.Seq // first number that the peer does not accept
	opened bool     // the peer has announced a window

	// Losses, see recover.go.
	flight   int      // packets that are believed to be on the way
	left     int      // of these, how many have arrived as repeated acknowledgements tell
	lost     int      // slots that are to be sent again
	urgent   int      // of these, how many whatever the window says
	scan     frcp.Seq // no lost slot is before it
	order    uint32   // of the last transmission
	arrived  uint32   // highest order of a transmission that has arrived
	hinted   bool     // the peer says which packets have arrived
	beyond   frcp.Seq // first number after the last that is known to have arrived
	checked  uint32   // value of arrived when losses were last looked for
	distance uint32   // transmissions by which a packet may be overtaken
	repeats  int      // acknowledgements that repeated una
	recovery bool     // until recover is acknowledged
	expired  bool     // by a time-out
	recover  frcp.Seq

	calm [2]int // window and threshold before the last time-out; 0 = it was none, or is judged

	gap      int64 // between the last two transmissions of una, if a time-out caused the last; else 0
	rtoAt    int64 // deadlines: 0 = none
	grace    bool  // a late timer has waited for acknowledgements that wait too
	backoff  int   // expiries in a row
	progress int64 // when the peer last showed that packets reach it
	paceAt   int64
	pace     int64 // when the next packet would leave at an even pace
	rdvsAt   int64
	rdvsWait int64
	rdvs     bool // a rendez-vous is to be sent
	asked    bool // one was, and is not answered yet
	closedAt int64
	endAt    int64
}

// place is where a packet is in its life.
type place uint8

const (
	queued  place = iota
	flying        // on the way
	missing       // lost, to be sent again
	landed        // arrived beyond a gap
)

// slot is one packet of the sender.
type slot struct {
	buf   *packet.Buffer
	first int64 // when it was first sent
	last  int64 // when it was last sent
	order uint32
	tries uint32
	place place
}

const (
	firstDistance = 3
	mostDistance  = 300
)

func (s *sender) init(isn frcp.Seq) {
	*s = sender{
		una: isn, nxt: isn, end: isn, scan: isn, recover: isn, beyond: isn,
		edge: isn.Add(startWindow), distance: firstDistance,
	}
}

func (s *sender) at(n frcp.Seq) *slot { return &s.ring[uint32(n)&uint32(len(s.ring)-1)] }

// push appends a packet.
func (s *sender) push(b *packet.Buffer) {
	if n := s.end.Since(s.una); n == len(s.ring) {
		size := max(64, 2*n)
		ring := make([]slot, size)
		for q := s.una; q != s.end; q++ {
			ring[uint32(q)&uint32(size-1)] = *s.at(q)
		}
		s.ring = ring
	}
	*s.at(s.end) = slot{buf: b}
	s.bytes += b.Len()
	s.end++
}

// waiting is the number of packets that were not sent yet.
func (s *sender) waiting() int { return s.end.Since(s.nxt) }

// outstanding is the number of packets that were sent and not acknowledged.
func (s *sender) outstanding() int { return s.nxt.Since(s.una) }

// drop releases all that is kept.
func (s *sender) drop() {
	for q := s.una; q != s.end; q++ {
		if b := s.at(q).buf; b != nil {
			b.Release()
		}
	}
	clear(s.ring)
	s.una, s.nxt, s.scan, s.beyond = s.end, s.end, s.end, s.end
	s.bytes, s.flight, s.left, s.lost = 0, 0, 0, 0
	s.recovery, s.expired, s.rdvs = false, false, false
	s.rtoAt, s.paceAt, s.rdvsAt, s.endAt = 0, 0, 0, 0
}
