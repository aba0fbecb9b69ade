package broadcast

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/irm"
)

// vectors are what was seen on a wire between members of the C implementation.
func vectors(t testing.TB) (cepMessage []byte, packets [][]byte) {
	text, err := os.ReadFile("testdata/broadcast-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		CEP     string
		Vectors []struct{ Hex string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		b, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b)
	}
	cepMessage, err = hex.DecodeString(file.CEP)
	if err != nil || len(packets) == 0 {
		t.Fatal(err)
	}
	return cepMessage, packets
}

// The message that begins a connection is the C implementation's but for the
// address.
func TestTheConnectionBeginsAsSeenOnAWire(t *testing.T) {
	want, _ := vectors(t)
	m := dataTransfer{&IPCP{}}.Info()
	got := make([]byte, m.Size())
	m.Put(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	m = dataTransfer{&IPCP{own: memberID(time.Now())}}.Info()
	if m.Size() > cep.MaxSize {
		t.Errorf("%d bytes", m.Size())
	}
}

func TestPacketsTravelUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		w.member("b")
		w.connect("a", "b")
		synctest.Wait() // nobody says more for a second
		x := a.join()
		var mu sync.Mutex
		var seen [][]byte
		w.Filter(func(p ipcptest.Packet) bool {
			mu.Lock()
			seen = append(seen, slices.Clone(p.Bytes))
			mu.Unlock()
			return true
		})
		_, packets := vectors(t)
		for _, p := range packets {
			x.write(string(p))
		}
		synctest.Wait()
		w.Filter(nil)
		if !slices.EqualFunc(seen, packets, slices.Equal) {
			t.Errorf("got %x, want %x", seen, packets)
		}
	})
}

// A member of the C implementation in the middle, ours at the ends, and the
// reverse.
func TestMembersOfAnotherMakeInALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, c, r, s := w.member("a"), w.member("c"), w.blind("r"), w.blind("s")
		w.connect("a", "r")
		w.connect("c", "r")
		s.connect("c") // it dials
		synctest.Wait()
		x, y := a.join(), c.join()
		for _, write := range []func(string){func(m string) { x.write(m) }, func(m string) { y.write(m) }, r.write, s.write} {
			write("hello")
			synctest.Wait()
		}
		for name, got := range map[string][]string{"x": x.take(), "y": y.take(), "r": r.take(), "s": s.take()} {
			if len(got) != 3 {
				t.Errorf("%s got %q", name, got)
			}
		}
		if n := x.f.MTU(); n != cMTU {
			t.Errorf("messages may be %d bytes long, of which the other cuts all but %d", n, cMTU)
		}
		for _, l := range c.neighbours() {
			if l["state"] != "forwarding" || l["peer"] != "" {
				t.Errorf("a connection is %v", l)
			}
		}
	})
}

func TestASlowReaderHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a"), w.member("b")
		w.connect("a", "b")
		synctest.Wait()
		x, slow, y := a.join(), a.join(), b.join()
		slow.setFull(true)
		const n = 10000
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
		}
		x.write(want...)
		synctest.Wait()
		if got := y.take(); !slices.Equal(got, want) {
			t.Errorf("%d of %d arrived at the fast one", len(got), n)
		}
		slow.setFull(false)
		synctest.Wait()
		got := slow.take()
		if len(got) == 0 || len(got) > joinLimit.Packets || !slices.Equal(got, want[:len(got)]) {
			t.Errorf("%d arrived at the slow one", len(got))
		}
		if lost := a.Show()["forwarding"].(map[string]any)["overrun"]; lost != uint64(n-len(got)) {
			t.Errorf("%v are counted as lost, want %d", lost, n-len(got))
		}
		once(t, "after that", x, slow, y)
	})
}

// tight is a flow below that takes a packet only now and then.
type tight struct {
	flow.Flow
	mu   sync.Mutex
	room int
	got  []string
	h    flow.Handler
}

func (f *tight) Send(batch []*packet.Buffer) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(f.room, len(batch))
	for _, b := range batch[:n] {
		f.got = append(f.got, string(b.Bytes()))
		b.Release()
	}
	f.room -= n
	return n
}

func (f *tight) MTU() int { return 1000 }

// give makes room for n packets.
func (f *tight) give(n int) {
	f.mu.Lock()
	f.room += n
	f.mu.Unlock()
	f.h.Event(flow.EventWritable)
}

// attached is a forwarder with processes and flows below.
func attached(tights ...*tight) (f *forwarder, join func() *participant) {
	f = newForwarder(time.AfterFunc, nil)
	b := &IPCP{fwd: f, joined: make(map[*joinedFlow]struct{}), info: irm.LayerInfo{Name: layer}}
	b.tree.init(b)
	b.tree.closed = true
	for _, t := range tights {
		l := &link{b: b, peer: 1}
		l.f, l.flow, l.link, l.agreed = f, t, l, true
		l.queue.most = linkQueue
		l.resize()
		f.add(&l.neighbour)
		t.h = l
	}
	return f, func() *participant {
		own, theirs := flow.NewPipe(flow.PipeOptions{Limit: joinLimit})
		n := &neighbour{f: f, flow: own, user: &userEnd{Pipe: theirs}, agreed: true}
		n.limit.Store(flow.MaxPacket)
		f.add(n)
		own.Attach(&joinedFlow{n, own, b})
		p := &participant{name: "process", f: theirs, room: make(chan struct{}, 1)}
		theirs.Attach(p)
		return p
	}
}

