package stack

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// raw is a datagram flow with a peer time-out of a second.
func raw(ber uint32) qos.Spec {
	s := qos.Raw
	s.BER, s.Timeout = ber, 1000
	return s
}

func wantRead(t *testing.T, f *ouroboros.Flow, want string) {
	t.Helper()
	buf := make([]byte, 2000)
	n, err := f.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Errorf("read %q, %v, want %q", buf[:n], err, want)
	}
}

func TestAMessageLongerThanTheLayerCarriesFailsAtTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500}
		nodes, client, server := pairOf(t, net, raw(0))
		for _, mtu := range []int{1500, 1400, 9000, 100} {
			net.setMTU(mtu)
			synctest.Wait()
			most := mtu - 4 // of which the checksum takes four
			if client.MTU() != most || server.MTU() != most {
				t.Errorf("MTU %d and %d, want %d", client.MTU(), server.MTU(), most)
			}
			if flows, err := nodes[0].ListFlows(t.Context()); err != nil || len(flows) != 1 || flows[0].MTU != most {
				t.Errorf("listed %+v: %v", flows, err)
			}
			for _, f := range []*ouroboros.Flow{client, server} {
				_, err := f.Write(make([]byte, most+1))
				if !errors.Is(err, ouroboros.ErrMsgSize) || !strings.Contains(err.Error(), "carries") {
					t.Errorf("write of %d bytes: %v", most+1, err)
				}
			}
			msg := strings.Repeat("x", most)
			if _, err := client.Write([]byte(msg)); err != nil {
				t.Errorf("write of %d bytes: %v", most, err)
			}
			buf := make([]byte, 10000)
			if n, err := server.Read(buf); n != most || err != nil {
				t.Errorf("read %d bytes, want %d: %v", n, most, err)
			}
		}
	})
}

func TestDamageOnTheWayIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500}
		n := 0
		net.impair = func(b *packet.Buffer) bool {
			p := b.Bytes()
			if len(p) == 0 {
				return false
			}
			if sum := binary.BigEndian.Uint32(p[len(p)-4:]); sum != crc32.ChecksumIEEE(p[:len(p)-4]) {
				t.Errorf("%x is on the wire without a checksum", p)
			}
			if n++; n%2 == 1 {
				p[n%len(p)] ^= 4
			}
			return false
		}
		client, server := across(t, net, raw(0))
		for _, word := range []string{"lost", "one", "lost", "two"} {
			client.Write([]byte(word))
		}
		wantRead(t, server, "one")
		wantRead(t, server, "two")
	})
}

func TestIdleFlowsStayUpAndAnEmptyWriteSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500}
		var empty, other atomic.Int64
		net.impair = func(b *packet.Buffer) bool {
			if b.Len() == 0 {
				empty.Add(1)
			} else {
				other.Add(1)
			}
			return false
		}
		client, server := across(t, net, raw(1))
		for range 10 {
			if n, err := client.Write(nil); n != 0 || err != nil {
				t.Errorf("empty write: %d, %v", n, err)
			}
		}
		synctest.Wait()
		if empty.Load() != 0 || other.Load() != 0 {
			t.Errorf("%d empty packets and %d others of empty writes", empty.Load(), other.Load())
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if got := empty.Load(); got != 2*40 {
			t.Errorf("%d keep-alives in 10 s, want 4 a second and side", got)
		}
		server.SetFlags(ouroboros.DefaultFlags | ouroboros.NonBlockingRead)
		if n, err := server.Read(make([]byte, 10)); !errors.Is(err, ouroboros.ErrWouldBlock) {
			t.Errorf("read %d, %v of keep-alives", n, err)
		}
		client.Write([]byte("still up"))
		synctest.Wait()
		wantRead(t, server, "still up")
	})
}

// events are what a set says of its flow within a second.
func events(t *testing.T, s *ouroboros.FlowSet, within time.Duration) (types []ouroboros.EventType) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		evs, err := s.Wait(ctx, nil)
		for _, e := range evs {
			types = append(types, e.Type)
		}
		if err != nil {
			return types
		}
	}
}

func TestASilentPeerIsToldToReadersAndSets(t *testing.T) {
	for name, s := range map[string]qos.Spec{"raw": raw(1), "checked": raw(0)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := &network{mtu: 1500}
				var cut atomic.Bool
				net.impair = func(*packet.Buffer) bool { return cut.Load() }
				client, server := across(t, net, s)
				set := ouroboros.NewFlowSet()
				defer set.Close()
				if err := set.Add(server); err != nil {
					t.Fatal(err)
				}
				client.Write([]byte("last words"))
				synctest.Wait()
				cut.Store(true)
				blocked := make(chan error)
				go func() {
					_, err := client.Read(make([]byte, 10))
					blocked <- err
				}()
				begin := time.Now()
				if err := <-blocked; !errors.Is(err, ouroboros.ErrFlowPeer) || time.Since(begin) > time.Second {
					t.Errorf("the blocked reader: %v after %v", err, time.Since(begin))
				}
				if got := events(t, set, 5*time.Second); !slices.Equal(got, []ouroboros.EventType{ouroboros.FlowPacket, ouroboros.FlowPeer}) {
					t.Errorf("events %v", got)
				}
				wantRead(t, server, "last words")
				if _, err := server.Read(make([]byte, 10)); !errors.Is(err, ouroboros.ErrFlowPeer) {
					t.Errorf("read after that: %v", err)
				}
				if _, err := server.Write([]byte("x")); err != nil {
					t.Errorf("writing goes on after a peer time-out, and here: %v", err)
				}
			})
		})
	}
}

func TestACarrierThatFailsAndComesBackIsToldToReadersWritersAndSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500}
		client, server := across(t, net, raw(1))
		set := ouroboros.NewFlowSet()
		defer set.Close()
		if err := set.Add(server); err != nil {
			t.Fatal(err)
		}
		client.Write([]byte("before"))
		synctest.Wait()
		net.setDown(true)
		synctest.Wait()
		wantRead(t, server, "before")
		if _, err := server.Read(make([]byte, 10)); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("read: %v", err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("write: %v", err)
		}
		if got := events(t, set, 100*time.Millisecond); !slices.Equal(got, []ouroboros.EventType{ouroboros.FlowPacket, ouroboros.FlowDown}) {
			t.Errorf("events %v", got)
		}
		net.setDown(false)
		synctest.Wait()
		if _, err := client.Write([]byte("after")); err != nil {
			t.Errorf("write: %v", err)
		}
		synctest.Wait()
		wantRead(t, server, "after")
		if got := events(t, set, 100*time.Millisecond); !slices.Equal(got, []ouroboros.EventType{ouroboros.FlowPacket, ouroboros.FlowUp}) {
			t.Errorf("events %v", got)
		}
	})
}

func TestALayerThatEndsTakesItsFlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500}
		client, _ := across(t, net, raw(1))
		net.mu.Lock()
		w := net.ipcps[0]
		net.mu.Unlock()
		w.Close()
		synctest.Wait()
		if _, err := client.Read(make([]byte, 10)); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("read: %v", err)
		}
		if err := client.Dealloc(); err != nil {
			t.Error(err)
		}
	})
}
