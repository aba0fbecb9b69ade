package frcp

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// run transfers n packets on fresh machines and ends them.
func run(t *testing.T, seed uint64, ab, ba path, n int, limit time.Duration, change ...func(c *Config)) (took time.Duration, p *pair) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p = newPair(t, seed, qos.Data, ab, ba, change...)
		took = p.transfer(t, n, 1400, limit)
		p.end()
	})
	return took, p
}

// A mebibyte, and an answer to it: the transfer ends when the other side says so.
func TestAMebibyteThroughThirtyPercentLossInRowsOfThree(t *testing.T) {
	const packets, limit = 1<<20/1400 + 1, 30 * time.Second
	seeds := uint64(200)
	if testing.Short() || raceEnabled {
		seeds = 20
	}
	for _, c := range []struct {
		delay   time.Duration
		batches bool          // are acknowledged as one, so one loss can stop the flow whatever its window is
		hold    time.Duration // the first round trip takes so long
	}{
		{delay: 50 * time.Microsecond},
		{delay: 10 * time.Millisecond},
		{delay: 50 * time.Microsecond, batches: true},
		{delay: time.Millisecond, batches: true},
		{delay: 10 * time.Millisecond, batches: true},
		{delay: time.Millisecond, batches: true, hold: 100 * time.Millisecond},
	} {
		var all []time.Duration
		for seed := range seeds {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				lossy := path{
					delay: c.delay, batches: c.batches, hold: begin.Add(c.hold),
					loss: 0.3 / (3 - 2*0.3), row: 3, // 30 % of all packets
				}
				p := newPair(t, seed, qos.Data, lossy, lossy)
				p.transfer(t, packets, 1400, limit)
				p.uy.stream(0, 1, 32)
				for p.ux.received() == 0 && time.Since(begin) < limit {
					time.Sleep(10 * time.Millisecond)
				}
				all = append(all, time.Since(begin))
				p.x.Abort() // the end has tests of its own
				p.y.Abort()
				time.Sleep(time.Second) // what is on the way
			})
		}
		slices.Sort(all)
		worst := all[len(all)-1]
		t.Logf("%+v: half took %v, the slowest %v", c, all[len(all)/2], worst)
		if worst >= limit {
			t.Errorf("%+v: the slowest took %v", c, worst)
		}
	}
}

func TestOnePercentLossDoesNotStopTheFlow(t *testing.T) {
	// TCP that takes each loss for congestion does 10 to 12 Mbit/s there.
	lossy := path{delay: 10 * time.Millisecond, loss: 0.01}
	for seed := range uint64(5) {
		took, p := run(t, seed, lossy, lossy, 20000, 60*time.Second)
		rate := 20000 * 1400 * 8 / took.Seconds() / 1e6
		t.Logf("%.0f Mbit/s, window %d", rate, p.x.cc.window)
		if rate < 400 {
			t.Errorf("%.1f Mbit/s", rate)
		}
		if n := p.x.count.Retransmitted.Load(); n > uint64(p.ab.lost)*11/10 {
			t.Errorf("%d packets sent again, %d were lost", n, p.ab.lost)
		}
	}
}

// withoutHints makes a path of which the peer's acknowledgements say no more
// than those of a C peer.
func withoutHints(p path) path {
	p.observe = func(b []byte) {
		if h, ok := wire.Parse(b); ok && !h.Flags.Has(wire.DATA|wire.DRF) {
			h.Seq = 0
			h.Put(b)
		}
	}
	return p
}

func TestLossWithoutHints(t *testing.T) {
	for _, c := range []struct {
		name string
		path path
		rate float64 // Mbit/s, at least
	}{
		{"1 %", path{delay: 10 * time.Millisecond, loss: 0.01}, 12},
		{"25 %", path{delay: time.Millisecond, loss: 0.25}, 0.5},
		{"everything", path{delay: 5 * time.Millisecond, jitter: 5 * time.Millisecond, double: 0.1, loss: 0.1}, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				took, p := run(t, seed, c.path, withoutHints(c.path), 5000, 600*time.Second)
				rate := 5000 * 1400 * 8 / took.Seconds() / 1e6
				t.Logf("%.1f Mbit/s, %d again, %d time-outs, lost %d", rate, p.x.count.Retransmitted.Load(), p.x.count.Timeouts.Load(), p.ab.lost)
				if rate < c.rate {
					t.Errorf("%.1f Mbit/s", rate)
				}
				if p.x.snd.hinted {
					t.Error("there were hints")
				}
			}
		})
	}
}

