package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// data is a reliable flow with a checksum and a peer time-out of a minute.
func data() qos.Spec {
	s := qos.Data
	s.BER, s.Timeout = 0, 60000
	return s
}

// losing loses and damages packets, one in each of so many.
func losing(one, damaged int) func(b *packet.Buffer) bool {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(3, 4))
	return func(b *packet.Buffer) bool {
		mu.Lock()
		defer mu.Unlock()
		if p := b.Bytes(); len(p) > 0 && rnd.IntN(damaged) == 0 {
			p[rnd.IntN(len(p))] ^= 1 << rnd.IntN(8)
		}
		return rnd.IntN(one) == 0
	}
}

func TestAReliableFlowBringsAllInOrderOverANetworkThatLosesAndDamages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500, impair: losing(5, 10)}
		client, server := across(t, net, data())
		if want := 1500 - 4 - 12; client.MTU() != want {
			t.Errorf("MTU %d, want %d: the checksum takes 4 and FRCP 12", client.MTU(), want)
		}
		const count = 2000
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range count {
				if _, err := fmt.Fprintf(client, "message %d", i); err != nil {
					t.Error(err)
					return
				}
			}
		})
		server.SetReadTimeout(time.Hour)
		for i := range count {
			wantRead(t, server, fmt.Sprintf("message %d", i))
			if t.Failed() {
				break
			}
		}
		wg.Wait()
	})
}

func TestWhatWasWrittenBeforeADeallocArrivesAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500, impair: losing(3, 10)}
		client, server := across(t, net, data())
		const count = 200
		for i := range count {
			if _, err := fmt.Fprintf(client, "message %d", i); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if err := client.Dealloc(); err != nil || time.Since(begin) > 0 {
			t.Errorf("the application waited for %v: %v", time.Since(begin), err)
		}
		server.SetReadTimeout(time.Hour)
		for i := range count {
			wantRead(t, server, fmt.Sprintf("message %d", i))
			if t.Failed() {
				break
			}
		}
	})
}

func TestANodeThatEndsLingersForItsLastMessagesButNotForLong(t *testing.T) {
	for _, tc := range []struct {
		name    string
		heals   time.Duration // when the network begins to work
		arrives bool
		within  time.Duration
	}{
		{"the network is slow", time.Second / 2, true, linger},
		{"the network is dead", time.Hour, false, linger + time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cut atomic.Bool
				net := &network{mtu: 1500, impair: func(*packet.Buffer) bool { return cut.Load() }}
				nodes, client, server := pairOf(t, net, data())
				cut.Store(true)
				time.AfterFunc(tc.heals, func() { cut.Store(false) })
				if _, err := client.Write([]byte("last words")); err != nil {
					t.Fatal(err)
				}
				got := make(chan error)
				go func() {
					server.SetReadTimeout(time.Minute)
					buf := make([]byte, 20)
					n, err := server.Read(buf)
					if err == nil && string(buf[:n]) != "last words" {
						err = fmt.Errorf("read %q", buf[:n])
					}
					got <- err
				}()
				begin := time.Now()
				if err := nodes[0].Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > tc.within {
					t.Errorf("the node took %v to end", took)
				}
				if err := <-got; (err == nil) != tc.arrives {
					t.Errorf("the peer's read: %v", err)
				}
			})
		})
	}
}

func TestASilentPeerEndsAReliableFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		net := &network{mtu: 1500, impair: func(*packet.Buffer) bool { return cut.Load() }}
		client, server := across(t, net, data())
		client.Write([]byte("hello"))
		wantRead(t, server, "hello")
		cut.Store(true)
		begin := time.Now()
		if _, err := server.Read(make([]byte, 10)); !errors.Is(err, ouroboros.ErrFlowPeer) {
			t.Errorf("read: %v", err)
		}
		if d := time.Since(begin); d > 61*time.Second || d < 45*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestTheFlagsOfAnApplicationReachItsMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		net := &network{mtu: 1500, impair: func(*packet.Buffer) bool { return cut.Load() }}
		nodes, client, server := pairOf(t, net, data())
		client.Write([]byte("hello"))
		wantRead(t, server, "hello")
		if flags, err := client.FRCTFlags(); err != nil || flags != ouroboros.Retransmit|ouroboros.ResControl|ouroboros.Linger {
			t.Errorf("flags %d: %v", flags, err)
		}
		lingering := func() uint64 {
			synctest.Wait()
			s, err := nodes[0].Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s.Counters["flows_lingering"]
		}
		if err := client.SetFRCTFlags(ouroboros.ResControl); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		cut.Store(true)
		client.Write([]byte("nobody hears this"))
		client.Dealloc()
		if n := lingering(); n != 0 {
			t.Errorf("%d flows linger without the flag", n)
		}
	})
}
