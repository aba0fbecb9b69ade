package frcp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

func TestForgedPacketsAreCountedAndChangeNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		h     wire.Header
		data  string
		count func(c *Counters) uint64
	}{
		{"an acknowledgement of what was not sent", wire.Header{Flags: wire.ACK | wire.FC, Ack: ourISN + 4, Window: uint32(ourISN + 1000)}, "", func(c *Counters) uint64 { return c.BadAck.Load() }},
		{"one from nowhere", wire.Header{Flags: wire.ACK, Ack: ourISN + 0x70000000}, "", func(c *Counters) uint64 { return c.BadAck.Load() }},
		{"zero", wire.Header{Flags: wire.ACK | wire.FC}, "", nil},
		{"a window before what was sent", wire.Header{Flags: wire.FC, Window: uint32(ourISN - 1)}, "", func(c *Counters) uint64 { return c.BadWindow.Load() }},
		{"a window far away", wire.Header{Flags: wire.FC, Window: uint32(ourISN + 1 + 1<<23)}, "", func(c *Counters) uint64 { return c.BadWindow.Load() }},
		{"a window that moves back", wire.Header{Flags: wire.FC | wire.ACK, Ack: ourISN + 1, Window: uint32(ourISN + 100)}, "", func(c *Counters) uint64 { return c.BadWindow.Load() }},
		{"data beyond the window", wire.Header{Flags: wire.DATA, Seq: theirISN + 100000}, "bad", func(c *Counters) uint64 { return c.OutOfWindow.Load() }},
		{"data from before", wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN - 5}, "bad", func(c *Counters) uint64 { return c.Duplicate.Load() }},
		{"a new run in the middle", wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN + 0x40000000}, "bad", func(c *Counters) uint64 { return c.OutOfWindow.Load() }},
		{"reserved flags", wire.Header{Flags: 0xe0, Seq: 1, Ack: 2, Window: 3}, "bad", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			scripted(t, qos.Data, Config{}, func(s *script) {
				s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: theirISN}, "abc")
				s.say("a", "b", "c")
				s.hear(wire.Header{Flags: wire.ACK | wire.FC, Ack: ourISN + 1, Window: uint32(ourISN + 257)}, "")
				time.Sleep(15 * time.Millisecond)
				s.wrote()
				for range 10 {
					s.hear(c.h, c.data)
				}
				if c.count != nil && c.count(s.f.count) != 10 {
					t.Errorf("counted %d", c.count(s.f.count))
				}
				if s.f.snd.una != ourISN+1 || s.f.snd.nxt != ourISN+3 || s.f.snd.edge != ourISN+257 || s.f.rcv.next != theirISN+1 {
					t.Errorf("una %#x nxt %#x edge %#x next %#x", s.f.snd.una, s.f.snd.nxt, s.f.snd.edge, s.f.rcv.next)
				}
				s.hear(wire.Header{Flags: wire.DATA | wire.ACK, Seq: theirISN + 1, Ack: ourISN + 3}, "abc")
				if s.f.snd.outstanding() != 0 || s.u.bytes != 6 {
					t.Error("the flow does not go on")
				}
			})
		})
	}
}

func TestShortPacketsAreCounted(t *testing.T) {
	scripted(t, qos.Data, Config{}, func(s *script) {
		for n := range wire.HeaderLen {
			flow.Deliver(s.h, []*packet.Buffer{packet.Get(n)})
		}
		if n := s.f.count.Short.Load(); n != 11 {
			t.Errorf("%d short packets", n)
		}
		s.only(t, "after short packets")
	})
}

func TestOneForgedNumberDoesNotEndAFlowWithoutRetransmission(t *testing.T) {
	scripted(t, qos.BestEffort, Config{}, func(s *script) {
		n := theirISN
		data := func(k int) {
			for range k {
				s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: n}, "abc")
				n++
			}
		}
		data(10)
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: n + 0x1000000}, "bad")
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: n - 0x1000000}, "bad")
		data(10)
		if s.u.bytes != 60 {
			t.Errorf("%d bytes arrived", s.u.bytes)
		}
		s.hear(wire.Header{Flags: wire.DATA | wire.DRF, Seq: n + 2000}, "bad") // within the window
		data(20)
		if s.u.bytes < 60+3+3*(20-resyncRow) {
			t.Errorf("%d bytes arrived after the jump", s.u.bytes)
		}
		// A sender that does not obey windows is followed, too.
		n += 100000
		data(20)
		if s.u.bytes < 60+3+2*3*(20-resyncRow) {
			t.Errorf("%d bytes arrived after the sender went on", s.u.bytes)
		}
	})
}

