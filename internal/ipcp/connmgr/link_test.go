package connmgr_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/qos"
)

// linked is two members, the first of which has asked for a connection.
func linked(t *testing.T) (w *ipcptest.World, a, b *member) {
	w = ipcptest.NewWorld(t)
	a, b = join(t, w, "a", 1, connmgr.Options{}), join(t, w, "b", 2, connmgr.Options{})
	if err := a.Connect(within(t, time.Second), dataTransfer, "b", qos.Raw); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return w, a, b
}

func TestALostConnectionIsDialledAgainAndKeepsItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := linked(t)
		first := a.part.only(t)
		w.Flows()[0].Break()
		if l := a.list(); len(l) != 1 || l[0]["state"] != "redialling" || l[0]["error"] != "lost: dealloc" || l[0]["dst"] != "b" {
			t.Errorf("%v", l)
		}
		begun := time.Now()
		for a.part.open() == 0 {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(begun); d < 700*time.Millisecond || d > 1300*time.Millisecond {
			t.Errorf("after %v", d)
		}
		synctest.Wait()
		again := a.part.only(t)
		if again == first || again.ID() != first.ID() || b.part.open() != 1 || len(a.part.removed) != 0 {
			t.Errorf("%v and %v", first, again)
		}
		if l := a.list(); len(l) != 1 || l[0]["state"] != "connected" || l[0]["redials"] != 1 || l[0]["error"] != nil {
			t.Errorf("%v", l)
		}
		select {
		case <-first.Done():
		default:
			t.Error("the first one is not done")
		}
	})
}

func TestThePausesGrowAndBeginAnewAfterALongConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, _ := linked(t)
		var mu sync.Mutex
		var tries []time.Time
		w.Refuse(func(_, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, time.Now())
			return errno.New(errno.NameError, "nobody knows that name")
		})
		lost := time.Now()
		w.Flows()[0].PeerGone()
		time.Sleep(10 * time.Minute)
		mu.Lock()
		before, want := lost, time.Second
		for i, at := range tries {
			if d := at.Sub(before); d < want*3/4 || d > want*5/4 {
				t.Errorf("pause %d is %v, want about %v", i, d, want)
			}
			before, want = at, min(2*want, 10*time.Second)
		}
		if len(tries) < 15 || w.Logged("is lost and dialled again") != 1 {
			t.Errorf("%d tries, %d times in the log", len(tries), w.Logged("is lost and dialled again"))
		}
		mu.Unlock()
		if e := fmt.Sprint(a.list()[0]["error"]); !strings.Contains(e, "nobody knows that name") {
			t.Error(e)
		}

		w.Refuse(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if a.part.open() != 1 || w.Logged("connected again") != 1 {
			t.Fatalf("%d connections", a.part.open())
		}
		w.Flows()[0].Break() // after more than the longest pause
		time.Sleep(1300 * time.Millisecond)
		if a.part.open() != 1 {
			t.Error("the first pause is not short again")
		}
		for range 5 { // and again and again
			synctest.Wait()
			w.Flows()[0].Break()
			for a.part.open() == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		synctest.Wait()
		w.Flows()[0].Break()
		time.Sleep(7 * time.Second)
		if a.part.open() != 0 {
			t.Error("who is lost each time is dialled in haste")
		}
	})
}

func TestARefusalDoesNotEndRedialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, _ := linked(t)
		w.Stop("b")
		env := w.Env("b") // again, and not in the layer yet
		m := connmgr.New(env, connmgr.Options{})
		defer m.Close()
		m.Start()
		time.Sleep(10 * time.Second)
		if e := fmt.Sprint(a.list()[0]["error"]); !strings.Contains(e, "has no component") {
			t.Error(e)
		}
		p := transfer(3)
		m.Register(p)
		time.Sleep(time.Minute)
		synctest.Wait()
		if c := a.part.only(t); c.Peer().Address != 3 || p.open() != 1 {
			t.Errorf("%v", c.Peer())
		}
	})
}

