package frcp

import (
	"encoding/json"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

func TestTheEstimatorIsTheOneOfTheProtocol(t *testing.T) {
	raw, err := os.ReadFile("../wire/frcp/testdata/frcp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Estimator struct{ Rows [][4]int64 } `json:"rtt_estimator"`
	}
	if err := json.Unmarshal(raw, &v); err != nil || len(v.Estimator.Rows) == 0 {
		t.Fatalf("%v, %d rows", err, len(v.Estimator.Rows))
	}
	var e estimator
	for i, r := range v.Estimator.Rows {
		e.sample(r[0])
		if got := [4]int64{r[0], e.srtt, e.mdev, e.base()}; got != r {
			t.Errorf("row %d: %v, want %v", i, got, r)
		}
	}
}

func TestTheTimeOutLeavesRoomForADelayedAcknowledgement(t *testing.T) {
	var e estimator
	if got := e.timeout(0); got != int64(firstTimeout) {
		t.Errorf("without a sample %v", time.Duration(got))
	}
	e.repeated(int64(700*time.Millisecond), int64(500*time.Millisecond), 0)
	e.repeated(int64(time.Second), int64(time.Second), 0)
	if got := time.Duration(e.timeout(0)); got != 700*time.Millisecond+ackRoom {
		t.Errorf("with an acknowledgement after 700 ms %v", got)
	}
	for range 100 {
		e.sample(100_000)
	}
	if got := time.Duration(e.timeout(0)); got < 25*time.Millisecond || got > 30*time.Millisecond {
		t.Errorf("on a fast path %v", got)
	}
	for b := range 100 {
		if got := time.Duration(e.timeout(b)); got > maxTimeout {
			t.Fatalf("after %d expiries %v", b, got)
		}
	}
}

func TestWhatARepetitionAfterALongGapIsAnsweredByIsASample(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, c := range []struct {
		what             string
		srtt             int64 // before, in ms
		first, last, gap int64
		sample           bool
	}{
		{"the second transmission may be answered, or the first", 0, 202, 2, 200, false},
		{"the bound was waited for", 0, 602, 2, 627, true},
		{"and nearly as long again", 0, 1000, 400, 1025, false},
		{"longer than any time-out was waited for", 0, 5002, 2, 2000, true},
		{"a bound of minutes", 0, 100_000, 2, 1999, false},
		{"with an estimate of 100 ms", 100, 302, 2, 300, false}, // a time-out of 300 ms
		{"and twice the time-out", 100, 902, 2, 600, true},
		{"and twice the time-out, but a long way", 100, 902, 200, 600, false},
		{"no time-out", 100, 5000, 2, 0, false},
	} {
		var e estimator
		if c.srtt != 0 {
			e.sample(c.srtt * ms)
		}
		e.repeated(c.first*ms, c.last*ms, c.gap*ms)
		want := c.srtt
		if c.sample {
			want = c.last
		}
		if e.srtt != want*ms {
			t.Errorf("%s: %v, want %d ms", c.what, time.Duration(e.srtt), want)
		}
	}
}

func TestABlackHoleIsTriedLessAndLessOftenAndThenGivenUp(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("hello")
		time.Sleep(150 * time.Second)
		var at []time.Duration
		for _, p := range s.wrote() {
			if !p.Flags.Has(wire.DATA) {
				if p.Flags != wire.RDVS {
					t.Errorf("sent %+v", p)
				}
				continue
			}
			if p.Header != (wire.Header{Flags: wire.DATA | wire.DRF, Seq: ourISN}) || p.data != "hello" {
				t.Errorf("sent %+v", p)
			}
			at = append(at, p.at.Round(10*time.Millisecond))
		}
		want := []time.Duration{0}
		wait := time.Duration(firstTimeout)
		for at := wait; at < 2*time.Minute; at += wait {
			want = append(want, at)
			wait = min(2*wait, maxTimeout)
		}
		if !slices.Equal(at, want) {
			t.Errorf("sent at %v, want %v", at, want)
		}
		if s.u.had(flow.EventDown) != 1 || s.f.count.GaveUp.Load() != 1 {
			t.Errorf("events %v", s.u.evs)
		}
		if n := s.say("more"); n != 1 || len(s.wrote()) != 0 {
			t.Error("a flow that is down does not take and drop")
		}
	})
}

func TestAnIdleFlowHasNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1, qos.Data, path{delay: time.Millisecond}, path{delay: time.Millisecond})
		p.transfer(t, 100, 100, time.Second)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, f := range []*Flow{p.x, p.y} {
			if f.timer.at != 0 {
				t.Errorf("a timer for %v", time.Duration(f.timer.at-f.now()))
			}
		}
		p.end()
	})
}

func TestTheTimerIsNotTouchedForEachPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int64
		p := newPair(t, 1, qos.Data, path{delay: time.Millisecond}, path{delay: time.Millisecond}, func(c *Config) {
			c.AfterFunc = func(d time.Duration, f func()) *time.Timer {
				return time.AfterFunc(d, func() { started.Add(1); f() })
			}
		})
		p.transfer(t, 20000, 100, 10*time.Second)
		if n := started.Load(); n > 500 {
			t.Errorf("%d timers for 20000 packets", n)
		}
		p.end()
	})
}

func TestRendezVousComeByThemselves(t *testing.T) {
	scripted(t, qos.BestEffort, Config{}, func(s *script) {
		for range startWindow + 5 {
			s.say("x")
		}
		if n := len(s.wrote()); n != startWindow {
			t.Fatalf("%d packets sent before the window is known", n)
		}
		time.Sleep(5 * time.Second)
		var at []time.Duration
		for _, p := range s.wrote() {
			if p.Header != (wire.Header{Flags: wire.RDVS | wire.DRF, Seq: ourISN + startWindow}) {
				t.Errorf("sent %+v", p)
			}
			at = append(at, p.at.Round(time.Millisecond))
		}
		want := []time.Duration{100, 300, 700, 1500, 3100}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(at, want) {
			t.Errorf("rendez-vous at %v, want %v", at, want)
		}
		s.hear(wire.Header{Flags: wire.FC, Window: uint32(ourISN + startWindow + 3)}, "")
		if n := len(s.wrote()); n != 3 {
			t.Errorf("%d packets sent when the window opened by 3", n)
		}
	})
}

func TestAPeerThatAnswersIsNotGivenUp(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		// It has what we sent and does not acknowledge: its application does not
		// read. But it says that its window is what it was.
		s.say("a")
		for range 1000 {
			time.Sleep(time.Second)
			for _, p := range s.wrote() {
				if p.Flags.Has(wire.RDVS) {
					s.hear(wire.Header{Flags: wire.FC, Window: uint32(ourISN + 256)}, "")
				}
			}
		}
		s.hear(wire.Header{Flags: wire.ACK | wire.FC, Window: uint32(ourISN + 257), Ack: ourISN + 1}, "")
		if len(s.u.evs) > 0 || s.f.snd.outstanding() != 0 {
			t.Errorf("events %v", s.u.evs)
		}
	})
}

func TestLostMessagesGoAtOnceWhenTheLayerIsUpAgain(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("a")
		time.Sleep(20 * time.Second)
		s.wrote()
		s.h.Event(flow.EventDown)
		s.h.Event(flow.EventUp)
		time.Sleep(firstTimeout + 50*time.Millisecond)
		synctest.Wait()
		if n := len(s.wrote()); n != 1 {
			t.Errorf("%d packets sent", n)
		}
		if s.u.had(flow.EventStalled) != 1 || s.u.had(flow.EventMoving) != 1 {
			t.Errorf("events %v", s.u.evs)
		}
	})
}
