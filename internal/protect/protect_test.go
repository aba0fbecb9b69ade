package protect_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/protect"
	"ouroboros/qos"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// figures are the counters of a flow.
type figures struct{ Damaged, Bare, Alive, AliveOut, Silent uint64 }

var counters sync.Map // of the flows of onPipe

func stats(f *protect.Flow) figures {
	v, _ := counters.Load(f)
	c := v.(*protect.Counters)
	return figures{c.Damaged.Load(), c.Bare.Load(), c.Alive.Load(), c.AliveOut.Load(), c.Silent.Load()}
}

// user is who uses a flow: it takes as many packets as it has room for.
type user struct {
	mu     sync.Mutex
	room   int
	got    []string
	events []flow.Event
	at     []time.Time // of the events and packets, in order
}

func newUser() *user { return &user{room: 1 << 30} }

func (u *user) Receive(batch []*packet.Buffer) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := min(u.room, len(batch))
	u.room -= n
	for _, b := range batch[:n] {
		u.got = append(u.got, string(b.Bytes()))
		u.at = append(u.at, time.Now())
		b.Release()
	}
	return n
}

func (u *user) Event(e flow.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.events = append(u.events, e)
	u.at = append(u.at, time.Now())
}

func (u *user) packets() []string   { u.mu.Lock(); defer u.mu.Unlock(); return slices.Clone(u.got) }
func (u *user) told() []flow.Event  { u.mu.Lock(); defer u.mu.Unlock(); return slices.Clone(u.events) }
func (u *user) times() []time.Time  { u.mu.Lock(); defer u.mu.Unlock(); return slices.Clone(u.at) }
func (u *user) setRoom(packets int) { u.mu.Lock(); u.room = packets; u.mu.Unlock() }

func spec(ber uint32, ordered bool, timeout time.Duration) qos.Spec {
	s := qos.Raw
	s.BER, s.InOrder, s.Timeout = ber, ordered, uint32(timeout/time.Millisecond)
	return s
}

// onPipe guards one end of a pipe; far is the other, as the wire would see it.
func onPipe(t testing.TB, s qos.Spec) (f *protect.Flow, u *user, far *flow.Pipe) {
	t.Helper()
	near, far := flow.NewPipe(flow.PipeOptions{QoS: s, MTU: 1500, Limit: flow.Limit{Packets: 1024}})
	c := new(protect.Counters)
	f, u = protect.New(near, protect.Config{QoS: s, Counters: c}), newUser()
	counters.Store(f, c)
	f.Attach(u)
	t.Cleanup(func() {
		f.Dealloc()
		far.Dealloc()
		counters.Delete(f)
	})
	return f, u, far
}

// hold lets time pass, and what it brings about happen.
func hold(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func send(f flow.Flow, packets ...string) (taken int) {
	var batch []*packet.Buffer
	for _, p := range packets {
		batch = append(batch, packet.From([]byte(p)))
	}
	taken = f.Send(batch)
	packet.ReleaseAll(batch[taken:])
	return taken
}

func fromHex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAChecksumIsPutBehindEachPacketOfAFlowWithoutBitErrors(t *testing.T) {
	for _, tc := range []struct {
		name        string
		ber         uint32
		data, wire  string // hex
		keepsLength bool
	}{
		{"as captured", 0, "68656c6c6f", "68656c6c6f3610a686", false},
		{"bit errors allowed", 1, "68656c6c6f", "68656c6c6f", true},
		{"a keep-alive", 0, "", "", true},
		{"one byte", 0, "00", "00d202ef8d", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, u, far := onPipe(t, spec(tc.ber, false, 0))
			wire := newUser()
			far.Attach(wire)
			send(f, fromHex(t, tc.data))
			if len(wire.packets()) != 1 || hex.EncodeToString([]byte(wire.packets()[0])) != tc.wire {
				t.Errorf("on the wire: %x, want %s", wire.packets(), tc.wire)
			}
			send(far, fromHex(t, tc.wire))
			if tc.data == "" {
				if len(u.packets()) != 0 || stats(f).Alive != 1 {
					t.Errorf("a keep-alive was shown to the user: %q", u.packets())
				}
			} else if len(u.packets()) != 1 || u.packets()[0] != fromHex(t, tc.data) {
				t.Errorf("received %x", u.packets())
			}
		})
	}
}

