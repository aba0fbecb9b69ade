package frcp

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

func TestASlowReaderSlowsTheSenderAndKillsNothing(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		t.Run(spec.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 1, spec, path{delay: time.Millisecond}, path{delay: time.Millisecond})
				p.uy.room = 0
				const n = 5000
				go p.ux.stream(0, n, 1000)
				for k := range 200 { // a message a second
					time.Sleep(time.Second)
					p.uy.give(1)
					if held, _ := p.y.in.Held(); held > p.y.cfg.Window {
						t.Fatalf("%d packets are kept", held)
					}
					if got := p.uy.received(); got != k+1 {
						t.Fatalf("%d messages read after %d s", got, k+1)
					}
				}
				begin := time.Now()
				p.uy.give(-1)
				for p.uy.received() < n && time.Since(begin) < 10*time.Second {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(begin); took > time.Second {
					t.Errorf("%d of %d after %v with a reader that reads", p.uy.received(), n, took)
				}
				if len(p.ux.evs) > 0 && p.ux.had(flow.EventDown) > 0 || p.x.count.Timeouts.Load() > 0 {
					t.Errorf("events %v, %d time-outs", p.ux.evs, p.x.count.Timeouts.Load())
				}
				p.end()
			})
		})
	}
}

func TestAReaderThatStopsForLongIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1, qos.Data, path{delay: time.Millisecond}, path{delay: time.Millisecond})
		p.uy.room = 0
		go p.ux.stream(0, 5000, 1000)
		time.Sleep(300 * time.Second)
		p.uy.give(-1)
		time.Sleep(time.Second)
		synctest.Wait()
		if p.uy.received() != 5000 {
			t.Errorf("%d of 5000 after the stop", p.uy.received())
		}
		p.end()
	})
}

func TestALostWindowUpdateIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lose atomic.Bool
		p := newPair(t, 1, qos.Data, path{delay: time.Millisecond}, path{delay: time.Millisecond, drop: func(wire.Header, int) bool { return lose.Load() }},
			func(c *Config) { c.Window = 2048 })
		p.uy.room = 0
		go p.ux.stream(0, 5000, 1000)
		time.Sleep(5 * time.Second)
		lose.Store(true)
		p.uy.give(-1)
		lose.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if p.uy.received() != 5000 || p.x.count.RDVSSent.Load() == 0 {
			t.Errorf("%d of 5000, %d rendez-vous", p.uy.received(), p.x.count.RDVSSent.Load())
		}
		p.end()
	})
}

func TestBytesBoundTheWindowToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(1, qos.Data, path{delay: time.Millisecond}, path{delay: time.Millisecond})
		n.a.mtu, n.b.mtu = 70000, 70000
		c := Config{QoS: qos.Data}
		p := &pair{network: n, x: New(n.a, c), y: New(n.b, c)}
		p.ux, p.uy = newUser(t, p.x), newUser(t, p.y)
		p.uy.room = 0
		go p.ux.stream(0, 1000, 60000)
		time.Sleep(10 * time.Second)
		held, bytes := p.y.in.Held()
		t.Logf("%d packets, %d bytes are kept", held, bytes)
		if bytes > 2*p.y.cfg.WindowBytes {
			t.Errorf("%d bytes are kept", bytes)
		}
		p.uy.give(-1)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if p.uy.received() != 1000 {
			t.Errorf("%d of 1000", p.uy.received())
		}
		p.end()
	})
}

func TestSendTakesWhatFitsAndTellsOfRoom(t *testing.T) {
	scripted(t, qos.Data, Config{Queue: 10}, func(s *script) {
		s.take = 0 // nothing leaves
		n := 0
		for s.say("x") == 1 {
			if n++; n > 1000 {
				t.Fatal("no end of room")
			}
		}
		if s.u.had(flow.EventWritable) != 0 {
			t.Error("told of room that is not there")
		}
		s.take = -1
		s.h.Event(flow.EventWritable)
		if s.u.had(flow.EventWritable) != 1 {
			t.Errorf("events %v", s.u.evs)
		}
		s.wrote()
	})
}

func TestBytesBoundTheQueue(t *testing.T) {
	scripted(t, qos.Data, Config{SendBytes: 10000}, func(s *script) {
		n := 0
		for s.say(string(make([]byte, 1000))) == 1 {
			if n++; n > 1000 {
				t.Fatal("no end of room")
			}
		}
		if n != 10 {
			t.Errorf("%d packets of 1000 bytes taken", n)
		}
		s.wrote()
		s.hear(wire.Header{Flags: wire.ACK | wire.FC, Ack: ourISN + 10, Window: uint32(ourISN + 266)}, "")
		if s.u.had(flow.EventWritable) != 1 {
			t.Errorf("events %v", s.u.evs)
		}
	})
}

