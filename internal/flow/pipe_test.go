package flow_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/qos"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { leak.Main(m) }

// user is a Handler that keeps what it is given, and takes only as much as it
// has room for.
type user struct {
	mu     sync.Mutex
	room   int // packets that it still takes
	inside bool
	got    []string // packets, and events in brackets
}

func (u *user) Receive(batch []*packet.Buffer) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.inside {
		panic("two calls of Receive at a time")
	}
	u.inside = true
	defer func() { u.inside = false }()
	n := min(u.room, len(batch))
	u.room -= n
	for _, b := range batch[:n] {
		u.got = append(u.got, string(b.Bytes()))
		b.Release()
	}
	return n
}

func (u *user) Event(e flow.Event) {
	u.mu.Lock()
	u.got = append(u.got, "["+e.String()+"]")
	u.mu.Unlock()
}

func (u *user) give(room int) {
	u.mu.Lock()
	u.room += room
	u.mu.Unlock()
}

func (u *user) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	got := u.got
	u.got = nil
	return got
}

func batch(words ...string) []*packet.Buffer {
	var bs []*packet.Buffer
	for _, w := range words {
		bs = append(bs, packet.From([]byte(w)))
	}
	return bs
}

// send sends words, releases what was not taken and says how many were.
func send(f flow.Flow, words ...string) int {
	bs := batch(words...)
	n := f.Send(bs)
	packet.ReleaseAll(bs[n:])
	return n
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// pair is a pipe with a user at each end.
func pair(o flow.PipeOptions, roomA, roomB int) (a, b *flow.Pipe, ua, ub *user) {
	a, b = flow.NewPipe(o)
	ua, ub = &user{room: roomA}, &user{room: roomB}
	a.Attach(ua)
	b.Attach(ub)
	return
}

func TestWhatIsSentAtOneEndArrivesAtTheOther(t *testing.T) {
	a, b, ua, ub := pair(flow.PipeOptions{QoS: qos.Data, MTU: 100}, 10, 10)
	send(a, "one", "", "three")
	send(b, "back")
	want(t, "at b", ub.take(), "one", "", "three")
	want(t, "at a", ua.take(), "back")
	if a.QoS() != qos.Data || b.QoS() != qos.Data || a.MTU() != 100 || !flow.IsLossless(b) {
		t.Error("the ends do not say what they are")
	}
}

func TestWhatCameBeforeAttachIsDeliveredDuringIt(t *testing.T) {
	a, b := flow.NewPipe(flow.PipeOptions{})
	send(a, "early", "bird")
	a.SetDown(true)
	a.SetDown(false)
	a.Dealloc()
	u := &user{room: 10}
	b.Attach(u)
	want(t, "at attach", u.take(), "[down]", "[up]", "early", "bird", "[dealloc]")
}

func TestAFullReceiverMakesTheSenderWait(t *testing.T) {
	a, b, ua, ub := pair(flow.PipeOptions{Limit: flow.Limit{Packets: 4}}, 0, 2)
	if n := send(a, "1", "2", "3", "4", "5", "6", "7", "8"); n != 6 {
		t.Fatalf("took %d, want 2 delivered and 4 queued", n)
	}
	if n := a.QueueLen(); n != 4 {
		t.Errorf("queue length %d, want 4", n)
	}
	if n := send(a, "x"); n != 0 {
		t.Errorf("a full flow took %d", n)
	}
	want(t, "before there is room", ua.take())
	ub.give(1)
	b.Resume()
	want(t, "one more", ub.take(), "1", "2", "3")
	want(t, "still more than half full", ua.take())
	ub.give(100)
	b.Resume()
	want(t, "the rest", ub.take(), "4", "5", "6")
	want(t, "with room", ua.take(), "[writable]")
	if n := send(a, "7", "8"); n != 2 {
		t.Errorf("took %d of 2", n)
	}
	want(t, "the end", ub.take(), "7", "8")
	want(t, "told once", ua.take())
}

func TestBytesAreLimitedButOnePacketAlwaysFits(t *testing.T) {
	a, b, _, ub := pair(flow.PipeOptions{Limit: flow.Limit{Bytes: 10}}, 0, 0)
	long := string(make([]byte, 50))
	if n := send(a, long, "x"); n != 1 {
		t.Fatalf("took %d, want the long one alone", n)
	}
	ub.give(1)
	b.Resume()
	want(t, "the long one", ub.take(), long)
	if n := send(a, "12345", "12345", "1"); n != 2 {
		t.Errorf("took %d, want 10 bytes", n)
	}
}

func TestThePeerHearsOfDeallocAfterTheLastPacket(t *testing.T) {
	ended := 0
	a, b, ua, ub := pair(flow.PipeOptions{Done: func() { ended++ }}, 10, 1)
	send(a, "1", "2", "3")
	a.Dealloc()
	a.Dealloc()
	want(t, "while the receiver is full", ub.take(), "1")
	if n := send(b, "to nobody"); n != 1 {
		t.Errorf("took %d: a flow whose peer is gone takes all", n)
	}
	ub.give(5)
	b.Resume()
	want(t, "later", ub.take(), "2", "3", "[dealloc]")
	want(t, "at the side that deallocated", ua.take())
	if ended != 0 {
		t.Error("ended with one end alive")
	}
	b.Dealloc()
	if ended != 1 {
		t.Errorf("ended %d times", ended)
	}
	if b.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", b.Dropped())
	}
}