func TestSinglePacketsThatAreLost(t *testing.T) {
	data := func(h wire.Header) bool { return h.Flags.Has(wire.DATA) }
	for _, c := range []struct {
		name   string
		ab, ba func(h wire.Header, n int) bool
		limit  time.Duration
	}{
		{"the first data", func(h wire.Header, n int) bool { return n == 1 }, nil, 3 * time.Second},
		{"the first ten", func(h wire.Header, n int) bool { return n <= 10 }, nil, 3 * time.Second},
		{"the whole first window", func(h wire.Header, n int) bool { return n <= 64 }, nil, 5 * time.Second},
		{"the first acknowledgement", nil, func(h wire.Header, n int) bool { return n == 1 }, 2 * time.Second},
		{"every second packet", func(h wire.Header, n int) bool { return n%2 == 0 }, nil, 30 * time.Second},
		{"every seventh packet", func(h wire.Header, n int) bool { return n%7 == 0 }, nil, 5 * time.Second},
		{"every second acknowledgement", nil, func(h wire.Header, n int) bool { return n%2 == 0 }, 2 * time.Second},
		{"9 of 10 acknowledgements", nil, func(h wire.Header, n int) bool { return n%10 != 0 }, 20 * time.Second},
		{"the last packet", func(h wire.Header, n int) bool { return data(h) && n == 2000 }, nil, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			took, p := run(t, 1, path{delay: time.Millisecond, drop: c.ab}, path{delay: time.Millisecond, drop: c.ba}, 2000, c.limit)
			t.Logf("%v, %d again, %d time-outs, lost %d", took, p.x.count.Retransmitted.Load(), p.x.count.Timeouts.Load(), p.ab.lost)
		})
	}
}

func TestReorderingByManyPlacesLosesNothing(t *testing.T) {
	for _, jitter := range []time.Duration{20 * time.Microsecond, time.Millisecond, 30 * time.Millisecond} {
		_, p := run(t, 1, path{delay: 10 * time.Millisecond, jitter: jitter}, path{delay: 10 * time.Millisecond}, 5000, 60*time.Second)
		t.Logf("up to %v late: %d sent again, distance %d", jitter, p.x.count.Retransmitted.Load(), p.x.snd.distance)
	}
}

func TestNumbersGoAcross32And24Bits(t *testing.T) {
	for _, isn := range []wire.Seq{0xfffffff0, 0xfffff800, 0x00fffff0, 0x7ffffff0, 0} {
		for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
			synctest.Test(t, func(t *testing.T) {
				loss := 0.05
				if !spec.Reliable() {
					loss = 0
				}
				p := newPair(t, 1, spec, path{delay: time.Millisecond, loss: loss}, path{delay: time.Millisecond, loss: loss},
					func(c *Config) { c.ISN = func() wire.Seq { return isn } })
				p.transfer(t, 5000, 100, 60*time.Second)
				p.end()
			})
		}
	}
}

func TestALossOfAnOutageIsMadeGoodSoonAfterIt(t *testing.T) {
	begin := time.Time{}
	dark := func(h wire.Header, n int) bool {
		at := time.Since(begin)
		return at > 50*time.Millisecond && at < 3*time.Second
	}
	synctest.Test(t, func(t *testing.T) {
		begin = time.Now()
		p := newPair(t, 1, qos.Data, path{delay: 5 * time.Millisecond, drop: dark}, path{delay: 5 * time.Millisecond, drop: dark})
		if took := p.transfer(t, 20000, 1400, 60*time.Second); took > 6*time.Second {
			t.Errorf("took %v", took)
		}
		p.end()
	})
}