func TestDisconnectEndsTheConnectionAndRedialling(t *testing.T) {
	for _, when := range []string{"connected", "redialling", "dialling again"} {
		synctest.Test(t, func(t *testing.T) {
			w, a, b := linked(t)
			if when != "connected" {
				w.Refuse(func(_, _ string) error { return errno.Again })
				w.Flows()[0].Break()
			}
			if when == "dialling again" {
				w.Refuse(nil)
				w.Filter(func(ipcptest.Packet) bool { return false })
				time.Sleep(1500 * time.Millisecond)
				if len(w.Flows()) != 1 {
					t.Errorf("%d flows", len(w.Flows()))
				}
			}
			for range 3 { // the second finds nothing, which is no error
				if err := a.Disconnect(within(t, time.Second), dataTransfer, "b"); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			}
			w.Refuse(nil)
			w.Filter(nil)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if a.part.open() != 0 || b.part.open() != 0 || len(a.list()) != 0 || len(b.list()) != 0 || len(w.Flows()) != 0 {
				t.Errorf("%s: something is left", when)
			}
			if n := len(a.part.removed); (n == 1) != (when == "connected") {
				t.Errorf("%s: removed %d times", when, n)
			}
		})
	}
}

func TestTwoConnectsAreTwoConnectionsAndEachDisconnectEndsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := linked(t)
		if err := a.Connect(within(t, time.Second), dataTransfer, "b", qos.Raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a.part.open() != 2 || b.part.open() != 2 || len(a.list()) != 2 {
			t.Errorf("%v", a.list())
		}
		for left := 1; left >= 0; left-- {
			if err := a.Disconnect(within(t, time.Second), dataTransfer, "b"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if a.part.open() != left || b.part.open() != left || len(a.list()) != left {
				t.Errorf("%v", a.list())
			}
			if left == 1 && a.part.only(t).ID() != 1 {
				t.Error("the newest goes first")
			}
		}
	})
}

func TestBothSidesMayConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := linked(t)
		if err := b.Connect(within(t, time.Second), dataTransfer, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a.part.open() != 2 || b.part.open() != 2 || len(w.Flows()) != 2 {
			t.Errorf("%d and %d", a.part.open(), b.part.open())
		}
		if err := a.Disconnect(within(t, time.Second), dataTransfer, "b"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if a.part.open() != 1 || b.part.open() != 1 || a.part.only(t).Dialled() || !b.part.only(t).Dialled() {
			t.Error("the other connection suffered")
		}
	})
}

func TestAMemberMayConnectToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a := join(t, w, "a", 1, connmgr.Options{})
		if err := a.Connect(within(t, time.Second), dataTransfer, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := a.Disconnect(t.Context(), dataTransfer, "a"); err != nil || a.part.open() != 0 {
			t.Errorf("%d are left: %v", a.part.open(), err)
		}
	})
}

func TestAFailedConnectLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a, b := join(t, w, "a", 1, connmgr.Options{}), join(t, w, "b", 2, connmgr.Options{})
		no := errno.New(errno.Exist, "it is connected to that member already").Next("disconnect it")
		a.part.take = func(*connmgr.Conn) error { return no }
		err := a.Connect(within(t, time.Second), dataTransfer, "b", qos.Raw)
		if !errors.Is(err, errno.Exist) || err.Error() != `cannot connect "Data Transfer" to "b": it is connected to that member already; disconnect it` {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if a.part.open() != 0 || b.part.open() != 0 || len(a.list()) != 0 || len(w.Flows()) != 0 || len(a.part.removed) != 0 {
			t.Error("something is left")
		}
	})
}

func TestDisconnectWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a := join(t, w, "a", 1, connmgr.Options{})
		w.Env("s") // accepts nothing
		time.AfterFunc(5*time.Second, func() {
			if l := a.list(); len(l) != 1 || l[0]["state"] != "connecting" {
				t.Errorf("%v", l)
			}
			a.Disconnect(context.Background(), dataTransfer, "s")
		})
		begun := time.Now()
		err := a.Connect(within(t, time.Minute), dataTransfer, "s", qos.Raw)
		if !errors.Is(err, errno.FlowDown) || !strings.Contains(err.Error(), "disconnected meanwhile") || time.Since(begun) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if len(a.list()) != 0 {
			t.Errorf("%v", a.list())
		}
	})
}

