package ouroboros

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/qos"
)

func write(t *testing.T, f *Flow, s string) {
	t.Helper()
	if n, err := f.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func read(t *testing.T, f *Flow, want string) {
	t.Helper()
	buf := make([]byte, 4096)
	if n, err := f.Read(buf); err != nil || string(buf[:n]) != want {
		t.Fatalf("read %q, %v; want %q", buf[:n], err, want)
	}
}

func readErr(t *testing.T, f *Flow, want error) {
	t.Helper()
	if n, err := f.Read(make([]byte, 100)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("read: %d, %v; want %v", n, err, want)
	}
}

func writeErr(t *testing.T, f *Flow, p []byte, want error) {
	t.Helper()
	if n, err := f.Write(p); n != 0 || !errors.Is(err, want) {
		t.Fatalf("write: %d, %v; want %v", n, err, want)
	}
}

func TestMessagesPassBothWays(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		write(t, a, "ping")
		read(t, b, "ping")
		write(t, b, "pong")
		read(t, a, "pong")
		if a.ID() != b.ID() || a.QoS() != qos.Raw || a.MPL() != time.Second {
			t.Fatal(a.ID(), b.ID(), a.QoS(), a.MPL())
		}
		if a.RemoteAddr().String() != "echo" || b.LocalAddr().String() != "echo" {
			t.Fatal(a.RemoteAddr(), b.LocalAddr())
		}
	})
}

func TestWriteChecksInOrder(t *testing.T) {
	a, b := flowPair(t, newNode(t, false), nil)
	for _, c := range []struct {
		name  string
		setup func()
		p     []byte
		want  error
	}{
		{"empty", func() {}, nil, nil},
		{"too long", func() {}, make([]byte, MaxMessage+1), ErrMsgSize},
		{"read-only before too long", func() { a.SetFlags(ReadOnly) }, make([]byte, MaxMessage+1), ErrPerm},
		{"the other side does not read", func() { a.SetFlags(DefaultFlags); b.SetFlags(WriteOnly) }, []byte("x"), ErrNotAlloc},
		{"it reads again", func() { b.SetFlags(DefaultFlags) }, []byte("x"), nil},
		{"down", func() { b.SetFlags(DefaultFlags | Down) }, []byte("x"), ErrFlowDown},
		{"up again, not by us", func() { a.SetFlags(DefaultFlags) }, []byte("x"), ErrFlowDown},
		{"up again", func() { b.SetFlags(DefaultFlags) }, []byte("x"), nil},
		{"down by us", func() { a.SetFlags(DefaultFlags | Down) }, []byte("x"), ErrFlowDown},
		{"up by us", func() { a.SetFlags(DefaultFlags) }, []byte("x"), nil},
		{"a peer time-out does not stop writes", func() { b.end.SetState(flow.EventPeer) }, []byte("x"), nil},
		{"deallocated there", func() { b.Close() }, []byte("x"), ErrFlowDown},
		{"deallocated here", func() { a.SetFlags(ReadOnly); a.Close() }, []byte("x"), ErrNotAlloc},
	} {
		c.setup()
		if n, err := a.Write(c.p); !errors.Is(err, c.want) || err == nil && n != len(c.p) {
			t.Errorf("%s: %d, %v; want %v", c.name, n, err, c.want)
		}
	}
}

func TestReadSaysWhyNothingComes(t *testing.T) {
	a, b := flowPair(t, newNode(t, false), nil)
	a.SetFlags(DefaultFlags | NonBlockingRead)
	readErr(t, a, ErrWouldBlock)
	a.SetFlags(DefaultFlags)
	a.SetReadTimeout(0)
	readErr(t, a, ErrTimeout)
	a.SetReadTimeout(-1)
	write(t, b, "queued")
	b.SetFlags(DefaultFlags | Down)
	read(t, a, "queued")
	readErr(t, a, ErrFlowDown)
	b.SetFlags(DefaultFlags)
	write(t, b, "again")
	read(t, a, "again")
	b.end.SetState(flow.EventPeer)
	readErr(t, a, ErrFlowPeer)
	b.Close()
	readErr(t, a, ErrFlowDown)
	a.Close()
	readErr(t, a, ErrNotAlloc)
}

func TestPartialReadFlags(t *testing.T) {
	a, b := flowPair(t, newNode(t, false), nil)
	b.SetFlags(DefaultFlags | NonBlocking)
	buf := make([]byte, 4)
	step := func(want string, err error) {
		t.Helper()
		if n, e := b.Read(buf); string(buf[:n]) != want || !errors.Is(e, err) {
			t.Fatalf("read %q, %v; want %q, %v", buf[:n], e, want, err)
		}
	}
	write(t, a, "abcdefghij")
	step("abcd", nil)
	step("efgh", nil)
	step("ij", nil)
	step("", ErrWouldBlock)
	write(t, a, "four")
	write(t, a, "five!")
	step("four", nil)
	b.SetFlags(DefaultFlags | NonBlocking | NoPartialRead)
	step("", nil)
	step("", ErrMsgSize)
	step("", ErrWouldBlock)
	write(t, a, "next")
	step("next", nil)
	step("", ErrWouldBlock)
}

func TestAccessModeThatDoesNotExistIsRefused(t *testing.T) {
	a, _ := flowPair(t, newNode(t, false), nil)
	if err := a.SetFlags(AccessMode); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	if a.Flags() != DefaultFlags {
		t.Fatalf("flags %o", a.Flags())
	}
}

