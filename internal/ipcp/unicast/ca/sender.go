package ca

import "time"

// Sender v1
type Sender struct {
	rate   float64 // bytes in a ns
	credit float64
	last   int64
	end    int64

	packets uint64
	bytes   uint64
	blocked bool

	level   uint16
	since   uint64
	sum     float64
	marked  uint64
	counted uint64
	avoid   bool
}

// Init begins at now, in ns.
func (s *Sender) Init(now int64) {
	*s = Sender{rate: float64(lawBytes) / (1 << lawShift), credit: lawBytes, last: now, end: now + 1<<lawShift}
}

// Report takes the level of an UPDATE.
func (s *Sender) Report(level uint16) {
	s.level, s.since, s.avoid = level, 0, true
}

// Admit counts a packet of n bytes, or says how long none is to be sent.
func (s *Sender) Admit(now int64, n int) (wait time.Duration) {
	if now > s.last {
		s.credit = min(s.credit+float64(now-s.last)*s.rate, 4e6*s.rate+3000)
		s.last = now
		if now >= s.end {
			if !s.avoid && s.blocked {
				s.rate *= 2
			}
			s.blocked = false
			s.end = now + 1<<lawShift
		}
	}
	if s.credit <= 0 {
		s.blocked = true
		return max(time.Duration(-s.credit/s.rate), time.Millisecond/2)
	}
	s.credit -= float64(n)
	s.bytes += uint64(n)
	s.packets++
	return 0
}

// Refund takes back a packet that was admitted and could not be sent.
func (s *Sender) Refund(packets, n int) {
	s.credit += float64(n)
	s.bytes -= uint64(n)
	s.packets--
}

// State describes a sender.
type State struct {
	Level   uint16        // last report, 0 when it holds no more
	Since   uint64        // packets since
	Slot    time.Duration // length of the present slot
	Packets uint64        // in the slot
	Bytes   uint64        // in the slot
	Limit   uint64        // bytes of such a slot
	Regime  string        // slow start, multiplicative decrease, additive increase
}

func (s *Sender) State(now int64) State { return State{} }
