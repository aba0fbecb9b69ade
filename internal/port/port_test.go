package port_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/internal/port"
	"ouroboros/internal/ring"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := application(role); err != nil {
			fmt.Fprintln(os.Stderr, "the application:", err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

// fixture is an application's end of a ring, a port, and the far end of the
// flow that the port carries.
type fixture struct {
	app  *ring.End
	port *port.Port
	far  *flow.Pipe
	done chan struct{}
}

func setUp(t testing.TB, shared bool, limit flow.Limit) *fixture {
	t.Helper()
	near, far := flow.NewPipe(flow.PipeOptions{Limit: limit})
	return setUpOn(t, shared, near, far)
}

// setUpOn joins the port to one end of a flow.
func setUpOn(t testing.TB, shared bool, near flow.Flow, far *flow.Pipe) *fixture {
	t.Helper()
	seg, err := ring.NewSegment(ring.SegmentOptions{Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	link, err := ring.NewLink(shared)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{done: make(chan struct{})}
	if f.app, err = ring.NewEnd(seg, link, 7, 0); err != nil {
		t.Fatal(err)
	}
	end, err := ring.NewEnd(seg, link, 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	f.far = far
	f.port = port.New(end, near, func() { close(f.done) })
	t.Cleanup(func() {
		f.app.Close()
		f.far.Dealloc()
		f.port.Close()
		<-f.done
		seg.Close()
		link.Close()
	})
	return f
}

func wait() ring.ReadOptions   { return ring.ReadOptions{Timeout: time.Minute} }
func waitW() ring.WriteOptions { return ring.WriteOptions{Timeout: time.Minute} }

// inbox collects what arrives at the far end.
type inbox struct {
	mu     sync.Mutex
	change sync.Cond
	room   int
	got    [][]byte
	events []flow.Event
}

func newInbox(room int) *inbox {
	i := &inbox{room: room}
	i.change.L = &i.mu
	return i
}

func (i *inbox) Receive(batch []*packet.Buffer) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := min(i.room, len(batch))
	i.room -= n
	for _, b := range batch[:n] {
		i.got = append(i.got, bytes.Clone(b.Bytes()))
		b.Release()
	}
	i.change.Broadcast()
	return n
}

func (i *inbox) Event(e flow.Event) {
	i.mu.Lock()
	i.events = append(i.events, e)
	i.change.Broadcast()
	i.mu.Unlock()
}

func (i *inbox) give(room int) { i.mu.Lock(); i.room += room; i.mu.Unlock() }

// await waits until cond holds for what has arrived.
func (i *inbox) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	late := time.AfterFunc(10*time.Second, func() { i.change.Broadcast() })
	defer late.Stop()
	limit := time.Now().Add(10 * time.Second)
	i.mu.Lock()
	defer i.mu.Unlock()
	for !cond() {
		if time.Now().After(limit) {
			t.Fatalf("%s: %d packets, events %v", what, len(i.got), i.events)
		}
		i.change.Wait()
	}
}

func both(t *testing.T, f func(t *testing.T, shared bool)) {
	t.Run("in one program", func(t *testing.T) { f(t, false) })
	t.Run("between programs", func(t *testing.T) { f(t, true) })
}

func TestMessagesPassInBothDirections(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{})
		in := newInbox(1 << 30)
		f.far.Attach(in)
		sizes := []int{1, 64, 1400, 70000, 1 << 20}
		for _, n := range sizes {
			if err := f.app.Write(bytes.Repeat([]byte{byte(n)}, n), waitW()); err != nil {
				t.Fatal(err)
			}
		}
		in.await(t, "the messages", func() bool { return len(in.got) == len(sizes) })
		buf := make([]byte, 1<<20)
		for i, n := range sizes {
			if len(in.got[i]) != n {
				t.Errorf("message %d has %d bytes, want %d", i, len(in.got[i]), n)
			}
			f.far.Send([]*packet.Buffer{packet.From(in.got[i])})
			got, err := f.app.Read(buf, wait())
			if err != nil || !bytes.Equal(buf[:got], in.got[i]) {
				t.Errorf("%d bytes came back as %d: %v", n, got, err)
			}
		}
	})
}