func TestFRCTFlagsFollowTheQoS(t *testing.T) {
	n := newNode(t, false)
	for _, c := range []struct {
		spec qos.Spec
		want FRCTFlags
		err  error
	}{
		{qos.Raw, 0, ErrPerm},
		{qos.BestEffort, ResControl, nil},
		{qos.Data, Retransmit | ResControl | Linger, nil},
	} {
		a, _ := flowPair(t, n, &c.spec)
		if got, err := a.FRCTFlags(); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: %v, %v", c.spec, got, err)
		}
		if err := a.SetFRCTFlags(Linger); !errors.Is(err, c.err) {
			t.Error(err)
		} else if got, _ := a.FRCTFlags(); err == nil && got != Linger|c.want&Retransmit {
			t.Errorf("after setting: %v", got)
		}
	}
}

func TestDeallocIsOnce(t *testing.T) {
	a, b := flowPair(t, newNode(t, false), nil)
	write(t, a, "written before")
	if err := a.Dealloc(); err != nil {
		t.Fatal(err)
	}
	if err := a.Dealloc(); !errors.Is(err, ErrNotAlloc) || !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	read(t, b, "written before")
	if a.RxQueueLen() != 0 || a.TxQueueLen() != 0 || a.SetFlags(0) == nil || a.SetDeadline(time.Time{}) == nil {
		t.Fatal("a deallocated flow still works")
	}
}

func TestCrashWakesReaderAndWriter(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		errs := make(chan error, 2)
		go func() {
			_, err := a.Read(make([]byte, 1))
			errs <- err
		}()
		go func() {
			for {
				if _, err := a.Write(make([]byte, 1000)); err != nil {
					errs <- err
					return
				}
			}
		}()
		n.crash(b)
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrFlowDown) {
				t.Fatal(err)
			}
		}
	})
}

func TestTimeoutsAndDeadlinesInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, false)
		a, b := flowPair(t, n, nil)
		took := func(d time.Duration, f func()) {
			t.Helper()
			start := time.Now()
			f()
			if got := time.Since(start); got != d {
				t.Fatalf("took %v, want %v", got, d)
			}
		}
		a.SetReadTimeout(3 * time.Second)
		took(3*time.Second, func() { readErr(t, a, ErrTimeout) })
		a.SetReadDeadline(time.Now().Add(time.Second))
		took(time.Second, func() { readErr(t, a, os.ErrDeadlineExceeded) })
		write(t, b, "x")
		took(0, func() { readErr(t, a, ErrTimeout) }) // past: also with a message there
		a.SetReadDeadline(time.Time{})
		read(t, a, "x")
		if a.ReadTimeout() != 3*time.Second || a.WriteTimeout() != -1 {
			t.Fatal(a.ReadTimeout(), a.WriteTimeout())
		}
		a.SetFlags(DefaultFlags | NonBlockingWrite)
		for {
			if _, err := a.Write(make([]byte, 1000)); err != nil {
				break
			}
		}
		writeErr(t, a, make([]byte, 1000), ErrWouldBlock)
		a.SetFlags(DefaultFlags)
		a.SetWriteTimeout(time.Second)
		took(time.Second, func() { writeErr(t, a, make([]byte, 1000), ErrTimeout) })
		a.SetWriteTimeout(-1)
		go func() {
			time.Sleep(time.Second)
			a.SetWriteDeadline(time.Unix(1, 0))
		}()
		took(time.Second, func() { writeErr(t, a, make([]byte, 1000), ErrTimeout) })
		// clients are closed inside the bubble, links at cleanup
	})
}

func TestReadAndWriteDoNotAllocate(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		p, q := make([]byte, 64), make([]byte, 64)
		if n := testing.AllocsPerRun(1000, func() { a.Write(p); b.Read(q); b.Read(q[:1]) }); n != 0 {
			t.Errorf("%v allocations per message", n)
		}
		echo := make(chan struct{})
		go func() {
			defer close(echo)
			buf := make([]byte, 100)
			for {
				n, err := b.Read(buf)
				if err != nil {
					return
				}
				b.Write(buf[:n])
			}
		}()
		a.SetReadTimeout(time.Minute)
		if n := testing.AllocsPerRun(1000, func() { a.Write(p); a.Read(q); a.Read(q) }); n != 0 {
			t.Errorf("%v allocations per round trip", n)
		}
		a.Close()
		<-echo
	})
}

func TestAllocErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, false)
		c := n.client(t)
		ctx := context.Background()
		if _, err := c.Alloc(ctx, "unknown", nil); !errors.Is(err, ErrName) {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := c.Alloc(ctx, "nobody answers", nil); !errors.Is(err, ErrTimeout) || time.Since(start) != 20*time.Second {
			t.Fatal(err, time.Since(start))
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.Alloc(short, "nobody answers", nil); !errors.Is(err, ErrTimeout) || Errno(err) != 110 {
			t.Fatal(err)
		}
		start = time.Now()
		short, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.Accept(short); !errors.Is(err, ErrTimeout) || time.Since(start) != time.Second {
			t.Fatal(err)
		}
		if _, err := c.Join(ctx, "layer"); !errors.Is(err, ErrIPCP) {
			t.Fatal(err)
		}
		c.Close()
		if _, err := c.Accept(ctx); !errors.Is(err, ErrIRMd) {
			t.Fatal(err)
		}
	})
}

func TestClosingTheClientDeallocatesItsFlows(t *testing.T) {
	n := newNode(t, false)
	a, b := flowPair(t, n, nil)
	a.client.Close()
	readErr(t, a, ErrNotAlloc)
	readErr(t, b, ErrFlowDown)
	if !b.end.Ended() {
		t.Fatal("looks like a crash")
	}
}

var _ net.Conn = (*Flow)(nil)
