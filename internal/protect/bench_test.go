package protect_test

import (
	"fmt"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/protect"
	"ouroboros/qos"
)

// sink is a flow that takes everything, and a source of what is to be received.
type sink struct {
	flow.Handler
	qos  qos.Spec
	take func(batch []*packet.Buffer) // nil = they are released
}

func (s *sink) Send(batch []*packet.Buffer) int {
	if s.take != nil {
		s.take(batch)
		return len(batch)
	}
	packet.ReleaseAll(batch)
	return len(batch)
}
func (s *sink) Attach(h flow.Handler) { s.Handler = h }
func (s *sink) Resume()               {}
func (s *sink) MTU() int              { return 9000 }
func (s *sink) QoS() qos.Spec         { return s.qos }
func (s *sink) QueueLen() int         { return 0 }
func (s *sink) Dealloc()              {}

// batches makes a guarded flow and functions that send and receive a batch.
func batches(ber uint32, count, size int) (f *protect.Flow, c *protect.Counters, send, receive func()) {
	s := spec(ber, false, time.Hour)
	below := &sink{qos: s}
	c = new(protect.Counters)
	f = protect.New(below, protect.Config{QoS: s, Counters: c})
	f.Attach(flow.Funcs{})
	batch := make([]*packet.Buffer, count)
	send = func() {
		for i := range batch {
			batch[i] = packet.Get(size)
		}
		f.Send(batch)
	}
	sealed := make([]byte, size+4)
	if ber == 0 {
		a, b := flow.NewPipe(flow.PipeOptions{QoS: s})
		g, u := protect.New(a, protect.Config{QoS: s}), newUser()
		b.Attach(u)
		g.Send([]*packet.Buffer{packet.From(sealed[:size])})
		sealed = []byte(u.packets()[0])
		g.Dealloc()
		b.Dealloc()
	}
	receive = func() {
		for i := range batch {
			batch[i] = packet.From(sealed)
		}
		below.Receive(batch)
	}
	return f, c, send, receive
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, ber := range []uint32{0, 1} {
		f, c, send, receive := batches(ber, 32, 1400)
		for name, run := range map[string]func(){"sent": send, "received": receive} {
			for range 100 {
				run()
			}
			if n := testing.AllocsPerRun(100, run); n >= 1 {
				t.Errorf("ber %d: %v allocations for 32 packets %s", ber, n, name)
			}
		}
		if d := c.Damaged.Load(); d != 0 {
			t.Errorf("%d damaged", d)
		}
		f.Dealloc()
	}
}

// BenchmarkGuard measures the cost of a packet in batches: with a checksum and
// without one, one packet in a batch and 32.
func BenchmarkGuard(b *testing.B) {
	for _, ber := range []uint32{1, 0} {
		for _, count := range []int{1, 32} {
			f, _, send, receive := batches(ber, count, 1400)
			for _, run := range []struct {
				name string
				f    func()
			}{{"send", send}, {"receive", receive}} {
				b.Run(fmt.Sprintf("%s/ber=%d/batch=%d", run.name, ber, count), func(b *testing.B) {
					b.ReportAllocs()
					for n := 0; n < b.N; n += count {
						run.f()
					}
				})
			}
			f.Dealloc()
		}
	}
}
