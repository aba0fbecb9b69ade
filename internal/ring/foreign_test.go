package ring

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
)

func TestForeignHasTheLayoutThatItPromises(t *testing.T) {
	var f Foreign
	for what, is := range map[string][2]uintptr{
		"size":     {unsafe.Sizeof(f), 384},
		"gate":     {unsafe.Sizeof(f.In.gate), gateSize},
		"In":       {unsafe.Offsetof(f.In), 64},
		"Out":      {unsafe.Offsetof(f.Out), 192},
		"In.head":  {unsafe.Offsetof(f.In) + unsafe.Offsetof(f.In.inPositions), 120},
		"Out.most": {unsafe.Offsetof(f.Out) + unsafe.Offsetof(f.Out.most), 328},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: %d, want %d", what, is[0], is[1])
		}
	}
}

// An End goes on where it was, and leaves the memory to the next one.
func TestAnEndKeepsItsPositionsInForeignMemory(t *testing.T) {
	var f Foreign
	buf := make([]byte, 100)
	for range 3 {
		a, b := pair(t, SegmentOptions{Shared: true})
		talk := func() {
			t.Helper()
			for _, m := range []string{"one", "two", "three"} {
				if err := a.TryWrite([]byte(m)); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range []string{"one", "two", "three"} {
				if n, err := b.TryRead(buf, Whole); err != nil || string(buf[:n]) != m {
					t.Fatalf("%q, %v", buf[:n], err)
				}
			}
		}
		talk()
		a.KeepIn(&f)
		a.KeepIn(&f) // once
		talk()
		if f.In.open != 1 || f.Out.open != 1 || f.Out.count != 6 || f.In.busy.Load() != 0 || f.Out.busy.Load() != 0 {
			t.Errorf("the lanes are %+v, %+v", &f.In, &f.Out)
		}
		if err := b.TryWrite([]byte("back")); err != nil {
			t.Fatal(err)
		}
		if n, err := a.TryRead(buf, Whole); err != nil || string(buf[:n]) != "back" || f.In.count != 1 {
			t.Errorf("%q, %v", buf[:n], err)
		}
		a.Mark(flow.EventDown)
		if f.marks.Load() != markDown {
			t.Errorf("marks %b", f.marks.Load())
		}
		a.Mark(flow.EventUp)
		a.Limit(50)
		if f.Out.limit != 50 || f.marks.Load() != 0 {
			t.Errorf("limit %d, marks %b", f.Out.limit, f.marks.Load())
		}
		a.Close()
		if f.In.open != 0 || f.Out.open != 0 || f.In.busy.Load() != 0 || f.Out.busy.Load() != 0 {
			t.Errorf("left as %+v, %+v", &f.In, &f.Out)
		}
		a.KeepIn(&f)
		if _, err := a.TryRead(buf, Whole); !errors.Is(err, errno.NotAlloc) || f.In.open != 0 {
			t.Error(err)
		}
		if !b.IsDown() {
			t.Error("the other side does not see the end")
		}
	}
}

// While the other language is inside a lane, Go waits for it.
func TestALaneIsForOneAtATime(t *testing.T) {
	a, b := pair(t, SegmentOptions{Shared: true})
	var f Foreign
	a.KeepIn(&f)
	if !f.Out.busy.CompareAndSwap(0, 1) {
		t.Fatal("busy")
	}
	written := make(chan error)
	go func() { written <- a.TryWrite(bytes.Repeat([]byte("x"), 9)) }()
	select {
	case err := <-written:
		t.Fatalf("written meanwhile: %v", err)
	default:
	}
	f.Out.busy.Store(0)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if n := b.RxQueueLen(); n != 1 {
		t.Errorf("%d messages", n)
	}
	a.Ring()
}

// Threads of another language sleep outside: they are told to, and rung.
func TestAnOutsideThreadIsRung(t *testing.T) {
	a, b := pair(t, SegmentOptions{Shared: true})
	bell := newBell(t)
	o := Outside{Bell: bell}
	buf := make([]byte, 10)
	read := func() (int, error) { return o.Read(b, buf, Whole) }
	for _, wait := range []func() error{
		func() error { _, err := read(); return err },
		func() error { return o.Ready(b) },
	} {
		if err := wait(); err != errno.Again {
			t.Fatal(err)
		}
		if err := a.TryWrite([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		awaitBell(t, bell)
		if err := o.Ready(b); err != nil {
			t.Error(err)
		}
		if n, err := read(); err != nil || n != 5 {
			t.Errorf("%d, %v", n, err)
		}
	}
	// A queue without room.
	for a.TryWrite(make([]byte, 1000)) == nil {
	}
	if err := o.Write(a, make([]byte, 1000)); err != errno.Again {
		t.Fatal(err)
	}
	for b.RxQueueLen() > 0 {
		if _, err := b.TryRead(make([]byte, 2000), Whole); err != nil {
			t.Fatal(err)
		}
	}
	awaitBell(t, bell)
	if err := o.Write(a, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	// Whoever leaves is not rung.
	b.TryRead(make([]byte, 2000), Whole)
	if _, err := read(); err != errno.Again {
		t.Fatal(err)
	}
	o.Leave()
	if b.waiters.parked.Load() != 0 {
		t.Error("still waiting")
	}
	b.Close()
	if _, err := read(); err != errno.NotAlloc {
		t.Error(err)
	}
	if err := o.Ready(b); err != errno.NotAlloc {
		t.Error(err)
	}
	if err := o.Write(a, buf); err != errno.FlowDown {
		t.Error(err)
	}
}

func TestWriteContextEndsWithItsContext(t *testing.T) {
	a, b := pair(t, SegmentOptions{Shared: true})
	for a.TryWrite(make([]byte, 1000)) == nil {
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.WriteContext(ctx, make([]byte, 1000)) }()
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
	go func() { ended <- a.WriteContext(t.Context(), make([]byte, 1000)) }()
	for b.RxQueueLen() > 0 {
		if _, err := b.TryRead(make([]byte, 2000), Whole); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// newBell is an eventfd, as a thread has one.
func newBell(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func awaitBell(t *testing.T, fd int) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 60000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatalf("not rung: %v", err)
		}
		unix.Read(fd, make([]byte, 8))
		return
	}
}