func TestWhatFailsTheChecksumIsDroppedAndCounted(t *testing.T) {
	ack := "0cc3cdb50000000031c3ccb5" // sent bare by some peers
	for _, tc := range []struct {
		name    string
		ordered bool
		wire    string
		passes  bool
	}{
		{"wrong checksum", false, "68656c6c6f3610a687", false},
		{"no checksum", false, "6e6f637263", false},
		{"three bytes", false, "aabbcc", false},
		{"one byte", true, "04", false},
		{"a checksum of nothing", false, "00000000", false},
		{"bare acknowledgement on an ordered flow", true, ack, true},
		{"bare acknowledgement on a raw flow", false, ack, false},
		{"bare rendez-vous", true, "100000000000000000000000", true},
		{"bare window with a data run", true, "0e0e84c310000000950e83c3", true},
		{"a header that says nothing", true, "000000000000000000000000", false},
		{"only a data run", true, "020000000000000000000000", false},
		{"bare header with data flag", true, "05c3cdb50000000031c3ccb5", false},
		{"bare header with an unknown flag", true, "84c3cdb50000000031c3ccb5", false},
		{"bare header and a byte", true, ack + "00", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, u, far := onPipe(t, spec(0, tc.ordered, 0))
			send(far, fromHex(t, tc.wire))
			s := stats(f)
			if tc.passes {
				if len(u.packets()) != 1 || u.packets()[0] != fromHex(t, tc.wire) || s.Bare != 1 || s.Damaged != 0 {
					t.Errorf("received %x, %+v", u.packets(), s)
				}
			} else if len(u.packets()) != 0 || s.Damaged != 1 {
				t.Errorf("received %x, %+v", u.packets(), s)
			}
		})
	}
}

func TestEveryBitOfAPacketIsUnderTheChecksum(t *testing.T) {
	f, u, far := onPipe(t, spec(0, false, 0))
	wire := []byte(fromHex(t, "68656c6c6f3610a686"))
	for bit := range 8 * len(wire) {
		p := bytes.Clone(wire)
		p[bit/8] ^= 1 << (bit % 8)
		send(far, string(p))
	}
	if len(u.packets()) != 0 || stats(f).Damaged != uint64(8*len(wire)) {
		t.Errorf("received %x, %+v", u.packets(), stats(f))
	}
}

func TestTheChecksumTakesFourBytesOfTheLongestPacket(t *testing.T) {
	for ber, want := range map[uint32]int{0: 1496, 1: 1500} {
		f, u, far := onPipe(t, spec(ber, false, 0))
		wire := newUser()
		far.Attach(wire)
		if f.MTU() != want {
			t.Errorf("ber %d: MTU %d, want %d", ber, f.MTU(), want)
		}
		longest := string(make([]byte, want))
		if n := send(f, longest, longest+"x", "short"); n != 3 {
			t.Errorf("%d taken: what is too long is taken and dropped", n)
		}
		if len(wire.packets()) != 2 || len(wire.packets()[0]) != 1500 {
			t.Errorf("%d packets on the wire", len(wire.packets()))
		}
		far.SetMTU(2)
		if f.MTU() < 0 || !slices.Equal(u.told(), []flow.Event{flow.EventMTU}) {
			t.Errorf("MTU %d, events %v", f.MTU(), u.told())
		}
	}
}

