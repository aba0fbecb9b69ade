package ca

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	us = int64(time.Microsecond)
	ms = int64(time.Millisecond)
)

// settings are what the simulation covers.
func settings(t *testing.T, f func(t *testing.T, bits float64, rtt time.Duration)) {
	for _, c := range []struct {
		name string
		bits float64
	}{{"8M", 8e6}, {"30M", 30e6}, {"100M", 100e6}, {"1G", 1e9}, {"10G", 10e9}} {
		if c.bits > 1e9 && testing.Short() || c.bits > 30e6 && raceEnabled {
			continue
		}
		for _, rtt := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
			t.Run(c.name+"/"+rtt.String(), func(t *testing.T) {
				t.Parallel()
				f(t, c.bits, rtt)
			})
		}
	}
}

// measured is from when to when.
func measured(bits float64) (end, from time.Duration) {
	if bits > 1e9 {
		return 7 * time.Second, 5 * time.Second
	}
	return 12 * time.Second, 5 * time.Second
}

func TestFourFlowsUseABottleneckAndShareIt(t *testing.T) {
	settings(t, func(t *testing.T, bits float64, rtt time.Duration) {
		end, from := measured(bits)
		o := run(bits, end, from, ours(4, rtt, 0)...)
		t.Log(o)
		if o.use < 0.9 || o.fairness < 0.95 || o.loss > 0.05 {
			t.Error(o)
		}
		if rtt < 100*time.Millisecond && (o.queue > 400 || o.most == simQueue) {
			t.Errorf("the queue has %.0f packets", o.queue)
		}
	})
}

func TestFlowsThatComeLaterGetTheirShare(t *testing.T) {
	settings(t, func(t *testing.T, bits float64, rtt time.Duration) {
		if bits > 1e9 {
			t.Skip("takes more seconds than there are")
		}
		o := run(bits, 20*time.Second, 10*time.Second, ours(4, rtt, 500*time.Millisecond)...)
		t.Log(o)
		if o.use < 0.9 || o.fairness < 0.8 {
			t.Error(o)
		}
	})
}

func TestOneFlowAndManyFlows(t *testing.T) {
	settings(t, func(t *testing.T, bits float64, rtt time.Duration) {
		end, from := measured(bits)
		for _, n := range []int{1, 10} {
			o := run(bits, end, from, ours(n, rtt, 0)...)
			t.Log(o)
			if o.use < 0.88 || o.fairness < 0.9 {
				t.Errorf("%d: %v", n, o)
			}
		}
	})
}

func TestReportsThatAreMergedOrLost(t *testing.T) {
	settings(t, func(t *testing.T, bits float64, rtt time.Duration) {
		if bits > 1e9 {
			return
		}
		end, from := measured(bits)
		for _, q := range []*bottleneck{{merged: time.Millisecond}, {merged: 5 * time.Millisecond, mislaid: 0.1}, {mislaid: 0.5}} {
			name := *q
			o := q.run(bits, end, from, ours(4, rtt, 0)...)
			t.Log(o)
			if o.use < 0.85 || o.fairness < 0.8 {
				t.Errorf("%v, %v lost: %v", name.merged, name.mislaid, o)
			}
		}
	})
}

func TestFlowsOfTheCImplementationThatWantLittleGetIt(t *testing.T) {
	for _, bits := range []float64{30e6, 100e6} {
		if bits > 30e6 && raceEnabled {
			continue
		}
		for _, rtt := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
			for seed := range uint64(3) {
				l := append(ours(2, rtt, 0), laws(2, rtt, 0)...)
				for _, s := range l[2:] {
					s.app = 0.03 * bits / 8e9
				}
				o := (&bottleneck{seed: seed}).run(bits, 15*time.Second, 5*time.Second, l...)
				t.Logf("%v: %v", rtt, o)
				if got := min(o.shares[2], o.shares[3]); got < 0.97*0.03*bits || o.use < 0.9 {
					t.Errorf("%v: %v", rtt, o)
				}
			}
		}
	}
}

// What a greedy flow that follows Law gets depends on luck, beside its own kind
// as beside ours.
func TestGreedyFlowsOfTheCImplementationGetWhatTheyGetAmongThemselves(t *testing.T) {
	if raceEnabled {
		t.Skip("takes long under the race detector")
	}
	for _, rtt := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
		beside, among := 0.0, 0.0
		for seed := range uint64(5) {
			o := (&bottleneck{seed: seed}).run(100e6, 15*time.Second, 5*time.Second, append(ours(2, rtt, 0), laws(2, rtt, 0)...)...)
			beside += o.shares[2] + o.shares[3]
			if o.shares[0]+o.shares[1] < 10e6 {
				t.Errorf("%v: they drive ours out: %v", rtt, o)
			}
			o = (&bottleneck{seed: seed}).run(100e6, 15*time.Second, 5*time.Second, laws(4, rtt, 0)...)
			among += (o.shares[0] + o.shares[1] + o.shares[2] + o.shares[3]) / 2
		}
		t.Logf("%v: %.3g bit/s, among themselves %.3g", rtt, beside/10, among/10)
		if beside < 0.5*among {
			t.Errorf("%v: %.3g bit/s, among themselves %.3g", rtt, beside/10, among/10)
		}
	}
}

func TestAFlowThatWantsLessThanItsShareIsNotHeldBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		app   float64 // bytes in a ns
		burst int64
	}{
		{"evenly", 0.0025, 0}, {"in bursts", 0.00125, 10 * ms}, {"a little", 0.00002, 0},
	} {
		l := ours(3, 10*time.Millisecond, 0)
		l[2].app, l[2].burst = c.app, c.burst
		o := run(100e6, 12*time.Second, 4*time.Second, l...)
		t.Logf("%s: %v", c.name, o)
		if want := c.app * 8e9; o.shares[2] < 0.97*want {
			t.Errorf("%s: %.4g of %.4g bit/s", c.name, o.shares[2], want)
		}
	}
}