func TestLongAndEmptyMessages(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		if s.f.MTU() != 1488 {
			t.Errorf("MTU %d", s.f.MTU())
		}
		if n := s.say(string(make([]byte, 1489)), "", string(make([]byte, 1488))); n != 3 {
			t.Errorf("took %d of 3", n)
		}
		out := s.wrote()
		if len(out) != 2 || out[0].Flags != 0 || out[1].Seq != ourISN || s.f.count.TooLong.Load() != 1 {
			t.Errorf("%d packets sent: %+v", len(out), out[0])
		}
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "")
		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN + 1}, "abc")
		if s.u.bytes != 3 {
			t.Errorf("%d bytes arrived after an empty message", s.u.bytes)
		}
		flow.Deliver(s.h, []*packet.Buffer{packet.Get(0)}) // a keep-alive
	})
}

func TestTheWindowIsObeyedUnlessTheUserSaysOtherwise(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("a")
		s.hear(wire.Header{Flags: wire.ACK | wire.FC, Ack: ourISN + 1, Window: uint32(ourISN + 3)}, "")
		s.wrote()
		s.say("b", "c", "d", "e")
		if n := len(s.wrote()); n != 2 {
			t.Errorf("%d packets sent into a window of 2", n)
		}
		s.f.SetFlags(flagLinger)
		if n := len(s.wrote()); n != 2 {
			t.Errorf("%d packets sent without resource control", n)
		}
	})
}

func TestABatchIsAcknowledgedOnceAndAGapAtOnce(t *testing.T) {
	scripted(t, qos.Data, Config{Window: 1024}, func(s *script) {
		data := func(n wire.Seq, flags wire.Flags) *packet.Buffer {
			b := packet.Get(wire.HeaderLen + 3)
			wire.Header{Flags: wire.DATA | flags, Seq: n}.Put(b.Bytes())
			return b
		}
		batch := []*packet.Buffer{data(theirISN, wire.DRF)}
		for n := wire.Seq(1); n < 32; n++ {
			batch = append(batch, data(theirISN+n, 0))
		}
		flow.Deliver(s.h, batch)
		drf := wire.ACK | wire.FC | wire.DRF
		s.only(t, "a batch", wire.Header{Flags: drf, Seq: ourISN, Ack: theirISN + 32, Window: uint32(theirISN + 32 + 1024)})

		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN + 32}, "abc")
		s.only(t, "one packet, at first")
		time.Sleep(11 * time.Millisecond)
		s.only(t, "one packet, later", wire.Header{Flags: drf, Seq: ourISN, Ack: theirISN + 33, Window: uint32(theirISN + 33 + 1024)})

		// Now the peer knows our number, and hints may take its place.
		s.hear(wire.Header{Flags: wire.DATA | wire.ACK, Seq: theirISN + 34, Ack: ourISN}, "abc")
		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN + 36}, "abc")
		s.only(t, "two gaps",
			wire.Header{Flags: wire.ACK | wire.FC, Seq: theirISN + 34, Ack: theirISN + 33, Window: uint32(theirISN + 33 + 1024)},
			wire.Header{Flags: wire.ACK | wire.FC, Seq: theirISN + 36, Ack: theirISN + 33, Window: uint32(theirISN + 33 + 1024)})
		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN + 33}, "abc")
		s.only(t, "a gap filled", wire.Header{Flags: wire.ACK | wire.FC, Ack: theirISN + 35, Window: uint32(theirISN + 35 + 1024)})
		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN + 1}, "abc")
		s.only(t, "a duplicate", wire.Header{Flags: wire.ACK | wire.FC, Seq: theirISN + 1, Ack: theirISN + 35, Window: uint32(theirISN + 35 + 1024)})
		s.say("data")
		s.only(t, "data carries both", wire.Header{Flags: wire.DATA | wire.DRF | wire.ACK | wire.FC, Seq: ourISN, Ack: theirISN + 35, Window: uint32(theirISN + 35 + 1024)})
	})
}

func TestAnAnswerWithinTheDelayCarriesTheAcknowledgement(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("a")
		s.wrote()
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF | wire.ACK | wire.FC, Seq: theirISN, Ack: ourISN + 1, Window: uint32(ourISN + 257)}, "abc")
		time.Sleep(9 * time.Millisecond)
		s.say("b")
		time.Sleep(time.Second)
		n := 0
		for _, p := range s.wrote() {
			if !p.Flags.Has(wire.DATA) && p.Flags.Has(wire.ACK) {
				t.Errorf("sent %+v", p)
			}
			if p.Ack == theirISN+1 {
				n++
			}
		}
		if n == 0 {
			t.Error("no acknowledgement")
		}
	})
}

