package ouroboros

import (
	"context"
	"testing"
)

// BenchmarkRoundTrip is 64 bytes to another goroutine and back over a flow in
// one program.
func BenchmarkRoundTrip(b *testing.B) {
	f, g := flowPair(b, newNode(b, false), nil)
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		buf := make([]byte, 64)
		for {
			n, err := g.Read(buf)
			if err != nil {
				return
			}
			if n > 0 {
				g.Write(buf[:n])
			}
		}
	}()
	p, buf := make([]byte, 64), make([]byte, 65)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f.Write(p)
		f.Read(buf)
	}
	b.StopTimer()
	f.Close()
	<-echoed
}

// BenchmarkFlowSet is a message to one flow of a thousand, and its event.
func BenchmarkFlowSet(b *testing.B) {
	n := newNode(b, false)
	s := NewFlowSet()
	defer s.Close()
	var flows []*Flow
	for range 1000 {
		f, g := flowPair(b, n, nil)
		s.Add(g)
		flows = append(flows, f)
	}
	p, buf := make([]byte, 64), make([]byte, 65)
	var events []FlowEvent
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		flows[i%len(flows)].Write(p)
		events, _ = s.Wait(context.Background(), events[:0])
		for _, e := range events {
			e.Flow.Read(buf)
		}
	}
}