func TestASenderThatWaitsIsToldWhenTheReceiverLeaves(t *testing.T) {
	a, b, ua, _ := pair(flow.PipeOptions{Limit: flow.Limit{Packets: 1}}, 0, 0)
	if n := send(a, "1", "2"); n != 1 {
		t.Fatalf("took %d", n)
	}
	b.Dealloc()
	want(t, "at the sender", ua.take(), "[writable]", "[dealloc]")
	if n := send(a, "1", "2"); n != 2 {
		t.Errorf("took %d of 2 after the end", n)
	}
}

func TestTooLongPacketsAreTakenDroppedAndCounted(t *testing.T) {
	a, _, ua, ub := pair(flow.PipeOptions{MTU: 3}, 10, 10)
	if n := send(a, "long", "abc", "longer", "ab", "longest"); n != 5 {
		t.Errorf("took %d of 5", n)
	}
	want(t, "at b", ub.take(), "abc", "ab")
	a.SetMTU(4)
	send(a, "long")
	want(t, "at b after the change", ub.take(), "[mtu]", "long")
	want(t, "at a", ua.take(), "[mtu]")
	if a.Dropped() != 3 {
		t.Errorf("%d dropped, want 3", a.Dropped())
	}
}

func TestAFlowThatIsDownTakesAllAndLosesIt(t *testing.T) {
	a, b, ua, ub := pair(flow.PipeOptions{}, 10, 10)
	a.SetDown(true)
	b.SetDown(true)
	if n := send(a, "lost"); n != 1 {
		t.Errorf("took %d of 1", n)
	}
	b.SetDown(false)
	send(a, "found")
	want(t, "at b", ub.take(), "[down]", "[up]", "found")
	want(t, "at a", ua.take(), "[down]", "[up]")
}

func TestASignalOfOneUserReachesTheOther(t *testing.T) {
	a, _, ua, ub := pair(flow.PipeOptions{}, 10, 10)
	flow.Signal(a, flow.EventDown)
	flow.Signal(a, flow.EventUp)
	flow.Signal(a, flow.EventDealloc) // nobody else's to say
	want(t, "at b", ub.take(), "[down]", "[up]")
	want(t, "at a", ua.take())
}

func TestTheLayerEndsBothEnds(t *testing.T) {
	a, _, ua, ub := pair(flow.PipeOptions{}, 10, 0)
	send(a, "1")
	a.End(flow.EventDealloc)
	want(t, "at a", ua.take(), "[dealloc]")
	want(t, "at b, which did not read yet", ub.take())
	if n := send(a, "2"); n != 1 {
		t.Errorf("took %d of 1", n)
	}
}

func TestAnAnswerFromInsideReceiveNeedsNoStack(t *testing.T) {
	a, b := flow.NewPipe(flow.PipeOptions{})
	depth, deepest, rounds := 0, 0, 0
	bounce := func(f flow.Flow) flow.Funcs {
		return flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
			depth++
			deepest = max(deepest, depth)
			if rounds++; rounds < 10000 {
				f.Send(bs)
			} else {
				packet.ReleaseAll(bs)
			}
			depth--
			return len(bs)
		}}
	}
	a.Attach(bounce(a))
	synctest.Test(t, func(t *testing.T) {
		b.Attach(bounce(b))
		a.Send(batch("ball"))
		synctest.Wait() // the game goes on in a goroutine of its own after a while
		if rounds != 10000 {
			t.Errorf("%d rounds", rounds)
		}
		if deepest > 2 {
			t.Errorf("%d calls deep", deepest)
		}
	})
}

func TestDeliveringForOthersDoesNotHoldASenderForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := flow.NewPipe(flow.PipeOptions{Limit: flow.Limit{Packets: 8}})
		stop, left := make(chan struct{}), make(chan struct{})
		n := 0
		b.Attach(flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
			// As if another sender always had something to send.
			packet.ReleaseAll(bs)
			select {
			case <-stop:
			default:
				if n++; n > 100 {
					<-left // the sender must get away from here
				}
				a.Send(batch("more"))
			}
			return len(bs)
		}})
		a.Send(batch("first"))
		close(left)
		close(stop)
	})
}

