package frcp

import (
	"testing"
	"testing/synctest"
	"time"

	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// Nothing arrives until some time-outs have passed, and then of all data that
// is sent one after the other only the first. So nothing that is acknowledged
// was sent once, and each packet needs a time-out. Those must become short.
func TestAFlowThatBeginsWithLossesLearnsTheRoundTripTime(t *testing.T) {
	const delay = time.Millisecond
	for _, dark := range []time.Duration{100, 500, 1300, 2900, 4900, 8900} {
		dark *= time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var last time.Time
			lost := func(h wire.Header, _ int) bool {
				now := time.Now()
				if !h.Flags.Has(wire.DATA) {
					return now.Sub(begin) < dark
				}
				near := now.Sub(last) < 5*delay
				last = now
				return near || now.Sub(begin) < dark
			}
			p := newPair(t, 1, qos.Data, path{delay: delay, drop: lost}, path{delay: delay})
			took := p.transfer(t, startWindow, 1400, 1000*time.Second)
			// Twice until the first arrives, since that may have been the way of
			// all the time, and then the shortest time-out for each.
			limit := 2*min(2*dark, dark+maxTimeout) + startWindow*2*ackRoom
			t.Logf("nothing arrived for %v: all was there after %v", dark, took)
			if took > limit || p.x.rtt.srtt > int64(2*ackRoom) {
				t.Errorf("nothing arrived for %v: all was there after %v, round trip time %v", dark, took, time.Duration(p.x.rtt.srtt))
			}
			p.end()
		})
	}
}

// Acknowledgements set free what is sent again, and those of the first
// transmissions arrive soon after that: no sign of a short path.
func TestALongPathIsNotTakenForAShortOne(t *testing.T) {
	for _, delay := range []time.Duration{200 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second} {
		for _, batches := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				way := path{delay: delay, batches: batches}
				p := newPair(t, 1, qos.Data, way, way)
				p.transfer(t, 1000, 1400, 1000*time.Second)
				if n := p.x.count.Retransmitted.Load(); n > 250 || p.x.rtt.srtt < int64(2*delay) {
					t.Errorf("%v one way: %d of 1000 sent again, round trip time %v", delay, n, time.Duration(p.x.rtt.srtt))
				}
				p.end()
			})
		}
	}
}
