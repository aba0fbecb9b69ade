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

// A peer has all and its acknowledgements are lost: the answer to a rendez-vous
// says so as well.
func TestARendezVousIsAnsweredByTheAcknowledgement(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		scripted(t, spec, Config{}, func(s *script) {
			s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "abc")
			time.Sleep(time.Second)
			s.wrote() // and the peer does not hear it
			s.hear(wire.Header{Flags: wire.RDVS}, "")
			got := s.wrote()
			want := wire.Header{Flags: wire.FC | wire.DRF, Seq: ourISN}
			if spec.Reliable() {
				want.Flags |= wire.ACK
				want.Ack = theirISN + 1
			}
			if len(got) == 1 {
				got[0].Window = 0
			}
			if len(got) != 1 || got[0].Header != want {
				t.Errorf("%v: answered by %+v, want %+v", spec, got, want)
			}
		})
	}
}

// Such an answer is no sign that something has arrived behind a gap.
func TestTheAnswerToARendezVousIsNoRepeatedAcknowledgement(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("a", "b")
		time.Sleep(firstTimeout * 15 / 2) // three time-outs
		asked := false
		for _, p := range s.wrote() {
			asked = asked || p.Flags.Has(wire.RDVS)
		}
		if !asked {
			t.Fatal("no rendez-vous")
		}
		last := wire.Header{Flags: wire.ACK | wire.FC, Window: uint32(ourISN + startWindow), Ack: ourISN}
		s.hear(last, "") // it says something of the window
		s.wrote()
		time.Sleep(2 * maxTimeout)
		s.wrote()
		s.hear(last, "")
		s.only(t, "after the answer")
		s.hear(last, "")
		if len(s.wrote()) == 0 {
			t.Error("a repeated acknowledgement has no effect")
		}
	})
}

// Nor is a peer given up that says again and again what it has: packets reach it.
func TestAPeerThatAnswersByAnOldAcknowledgementIsNotGivenUp(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("a")
		for range 300 {
			time.Sleep(time.Second)
			for _, p := range s.wrote() {
				if p.Flags.Has(wire.RDVS) {
					s.hear(wire.Header{Flags: wire.ACK | wire.FC, Window: uint32(ourISN + 256), Ack: ourISN}, "")
				}
			}
		}
		s.hear(wire.Header{Flags: wire.ACK | wire.FC, Window: uint32(ourISN + 257), Ack: ourISN + 1}, "")
		if len(s.u.evs) > 0 || s.f.snd.outstanding() != 0 {
			t.Errorf("events %v", s.u.evs)
		}
	})
}