func TestWithoutCongestionAMillionPacketsASecondAreHardlyHeldBack(t *testing.T) {
	s := new(Sender)
	s.Init(0)
	refused := 0
	for now := int64(0); now < int64(time.Second); now += 32 * us {
		for range 32 {
			if s.Admit(now, 1000) > 0 {
				refused++
			}
		}
	}
	if refused > 150_000 { // the first seventh of a second
		t.Errorf("%d of a million waited", refused)
	}
	refused = 0
	for now := int64(time.Second); now < int64(10*time.Second); now += 32 * us {
		for range 32 {
			if s.Admit(now, 1000) > 0 {
				refused++
			}
		}
	}
	if refused > 0 {
		t.Errorf("then %d waited", refused)
	}
}

func TestAProgramThatWritesNowAndThenDoesNotWait(t *testing.T) {
	s := new(Sender)
	s.Init(0)
	for k := range int64(100) {
		for range 10 {
			if wait := s.Admit(k*100*ms, 1400); wait > 0 {
				t.Fatalf("write %d waits %v", k, wait)
			}
		}
	}
}

func TestSlowStartDoublesOnlyWhatIsWanted(t *testing.T) {
	s := new(Sender)
	s.Init(0)
	for now := int64(0); now < int64(time.Second); now += ms {
		s.Admit(now, 1000) // 8 Mbit/s
	}
	if s.rate != rateFirst {
		t.Errorf("grew to %v", s.rate)
	}
}

func TestAnOldReportHoldsNoMore(t *testing.T) {
	s := new(Sender)
	s.Init(0)
	s.Report(0, 500)
	for now := int64(0); now < 200*ms; now += ms {
		s.Admit(now, 100)
	}
	if st := s.State(200 * ms); st.Level != 500 || st.Since != 200 || st.Regime != "multiplicative decrease" {
		t.Errorf("%+v", st)
	}
	if st := s.State(300 * ms); st.Level != 0 || st.Regime != "additive increase" {
		t.Errorf("%+v", st)
	}
	s.Report(300*ms, 500) // and not much is sent
	if s.State(900*ms).Level != 500 || s.State(1400*ms).Level != 0 {
		t.Error("a report does not hold as long as it should")
	}
}

func TestALongTimeWithoutCongestionIsASlowStart(t *testing.T) {
	s := new(Sender)
	s.Init(0)
	s.Report(0, 2016)
	s.Report(1, 0)
	now := int64(0)
	pump := func(d int64) {
		for end := now + d; now < end; now += 100 * us {
			for s.Admit(now, 1500) == 0 {
			}
		}
	}
	pump(4900 * ms)
	if st := s.State(now); st.Regime != "additive increase" {
		t.Errorf("%+v", st)
	}
	pump(150 * ms)
	if st := s.State(now); st.Regime != "slow start" {
		t.Errorf("%+v", st)
	}
	before := s.rate
	pump(52 * ms)
	if s.rate < 4*before {
		t.Errorf("from %v to %v", before, s.rate)
	}
}

func TestNothingMakesASenderWaitForEverOrOverflow(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	for range 200 {
		s := new(Sender)
		now := r.Int64N(1 << 50)
		s.Init(now)
		var blockedSince int64 = -1
		for range 3000 {
			switch r.IntN(6) {
			case 0:
				s.Report(now, uint16(r.Uint32()))
			case 1:
				now += r.Int64N(1 << r.IntN(45))
			case 2:
				now -= r.Int64N(1000) // read before another reading that was used first
			default:
				now += r.Int64N(3 * ms)
			}
			n := r.IntN(1 << r.IntN(21))
			switch wait := s.Admit(now, n); {
			case wait < 0 || wait > waitMost:
				t.Fatalf("waits %v", wait)
			case wait == 0:
				blockedSince = -1
				if r.IntN(10) == 0 {
					s.Refund(1, n)
				}
			case blockedSince < 0:
				blockedSince = now
			case now-blockedSince > int64(waitMost)+slotMost+3*ms:
				t.Fatalf("nothing was admitted for %v", time.Duration(now-blockedSince))
			}
			if !(s.rate >= rateLeast && s.rate <= rateMost) {
				t.Fatalf("rate %v", s.rate)
			}
		}
		if st := s.State(now); st.Limit < 0 || st.Packets < -3000 {
			t.Errorf("%+v", st)
		}
	}
}

func TestWhatWasNotSentIsTakenBack(t *testing.T) {
	s := new(Sender)
	s.Init(0)
	n := 0
	for s.Admit(0, 1000) == 0 {
		n++
	}
	s.Refund(3, 3000)
	for range 3 {
		if s.Admit(0, 1000) > 0 {
			t.Error("it is not")
		}
	}
	if st := s.State(0); st.Packets != n || st.Bytes != 1000*n {
		t.Errorf("%d packets, %+v", n, st)
	}
}

func BenchmarkSender(b *testing.B) {
	for _, congested := range []bool{false, true} {
		name := "free"
		if congested {
			name = "congested"
		}
		b.Run(name, func(b *testing.B) {
			s := new(Sender)
			s.Init(0)
			now, k := int64(0), 0
			b.ReportAllocs()
			for b.Loop() {
				if k++; k&31 == 0 {
					now += 32 * us
					if congested && k&1023 == 0 {
						s.Report(now, uint16(k>>10))
					}
				}
				s.Admit(now, 64)
			}
		})
	}
}
