package interop

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// bad is a network with everything: each of it often enough to be met in every
// window.
var bad = relay.Impairment{
	Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, HoldBack: 3 * time.Millisecond,
	Delay: 2 * time.Millisecond,
}

func TestAReliableFlowThroughABadNetworkCarriesEverythingInOrder(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := joinByRelay(t, l, p, 21)
		w.role(t, "sum")
		i := bad
		i.Damage = 0.02
		w.relay.Impair(i)
		spec := qos.Data
		f := w.allocate(t, open(t, w.here()), "sum", &spec)
		if err := transfer(f, 1<<20, 5*host.Patience); err != nil {
			t.Fatal(err)
		}
	})
}

// transfer sends a number of bytes to the role sum and checks its answer.
func transfer(f *ouroboros.Flow, size int, limit time.Duration) error {
	f.SetWriteTimeout(limit)
	f.SetReadTimeout(limit)
	r := rand.NewChaCha8([32]byte{byte(size)})
	h := sha256.New()
	message := make([]byte, min(1400, f.MTU()))
	for sent := 0; sent < size; {
		m := message[:min(len(message), max(size-sent, 9))]
		r.Read(m)
		h.Write(m)
		if _, err := patient(f.Write, m); err != nil {
			return fmt.Errorf("write after %d bytes: %w", sent, err)
		}
		sent += len(m)
	}
	if _, err := patient(f.Write, make([]byte, 8)); err != nil {
		return fmt.Errorf("write the end: %w", err)
	}
	answer := make([]byte, 100)
	n, err := patient(f.Read, answer)
	if err != nil {
		return fmt.Errorf("read the sum: %w", err)
	}
	if !bytes.Equal(answer[:n], h.Sum(nil)) {
		return fmt.Errorf("what came was not what was sent")
	}
	return nil
}

// whole runs a test of reliable flows to an oping server. With the reference at
// an end it often does not come through, whatever the other end does: packets
// that it processes twice break its programs and its IPC processes, with losses
// and without. So it has a few tries, each with new hosts, and one has to
// succeed; what the others came to is logged.
func whole(t *testing.T, l layer, p peers, test func(w *world) error) {
	t.Helper()
	for try := uint64(1); ; try++ {
		w := joinByRelay(t, l, p, 20+try)
		w.serve(t, "oping", "-Q")
		err := test(w)
		if err == nil {
			return
		}
		if p == oursOurs || try == tries {
			t.Fatalf("try %d: %v", try, err)
		}
		t.Logf("try %d: %v", try, err)
	}
}

// One message outstanding: the reference does no more when packets are lost.
func TestAReliableFlowWithTheReferenceSurvivesABadNetwork(t *testing.T) {
	each(t, []peers{{ours, reference}, {reference, ours}}, func(t *testing.T, l layer, p peers) {
		i := bad
		i.Only = l.data
		whole(t, l, p, func(w *world) error {
			w.relay.Impair(i)
			if p.client == reference {
				return flood(w, 500)
			}
			spec := qos.Data
			spec.BER = 1 // it sends retransmissions without a checksum
			f, err := w.try(open(t, w.here()), "oping", &spec)
			if err != nil {
				return err
			}
			defer f.Close()
			ping := newPinger(f)
			for n := range 200 {
				if err := ping.once(64 + n); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Fifty at the same time: each is allocated, and carries a mebibyte.
func TestFiftyFlowsThroughThirtyPercentLossInBursts(t *testing.T) {
	if testing.Short() {
		t.Skip("fifty mebibytes through a network that loses a third")
	}
	// Each has a minute in virtual time, see the simulations of FRCP. Here the
	// machine may be slow and busy.
	limit := 3 * time.Minute
	if soak != "" {
		limit = time.Minute
	}
	for _, l := range layers {
		t.Run(l.name, func(t *testing.T) {
			if soak == "" && l.name != "udp4" && l.name != "eth-dix" {
				t.Skip("one layer of each kind, unless OUROBOROS_SOAK is set")
			}
			w := joinByRelay(t, l, oursOurs, 24)
			w.role(t, "sum")
			w.relay.Impair(relay.Impairment{Loss: 0.3, Burst: 3, Delay: time.Millisecond})
			c := open(t, w.here())
			var wg sync.WaitGroup
			var mu sync.Mutex
			var took []time.Duration
			var alloc time.Duration
			for i := range 50 {
				wg.Go(func() {
					mine := time.Now()
					spec := qos.Data
					f, err := w.try(c, "sum", &spec)
					if err != nil {
						t.Errorf("flow %d: %v", i, err)
						return
					}
					defer f.Close()
					got := time.Since(mine)
					if err := transfer(f, 1<<20, limit); err != nil {
						t.Errorf("flow %d: %v", i, err)
					}
					mu.Lock()
					defer mu.Unlock()
					alloc = max(alloc, got)
					took = append(took, time.Since(mine))
				})
			}
			wg.Wait()
			slices.Sort(took)
			if len(took) > 0 && took[len(took)-1] > limit {
				t.Errorf("the slowest took %v", took[len(took)-1])
			}
			t.Logf("the slowest allocation took %v; the transfers %v", alloc, took)
		})
	}
}