func TestNothingIsSaidOfARunThatIsNotThere(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.hear(wire.Header{Flags: wire.RDVS}, "")
		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN}, "abc")
		s.hear(wire.Header{Flags: wire.ACK | wire.FC}, "")
		time.Sleep(time.Second)
		s.only(t, "without a run")
		s.say("abc")
		s.only(t, "the first data", wire.Header{Flags: wire.DATA | wire.DRF, Seq: ourISN})
		if s.f.count.NoRun.Load() != 1 {
			t.Errorf("%d packets without a run", s.f.count.NoRun.Load())
		}
		// Control packets came before, and the first data is still accepted.
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "abc")
		if s.u.bytes != 3 {
			t.Error("the first data of the run was not accepted")
		}
		s.hear(wire.Header{Flags: wire.RDVS}, "")
		got := s.wrote()
		if len(got) != 1 || got[0].Flags != wire.FC|wire.ACK || got[0].Ack != theirISN+1 {
			t.Errorf("a rendez-vous is answered by %+v", got)
		}
	})
}

func TestDRFAloneDoesNotResetARun(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "abc")
		for range 12 {
			time.Sleep(10 * time.Second)
			s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN + 0x1000000}, "bad")
			s.hear(wire.Header{Flags: wire.DRF | wire.ACK, Seq: theirISN + 0x2000000}, "")
		}
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN + 1}, "abc")
		if s.u.bytes != 6 {
			t.Errorf("%d bytes arrived", s.u.bytes)
		}
		time.Sleep(132 * time.Second)
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN + 0x1000000}, "new")
		if s.u.bytes != 9 {
			t.Errorf("a new run after silence: %d bytes arrived", s.u.bytes)
		}
	})
}

func TestIdleForLongAndThenDataBothWays(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, 1, spec, path{delay: time.Millisecond}, path{delay: time.Millisecond})
			for k := range 5 {
				p.ux.stream(100*k, 100, 50)
				if k != 2 {
					go p.uy.stream(10*k, 10, 50)
				}
				time.Sleep(140 * time.Second)
				synctest.Wait()
				if k == 2 {
					p.uy.stream(10*k, 10, 50)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if p.uy.received() != 500 || p.ux.received() != 50 {
				t.Errorf("%d and %d packets arrived", p.uy.received(), p.ux.received())
			}
			p.end()
		})
	}
}

func TestAFlowBelowThatForgetsToTellOfRoomIsAskedAgain(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		room := func(n int) {
			s.mu.Lock()
			s.take = n
			s.mu.Unlock()
		}
		room(0)
		s.say("a")
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "b")
		time.Sleep(20 * time.Millisecond)
		room(-1)
		time.Sleep(patience)
		synctest.Wait()
		data, acks := 0, 0
		for _, p := range s.wrote() {
			if p.Flags.Has(wire.DATA) {
				data++
			}
			if p.Flags.Has(wire.ACK) && p.Ack == theirISN+1 {
				acks++
			}
		}
		if data == 0 || acks == 0 {
			t.Errorf("%d packets with data and %d acknowledgements were sent", data, acks)
		}
		s.hear(wire.Header{Flags: wire.ACK | wire.FC, Ack: ourISN + 1, Window: uint32(ourISN + 256)}, "")
		time.Sleep(time.Minute)
		synctest.Wait()
		s.f.mu.Lock()
		defer s.f.mu.Unlock()
		if s.f.timer.at != 0 {
			t.Error("an idle flow has a timer")
		}
	})
}

func TestOneLateAcknowledgementMakesNoLongTimeOut(t *testing.T) {
	var e estimator
	for range 20 {
		e.sample(int64(200 * time.Microsecond))
	}
	e.sample(int64(8 * time.Second))
	if got := time.Duration(e.timeout(0)); got > max(maxTimeout, 2*time.Duration(e.srtt)) {
		t.Errorf("%v, with a smoothed round trip time of %v", got, time.Duration(e.srtt))
	}
}

func TestACleanPathWithADeepQueueIsNotFilledForNothing(t *testing.T) {
	const rate = 250e3 // packets a second, 2.8 Gbit/s
	for _, delay := range []time.Duration{50 * time.Microsecond, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, 1, qos.Data, path{delay: delay, rate: rate}, path{delay: delay})
			took := p.transfer(t, 40000, 1400, 60*time.Second)
			most := int(rate*2*delay.Seconds()) + int(rate*max(2*delay/2, 4*time.Millisecond).Seconds())
			t.Logf("%.0f Mbit/s, window %d, smoothed round trip time %v", 40000*1400*8/took.Seconds()/1e6, p.x.cc.window, time.Duration(p.x.rtt.srtt))
			if n := p.x.cc.window; n > 3*most {
				t.Errorf("a window of %d packets, want no more than %d", n, 3*most)
			}
			if n := p.x.count.Retransmitted.Load(); n != 0 {
				t.Errorf("%d packets sent again", n)
			}
			if took > time.Second {
				t.Errorf("took %v", took)
			}
			p.end()
		})
	}
}
