package frcp

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/qos"
)

// transfer sends n packets of size bytes and gives the time it took.
func (p *pair) transfer(t *testing.T, n, size int, limit time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	p.uy.mu.Lock()
	p.uy.want, p.uy.done = p.uy.bytes+n*size, make(chan struct{})
	first := int(p.uy.next)
	p.uy.mu.Unlock()
	go p.ux.stream(first, n, size)
	select {
	case <-p.uy.done:
	case <-time.After(limit):
		t.Fatalf("%d of %d packets after %v", p.uy.received()-first, n, limit)
	}
	took := time.Since(begin)
	synctest.Wait() // the machines may be looked at
	return took
}

func TestAPerfectPathCarriesAllInOrder(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
		t.Run(spec.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 1, spec, path{delay: time.Millisecond}, path{delay: time.Millisecond})
				d := p.transfer(t, 10000, 1000, 10*time.Second)
				t.Logf("%v", d)
				if n := p.x.count.Retransmitted.Load(); n != 0 {
					t.Errorf("%d packets sent again", n)
				}
				p.end()
			})
		})
	}
}

func TestALossyPathCarriesAllInOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		ab, ba path
	}{
		{"1 %, 20 ms", path{delay: 10 * time.Millisecond, loss: 0.01}, path{delay: 10 * time.Millisecond}},
		{"1 % both ways, 20 ms", path{delay: 10 * time.Millisecond, loss: 0.01}, path{delay: 10 * time.Millisecond, loss: 0.01}},
		{"25 %, 2 ms", path{delay: time.Millisecond, loss: 0.25}, path{delay: time.Millisecond, loss: 0.25}},
		{"bursts of three, 20 ms", path{delay: 10 * time.Millisecond, loss: 0.12, row: 3}, path{delay: 10 * time.Millisecond, loss: 0.12, row: 3}},
		{"bottleneck", path{delay: 10 * time.Millisecond, rate: 2000, buffer: 30}, path{delay: 10 * time.Millisecond}},
		{"fast bottleneck", path{delay: 50 * time.Microsecond, rate: 300000, buffer: 200}, path{delay: 50 * time.Microsecond}},
		{"reordering, doubling", path{delay: time.Millisecond, jitter: time.Millisecond, double: 0.1}, path{delay: time.Millisecond, jitter: time.Millisecond, double: 0.1}},
		{"everything", path{delay: 5 * time.Millisecond, jitter: 5 * time.Millisecond, double: 0.1, loss: 0.1}, path{delay: 5 * time.Millisecond, jitter: 5 * time.Millisecond, double: 0.1, loss: 0.1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) {
					p := newPair(t, seed, qos.Data, c.ab, c.ba)
					const n = 5000
					d := p.transfer(t, n, 1400, 600*time.Second)
					t.Log(fmt.Sprintf("%v: %.1f Mbit/s, %d sent, %d again, %d time-outs, %d recoveries, lost %d, window %d", d, n*1400*8/d.Seconds()/1e6,
						p.x.count.Sent.Load(), p.x.count.Retransmitted.Load(), p.x.count.Timeouts.Load(), p.x.count.Recoveries.Load(), p.ab.lost, p.x.cc.window))
					p.end()
				})
			}
		})
	}
}
