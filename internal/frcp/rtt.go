package frcp

import "time"

// Retransmission time-outs. The peer may hold an acknowledgement back for
// 10 ms, and its timers have a grain of some more; a time-out that has no room
// for it repeats what has come.
const (
	firstTimeout = 200 * time.Millisecond // before anything is known of the round trip time
	maxTimeout   = 2 * time.Second
	ackRoom      = 25 * time.Millisecond
)

// estimator is the smoothed round trip time and its mean deviation, by the
// rules of the protocol: integer nanoseconds, arithmetic shifts.
type estimator struct {
	srtt int64 // 0 = no sample yet
	mdev int64
	most int64 // before the first sample: it is no longer than this; 0 = unknown
}

// repeated takes an acknowledgement of packets that were sent again. The last of
// them was first sent a time first ago. That is no sample, since any of the
// transmissions may be answered, but a bound, and a flow of which the first
// packets get lost has nothing better.
//
// It is a sample if a time-out had the packet that was waited for sent again:
// after a gap in which the answer to the transmission before would have come, and
// the time last ago, which is much less. Else a flow on which all that is on the
// way was sent again has no sample until all of it has arrived, and waits for as
// long as the first packet took each time that it is stopped by a loss. The same
// goes for a sample from a time at which something stood still: where twice the
// time-out had passed, the estimate begins anew.
func (e *estimator) repeated(first, last, gap int64) {
	long := 2 * e.timeout(0)
	if e.srtt == 0 {
		if e.most == 0 || first < e.most {
			e.most = max(first, 1)
		}
		long = e.timeout(0)
	}
	if gap >= long && last <= gap/4 {
		e.srtt = 0
		e.sample(last)
	}
}

// sample takes the time m between a packet and its acknowledgement.
func (e *estimator) sample(m int64) {
	if e.srtt == 0 {
		e.srtt, e.mdev = m, m>>1
	} else {
		d := m - e.srtt
		e.srtt += d >> 3
		if d < 0 {
			d = -d
		}
		if d = (d - e.mdev) >> 2; d < 0 {
			d >>= 3 // a sudden drop of the delay is no sign of a steady one
		}
		e.mdev += d
	}
	e.srtt, e.mdev = max(1000, e.srtt), max(100, e.mdev)
}

// base is the time-out as the protocol defines it.
func (e *estimator) base() int64 { return max(250_000, e.srtt+e.mdev<<2) }

// timeout is the one that is used, after backoff expiries without an answer.
func (e *estimator) timeout(backoff int) int64 {
	t := int64(firstTimeout)
	switch {
	case e.srtt != 0:
		// One late acknowledgement makes the deviation large; no time-out is
		// long for that alone.
		t = max(e.base(), e.srtt+int64(ackRoom))
		t = min(t, max(2*e.srtt, int64(maxTimeout)))
	case e.most != 0:
		t = min(e.most+int64(ackRoom), int64(maxTimeout))
	}
	return min(t<<min(backoff, 16), max(t, int64(maxTimeout)))
}