func TestAFullFlowMakesTheApplicationWait(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{Packets: 16})
		in := newInbox(0)
		f.far.Attach(in)
		msg := make([]byte, 1000)
		written := 0
		for {
			err := f.app.Write(msg, ring.WriteOptions{Timeout: 50 * time.Millisecond})
			if errors.Is(err, errno.TimedOut) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if written++; written > 1_000_000 {
				t.Fatal("the application never had to wait")
			}
		}
		in.give(1 << 30)
		f.far.Resume()
		in.await(t, "after the pause", func() bool { return len(in.got) == written })
		if err := f.app.Write(msg, waitW()); err != nil {
			t.Errorf("a write after the pause: %v", err)
		}
		in.await(t, "the last one", func() bool { return len(in.got) == written+1 })
	})
}

func TestAnApplicationThatDoesNotReadMakesTheFlowWait(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{Packets: 16})
		in := newInbox(0)
		f.far.Attach(in)
		sent := 0
		send := func() bool {
			b := packet.Get(1000)
			binary.BigEndian.PutUint32(b.Bytes(), uint32(sent))
			if f.far.Send([]*packet.Buffer{b}) == 0 {
				b.Release()
				return false
			}
			sent++
			return true
		}
		for send() {
			if sent > 1_000_000 {
				t.Fatal("the flow never was full")
			}
		}
		buf := make([]byte, 1000)
		for i := range sent {
			n, err := f.app.Read(buf, wait())
			if err != nil || n != 1000 || binary.BigEndian.Uint32(buf) != uint32(i) {
				t.Fatalf("message %d of %d: %d bytes, number %d, %v", i, sent, n, binary.BigEndian.Uint32(buf), err)
			}
		}
		in.await(t, "told that there is room", func() bool { return len(in.events) > 0 && in.events[0] == flow.EventWritable })
		if !send() {
			t.Error("the flow stays full")
		}
		if d := f.port.Stats().Dropped; d != 0 {
			t.Errorf("%d dropped", d)
		}
	})
}

func TestEventsOfTheFlowReachTheApplication(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{})
		f.far.Attach(newInbox(0))
		f.far.SetDown(true)
		buf := make([]byte, 10)
		if _, err := f.app.Read(buf, wait()); !errors.Is(err, errno.FlowDown) {
			t.Errorf("read of a flow that is down: %v", err)
		}
		f.far.SetDown(false)
		f.far.Send([]*packet.Buffer{packet.From([]byte("last"))})
		if n, err := f.app.Read(buf, wait()); err != nil || string(buf[:n]) != "last" {
			t.Errorf("read %q: %v", buf[:n], err)
		}
		f.far.Send([]*packet.Buffer{packet.From([]byte("words"))})
		f.far.Dealloc()
		if n, err := f.app.Read(buf, wait()); err != nil || string(buf[:n]) != "words" {
			t.Errorf("read %q: %v", buf[:n], err)
		}
		if _, err := f.app.Read(buf, wait()); !errors.Is(err, errno.FlowDown) || !f.app.Ended() {
			t.Errorf("read after the peer's dealloc: %v", err)
		}
		s := f.app.PeerState()
		if s.Downs() != 1 || s.Ups() != 1 {
			t.Errorf("%d downs and %d ups", s.Downs(), s.Ups())
		}
	})
}

func TestWhatTheApplicationSaysReachesThePeer(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{})
		in := newInbox(1 << 30)
		f.far.Attach(in)
		f.app.SetDown(true)
		in.await(t, "down", func() bool { return len(in.events) == 1 && in.events[0] == flow.EventDown })
		f.app.SetDown(false)
		in.await(t, "up", func() bool { return len(in.events) == 2 && in.events[1] == flow.EventUp })
		if err := f.app.Write([]byte("still works"), waitW()); err != nil {
			t.Fatal(err)
		}
		in.await(t, "a message", func() bool { return len(in.got) == 1 })
	})
}

func TestWhatWasWrittenBeforeTheEndIsStillSent(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{Packets: 8})
		in := newInbox(10)
		f.far.Attach(in)
		for i := range 100 {
			if err := f.app.Write(fmt.Append(nil, i), waitW()); err != nil {
				t.Fatal(err)
			}
		}
		f.app.Close()
		f.port.Close()
		f.port.Close()
		in.await(t, "the first ten", func() bool { return len(in.got) == 10 })
		select {
		case <-f.done:
			t.Fatal("closed with messages left")
		default:
		}
		in.give(1000)
		f.far.Resume()
		in.await(t, "the end", func() bool { return len(in.events) > 0 && in.events[len(in.events)-1] == flow.EventDealloc })
		if len(in.got) != 100 || string(in.got[99]) != "99" {
			t.Errorf("%d messages arrived", len(in.got))
		}
		<-f.done
	})
}

