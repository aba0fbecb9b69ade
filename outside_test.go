package ouroboros

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"ouroboros/internal/ring"
)

// What a binding does for a message allocates nothing, whether it sleeps or
// not, and the flow keeps its flags' promises.
func TestBindingsDoNotAllocate(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(bell)
		var lanes ring.Foreign
		a.KeepIn(&lanes)
		o := NewOutside(bell)
		p, q := make([]byte, 64), make([]byte, 100)
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := o.Read(b, q); !errors.Is(err, ErrWouldBlock) {
				t.Fatal(err)
			}
			if err := a.TryWrite(p); err != nil {
				t.Fatal(err)
			}
			if err := o.Ready(b); err != nil {
				t.Fatal(err)
			}
			if n, err := b.NextLen(); err != nil || n != len(p) {
				t.Fatal(n, err)
			}
			if n, err := o.Read(b, q); err != nil || n != len(p) {
				t.Fatal(n, err)
			}
			if err := o.Write(b, p); err != nil {
				t.Fatal(err)
			}
			if n, err := a.TryRead(q); err != nil || n != len(p) {
				t.Fatal(n, err)
			}
			if _, err := a.TryRead(q); !errors.Is(err, ErrWouldBlock) {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations per message", n)
		}
		if err := a.WriteContext(context.Background(), p); err != nil {
			t.Error(err)
		}
		if err := a.SetFlags(ReadOnly); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{a.TryWrite(p), o.Write(a, p), a.WriteContext(context.Background(), p)} {
			if !errors.Is(err, ErrPerm) {
				t.Errorf("a read-only flow writes: %v", err)
			}
		}
		a.SetFlags(DefaultFlags)
		if err := a.TryWrite(make([]byte, a.MTU()+1)); !errors.Is(err, ErrMsgSize) {
			t.Error(err)
		}
		a.Ring()
		a.Close()
		if err := o.Write(a, p); !errors.Is(err, ErrNotAlloc) {
			t.Error(err)
		}
		o.Leave()
	})
}