func TestWithoutRetransmissionTheNewestArrives(t *testing.T) {
	for name, ab := range map[string]path{
		"lossy":            {delay: time.Millisecond, loss: 0.3, row: 3},
		"all of the begin": {delay: time.Millisecond, drop: func(h wire.Header, n int) bool { return n <= 64 }},
		"reordered":        {delay: time.Millisecond, jitter: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 1, qos.BestEffort, ab, path{delay: time.Millisecond, loss: ab.loss})
				p.uy.gaps = true
				p.ux.stream(0, 10000, 100)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if n := p.x.snd.waiting(); n > 0 {
					t.Errorf("%d packets still wait", n)
				}
				p.ux.stream(10000, 1, 100)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if ab.drop == nil && ab.loss == 0 && p.uy.received() != 10001 {
					t.Errorf("the last that arrived is %d", p.uy.received()-1)
				}
				if p.x.count.Retransmitted.Load() > 0 || p.y.count.Received.Load() == 0 {
					t.Error("sent again, or nothing received")
				}
				p.end()
			})
		})
	}
}

func TestBothWaysAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lossy := path{delay: 5 * time.Millisecond, loss: 0.02}
		p := newPair(t, 9, qos.Data, lossy, lossy)
		go p.uy.stream(0, 5000, 1000)
		p.transfer(t, 5000, 1000, 30*time.Second)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p.ux.received() != 5000 {
			t.Errorf("%d of 5000 came back", p.ux.received())
		}
		p.end()
	})
}

func TestAFlowBelowThatTakesLittleAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 9, qos.Data, path{delay: 5 * time.Millisecond, loss: 0.02}, path{delay: 5 * time.Millisecond})
		p.a.limit, p.b.limit = 3, 3
		p.transfer(t, 2000, 1000, 60*time.Second)
		p.end()
	})
}

func TestNoBurstIsLongerThan64OnALongPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := map[time.Time]int{}
		ab := path{delay: 20 * time.Millisecond, observe: func([]byte) { sent[time.Now()]++ }}
		p := newPair(t, 1, qos.Data, ab, path{delay: 20 * time.Millisecond})
		p.transfer(t, 20000, 1000, 60*time.Second)
		for at, n := range sent {
			if n > burst+2 {
				t.Errorf("%d packets at once at %v", n, at)
			}
		}
		p.end()
	})
}

func TestMessagesKeepTheirBytes(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("abc")
		time.Sleep(firstTimeout * 3 / 2)
		out := s.wrote()
		if len(out) != 2 || out[0].data != "abc" || out[1].data != "abc" {
			t.Errorf("sent %+v", out)
		}
		p := make([]byte, 4)
		binary.BigEndian.PutUint32(p, 0)
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, string(p))
		if s.u.bytes != 4 {
			t.Errorf("%d bytes arrived", s.u.bytes)
		}
	})
}

func TestAPathThatStandsStillForAWhileCostsLittle(t *testing.T) {
	// One loss, so that the sender knows that the peer gives hints.
	one := func(h wire.Header, n int) bool { return n == 1000 }
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1, qos.Data, path{delay: time.Millisecond, drop: one}, path{delay: time.Millisecond})
		p.transfer(t, 5000, 1400, 10*time.Second)
		for k := range 10 {
			for _, way := range []*path{p.ab, p.ba} {
				way.mu.Lock()
				way.hold = time.Now().Add(40 * time.Millisecond)
				way.mu.Unlock()
			}
			go p.ux.stream(5000+200*k, 200, 1400)
			time.Sleep(140 * time.Millisecond)
		}
		synctest.Wait()
		again := p.x.count.Retransmitted.Load()
		t.Logf("%d packets sent again, %d time-outs, %d needless, window %d", again, p.x.count.Timeouts.Load(), p.x.count.Needless.Load(), p.x.cc.window)
		if p.uy.received() != 7000 || again > 40 || p.x.cc.window < startWindow {
			t.Errorf("%d of 7000 arrived, %d sent again, window %d", p.uy.received(), again, p.x.cc.window)
		}
		p.end()
	})
}
