package ring

import (
	"encoding/binary"
	"errors"
	"testing"

	"ouroboros/internal/errno"
)

// FuzzRingWords lets the other side write what it likes over the control page
// and the rings, between the calls of this one. Nothing may fault, no call may
// give more than it was asked for, and an end that saw garbage stays down.
//
// The input is a list of steps: an opcode, and for a store 2 bytes of offset
// and 8 of value.
func FuzzRingWords(f *testing.F) {
	store := func(off uint16, v uint64) []byte {
		b := binary.LittleEndian.AppendUint16([]byte{0}, off)
		return binary.LittleEndian.AppendUint64(b, v)
	}
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	const in = ctlDirection // the ring towards side 0
	f.Add(join(store(pageSize*2, header(5, kindMessage)), store(in+ctlTail, pack(16, 1)), []byte{1, 1}))
	f.Add(join(store(in+ctlTail, ^uint64(0)), []byte{1, 2, 3, 4}))
	f.Add(join([]byte{2, 2, 2}, store(ctlHead, pack(1<<20, 7)), []byte{5, 2, 6}))
	f.Add(join(store(pageSize*2, header(1<<31, kindSkip)), store(in+ctlTail, pack(4096, 9)), []byte{7, 4, 1}))
	f.Add(join(store(pageSize*2, header(0, kindSkip)), store(in+ctlTail, pack(8, 0)), []byte{1, 4, 8}))
	f.Add(join(store(ctlState+ctlStateStride, ^uint64(0)), []byte{1, 2, 8, 9}))
	f.Add(join(store(ctlDataArmed, 1), store(in+ctlRoomArmed, ^uint64(0)), []byte{2, 3, 1, 9}))

	l, err := NewLink(false)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, steps []byte) {
		const size = 4096
		s, err := NewSegment(SegmentOptions{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEnd(s, l, 3, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		defer e.Close()
		mem, buf := s.mem, make([]byte, 100)
		for len(steps) > 0 {
			op := steps[0]
			steps = steps[1:]
			poisoned := e.Poisoned()
			switch op % 10 {
			case 0:
				if len(steps) < 10 {
					return
				}
				off := int(binary.LittleEndian.Uint16(steps)) % (len(mem) - 7) &^ 7
				word64(mem, off).Store(binary.LittleEndian.Uint64(steps[2:]))
				steps = steps[10:]
			case 1:
				n, err := e.Read(buf, ReadOptions{Mode: Partial, NoWait: true})
				if n > len(buf) || err != nil && n != 0 || poisoned && err == nil && n > 0 {
					t.Fatal(n, err)
				}
			case 2:
				if err := e.Write(buf[:1+int(op)%100], WriteOptions{NoWait: true}); poisoned && !errors.Is(err, errno.FlowDown) {
					t.Fatal(err)
				}
			case 3:
				if n, _ := e.TryRead(buf[:3], Bytes); n > 3 {
					t.Fatal(n)
				}
			case 4:
				n, err := e.ReadBatch(16, func(n int) []byte {
					if n < 1 || n > size {
						t.Fatalf("message of %d bytes", n)
					}
					return make([]byte, n)
				})
				if n > 16 || n < 16 && err == nil {
					t.Fatal(n, err)
				}
			case 5:
				if n := e.TxQueueLen(); n < 0 || n > size/16 {
					t.Fatal(n)
				}
			case 6:
				e.ArmRoom(int(op) * 100)
			case 7:
				e.TryRead(nil, Whole)
			case 8:
				if n := e.RxQueueLen(); n < 0 || n > size/16 {
					t.Fatal(n)
				}
			case 9:
				e.Arm()
				e.SetDown(op&0x80 != 0)
			}
			if poisoned && !e.Poisoned() {
				t.Fatal("healed")
			}
			in, out := &e.in, &e.out
			if in.tail-in.head > size || out.tail-out.head > size {
				t.Fatalf("positions: in %d..%d, out %d..%d", in.head, in.tail, out.head, out.tail)
			}
		}
	})
}

// FuzzLinkBitmap lets the other side write what it likes over the memory of a
// link: the worst is a wake too many.
func FuzzLinkBitmap(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(0))
	f.Add([]byte{1, 0, 0, 0}, uint16(linkSide+linkBitmap))
	f.Add([]byte{0xff}, uint16(linkSummary))
	l, err := NewLink(false)
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewSegment(SegmentOptions{Size: minSize})
	if err != nil {
		f.Fatal(err)
	}
	a, err := NewEnd(s, l, 9, 0)
	if err != nil {
		f.Fatal(err)
	}
	b, err := NewEnd(s, l, 9, 1)
	if err != nil {
		f.Fatal(err)
	}
	woken := make(chan struct{}, 1)
	b.OnWake(func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	f.Cleanup(func() {
		a.Close()
		b.Close()
		s.Close()
		l.Close()
	})
	f.Fuzz(func(t *testing.T, p []byte, off uint16) {
		for i, v := range p {
			at := (int(off) + i*4) % (linkBells - 3) &^ 3
			word32(l.mem, at).Store(uint32(v) * 0x01010101)
		}
		l.side[0].drain()
		l.side[1].drain()
		// A doorbell is heard once the poller knows that it sleeps.
		l.side[1].idle.Store(1)
		select {
		case <-woken:
		default:
		}
		b.Arm()
		if err := a.TryWrite([]byte("message")); err != nil {
			t.Fatal(err)
		}
		<-woken
		if n, err := b.TryRead(make([]byte, 10), Whole); n != 7 || err != nil {
			t.Fatal(n, err)
		}
	})
}
