package port_test

import (
	"encoding/binary"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/port"
	"ouroboros/internal/ring"

	"golang.org/x/sys/unix"
)

// hostile is a fixture whose application side writes what it likes into the
// memory of the flow.
type hostile struct {
	*fixture
	mem []byte
}

func newHostile(t testing.TB, link *ring.Link, slot int) *hostile {
	t.Helper()
	seg, err := ring.NewSegment(ring.SegmentOptions{Shared: true, Size: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(seg.FD(), 0, 4096+2<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{&fixture{done: make(chan struct{})}, mem}
	if h.app, err = ring.NewEnd(seg, link, slot, 0); err != nil {
		t.Fatal(err)
	}
	end, err := ring.NewEnd(seg, link, slot, 1)
	if err != nil {
		t.Fatal(err)
	}
	near, far := flow.NewPipe(flow.PipeOptions{Limit: flow.Limit{Packets: 16}})
	h.far = far
	h.port = port.New(end, near, func() { close(h.done) })
	t.Cleanup(func() {
		h.app.Close()
		h.port.Close()
		select {
		case <-h.done:
		case <-time.After(time.Minute):
			t.Error("the port of a hostile application does not end")
		}
		h.far.Dealloc()
		unix.Munmap(mem)
		seg.Close()
	})
	return h
}

func TestAnApplicationThatBreaksItsMemoryEndsItsOwnFlowOnly(t *testing.T) {
	link, err := ring.NewLink(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	bad, good := newHostile(t, link, 0), newHostile(t, link, 1)
	atBad, atGood := newInbox(1000), newInbox(1000)
	bad.far.Attach(atBad)
	good.far.Attach(atGood)
	binary.NativeEndian.PutUint64(bad.mem[0:], 0xdeadbeefdeadbeef) // the tail of its ring
	bad.app.SetState(flow.EventUp)                                 // rings
	atBad.await(t, "dealloc", func() bool {
		return len(atBad.events) > 0 && atBad.events[len(atBad.events)-1] == flow.EventDealloc
	})
	if err := good.app.Write([]byte("unharmed"), waitW()); err != nil {
		t.Fatal(err)
	}
	atGood.await(t, "the other flow", func() bool { return len(atGood.got) == 1 })
}

// FuzzMemory lets the application write anything anywhere in the memory of its
// flow while the port carries packets. The port must neither crash nor hang.
func FuzzMemory(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0, 128, 255, 255, 255, 255, 255, 255, 255, 255, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{4, 0, 0, 255, 0, 0, 0, 1, 0, 0, 8, 0, 4, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		link, err := ring.NewLink(true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { link.Close() })
		h := newHostile(t, link, 3)
		h.far.Attach(flow.Funcs{})
		for len(data) >= 10 {
			// Most of what matters is in the control page and at the beginning
			// of ring 0.
			at := int(binary.BigEndian.Uint16(data)) % 8192 &^ 7
			copy(h.mem[at:at+8], data[2:10])
			data = data[10:]
			h.app.TryWrite([]byte("a message"))
			h.app.SetState(flow.EventUp)
			b := packet.Get(100)
			if h.far.Send([]*packet.Buffer{b}) == 0 {
				b.Release()
			}
		}
	})
}