func TestAPeerThatNeverReadsDoesNotHoldAPortForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t, false, flow.Limit{Packets: 8})
		in := newInbox(0)
		f.far.Attach(in)
		for i := range 100 {
			if err := f.app.Write(fmt.Append(nil, i), waitW()); err != nil {
				t.Fatal(err)
			}
		}
		f.app.Close()
		f.port.Close()
		begun := time.Now()
		<-f.done
		if took := time.Since(begun); took != 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		if s := f.port.Stats(); s.Dropped == 0 {
			t.Errorf("what was lost is not counted: %+v", s)
		}
	})
}

func TestWhatCameBeforeAPeerWasGivenUpIsReadFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t, false, flow.Limit{Packets: 1 << 15})
		sent := 0
		for f.far.QueueLen() < 2000 { // the ring is full, and so much waits
			b := packet.Get(1000)
			if f.far.Send([]*packet.Buffer{b}) == 0 {
				t.Fatal("the flow is full too")
			}
			sent++
		}
		f.port.Event(flow.EventPeer)
		buf := make([]byte, 1000)
		for i := range sent {
			if _, err := f.app.Read(buf, wait()); err != nil {
				t.Fatalf("message %d of %d: %v", i, sent, err)
			}
		}
		if _, err := f.app.Read(buf, wait()); !errors.Is(err, errno.FlowPeer) {
			t.Errorf("after the last one: %v", err)
		}
	})
}

func TestAnApplicationThatDoesNotReadHearsThatItsPeerWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t, false, flow.Limit{})
		for f.far.QueueLen() < 100 {
			f.far.Send([]*packet.Buffer{packet.Get(1000)})
		}
		f.port.Event(flow.EventPeer)
		if f.app.PeerState().Has(ring.StatePeer) {
			t.Error("told at once")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !f.app.PeerState().Has(ring.StatePeer) {
			t.Error("not told after five seconds")
		}
	})
}

func TestAPeerThatWasGivenUpDoesNotHoldAPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, first := range []bool{false, true} {
			f := setUp(t, false, flow.Limit{Packets: 8})
			f.far.Attach(newInbox(0))
			for i := range 100 {
				if err := f.app.Write(fmt.Append(nil, i), waitW()); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if first {
				f.port.Event(flow.EventPeer)
			}
			begun := time.Now()
			f.app.Close()
			f.port.Close()
			f.port.Event(flow.EventPeer)
			<-f.done
			if took := time.Since(begun); took != 0 {
				t.Errorf("it took %v", took)
			}
		}
	})
}

func TestAnApplicationThatClosesEndsTheFlowByItself(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		f := setUp(t, shared, flow.Limit{})
		in := newInbox(10)
		f.far.Attach(in)
		if err := f.app.Write([]byte("bye"), waitW()); err != nil {
			t.Fatal(err)
		}
		f.app.Close()
		in.await(t, "dealloc", func() bool { return len(in.events) == 1 && in.events[0] == flow.EventDealloc })
		if len(in.got) != 1 {
			t.Errorf("%d messages arrived", len(in.got))
		}
		if n := f.far.Send([]*packet.Buffer{packet.Get(1)}); n != 1 {
			t.Errorf("took %d: a flow whose peer is gone takes all", n)
		}
	})
}