func TestManySendersLoseNothingAndKeepTheirOrder(t *testing.T) {
	const senders, each = 4, 5000
	a, b := flow.NewPipe(flow.PipeOptions{Limit: flow.Limit{Packets: 64}})
	var next [senders]uint32
	done := make(chan struct{})
	total := 0
	paused := make(chan struct{}, 1)
	b.Attach(flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
		n := len(bs)
		if n > 3 { // now and then only a part
			n--
			select {
			case paused <- struct{}{}:
			default:
			}
		}
		for _, p := range bs[:n] {
			who, k := binary.BigEndian.Uint32(p.Bytes()), binary.BigEndian.Uint32(p.Bytes()[4:])
			if next[who] != k {
				panic(fmt.Sprintf("sender %d: packet %d, want %d", who, k, next[who]))
			}
			next[who]++
			total++
			p.Release()
		}
		if total == senders*each {
			close(done)
		}
		return n
	}})
	writable := make([]chan struct{}, senders)
	for i := range writable {
		writable[i] = make(chan struct{}, 1)
	}
	a.Attach(flow.Funcs{OnEvent: func(e flow.Event) {
		for _, c := range writable {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-paused:
				b.Resume()
			case <-done:
				return
			}
		}
	})
	for who := range senders {
		wg.Go(func() {
			for k := 0; k < each; {
				var bs []*packet.Buffer
				for i := k; i < min(k+10, each); i++ {
					p := packet.Get(8)
					binary.BigEndian.PutUint32(p.Bytes(), uint32(who))
					binary.BigEndian.PutUint32(p.Bytes()[4:], uint32(i))
					bs = append(bs, p)
				}
				n := a.Send(bs)
				k += n
				packet.ReleaseAll(bs[n:])
				if n < len(bs) {
					<-writable[who]
				}
			}
		})
	}
	wg.Wait()
	if total != senders*each {
		t.Errorf("%d packets arrived", total)
	}
}

func TestNothingIsLostWhateverTheReceiverTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, ua, ub := pair(flow.PipeOptions{Limit: flow.Limit{Packets: 8}}, 0, 0)
		var sent, got []string
		waiting := false
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				var words []string
				for range rapid.IntRange(0, 20).Draw(t, "n") {
					words = append(words, fmt.Sprint(len(sent)+len(words)))
				}
				n := send(a, words...)
				sent = append(sent, words[:n]...)
				waiting = waiting || n < len(words)
			},
			"read": func(t *rapid.T) {
				ub.give(rapid.IntRange(0, 20).Draw(t, "room"))
				b.Resume()
			},
			"": func(t *rapid.T) {
				got = append(got, ub.take()...)
				if len(got)+a.QueueLen() != len(sent) {
					t.Fatalf("%d sent, %d queued, %d received", len(sent), a.QueueLen(), len(got))
				}
				if !slices.Equal(sent[:len(got)], got) {
					t.Fatalf("sent %v, received %v", sent, got)
				}
				if told := len(ua.take()) > 0; told {
					if !waiting {
						t.Fatal("writable without a wait")
					}
					waiting = false
				}
				if waiting && a.QueueLen() <= 4 {
					t.Fatalf("the sender waits with %d queued", a.QueueLen())
				}
			},
		})
	})
}

func TestAPanicOfAHandlerLeavesThePipeUsable(t *testing.T) {
	a, b := flow.NewPipe(flow.PipeOptions{})
	bad := true
	u := &user{room: 10}
	b.Attach(flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
		if bad {
			panic("bad")
		}
		return u.Receive(bs)
	}})
	func() {
		defer func() { recover() }()
		send(a, "1")
	}()
	bad = false
	send(a, "2")
	want(t, "after the panic", u.take(), "2")
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	a, b := flow.NewPipe(flow.PipeOptions{})
	take := true
	b.Attach(flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
		if !take {
			return 0
		}
		packet.ReleaseAll(bs)
		return len(bs)
	}})
	p, bs := make([]byte, 64), make([]*packet.Buffer, 32)
	fill := func() {
		for i := range bs {
			bs[i] = packet.From(p)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { fill(); a.Send(bs) }); n >= 1 {
		t.Errorf("straight: %v allocations a batch", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		take = false
		fill()
		a.Send(bs)
		take = true
		b.Resume()
	}); n >= 1 {
		t.Errorf("through the queue: %v allocations a batch", n)
	}
}

func BenchmarkPipe(b *testing.B) {
	for _, size := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			x, y := flow.NewPipe(flow.PipeOptions{})
			y.Attach(flow.Funcs{})
			bs := make([]*packet.Buffer, size)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for i := range bs {
					bs[i] = packet.Get(64)
				}
				x.Send(bs)
				n += size
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}
