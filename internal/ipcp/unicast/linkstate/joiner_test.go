package linkstate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/wire/lsa"
)

// await calls AwaitSync and says how long it took.
func await(t *testing.T, m *member) time.Duration {
	t.Helper()
	start := time.Now()
	if err := m.AwaitSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func TestAJoinerWaitsForTheDataBaseOfItsNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := newStation(t, m, 2)
		go func() {
			time.Sleep(60 * time.Millisecond)
			s.send(both(2, 3, 1)...)
			time.Sleep(15 * time.Millisecond)
			s.send(both(2, 4, 1)...)
		}()
		if d := await(t, m); d != 95*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		if m.Taken() || m.conflicts.Load() != 0 {
			t.Error("the address is taken")
		}
		if d := await(t, m); d != 0 {
			t.Errorf("a second call took %v", d)
		}
	})
}

func TestAJoinerWaitsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		time.Sleep(time.Second)
		newStation(t, m, 2)
		if d := await(t, m); d != syncWait {
			t.Errorf("with a silent neighbour: %v", d)
		}
		alone := newMember(t, 3)
		if d := await(t, alone); d != syncWait {
			t.Errorf("without a neighbour: %v", d)
		}
		busy := newMember(t, 4)
		s := newStation(t, busy, 2)
		go func() {
			for i := range lsa.Seq(100) {
				s.send(both(2, 3, i)...)
				time.Sleep(10 * time.Millisecond)
			}
		}()
		if d := await(t, busy); d != syncWait {
			t.Errorf("with a neighbour that does not end: %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := newMember(t, 5).AwaitSync(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

func TestAnAddressThatOthersUseIsTaken(t *testing.T) {
	for name, u := range map[string]lsa.Update{
		"source":      {Src: 1, Dst: 7, Seq: 4},
		"destination": {Src: 7, Dst: 1, Seq: 4},
	} {
		for _, early := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				m := newMember(t, 1)
				s := newStation(t, m, 2)
				other := ready(t, m, 3)
				if early { // before anybody asks
					s.send(u)
				} else {
					go func() { time.Sleep(10 * time.Millisecond); s.send(u) }()
				}
				await(t, m)
				pause(0)
				if !m.Taken() || m.conflicts.Load() != 1 || m.counter("conflicts") == 0 {
					t.Errorf("%s, early %v: taken %v, told %d times", name, early, m.Taken(), m.conflicts.Load())
				}
				// The links of who has the address are left alone.
				for _, h := range other.take() {
					if h.Src == 1 {
						t.Errorf("%s: sent %v", name, h)
					}
				}
				s.send(u)
				if m.conflicts.Load() != 1 {
					t.Error("told again")
				}
			})
		}
	}
}

func TestANeighbourThatAnnouncesItsLinkFirstHasNotTakenTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := newStation(t, m, 2)
		go func() {
			time.Sleep(60 * time.Millisecond)
			s.send(lsa.Update{Src: 2, Dst: 1, Seq: 0})
			time.Sleep(time.Millisecond)
			m.Up(2, 0)
		}()
		await(t, m)
		if m.Taken() || m.conflicts.Load() != 0 {
			t.Error("the address is taken")
		}
		// Nor has who joins a member that asks for nothing.
		first := newMember(t, 11)
		s = ready(t, first, 2)
		s.send(lsa.Update{Src: 2, Dst: 11, Seq: 0})
		pause(time.Second)
		first.Up(2, 0)
		pause(time.Second)
		if first.Taken() || first.conflicts.Load() != 0 {
			t.Error("the address of the first member is taken")
		}
	})
}

func TestAMemberWithLinksKeepsItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		m.Up(2, 0)
		s.send(lsa.Update{Src: 1, Dst: 9, Seq: 3}, lsa.Update{Src: 9, Dst: 1, Seq: 3})
		pause(time.Second)
		if m.Taken() || m.conflicts.Load() != 0 || m.counter("conflicts") != 1 {
			t.Errorf("told %d times, %v", m.conflicts.Load(), m.Show()["counters"])
		}
	})
}

func TestANeighbourWithTheSameAddressIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := flow.NewPipe(flow.PipeOptions{})
		defer b.Dealloc()
		if _, err := m.connect(a, 1); err == nil {
			t.Error("it is taken")
		}
		pause(0)
		// Only who has dialled does something about it.
		if m.Taken() || m.conflicts.Load() != 0 || m.counter("conflicts") != 1 {
			t.Error("it is believed")
		}
		for _, addr := range []uint64{0, 1 << 32} {
			a, b := flow.NewPipe(flow.PipeOptions{})
			if _, err := m.connect(a, wireAddr(int(addr))); err == nil {
				t.Errorf("the address %d is taken", addr)
			}
			b.Dealloc()
		}
	})
}
