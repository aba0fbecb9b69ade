package frcp

import (
	"fmt"
	"runtime"
	"testing"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// direct is two machines on a pipe: what one sends is received by the other on
// the same goroutine.
func direct(spec qos.Spec) (x, y *Flow) {
	a, b := flow.NewPipe(flow.PipeOptions{QoS: spec, MTU: 1500})
	x, y = New(a, Config{QoS: spec}), New(b, Config{QoS: spec})
	x.Attach(flow.Funcs{})
	y.Attach(flow.Funcs{})
	return x, y
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		for _, size := range []int{1, 32} {
			t.Run(fmt.Sprintf("%v, %d", spec, size), func(t *testing.T) {
				x, y := direct(spec)
				defer x.Abort()
				defer y.Abort()
				batch := make([]*packet.Buffer, size)
				round := func(f *Flow) {
					for i := range batch {
						batch[i] = packet.Get(1400)
					}
					if n := f.Send(batch); n != size {
						packet.ReleaseAll(batch[n:])
						t.Errorf("took %d of %d", n, size)
					}
				}
				for range 1000 {
					round(x)
					round(y)
				}
				if n := testing.AllocsPerRun(1000, func() { round(x); round(y) }); n >= 1 {
					t.Errorf("%v allocations for %d packets", n, 2*size)
				}
			})
		}
	}
}

func BenchmarkFlow(b *testing.B) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		for _, size := range []int{1, 32} {
			b.Run(fmt.Sprintf("%v/batch=%d", spec, size), func(b *testing.B) {
				x, y := direct(spec)
				defer x.Abort()
				defer y.Abort()
				batch := make([]*packet.Buffer, size)
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					for i := range batch {
						batch[i] = packet.Get(1400)
					}
					sent := x.Send(batch)
					if sent < size {
						packet.ReleaseAll(batch[sent:])
						runtime.Gosched() // a timer is at it
					}
					n += sent
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packets/s")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			})
		}
	}
}
