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

// bound takes the time m between the first transmission of a packet that was
// repeated and its acknowledgement. That is no sample, but a flow of which the
// first packets get lost has nothing better.
func (e *estimator) bound(m int64) {
	if e.most == 0 || m < e.most {
		e.most = max(m, 1)
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
		t = e.most + int64(ackRoom)
	}
	return min(t<<min(backoff, 16), max(t, int64(maxTimeout)))
}
