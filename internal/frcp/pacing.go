package frcp

import "time"

// shortPath is the round trip time below which packets are not spread: a burst
// is there before a timer could have held it back.
const shortPath = int64(2 * time.Millisecond)

// inPace reports whether a packet may leave now, and counts it if so. The
// packets of a window are spread over four fifths of the round trip time, half
// of it while the window doubles; up to burst of them may be early.
func (f *Flow) inPace(now int64) bool {
	s := &f.snd
	gap := f.gap
	if gap == 0 {
		return true
	}
	if s.pace > now+(burst-1)*gap {
		// Several at a time, since each wait costs a timer.
		s.paceAt = max(s.pace-burst/2*gap, now+int64(time.Millisecond/4))
		return false
	}
	s.pace = max(s.pace, now) + gap
	return true
}

// spread sets the time between packets at an even pace, 0 for a short path.
func (f *Flow) spread() {
	f.gap = 0
	lowest := f.cc.lowestRTT()
	if !f.reliable || lowest < shortPath {
		return
	}
	n, d := int64(4), int64(5)
	if f.cc.window < f.cc.threshold {
		n, d = 1, 2
	}
	// One late acknowledgement must not slow a fast path down for long.
	f.gap = min(f.rtt.srtt, 2*lowest) * n / (d * int64(f.cc.window))
}
