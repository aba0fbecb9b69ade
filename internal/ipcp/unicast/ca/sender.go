package ca

import (
	"math"
	"time"
)

// Times of a sender in ns, and what counts in packets.
const (
	slotLeast   = 1 << 24 // 16.8 ms
	slotMost    = 1 << 27 // 134 ms
	slotPackets = 8       // that a slot has before it may be the longest

	holds   = int64(250 * time.Millisecond) // a report, and for validity packets
	expires = int64(time.Second)            // a report, whatever was sent
	quiet   = int64(5 * time.Second)        // without congestion: slow start again
	decay   = float64(4 * time.Second)      // of a rate that is not used

	waitLeast = 100 * time.Microsecond
	waitMost  = time.Second
)

// Rates in bytes in a ns: 1 is 8 Gbit/s.
const (
	rateFirst = float64(lawBytes) / (1 << lawShift) // 31 Mbit/s
	rateLeast = 1500.0 / float64(time.Second)       // a packet in a second
	rateMost  = 125.0                               // 1 Tbit/s
)

// Bytes that can be sent at once after a pause: burst, and what the rate gives
// while a timer is late.
const (
	burst     = 15000.0
	burstTime = float64(4 * time.Millisecond)
)

// Constants of the control, see the package.
const (
	upRate   = 0.5 / float64(time.Second)
	upFlow   = 0.03125 // bytes in a ns: 250 Mbit/s
	downRate = 1 / float64(time.Second)
	downFlow = 0.0125 // 100 Mbit/s
	downAt   = 256.0  // level
	severe   = 512    // level
	hurry    = 4.0    // times downRate, after a slow start that went too far
	enough   = 96     // level that ends a slow start
	standing = 8.0
	keep     = 0.7
)

// Sender is the sending end of a flow. It is not safe for use by several
// goroutines at once. Init makes it ready.
type Sender struct {
	rate   float64 // bytes in a ns
	credit float64 // bytes that may be sent; below 0 none
	last   int64   // when credit was right

	// The slot.
	begin   int64
	packets int
	bytes   int
	blocked bool    // more was wanted
	marked  int     // packets that were sent while the level was above 0
	push    float64 // sum over those of the square root of their level, if it did not fall

	// What is reported.
	level   uint16
	falling bool
	told    int64 // when
	since   int   // packets sent since
	seen    int   // packets of the slot that are in since
	streak  int   // reports in a row above 0, without the first
	gap     float64
	size    float64 // of packets, bytes

	avoid bool  // not in slow start
	hasty bool  // slow start has just ended, and the queue still grows
	above int64 // when a level above 0 was reported last
}

// Init begins at now, a time in ns on a clock of the caller's.
func (s *Sender) Init(now int64) {
	*s = Sender{rate: rateFirst, credit: burst, last: now, begin: now, told: now, above: now}
}

// Admit counts a packet of n bytes, or says how long none is to be sent. One
// reading of the clock does for many packets.
func (s *Sender) Admit(now int64, n int) (wait time.Duration) {
	if now > s.last {
		s.advance(now)
	}
	if s.credit < 0 {
		s.blocked = true
		return min(max(time.Duration(-s.credit/s.rate)+1, waitLeast), waitMost)
	}
	s.credit -= float64(n)
	s.packets++
	s.bytes += n
	return 0
}

// advance gives the credit for the time that has passed.
func (s *Sender) advance(now int64) {
	// A long packet at a low rate is no debt for ever.
	s.credit = max(s.credit, -s.rate*float64(waitMost))
	s.credit = min(s.credit+float64(now-s.last)*s.rate, s.rate*burstTime+burst)
	s.last = now
	if slot := now - s.begin; slot >= slotMost || slot >= slotLeast && s.packets >= slotPackets {
		s.adjust(now)
	}
}

// Refund takes back packets that were admitted and could not be sent.
func (s *Sender) Refund(packets, bytes int) {
	s.credit += float64(bytes)
	s.packets -= packets
	s.bytes -= bytes
}

