package udp

import (
	"net/netip"
	"testing"

	"ouroboros/internal/packet"
)

type releaser struct{ n int }

func (r *releaser) Receive(_ netip.AddrPort, batch []*packet.Buffer) {
	r.n += len(batch)
	packet.ReleaseAll(batch)
}

func TestNeitherDirectionAllocatesAnything(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	forEach(t, func(t *testing.T, cfg Config) {
		a, b := open(t, cfg), open(t, cfg)
		for _, c := range []struct{ n, size int }{{1, 64}, {64, 64}, {64, 1400}, {7, 8980}} {
			h := &releaser{}
			r := newReceiver(b, h)
			batch := make([]*packet.Buffer, c.n)
			runs := 0
			if allocs := testing.AllocsPerRun(200, func() {
				for i := range batch {
					batch[i] = packet.Get(c.size)
				}
				if n := a.Send(b.LocalAddr(), batch); n != c.n {
					t.Fatalf("took %d of %d", n, c.n)
				}
				runs++
				for h.n < runs*c.n {
					r.receive(true)
				}
			}); allocs >= 1 {
				t.Errorf("%d datagrams of %d bytes: %v allocations", c.n, c.size, allocs)
			}
			r.release()
		}
	})
}