// TestAFullUserOrLayerGetsThePacketsAgainUnharmed lets both sides take a few
// packets at a time, with damaged ones and keep-alives between.
func TestAFullUserOrLayerGetsThePacketsAgainUnharmed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, ber := range []uint32{0, 1} {
		f, u, far := onPipe(t, spec(ber, false, 0))
		u.setRoom(0)
		var want []string
		var wire []*packet.Buffer
		catch := newUser()
		far.Attach(catch)
		for i := range 200 {
			p := string(bytes.Repeat([]byte{byte(i)}, 1+rnd.IntN(40)))
			want = append(want, p)
			send(f, p)
			wire = append(wire, packet.From([]byte(catch.packets()[i])))
			if rnd.IntN(3) == 0 {
				wire = append(wire, packet.Get(0))
			}
			if ber == 0 && rnd.IntN(3) == 0 {
				wire = append(wire, packet.From([]byte("damaged")))
			}
		}
		for len(wire) > 0 {
			k := min(1+rnd.IntN(20), len(wire))
			if n := far.Send(wire[:k]); n != k {
				t.Fatalf("the pipe took %d of %d", n, k)
			}
			wire = wire[k:]
			u.setRoom(rnd.IntN(5))
			f.Resume()
		}
		u.setRoom(1 << 30)
		f.Resume()
		if !slices.Equal(u.packets(), want) {
			t.Errorf("ber %d: received %d packets, want %d, in order", ber, len(u.packets()), len(want))
		}
		if s := stats(f); (s.Damaged == 0) != (ber == 1) {
			t.Errorf("ber %d: %+v", ber, s)
		}
	}
}

func TestALayerThatTakesFewerGivesThePacketsBackAsTheyWere(t *testing.T) {
	s := spec(0, false, 0)
	near, far := flow.NewPipe(flow.PipeOptions{QoS: s, Limit: flow.Limit{Packets: 3}})
	f := protect.New(near, protect.Config{QoS: s})
	defer far.Dealloc()
	defer f.Dealloc()
	f.Attach(newUser())
	batch := []*packet.Buffer{}
	for _, p := range []string{"a", "b", "c", "d", "", "e"} {
		batch = append(batch, packet.From([]byte(p)))
	}
	n := f.Send(batch)
	if n != 3 {
		t.Fatalf("%d taken", n)
	}
	for i, want := range []string{"d", "", "e"} {
		if got := string(batch[n+i].Bytes()); got != want {
			t.Errorf("packet %d came back as %q, want %q", n+i, got, want)
		}
	}
	packet.ReleaseAll(batch[n:])
}

func TestKeepAlivesAreSentAfterAQuarterOfTheTimeoutInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, far := onPipe(t, spec(0, false, time.Second))
		wire := newUser()
		far.Attach(wire)
		begin := time.Now()
		alive := func() { send(far, "") } // the peer lives
		for range 4 {
			hold(200 * time.Millisecond)
			send(f, "data")
			alive()
		}
		if len(wire.packets()) != 4 {
			t.Errorf("a flow in use sent %d packets, want 4", len(wire.packets()))
		}
		hold(900 * time.Millisecond)
		var when []time.Duration
		for i, p := range wire.packets() {
			if p == "" {
				when = append(when, wire.times()[i].Sub(begin))
			}
		}
		if !slices.Equal(when, []time.Duration{1050 * time.Millisecond, 1300 * time.Millisecond, 1550 * time.Millisecond}) {
			t.Errorf("keep-alives at %v", when)
		}
		if n := stats(f).AliveOut; n != 3 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestControlPacketsDoNotStandForKeepAlives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, far := onPipe(t, spec(1, true, time.Second))
		wire := newUser()
		far.Attach(wire)
		ack := fromHex(t, "0cc3cdb50000000031c3ccb5")
		for range 10 {
			hold(100 * time.Millisecond)
			send(f, ack)
			send(far, ack)
		}
		if n := stats(f).AliveOut; n != 3 && n != 4 {
			t.Errorf("%d keep-alives in a second of acknowledgements", n)
		}
		before := stats(f).AliveOut
		for range 10 {
			hold(100 * time.Millisecond)
			send(f, fromHex(t, "03000000616623d200000000")+"data")
			send(far, ack)
		}
		synctest.Wait()
		if n := stats(f).AliveOut - before; n > 1 {
			t.Errorf("%d keep-alives in a second of data", n)
		}
	})
}

