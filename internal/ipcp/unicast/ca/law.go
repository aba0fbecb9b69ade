package ca

import "time"

// Constants of the law.
const (
	lawShift   = 24      // of the first slot, 16.8 ms
	lawBytes   = 1 << 16 // limit and increase of the first slot
	lawLeast   = 8       // packets in a slot
	lawMost    = 64      // packets in a slot
	validity   = 32      // packets for which a report holds
	lossShift  = 13      // a level of 2^13 would be a decrease to nothing
	lawLongest = time.Second
)

// Law is the sender of the C implementation, step by step as it computes. It
// waits while it holds the packet: what has been counted is sent after the wait.
//
//	slot      2^shift ns; so long that it has 8 to 64 packets
//	limit     bytes in a slot
//	increase  bytes by which the limit grows from slot to slot
//
// At the end of a slot, the packet that discovers it included:
//
//	never a report      limit doubles if more than it was wanted
//	level > 0           limit shrinks by level/8192 of it
//	level 0             limit = what was wanted + increase
//
// It knows no bounds: the slots of a flow that sends one packet in a second grow
// to 8 seconds, and after an hour's pause one slot has passed. Flows here use
// Sender; this is what they meet.
type Law struct {
	shift   uint
	slot    int64
	limit   uint64
	step    uint64
	bytes   uint64
	packets uint64
	level   uint16
	since   uint64 // packets since the last report
	avoid   bool   // there was a report
}

// NewLaw begins at now, in ns.
func NewLaw(now int64) *Law {
	return &Law{shift: lawShift, slot: now >> lawShift, limit: lawBytes, step: lawBytes}
}

// Report takes the level of an UPDATE.
func (l *Law) Report(level uint16) { l.level, l.since, l.avoid = level, 0, true }

// Send counts a packet of n bytes and says how long it waits before it leaves.
func (l *Law) Send(now int64, n int) (wait time.Duration) {
	l.since++
	l.packets++
	l.bytes += uint64(n)
	if l.since > validity {
		l.level = 0
	}
	if slot := now >> l.shift; slot > l.slot {
		l.slot = slot
		l.adjust()
		if !l.scale() {
			l.bytes, l.packets = 0, 0
		}
	}
	if l.bytes <= l.limit {
		return 0
	}
	return min(time.Duration((l.slot+1)<<l.shift-now), lawLongest)
}

// adjust sets the limit for the next slot.
func (l *Law) adjust() {
	switch {
	case !l.avoid:
		if l.bytes > l.limit {
			l.limit <<= 1
		}
	case l.level > 0:
		l.limit -= l.limit * uint64(l.level) >> lossShift
	default:
		l.limit = l.bytes + l.step
	}
}

// scale makes slots longer or shorter. It reports whether the new slot goes on
// with what the old one had.
func (l *Law) scale() (carry bool) {
	var by uint
	switch {
	case l.packets < lawLeast:
		for l.packets<<by < lawLeast {
			by++
		}
		l.shift += by
		l.slot >>= by
		if l.slot&(1<<by-1) == 0 {
			carry = true
			l.slot++
		}
		l.limit <<= by
		l.step <<= by
	case l.packets > lawMost:
		for l.packets>>by > lawMost {
			by++
		}
		l.shift -= by
		l.slot <<= by
		l.limit >>= by
		l.step >>= by
	}
	return carry
}
