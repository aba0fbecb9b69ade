package frcp

import (
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

func isDone(f *Flow) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}

func TestWhatWasSentBeforeDeallocArrives(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		t.Run(spec.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				loss := 0.2
				if !spec.Reliable() {
					loss = 0
				}
				p := newPair(t, 3, spec, path{delay: 10 * time.Millisecond, loss: loss}, path{delay: 10 * time.Millisecond, loss: loss})
				p.ux.stream(0, 500, 100)
				p.x.Dealloc()
				if isDone(p.x) {
					t.Error("done before anything could have arrived")
				}
				<-p.x.Done()
				time.Sleep(time.Second)
				synctest.Wait()
				if n := p.uy.received(); n != 500 {
					t.Errorf("%d of 500 arrived", n)
				}
				p.end()
			})
		})
	}
}

func TestTheLastAcknowledgementIsSent(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "hi")
		s.f.Dealloc()
		s.only(t, "at the end", wire.Header{Flags: wire.ACK, Ack: theirISN + 1})
		if !isDone(s.f) {
			t.Error("not done with nothing to wait for")
		}
	})
}

func TestLingerEndsWhenNobodyAnswers(t *testing.T) {
	for name, end := range map[string]func(s *script) (within time.Duration){
		"of time":     func(s *script) time.Duration { return 131 * time.Second },
		"of the peer": func(s *script) time.Duration { s.h.Event(flow.EventPeer); return 0 },
		"of the flow": func(s *script) time.Duration { s.h.Event(flow.EventDealloc); return 0 },
		"by abort":    func(s *script) time.Duration { s.f.Abort(); return 0 },
		"by acknowledgement": func(s *script) time.Duration {
			s.hear(wire.Header{Flags: wire.ACK, Ack: ourISN + 1}, "")
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, qos.Data, Config{}, func(s *script) {
				s.say("a")
				s.f.Dealloc()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if isDone(s.f) {
					t.Fatal("done without an acknowledgement")
				}
				time.Sleep(end(s))
				synctest.Wait()
				if !isDone(s.f) {
					t.Error("not done")
				}
				if len(s.u.evs) > 0 {
					t.Errorf("events after Dealloc: %v", s.u.evs)
				}
			})
		})
	}
}

func TestADeadPeerIsNotWaitedFor(t *testing.T) {
	for _, back := range []bool{false, true} {
		scripted(t, qos.Data, Config{}, func(s *script) {
			s.say("a")
			s.h.Event(flow.EventPeer)
			time.Sleep(time.Second)
			if back {
				s.hear(wire.Header{Flags: wire.RDVS}, "")
			}
			s.f.Dealloc()
			if isDone(s.f) == back {
				t.Errorf("heard of it since: %v, done: %v", back, !back)
			}
		})
	}
}

func TestWithoutLingerNothingIsWaitedFor(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.f.SetFlags(flagResControl)
		s.say("a", "b")
		s.f.Dealloc()
		if !isDone(s.f) || len(s.wrote()) != 2 {
			t.Error("not done when all was sent")
		}
	})
}

func TestDataDuringLingerIsAcknowledged(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.say("a")
		s.f.Dealloc()
		s.wrote()
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "late")
		s.hear(wire.Header{Flags: wire.DATA, Seq: theirISN + 1}, "later")
		if out := s.wrote(); len(out) != 1 || out[0].Ack != theirISN+2 {
			t.Errorf("sent %+v", out)
		}
	})
}

func TestTheEndFromBelowComesAfterTheLastPacket(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		s.u.room = 0
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "1")
		s.h.Event(flow.EventPeer)
		s.h.Event(flow.EventDealloc)
		if s.u.had(flow.EventDealloc) != 0 || s.u.had(flow.EventPeer) != 1 {
			t.Errorf("events %v", s.u.evs)
		}
		s.u.give(-1)
		if s.u.had(flow.EventDealloc) != 1 || s.u.bytes != 1 {
			t.Errorf("events %v, %d bytes", s.u.evs, s.u.bytes)
		}
		if n := s.say("x"); n != 1 || s.f.count.Dropped.Load() != 1 {
			t.Error("an ended flow does not take and drop")
		}
	})
}