func TestASilentPeerIsGivenUpOnceAndKeepAlivesStop(t *testing.T) {
	for name, wakes := range map[string]string{"keep-alive": "", "data": "data", "damaged": "x"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, u, far := onPipe(t, spec(0, false, 2*time.Second))
				wire := newUser()
				far.Attach(wire)
				begin := time.Now()
				u.setRoom(0) // it does not read, and the peer lives for all that
				for range 3 {
					hold(1900 * time.Millisecond)
					send(far, wakes)
				}
				if len(u.told()) != 0 {
					t.Fatalf("events %v of a peer that lives", u.told())
				}
				hold(10 * time.Second)
				if !slices.Equal(u.told(), []flow.Event{flow.EventPeer}) {
					t.Fatalf("events %v", u.told())
				}
				if after := u.times()[0].Sub(begin); after != 7700*time.Millisecond {
					t.Errorf("given up after %v", after)
				}
				n := stats(f).AliveOut
				hold(time.Minute)
				if stats(f).AliveOut != n || len(u.told()) != 1 {
					t.Errorf("%d keep-alives and events %v after that", stats(f).AliveOut-n, u.told())
				}
				if send(f, "words into the void") != 1 || len(wire.packets()) == 0 || len(wire.packets()[len(wire.packets())-1]) != 23 {
					t.Errorf("writing does not go on: %q", wire.packets())
				}
				u.setRoom(1 << 30)
				f.Resume()
				if name == "data" && len(u.packets()) != 0 {
					t.Errorf("%q", u.packets())
				}
			})
		})
	}
}

func TestAFlowWithoutTimeoutIsNeverGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, u, _ := onPipe(t, spec(1, false, 0))
		hold(24 * time.Hour)
		if len(u.told()) != 0 || stats(f).AliveOut != 0 {
			t.Errorf("events %v, %+v", u.told(), stats(f))
		}
	})
}

func TestTwoEndsKeepEachOtherAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spec(0, false, 2*time.Second)
		a, b := flow.NewPipe(flow.PipeOptions{QoS: s})
		fa, fb := protect.New(a, protect.Config{QoS: s}), protect.New(b, protect.Config{QoS: s})
		ua, ub := newUser(), newUser()
		fa.Attach(ua)
		fb.Attach(ub)
		hold(time.Hour)
		if len(ua.told())+len(ub.told())+len(ua.packets())+len(ub.packets()) != 0 {
			t.Errorf("events %v and %v, packets %q and %q", ua.told(), ub.told(), ua.packets(), ub.packets())
		}
		a.SetDown(true)
		hold(time.Hour)
		want := []flow.Event{flow.EventDown, flow.EventPeer}
		if !slices.Equal(ua.told(), want) || !slices.Equal(ub.told(), want) {
			t.Errorf("events %v and %v", ua.told(), ub.told())
		}
		fa.Dealloc()
		fb.Dealloc()
	})
}

func TestTheEndOfTheFlowIsTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, u, far := onPipe(t, spec(0, false, time.Second))
		send(f, "x")
		far.Dealloc()
		hold(time.Minute)
		if !slices.Equal(u.told(), []flow.Event{flow.EventDealloc}) {
			t.Errorf("events %v", u.told())
		}
		if n := stats(f).AliveOut; n != 0 {
			t.Errorf("%d keep-alives into a flow that has ended", n)
		}
	})
}

// inTick is a user that deallocates while it is told of the peer.
type inTick struct {
	*user
	f, far flow.Flow
}

func (u *inTick) Event(e flow.Event) {
	u.user.Event(e)
	if e == flow.EventPeer {
		u.far.Dealloc()
		u.f.Dealloc()
	}
}

func TestADeallocationWhileThePeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spec(0, false, time.Second)
		near, far := flow.NewPipe(flow.PipeOptions{QoS: s})
		done := 0
		f := protect.New(near, protect.Config{QoS: s, Done: func() { done++ }})
		u := &inTick{user: newUser(), f: f, far: far}
		f.Attach(u)
		hold(time.Minute)
		f.Dealloc()
		if done != 1 || !slices.Equal(u.told(), []flow.Event{flow.EventPeer}) {
			t.Errorf("done %d times, events %v", done, u.told())
		}
	})
}

func TestDeallocEndsTheTimerAndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []time.Duration{0, 250 * time.Millisecond, time.Second, 3 * time.Second} {
			s := spec(0, false, time.Second)
			near, far := flow.NewPipe(flow.PipeOptions{QoS: s})
			done := 0
			f := protect.New(near, protect.Config{QoS: s, Done: func() { done++ }})
			u := newUser()
			f.Attach(u)
			time.Sleep(after) // with the timer firing at this very moment
			f.Dealloc()
			f.Dealloc()
			synctest.Wait()
			n := len(u.told())
			hold(time.Minute)
			if done != 1 || len(u.told()) != n {
				t.Errorf("after %v: done %d times, events %v", after, done, u.told())
			}
			far.Dealloc()
		}
	})
}

func TestWhatAUserDoesNotTakeIsKeptUpToALimit(t *testing.T) {
	f, u, far := onPipe(t, spec(0, false, 0))
	wire := newUser()
	far.Attach(wire)
	send(f, strings.Repeat("x", 1400))
	sealed := wire.packets()[0]
	u.setRoom(0)
	taken := 0
	for range 10000 {
		taken += send(far, sealed)
	}
	// The pipe below keeps 1024 by itself.
	if kept := taken - 1024; kept < 2900 || kept > 4<<20/1400+1 {
		t.Errorf("%d packets of 1400 bytes are kept", kept)
	}
	u.setRoom(1 << 30)
	f.Resume()
	if n := len(u.packets()); n != taken || stats(f).Damaged != 0 {
		t.Errorf("%d of %d arrive, %+v", n, taken, stats(f))
	}
	far.Dealloc()
	if e := u.told(); !slices.Contains(e, flow.EventDealloc) {
		t.Errorf("events %v", e)
	}
}

func TestABacklogCanBeSmaller(t *testing.T) {
	for _, c := range []struct{ length, want int }{{8, 128}, {1400, 128}, {8000, 32}} {
		s := spec(1, false, 0)
		near, far := flow.NewPipe(flow.PipeOptions{QoS: s, Limit: flow.Limit{Packets: 1}})
		f, u := protect.New(near, protect.Config{QoS: s, Backlog: 256 << 10}), newUser()
		u.setRoom(0)
		f.Attach(u)
		taken := -1 // the pipe keeps one by itself
		for range 1000 {
			taken += send(far, strings.Repeat("x", c.length))
		}
		if taken != c.want {
			t.Errorf("%d packets of %d bytes are kept, want %d", taken, c.length, c.want)
		}
		f.Dealloc()
		far.Dealloc()
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{9, 'h', 'e', 'l', 'l', 'o', 0x36, 0x10, 0xa6, 0x86, 0, 3, 1, 2, 3}, true, true, uint8(2))
	f.Add([]byte{12, 0x0c, 0xc3, 0xcd, 0xb5, 0, 0, 0, 0, 0x31, 0xc3, 0xcc, 0xb5}, true, false, uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, ordered, crc bool, room uint8) {
		ber := uint32(1)
		if crc {
			ber = 0
		}
		guarded, u, far := onPipe(t, spec(ber, ordered, time.Hour))
		u.setRoom(int(room))
		var batch []*packet.Buffer
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			batch = append(batch, packet.From(data[1:1+n]))
			data = data[1+n:]
		}
		n := far.Send(batch)
		packet.ReleaseAll(batch[n:])
		u.setRoom(1 << 30)
		guarded.Resume()
		s := stats(guarded)
		if got := uint64(len(u.packets())) + s.Damaged + s.Alive; got != uint64(n) {
			t.Errorf("%d of %d packets are accounted for", got, n)
		}
		if slices.Contains(u.packets(), "") {
			t.Error("the user got an empty packet")
		}
	})
}

func TestAFlowThatIsFullAndHasEndedBelowCanBeDeallocated(t *testing.T) {
	f, u, far := onPipe(t, spec(1, false, time.Minute))
	u.setRoom(0)
	for range 10000 { // more than is kept here and below
		if b := packet.From([]byte("x")); far.Send([]*packet.Buffer{b}) == 0 {
			b.Release()
			break
		}
	}
	far.Dealloc() // the end waits behind what was sent
	done := make(chan struct{})
	go func() {
		f.Dealloc()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Dealloc does not return")
	}
}
