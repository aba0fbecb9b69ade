package registry

import (
	"context"
	"fmt"
	"testing"

	"ouroboros/irm"
	"ouroboros/qos"
)

// BenchmarkAllocDealloc is one local flow after the other, with its accept,
// among flows and names that rest.
func BenchmarkAllocDealloc(b *testing.B) {
	for _, resting := range []int{0, 10000} {
		b.Run(fmt.Sprintf("resting=%d", resting), func(b *testing.B) {
			n := newNode(b, nil)
			server, client := n.process(10, "a"), n.process(20)
			ctx, cancel := context.WithCancel(bg)
			accepted := make(chan struct{})
			for i := range resting {
				n.CreateName(bg, irm.NameInfo{Name: fmt.Sprint(i)})
			}
			done := make(chan struct{})
			for range 2 {
				go func() {
					for count := 0; ; count++ {
						g, err := server.Accept(ctx)
						if err != nil {
							done <- struct{}{}
							return
						}
						if g.QoS != qos.Raw {
							accepted <- struct{}{}
							continue // rests
						}
						server.Dealloc(g.ID)
					}
				}()
			}
			for range resting {
				if _, err := client.Alloc(bg, "a", qos.Data); err != nil {
					b.Fatal(err)
				}
				<-accepted
			}
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				g, err := client.Alloc(bg, "a", qos.Raw)
				if err != nil {
					b.Fatal(err)
				}
				client.Dealloc(g.ID)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
			cancel()
			for range 2 {
				<-done
			}
		})
	}
}

// BenchmarkArrivedHash is the look-up of an arrived hash among many names.
func BenchmarkArrivedHash(b *testing.B) {
	n := newNode(b, nil)
	for i := range 10000 {
		n.CreateName(bg, irm.NameInfo{Name: fmt.Sprint(i)})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := hashSum("5000")
	for b.Loop() {
		if n.nameOfHash(irm.SHA3_256, sum) == nil {
			b.Fatal("not found")
		}
	}
}
