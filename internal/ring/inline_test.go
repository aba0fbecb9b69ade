package ring

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
)

// opened is a shared link as its maker, here the node, and both sides hold it.
func opened(t *testing.T) (maker *Link, side [2]*Link) {
	t.Helper()
	maker, err := NewLink(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { maker.Close() })
	for i := range side {
		var fds [3]int
		mem, bell0, bell1 := maker.FDs()
		for k, fd := range []int{mem, bell0, bell1} {
			if fds[k], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
				t.Fatal(err)
			}
		}
		if side[i], err = OpenLink(fds[0], fds[1], fds[2], i); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { side[i].Close() })
	}
	maker.Slim()
	return maker, side
}

// inline makes the ends of a flow that lives in the link.
func inline(t *testing.T, maker *Link, side [2]*Link, slot int) (a, b *End) {
	t.Helper()
	if !maker.Reset(slot) {
		t.Fatalf("slot %d has no memory", slot)
	}
	var ends [2]*End
	for i := range ends {
		var err error
		if ends[i], err = NewEnd(side[i].Segment(slot), side[i], slot, i); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

func TestASlotOfALinkServesOneFlowAfterAnother(t *testing.T) {
	maker, side := opened(t)
	buf := make([]byte, 1<<20)
	for i, size := range []int{1, 1400, 1 << 20, 64, 1 << 20, 7} {
		for _, slot := range []int{0, LinkSegments - 1} {
			a, b := inline(t, maker, side, slot)
			msg := bytes.Repeat([]byte{byte(i + slot + 1)}, size)
			if err := a.TryWrite(msg); err != nil {
				t.Fatal(err)
			}
			// What the last flow left unread is not there for this one.
			if n, err := b.TryRead(buf, Whole); err != nil || !bytes.Equal(buf[:n], msg) {
				t.Fatalf("flow %d: %d bytes, %v", i, n, err)
			}
			if err := b.TryWrite([]byte("never read")); err != nil {
				t.Fatal(err)
			}
			a.Close()
			if _, err := b.TryRead(buf, Whole); !errors.Is(err, errno.FlowDown) {
				t.Error(err)
			}
			b.Close()
		}
	}
}

func TestTheLastEndGivesFilledMemoryOfALinkBack(t *testing.T) {
	maker, side := opened(t)
	a, b := inline(t, maker, side, 3)
	msg, buf := make([]byte, 1<<20), make([]byte, 1<<20)
	for i := range msg {
		msg[i] = 1
	}
	if err := a.TryWrite(msg); err != nil {
		t.Fatal(err)
	}
	if _, err := b.TryRead(buf, Whole); err != nil {
		t.Fatal(err)
	}
	resident := func() (n int) {
		pages := make([]byte, 2*DefaultSize/pageSize)
		if err := mincore(side[0].rings[inlineRings(3):][:2*DefaultSize], pages); err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			n += int(p & 1)
		}
		return n
	}
	if n := resident(); n < 256 {
		t.Fatalf("only %d pages are resident after a message of 256", n)
	}
	b.Close()
	a.Close()
	if n := resident(); n != 0 {
		t.Errorf("%d pages are still resident", n)
	}
}

func TestOnlyLowSlotsOfSharedLinksHaveMemory(t *testing.T) {
	maker, side := opened(t)
	for _, slot := range []int{-1, LinkSegments, MaxSlots} {
		if maker.Reset(slot) || side[0].Segment(slot) != nil {
			t.Errorf("slot %d", slot)
		}
	}
	if maker.Segment(0) != nil {
		t.Error("a slim link gives a segment that it has not mapped")
	}
	heap, err := NewLink(false)
	if err != nil {
		t.Fatal(err)
	}
	defer heap.Close()
	if heap.Reset(0) || heap.Segment(0) != nil {
		t.Error("a link of one program has segments")
	}
}

// The last of both sides takes the link while a new flow is made on it.
func TestASlotIsResetWhileTheMakerGivesTheRestBack(t *testing.T) {
	maker, err := NewLink(true)
	if err != nil {
		t.Fatal(err)
	}
	defer maker.Close()
	var reset sync.WaitGroup
	reset.Go(func() {
		for slot := range LinkSegments {
			if !maker.Reset(slot) {
				t.Errorf("slot %d has no memory", slot)
			}
		}
	})
	maker.Slim()
	reset.Wait()
}
