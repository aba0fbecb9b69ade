package protect_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/protect"
	"ouroboros/internal/seal"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/qos"
)

var ciphers = []wire.Cipher{
	wire.AES128GCM, wire.AES192GCM, wire.AES256GCM, wire.ChaCha20Poly1305,
	wire.AES128CTR, wire.AES192CTR, wire.AES256CTR,
}

func sealer(t testing.TB, c wire.Cipher) *seal.Sealer {
	t.Helper()
	s, err := seal.New(seal.Config{Cipher: c, Key: &[seal.KeySize]byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealedOnPipe guards one end of a pipe with a cipher. other is a sealer of the
// far end, as the peer would have it.
func sealedOnPipe(t testing.TB, s qos.Spec, c wire.Cipher, room int) (f *protect.Flow, u *user, far *flow.Pipe, other *seal.Sealer) {
	t.Helper()
	near, far := flow.NewPipe(flow.PipeOptions{QoS: s, MTU: 1500, Limit: flow.Limit{Packets: room}})
	k := new(protect.Counters)
	f, u = protect.New(near, protect.Config{QoS: s, Counters: k, Sealer: sealer(t, c)}), newUser()
	counters.Store(f, k)
	f.Attach(u)
	other = sealer(t, c)
	t.Cleanup(func() {
		f.Dealloc()
		far.Dealloc()
		other.Close()
		counters.Delete(f)
	})
	return f, u, far, other
}

// opened gives what a sealer makes of a packet from the wire.
func opened(s *seal.Sealer, p string) (plain string, ok bool) {
	one := []*packet.Buffer{packet.From([]byte(p))}
	if s.Open(one) != 1 {
		return "", false
	}
	defer one[0].Release()
	return string(one[0].Bytes()), true
}

func sealed(s *seal.Sealer, plain string) string {
	b := packet.From([]byte(plain))
	defer b.Release()
	s.Seal([]*packet.Buffer{b})
	return string(b.Bytes())
}

func withSum(p string) string {
	return string(binary.BigEndian.AppendUint32([]byte(p), crc32.ChecksumIEEE([]byte(p))))
}

func TestTheChecksumIsOutsideOfTheCipher(t *testing.T) {
	for _, c := range ciphers {
		for _, ber := range []uint32{0, 1} {
			f, u, far, other := sealedOnPipe(t, spec(ber, false, 0), c, 1024)
			wire := newUser()
			far.Attach(wire)
			longer := other.Overhead()
			send(f, "hello", "", strings.Repeat("x", 1400))
			got := wire.packets()
			if len(got) != 3 || got[1] != "" {
				t.Fatalf("%v: on the wire %q", c, got)
			}
			for i, want := range map[int]string{0: "hello", 2: strings.Repeat("x", 1400)} {
				p := got[i]
				if ber == 0 {
					p = p[:max(len(p)-4, 0)]
					if withSum(p) != got[i] {
						t.Errorf("%v: packet %x has no checksum", c, got[i])
					}
					longer = other.Overhead() + 4
				}
				if plain, ok := opened(other, p); !ok || plain != want || len(got[i]) != len(want)+longer {
					t.Errorf("%v: %x opens to %q, %v", c, got[i], plain, ok)
				}
			}
			if m := f.MTU(); m != 1500-longer {
				t.Errorf("%v: MTU %d", c, m)
			}
			back := sealed(other, "back")
			if ber == 0 {
				back = withSum(back)
			}
			send(far, "", back, "short", strings.Repeat("?", 100))
			if ber == 0 || other.Authenticates() {
				if got := u.packets(); !slices.Equal(got, []string{"back"}) {
					t.Errorf("%v: received %q", c, got)
				}
			}
		}
	}
}

func TestABareControlPacketPassesWhenItOpens(t *testing.T) {
	f, u, far, other := sealedOnPipe(t, spec(0, true, 0), wire.AES256GCM, 1024)
	ack := "\x0c\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00\x07"
	send(far, sealed(other, ack), ack, sealed(other, ack+"data"), strings.Repeat("?", 40))
	if got := u.packets(); !slices.Equal(got, []string{ack}) {
		t.Errorf("received %q", got)
	}
	if s := stats(f); s.Damaged != 2 || s.Bare != 2 {
		t.Errorf("%+v", s)
	}
	// With CTR nothing tells it from garbage.
	_, u, far, other = sealedOnPipe(t, spec(0, true, 0), wire.AES256CTR, 1024)
	send(far, sealed(other, ack))
	if got := u.packets(); len(got) != 0 {
		t.Errorf("received %q", got)
	}
}

func TestWhatTheFlowBelowDoesNotTakeWaitsSealedAndInOrder(t *testing.T) {
	for _, c := range ciphers { // CTR would not survive one that is counted twice
		synctest.Test(t, func(t *testing.T) { inOrder(t, c) })
	}
}

func inOrder(t *testing.T, c wire.Cipher) {
	f, u, far, other := sealedOnPipe(t, spec(0, false, 0), c, 10)
	wire := newUser()
	wire.setRoom(0)
	far.Attach(wire)
	sent, read := 0, 0
	var got []string
	for round := 0; len(got) < 1000; round++ {
		for {
			batch := make([]string, 1+round%50)
			for i := range batch {
				batch[i] = fmt.Sprint("message ", sent+i)
			}
			n := send(f, batch...)
			sent += n
			if n < len(batch) {
				break
			}
		}
		synctest.Wait()
		if f.QueueLen() <= 10 {
			t.Fatalf("%v: %d wait", c, f.QueueLen())
		}
		before := len(u.told())
		wire.setRoom(5 + round%100)
		far.Resume()
		synctest.Wait()
		if writable := f.QueueLen() <= 10; writable != slices.Contains(u.told()[before:], flow.EventWritable) {
			t.Fatalf("%v: events %v with %d in the queue", c, u.told()[before:], f.QueueLen())
		}
		for _, p := range wire.packets()[read:] {
			plain, ok := opened(other, p[:len(p)-4])
			if want := fmt.Sprint("message ", len(got)); !ok || plain != want {
				t.Fatalf("%v: %q, %v, want %q", c, plain, ok, want)
			}
			got = append(got, plain)
			read++
		}
	}
}

func TestWhatWaitsIsSentBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, room := range []int{1 << 30, 0} {
			s := spec(1, false, time.Minute)
			near, far := flow.NewPipe(flow.PipeOptions{QoS: s, Limit: flow.Limit{Packets: 10}})
			done := 0
			f := protect.New(near, protect.Config{QoS: s, Sealer: sealer(t, wire.AES256GCM), Done: func() { done++ }})
			u, wire := newUser(), newUser()
			f.Attach(u)
			wire.setRoom(0)
			far.Attach(wire)
			var batch []string
			for i := range 40 {
				batch = append(batch, fmt.Sprint(i))
			}
			if n := send(f, batch...); n != 40 {
				t.Fatalf("%d taken", n)
			}
			f.Dealloc()
			f.Dealloc()
			hold(time.Second)
			if done != 0 || len(wire.told()) != 0 {
				t.Errorf("done %d times, events %v while packets wait", done, wire.told())
			}
			wire.setRoom(room)
			far.Resume()
			hold(time.Minute)
			wire.setRoom(1 << 30)
			far.Resume()
			want := 40
			if room == 0 {
				want = 10 // a peer that does not read is not waited for for ever
			}
			if done != 1 || len(wire.packets()) != want || !slices.Equal(wire.told(), []flow.Event{flow.EventDealloc}) {
				t.Errorf("done %d times, %d packets, events %v", done, len(wire.packets()), wire.told())
			}
			far.Dealloc()
		}
	})
}

