package ouroboros

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// poll gives what is pending without waiting.
func poll(t *testing.T, s *FlowSet) []EventType {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var types []EventType
	for {
		evs, err := s.Wait(ctx, nil)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return types
		}
		for _, e := range evs {
			types = append(types, e.Type)
		}
	}
}

// settle waits until what was rung was heard.
func wantEvents(t *testing.T, s *FlowSet, want ...EventType) {
	t.Helper()
	var got []EventType
	for end := time.Now().Add(5 * time.Second); len(got) < len(want) && time.Now().Before(end); runtime.Gosched() {
		got = append(got, poll(t, s)...)
	}
	got = append(got, poll(t, s)...)
	if !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
}

func TestOneEventAMessage(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		s := NewFlowSet()
		defer s.Close()
		for range 5 {
			write(t, a, "before")
		}
		if err := s.Add(b); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, s, FlowPacket) // one, however many wait
		wantEvents(t, s)
		for range 3 {
			write(t, a, "after")
		}
		wantEvents(t, s, FlowPacket, FlowPacket, FlowPacket)
		for range 5 {
			read(t, b, "before")
		}
		write(t, a, "more")
		for range 3 {
			read(t, b, "after")
		}
		read(t, b, "more")
		wantEvents(t, s, FlowPacket) // reading does not take events away
	})
}

// A doorbell takes some time to be heard; a poll does not wait for it.
func TestAPollMissesNothingWrittenBefore(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		s := NewFlowSet()
		defer s.Close()
		if err := s.Add(b); err != nil {
			t.Fatal(err)
		}
		for i := range 2000 {
			write(t, a, "x")
			if got := poll(t, s); !slices.Equal(got, []EventType{FlowPacket}) {
				t.Fatalf("after message %d: events %v", i, got)
			}
			read(t, b, "x")
		}
		a.Close()
		if got := poll(t, s); !slices.Contains(got, FlowDealloc) {
			t.Fatalf("after the end: events %v", got)
		}
	})
}

func TestStateEventsComeAfterMessages(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		s := NewFlowSet()
		defer s.Close()
		s.Add(b)
		a.SetFlags(DefaultFlags | Down)
		wantEvents(t, s, FlowDown)
		a.SetFlags(DefaultFlags)
		wantEvents(t, s, FlowUp)
		a.SetFlags(DefaultFlags)
		wantEvents(t, s, FlowUp) // with each call
		write(t, a, "last")
		a.Close()
		wantEvents(t, s, FlowPacket, FlowDealloc)
		n.crash(a) // a process that deallocated and went is no crash
		wantEvents(t, s)
	})
}

func TestDownAndUpAreEventsEachTime(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		s := NewFlowSet()
		defer s.Close()
		s.Add(b)
		wantEvents(t, s)
		for range 3 {
			a.SetFlags(DefaultFlags)
		}
		wantEvents(t, s, FlowUp, FlowUp, FlowUp)
		for range 2 {
			a.SetFlags(DefaultFlags | Down)
			a.SetFlags(DefaultFlags)
		}
		wantEvents(t, s, FlowDown, FlowUp, FlowDown, FlowUp)
		a.SetFlags(DefaultFlags | Down)
		a.Close()
		wantEvents(t, s, FlowDown, FlowDealloc)
	})
}

func TestCrashIsDown(t *testing.T) {
	n := newNode(t, false)
	a, b := flowPair(t, n, nil)
	s := NewFlowSet()
	defer s.Close()
	s.Add(b)
	n.crash(a)
	wantEvents(t, s, FlowDown)
}

func TestEndBeforeAddIsAnEvent(t *testing.T) {
	a, b := flowPair(t, newNode(t, false), nil)
	a.Close()
	s := NewFlowSet()
	defer s.Close()
	s.Add(b)
	wantEvents(t, s, FlowDealloc)
}