func TestWhatEndsWhileItIsAdded(t *testing.T) {
	for what, c := range map[string]struct {
		take    func(m *member, c *connmgr.Conn) error
		removed int
		err     error
	}{
		"disconnected": {func(m *member, _ *connmgr.Conn) error {
			go m.Disconnect(context.Background(), dataTransfer, "b")
			time.Sleep(time.Second)
			return nil
		}, 1, errno.FlowDown},
		"disconnected and refused": {func(m *member, _ *connmgr.Conn) error {
			go m.Disconnect(context.Background(), dataTransfer, "b")
			time.Sleep(time.Second)
			return errno.Exist
		}, 0, errno.FlowDown},
		"closed": {func(m *member, _ *connmgr.Conn) error {
			go m.Close()
			time.Sleep(time.Second)
			return nil
		}, 1, errno.IPCP},
		"lost":             {func(_ *member, c *connmgr.Conn) error { c.Lost(errors.New("no")); return nil }, 0, errno.FlowDown},
		"lost and refused": {func(_ *member, c *connmgr.Conn) error { c.Lost(nil); return errno.Exist }, 0, errno.Exist},
		"ended":            {func(_ *member, c *connmgr.Conn) error { c.Close(); return nil }, 0, errno.FlowDown},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			a, b := join(t, w, "a", 1, connmgr.Options{}), join(t, w, "b", 2, connmgr.Options{})
			a.part.take = func(x *connmgr.Conn) error { return c.take(a, x) }
			if err := a.Connect(within(t, time.Minute), dataTransfer, "b", qos.Raw); !errors.Is(err, c.err) {
				t.Errorf("%s: %v", what, err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := len(a.part.removed); n != c.removed {
				t.Errorf("%s: removed %d times", what, n)
			}
			if len(w.Flows()) != 0 || len(a.list()) != 0 || b.part.open() != 0 {
				t.Errorf("%s: something is left", what)
			}
		})
	}
}

func TestAComponentEndsAConnectionForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := linked(t)
		c := a.part.only(t)
		a.part.drop(c)
		c.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(a.list()) != 0 || len(w.Flows()) != 0 || b.part.open() != 0 || len(a.part.removed) != 0 {
			t.Error("something is left")
		}
	})
}

func TestCloseRemovesAllAndTellsThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := linked(t)
		c := join(t, w, "c", 3, connmgr.Options{})
		if err := c.Connect(within(t, time.Second), dataTransfer, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
		if err := a.Connect(within(t, time.Second), dataTransfer, "c", qos.Raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		silent := stranger{t, w.Env("s")}.call("a")
		w.Between("a", "b")[0].Break() // it is dialling when it is closed
		synctest.Wait()
		if a.part.open() != 2 {
			t.Errorf("%d connections", a.part.open())
		}
		a.Close()
		a.Close()
		ended(t, silent)
		silent.Close()
		if a.part.open() != 0 || len(a.part.removed) != 2 || len(a.list()) != 0 {
			t.Errorf("%d are left, %d are removed", a.part.open(), len(a.part.removed))
		}
		synctest.Wait()
		if len(w.Flows()) != 0 || b.part.open() != 0 || c.part.open() != 0 {
			t.Error("the peers do not know")
		}
	})
}

func TestNoLostConnectionsUnderStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		names := []string{"a", "b", "c"}
		var all []*member
		for i, n := range names {
			all = append(all, join(t, w, n, 0, connmgr.Options{Limit: 20, Waiting: 4}))
			all[i].part.info.Address = 7
		}
		w.Filter(func(p ipcptest.Packet) bool { return rand.IntN(10) > 0 })
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range 100 {
					m, dst := all[r.IntN(3)], names[r.IntN(3)]
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(3000))*time.Millisecond)
					switch r.IntN(6) {
					case 0, 1:
						_ = m.Connect(ctx, dataTransfer, dst, qos.Raw)
					case 2, 3:
						_ = m.Disconnect(ctx, dataTransfer, dst)
					case 4:
						if l := w.Flows(); len(l) > 0 {
							l[r.IntN(len(l))].Break()
						}
					case 5:
						m.Show()
					}
					cancel()
					time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		w.Filter(nil)
		for _, m := range all {
			for _, n := range names {
				for range 1300 {
					_ = m.Disconnect(t.Context(), dataTransfer, n)
				}
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, m := range all {
			if m.part.open() != 0 || len(m.list()) != 0 {
				t.Errorf("%d connections are left: %v", m.part.open(), m.list())
			}
		}
		if len(w.Flows()) != 0 {
			t.Errorf("%d flows are left", len(w.Flows()))
		}
	})
}