// A writer goes as fast as the fastest connection, and loses nothing there.
func TestAWriterWaitsForTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := &tight{}
		_, join := attached(one)
		x, y := join(), join()
		const n = 5000
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			x.write(want...)
		}()
		for range n {
			synctest.Wait()
			one.give(3)
			time.Sleep(time.Millisecond)
		}
		<-done
		synctest.Wait()
		if !slices.Equal(one.got, want) {
			t.Errorf("%d of %d left", len(one.got), n)
		}
		if got := y.take(); !slices.Equal(got, want) {
			t.Errorf("%d of %d arrived at the other process", len(got), n)
		}
	})
}

// A connection that takes nothing holds a writer for a moment only.
func TestAStuckConnectionHoldsNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &tight{}
		f, join := attached(stuck)
		x, y := join(), join()
		const n = 5000
		start := time.Now()
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
		}
		x.write(want...)
		synctest.Wait()
		time.Sleep(patience)
		synctest.Wait()
		if got := y.take(); !slices.Equal(got, want) {
			t.Errorf("%d of %d arrived at the other process", len(got), n)
		}
		if d := time.Since(start); d > 3*patience {
			t.Errorf("it took %v", d)
		}
		stuck.give(linkQueue.Packets) // what waited
		if len(stuck.got) != linkQueue.Packets || !slices.Equal(stuck.got, want[:len(stuck.got)]) {
			t.Errorf("%d had waited", len(stuck.got))
		}
		stuck.give(10)
		x.write("again")
		synctest.Wait()
		if got := stuck.got[len(stuck.got)-1]; got != "again" {
			t.Errorf("got %q", got)
		}
		if len(f.carrying.Load().all) != 3 {
			t.Error("a neighbour is missing")
		}
		for range 3 { // the timer goes to sleep
			time.Sleep(time.Second)
		}
		if f.watching.Load() {
			t.Error("a timer runs although nothing waits")
		}
	})
}

func TestTheFastestConnectionSetsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, stuck := &tight{room: 1 << 30}, &tight{}
		_, join := attached(fast, stuck)
		x := join()
		var want []string
		for i := range 5000 {
			want = append(want, fmt.Sprint(i))
		}
		start := time.Now()
		x.write(want...)
		if !slices.Equal(fast.got, want) || time.Since(start) != 0 {
			t.Errorf("%d left, in %v", len(fast.got), time.Since(start))
		}
	})
}

// Several write at the same time to several that take packets now and then:
// each sender's are in order everywhere.
func TestManyWritersKeepTheirOrder(t *testing.T) {
	outs := []*tight{{}, {}, {room: 1 << 30}}
	_, join := attached(outs...)
	const writers, each = 4, 3000
	var work, pump sync.WaitGroup
	stop := make(chan struct{})
	for _, o := range outs[:2] {
		pump.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					o.give(5)
				}
			}
		})
	}
	for i := range writers {
		p := join()
		work.Go(func() {
			for k := range each {
				var b [8]byte
				binary.BigEndian.PutUint32(b[:], uint32(i))
				binary.BigEndian.PutUint32(b[4:], uint32(k))
				p.write(string(b[:]))
			}
		})
	}
	work.Wait()
	close(stop)
	pump.Wait()
	for i, o := range outs {
		o.give(1 << 30)
		var last [writers]int
		for _, text := range o.got {
			from, k := binary.BigEndian.Uint32([]byte(text)), int(binary.BigEndian.Uint32([]byte(text)[4:]))+1
			if k <= last[from] {
				t.Fatalf("out %d: packet %d of %d after %d", i, k, from, last[from])
			}
			last[from] = k
		}
	}
	if n := len(outs[2].got); n != writers*each {
		t.Errorf("%d of %d left by the fast one", n, writers*each)
	}
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, guarded := range []bool{false, true} {
		f := newForwarder(time.AfterFunc, nil)
		var from *neighbour
		for range 4 {
			a, b := flow.NewPipe(flow.PipeOptions{})
			n := &neighbour{f: f, flow: a, agreed: true, open: guarded, link: &link{peer: 1}}
			n.queue.most = linkQueue
			n.limit.Store(flow.MaxPacket)
			f.add(n)
			a.Attach(flow.Funcs{OnReceive: n.Receive})
			b.Attach(flow.Funcs{})
			from = n
		}
		if f.guard.active.Load() != guarded {
			t.Fatal("the guard is not as it should be")
		}
		batch := make([]*packet.Buffer, 32)
		p := make([]byte, 100)
		k := uint64(0)
		if n := testing.AllocsPerRun(1000, func() {
			for i := range batch {
				k++
				binary.BigEndian.PutUint64(p, k)
				batch[i] = packet.From(p)
			}
			from.Receive(batch)
		}); n >= 1 {
			t.Errorf("guard %v: %v allocations a batch", guarded, n)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	for _, neighbours := range []int{2, 4} {
		b.Run(fmt.Sprint(neighbours), func(b *testing.B) {
			f := newForwarder(time.AfterFunc, nil)
			var from *neighbour
			for range neighbours {
				x, y := flow.NewPipe(flow.PipeOptions{})
				n := &neighbour{f: f, flow: x, agreed: true, link: &link{peer: 1}}
				n.queue.most = linkQueue
				n.limit.Store(flow.MaxPacket)
				f.add(n)
				x.Attach(flow.Funcs{OnReceive: n.Receive})
				y.Attach(flow.Funcs{})
				from = n
			}
			batch := make([]*packet.Buffer, 32)
			b.ReportAllocs()
			k := 0
			for b.Loop() {
				for i := range batch {
					batch[i] = packet.Get(1000)
				}
				from.Receive(batch)
				k += len(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(k), "ns/packet")
		})
	}
}