func TestMembership(t *testing.T) {
	n := newNode(t, false)
	a, b := flowPair(t, n, nil)
	s, other := NewFlowSet(), NewFlowSet()
	defer other.Close()
	if err := s.Add(b); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(b); !errors.Is(err, ErrPerm) {
		t.Fatal(err)
	}
	if err := other.Add(b); !errors.Is(err, ErrPerm) {
		t.Fatal(err)
	}
	if !s.Has(b) || other.Has(b) || s.Has(a) || s.Has(nil) {
		t.Fatal("membership")
	}
	other.Remove(b) // not in there
	write(t, a, "x")
	s.Remove(b)
	wantEvents(t, s)
	if err := other.Add(b); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, other, FlowPacket)
	write(t, a, "y")
	other.Zero()
	wantEvents(t, other)
	if other.Has(b) {
		t.Fatal("still in")
	}
	s.Add(b)
	b.Close()
	if s.Has(b) {
		t.Fatal("a deallocated flow is a member")
	}
	wantEvents(t, s)
	if err := s.Add(b); !errors.Is(err, ErrNotAlloc) {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Add(a); !errors.Is(err, ErrNotAlloc) {
		t.Fatal(err)
	}
	if _, err := s.Wait(context.Background(), nil); !errors.Is(err, ErrNotAlloc) {
		t.Fatal(err)
	}
}

func TestThousandsOfEventsComeInParts(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		s := NewFlowSet()
		defer s.Close()
		var flows []*Flow
		for range 3 {
			a, b := flowPair(t, n, nil)
			s.Add(b)
			flows = append(flows, a)
		}
		for range 2000 {
			for _, a := range flows {
				write(t, a, "x")
			}
		}
		count := map[*Flow]int{}
		for total := 0; total < 6000; {
			evs, err := s.Wait(t.Context(), nil)
			if err != nil || len(evs) > 1024 {
				t.Fatal(len(evs), err)
			}
			for _, e := range evs {
				count[e.Flow]++
			}
			total += len(evs)
		}
		for _, c := range count {
			if c != 2000 {
				t.Fatal(count)
			}
		}
		wantEvents(t, s)
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, false)
		a, b := flowPair(t, n, nil)
		s := NewFlowSet()
		s.Add(b)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := s.Wait(ctx, nil); !errors.Is(err, ErrTimeout) || time.Since(start) != time.Minute {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			a.Write([]byte("x"))
		}()
		evs, err := s.Wait(context.Background(), nil)
		if err != nil || len(evs) != 1 || evs[0].Flow != b {
			t.Fatal(evs, err)
		}
		errs := make(chan error)
		for range 2 {
			go func() {
				_, err := s.Wait(context.Background(), nil)
				errs <- err
			}()
		}
		synctest.Wait()
		s.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrNotAlloc) {
				t.Fatal(err)
			}
		}
	})
}

func TestDescriptorOfASetIsReadableWhileEventsPend(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := flowPair(t, n, nil)
		s := NewFlowSet()
		defer s.Close()
		s.Add(b)
		wantEvents(t, s)
		fd, err := s.FD()
		if err != nil {
			t.Fatal(err)
		}
		readable := func(ms int) bool {
			t.Helper()
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			for {
				k, err := unix.Poll(p, ms)
				if err == unix.EINTR {
					continue
				}
				return k == 1
			}
		}
		if readable(0) {
			t.Fatal("readable without events")
		}
		for range 3 {
			write(t, a, "x")
			if !readable(5000) || !readable(0) {
				t.Fatal("not readable")
			}
			wantEvents(t, s, FlowPacket)
			if readable(0) {
				t.Fatal("readable after all events")
			}
		}
	})
}

func TestNoMessageIsMissedWhileWaitersRace(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		const flows, count = 4, 5000
		s := NewFlowSet()
		defer s.Close()
		for range flows {
			a, b := flowPair(t, n, nil)
			b.SetFlags(DefaultFlags | NonBlockingRead)
			s.Add(b)
			go func() {
				for range count {
					if _, err := a.Write([]byte("message")); err != nil {
						return
					}
				}
			}()
		}
		var buf []FlowEvent
		p := make([]byte, 16)
		events, messages := 0, 0
		for events < flows*count || messages < flows*count {
			var err error
			if buf, err = s.Wait(t.Context(), buf[:0]); err != nil {
				t.Fatal(err)
			}
			for _, e := range buf {
				if e.Type != FlowPacket {
					t.Fatal(e.Type)
				}
				events++
				for {
					if _, err := e.Flow.Read(p); err != nil {
						break
					}
					messages++
				}
			}
		}
		if events != flows*count || messages != flows*count {
			t.Fatal(events, messages)
		}
	})
}