// soak throws packets at a machine that is sending and receiving.
func soak(t testing.TB, s *script, packets func() (p []byte, more bool)) {
	for i := 0; ; i++ {
		p, more := packets()
		if !more {
			break
		}
		b := packet.From(p)
		flow.Deliver(s.h, []*packet.Buffer{b})
		if i%16 == 0 {
			s.say("abc")
		}
		if i%64 == 0 {
			time.Sleep(20 * time.Millisecond)
			s.wrote() // waits for timers
		}
		r := &s.f.rcv
		if held, bytes := s.f.in.Held(); held > 2*s.f.cfg.Window || bytes > 2*s.f.cfg.WindowBytes || r.kept > s.f.cfg.Window || len(r.answers) > 4*burst {
			t.Fatalf("kept: %d packets, %d bytes, %d out of order, %d answers", held, bytes, r.kept, len(r.answers))
		}
		if n := &s.f.snd; n.flight < 0 || n.lost < 0 || n.left < 0 || n.flight+n.lost > n.outstanding() {
			t.Fatalf("flight %d, lost %d, left %d of %d", n.flight, n.lost, n.left, n.outstanding())
		}
	}
}

func TestRandomPacketsNeitherCrashNorGrow(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		scripted(t, spec, Config{}, func(s *script) {
			s.u.gaps = true
			s.u.next = 0
			s.u.t = quiet{t}
			rng := rand.New(rand.NewPCG(1, 2))
			n := 100000
			soak(t, s, func() ([]byte, bool) {
				n--
				p := make([]byte, rng.IntN(40))
				for i := range p {
					p[i] = byte(rng.Uint32())
				}
				if len(p) >= wire.HeaderLen && rng.IntN(4) > 0 { // near what is right
					p[0] &= 0x1f
					binary.BigEndian.PutUint32(p[4:], uint32(s.f.rcv.next)+rng.Uint32N(3000)-500)
					binary.BigEndian.PutUint32(p[8:], uint32(s.f.snd.una)+rng.Uint32N(40)-10)
					if rng.IntN(2) == 0 {
						p[1], p[2], p[3] = byte(s.f.snd.una>>16), byte(s.f.snd.una>>8), byte(rng.Uint32())
					}
				}
				return p, n > 0
			})
		})
	}
}

// quiet is a test that does not mind what arrives.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}

func FuzzReceive(f *testing.F) {
	for _, h := range []wire.Header{
		{Flags: wire.DATA | wire.DRF, Seq: theirISN},
		{Flags: wire.DATA | wire.ACK | wire.FC, Seq: theirISN + 1, Ack: ourISN + 1, Window: uint32(ourISN + 257)},
		{Flags: wire.ACK | wire.FC, Seq: ourISN + 1, Ack: ourISN, Window: uint32(ourISN + 257)},
		{Flags: wire.RDVS}, {Flags: wire.FC},
	} {
		p := make([]byte, 20)
		h.Put(p)
		f.Add(append(append([]byte{15}, p...), p...), true)
		f.Add(append(append([]byte{11}, p...), p...), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, reliable bool) {
		spec := qos.BestEffort
		if reliable {
			spec = qos.Data
		}
		synctest.Test(t, func(t *testing.T) {
			s := &script{spec: spec, take: -1, begin: time.Now()}
			s.f = New(s, Config{QoS: spec, ISN: func() wire.Seq { return ourISN }, Window: 64})
			s.u = newUser(quiet{t}, s.f)
			if len(in) > 0 && in[0]&0x80 != 0 {
				s.u.room = 3
			}
			s.say("a", "b", "c")
			soak(t, s, func() ([]byte, bool) {
				if len(in) == 0 {
					return nil, false
				}
				n := min(int(in[0]&0x1f)+1, len(in)-1)
				p := in[1 : 1+n]
				in = in[1+n:]
				return p, true
			})
			s.u.give(-1)
			s.f.Dealloc()
			s.h.Event(flow.EventDealloc)
			<-s.f.Done()
		})
	})
}