// Report takes the level of an UPDATE that came at now.
func (s *Sender) Report(now int64, level uint16) {
	s.account(now)
	if level > 0 {
		s.above = now
	}
	if level == 0 || s.level == 0 {
		s.streak = 0
	} else {
		// The receiver reports every eighth packet: that is how fast they arrive.
		gap := float64(max(now-s.told, 1))
		if s.streak++; s.streak > 2 {
			s.gap += (gap - s.gap) / 8
		} else {
			s.gap = gap
		}
	}
	s.falling = level < s.level
	s.hasty = s.hasty && !s.falling
	s.level, s.told, s.since = level, now, 0
	if level >= enough && !s.avoid {
		s.leave()
	}
}

// arriving is the rate at which packets come to the receiver, 0 when it is not
// known.
func (s *Sender) arriving() float64 {
	if s.streak < 2 || s.level == 0 {
		return 0
	}
	return reportEvery * s.size / s.gap
}

// account adds what was sent since the last time to what was sent under the
// present report, and ends a report that is too old.
func (s *Sender) account(now int64) {
	n := s.packets - s.seen
	s.seen = s.packets
	s.since += n
	if s.level == 0 {
		return
	}
	s.marked += n
	if !s.falling {
		s.push += float64(n) * math.Sqrt(float64(s.level)/downAt)
	}
	if age := now - s.told; age > holds && s.since >= validity || age > expires {
		s.level, s.streak = 0, 0
	}
}

// adjust ends a slot and sets the rate for the next.
func (s *Sender) adjust(now int64) {
	s.account(now)
	took := float64(now - s.begin)
	if s.packets > 0 {
		s.size = float64(s.bytes) / float64(s.packets)
	}
	used := float64(s.bytes) / took
	switch {
	case !s.blocked && s.marked == 0:
		// The rate is not known to be good: it goes down to where a flow begins,
		// or to twice of what is used.
		if spare := s.rate - 2*used - rateFirst; spare > 0 {
			s.rate -= spare * min(took/decay, 1)
		}
	case s.avoid && now-s.above < quiet:
		s.control(min(took, slotMost))
	case s.marked == s.packets:
		s.leave()
	case s.blocked:
		s.rate *= 2
	}
	if now-s.above >= quiet {
		s.avoid = false
	}
	s.rate = min(max(s.rate, rateLeast), rateMost)
	s.begin, s.packets, s.bytes, s.seen, s.marked, s.push, s.blocked = now, 0, 0, 0, 0, 0, false
}

// leave ends a slow start.
func (s *Sender) leave() {
	s.avoid, s.hasty = true, true
	s.rate *= 1 - min(float64(s.level)/(2*severe), 0.5)
}

// control raises or lowers the rate after a slot of a length.
func (s *Sender) control(took float64) {
	n := float64(max(s.packets, 1))
	clear := min((1-float64(s.marked)/n)*standing, 1)
	if s.blocked {
		up := upRate * max(math.Sqrt(upFlow/s.rate), 1)
		s.rate += s.rate * min(up*took*clear, 1)
	}
	if clear == 1 {
		return
	}
	down := downRate * math.Pow(s.rate/downFlow, 0.2)
	if s.hasty && s.level >= severe {
		down = max(down, hurry*downRate)
	}
	rate := s.rate * (1 - min(down*took*s.push/n*(1-clear), 0.5))
	s.rate = max(rate, min(keep*s.arriving(), s.rate))
}

// State describes a sender.
type State struct {
	Level   uint16        // last report; 0 also when it holds no more
	Since   int           // packets since
	Slot    time.Duration // shortest length of a slot
	Packets int           // in the slot
	Bytes   int           // in the slot
	Limit   int           // bytes in such a slot
	Regime  string        // slow start, multiplicative decrease, additive increase
}

// State describes the sender.
func (s *Sender) State(now int64) State {
	s.account(now)
	st := State{
		Level: s.level, Since: s.since, Slot: slotLeast, Packets: s.packets, Bytes: s.bytes,
		Limit: int(s.rate * slotLeast), Regime: "additive increase",
	}
	switch {
	case !s.avoid:
		st.Regime = "slow start"
	case s.level > 0:
		st.Regime = "multiplicative decrease"
	}
	return st
}
