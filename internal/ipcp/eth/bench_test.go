package eth

import (
	"sync"
	"testing"

	wire "ouroboros/internal/wire/ethmgmt"
)

// BenchmarkAlloc allocates flows one after the other, the name being known.
func BenchmarkAlloc(b *testing.B) {
	sa, sz := pair(b)
	a, z := join(b, sa, wire.DIX, sa.Dev), join(b, sz, wire.DIX, sz.Dev)
	must(b, z.Reg(b.Context(), name("oping")))
	for b.Loop() {
		reply, err := a.AllocFlow(b.Context(), request("oping", ""))
		must(b, err)
		reply.Flow.Dealloc()
		(<-z.host.flows).Dealloc()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}

func TestTwoHundredAllocationsAtATimeAllSucceed(t *testing.T) {
	a, z := both(t, wire.DIX)
	must(t, z.Reg(t.Context(), name("oping")))
	errs := make(chan error, 200)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			_, err := a.AllocFlow(t.Context(), request("oping", ""))
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if n := a.shown("flows", "open"); n != 200 {
		t.Errorf("%d flows", n)
	}
	if n := a.shown("directory", "queries_sent"); n > 10 {
		t.Errorf("%d queries for one name", n)
	}
}