func TestAFloodOnOneFlowLeavesTheOthersOfTheLinkTheirTurn(t *testing.T) {
	link, err := ring.NewLink(true)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	var fs []*fixture
	for slot := range 2 {
		seg, err := ring.NewSegment(ring.SegmentOptions{Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		defer seg.Close()
		f := &fixture{done: make(chan struct{})}
		if f.app, err = ring.NewEnd(seg, link, slot, 0); err != nil {
			t.Fatal(err)
		}
		end, err := ring.NewEnd(seg, link, slot, 1)
		if err != nil {
			t.Fatal(err)
		}
		near, far := flow.NewPipe(flow.PipeOptions{})
		f.far = far
		f.port = port.New(end, near, func() { close(f.done) })
		fs = append(fs, f)
	}
	flood, quiet := fs[0], fs[1]
	flood.far.Attach(flow.Funcs{})
	in := newInbox(1 << 30)
	quiet.far.Attach(in)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				flood.app.Write([]byte("flood"), waitW())
			}
		}
	})
	for i := range 100 {
		if err := quiet.app.Write([]byte("quiet"), waitW()); err != nil {
			t.Fatal(err)
		}
		in.await(t, "the quiet flow", func() bool { return len(in.got) == i+1 })
	}
	close(stop)
	wg.Wait()
	for _, f := range fs {
		f.app.Close()
		f.port.Close()
		<-f.done
		f.far.Dealloc()
	}
}

func TestCloseAndFloodAtOnceEndInOrder(t *testing.T) {
	for range 50 {
		f := setUp(t, false, flow.Limit{Packets: 4})
		f.far.Attach(flow.Funcs{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for f.app.Write([]byte("x"), waitW()) == nil {
			}
		})
		wg.Go(func() {
			for range 1000 {
				f.far.Send([]*packet.Buffer{packet.Get(1)})
			}
		})
		wg.Go(f.port.Close)
		wg.Wait()
		<-f.done
	}
}

func TestAMessageAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	f := setUp(t, false, flow.Limit{})
	f.far.Attach(echo{f.far})
	msg, buf := make([]byte, 1400), make([]byte, 1400)
	round := func() {
		if err := f.app.Write(msg, waitW()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.app.Read(buf, wait()); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n >= 1 {
		t.Errorf("%v allocations a round trip", n)
	}
}

// echo sends back what it receives.
type echo struct{ f flow.Flow }

func (e echo) Receive(batch []*packet.Buffer) int { flow.SendOrDrop(e.f, batch); return len(batch) }
func (e echo) Event(flow.Event)                   {}

func BenchmarkRoundTrip(b *testing.B) {
	f := setUp(b, true, flow.Limit{})
	f.far.Attach(echo{f.far})
	msg, buf := make([]byte, 64), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		f.app.Write(msg, waitW())
		f.app.Read(buf, wait())
	}
}

func BenchmarkOneWay(b *testing.B) {
	for _, size := range []int{64, 1400} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := setUp(b, true, flow.Limit{})
			f.far.Attach(flow.Funcs{})
			msg := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				f.app.Write(msg, waitW())
			}
		})
	}
}

// flagged is a flow with FRCP, as far as its flags go.
type flagged struct {
	*flow.Pipe
	flags chan uint
}

func (f flagged) SetFlags(flags uint) { f.flags <- flags }

func TestFlagsOfTheApplicationReachTheFlow(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		near, far := flow.NewPipe(flow.PipeOptions{})
		fl := flagged{near, make(chan uint, 10)}
		f := setUpOn(t, shared, fl, far)
		for _, o := range []uint8{ring.OptionSaid, ring.OptionSaid | 6, ring.OptionSaid | 2} {
			f.app.SetOptions(o)
			select {
			case got := <-fl.flags:
				if got != uint(o&^ring.OptionSaid) {
					t.Errorf("flags %d of options %d", got, o)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("options %d did not arrive", o)
			}
		}
	})
}

func TestTheLongestMessageFollowsTheFlow(t *testing.T) {
	both(t, func(t *testing.T, shared bool) {
		near, far := flow.NewPipe(flow.PipeOptions{MTU: 1500})
		f := setUpOn(t, shared, near, far)
		in := newInbox(1 << 30)
		f.far.Attach(in)
		for _, mtu := range []int{1500, 1400, 9000} {
			far.SetMTU(mtu)
			if f.app.MTU() != mtu {
				t.Errorf("MTU %d, want %d", f.app.MTU(), mtu)
			}
			if err := f.app.TryWrite(make([]byte, mtu+1)); !errors.Is(err, errno.MsgSize) {
				t.Errorf("%d bytes: %v", mtu+1, err)
			}
			if err := f.app.Write(make([]byte, mtu), waitW()); err != nil {
				t.Errorf("%d bytes: %v", mtu, err)
			}
		}
		in.await(t, "the longest", func() bool { return len(in.got) == 3 })
	})
}