func TestTheEndOfTheFlowBelowDropsWhatWaits(t *testing.T) {
	f, u, far, _ := sealedOnPipe(t, spec(1, false, 0), wire.ChaCha20Poly1305, 10)
	for send(f, "a", "b", "c") == 3 {
	}
	far.Dealloc()
	if n := send(f, "x"); n != 1 || f.QueueLen() != 0 {
		t.Errorf("%d taken, %d wait", n, f.QueueLen())
	}
	if e := u.told(); !slices.Contains(e, flow.EventWritable) || e[len(e)-1] != flow.EventDealloc {
		t.Errorf("events %v", e)
	}
}

func TestNothingLeavesInTheClearAfterTheEnd(t *testing.T) {
	f, _, far, _ := sealedOnPipe(t, spec(1, false, 0), wire.AES256GCM, 10)
	wire := newUser()
	far.Attach(wire)
	f.Dealloc()
	if n := send(f, "secret"); n != 1 || len(wire.packets()) != 0 {
		t.Errorf("%d taken, on the wire %q", n, wire.packets())
	}
}

func TestAUserWithoutRoomLosesWhatIsBeyondTheBacklog(t *testing.T) {
	f, u, far, other := sealedOnPipe(t, spec(1, false, 0), wire.AES256GCM, 1024)
	u.setRoom(0)
	const n = 6000
	for i := range n {
		send(far, sealed(other, fmt.Sprint(i)))
	}
	u.setRoom(1 << 30)
	f.Resume()
	got := u.packets()
	v, _ := counters.Load(f)
	lost := int(v.(*protect.Counters).Overrun.Load())
	if len(got) != 4096 || lost != n-len(got) || got[4095] != "4095" {
		t.Errorf("%d arrive and %d are lost", len(got), lost)
	}
}

func TestASealedPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, c := range ciphers {
		s := spec(0, false, time.Hour)
		belowA, belowB := &sink{qos: s}, &sink{qos: s}
		a := protect.New(belowA, protect.Config{QoS: s, Sealer: sealer(t, c)})
		b := protect.New(belowB, protect.Config{QoS: s, Sealer: sealer(t, c)})
		a.Attach(flow.Funcs{})
		b.Attach(flow.Funcs{})
		belowA.take = func(batch []*packet.Buffer) { belowB.Receive(batch) }
		batch := make([]*packet.Buffer, 32)
		run := func() {
			for i := range batch {
				batch[i] = packet.Get(1400)
			}
			a.Send(batch)
		}
		for range 100 {
			run()
		}
		if n := testing.AllocsPerRun(100, run); n >= 1 {
			t.Errorf("%v: %v allocations for 32 packets", c, n)
		}
		a.Dealloc()
		b.Dealloc()
	}
}

func FuzzReceiveSealed(f *testing.F) {
	f.Add([]byte{9, 'h', 'e', 'l', 'l', 'o', 0x36, 0x10, 0xa6, 0x86, 0, 40, 1, 2, 3}, uint8(1), true, true)
	f.Fuzz(func(t *testing.T, data []byte, which uint8, ordered, crc bool) {
		ber := uint32(1)
		if crc {
			ber = 0
		}
		guarded, u, far, other := sealedOnPipe(t, spec(ber, ordered, time.Hour), ciphers[int(which)%len(ciphers)], 1024)
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			send(far, string(data[1:1+n]))
			data = data[1+n:]
		}
		if !other.Authenticates() {
			return
		}
		if len(u.packets()) > 0 {
			t.Errorf("received %q", u.packets())
		}
		p := sealed(other, "still here")
		if crc {
			p = withSum(p)
		}
		send(far, p)
		if got := u.packets(); !slices.Equal(got, []string{"still here"}) {
			t.Errorf("received %q", got)
		}
		guarded.Send([]*packet.Buffer{packet.From(bytes.Repeat([]byte("z"), 100))})
	})
}
