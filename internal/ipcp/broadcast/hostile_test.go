package broadcast

import (
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
	wire "ouroboros/internal/wire/tree"
	"ouroboros/irm"
	"ouroboros/qos"
)

// stranger dials a member as a component of its choice, and drops what comes.
func stranger(w *world, m *connmgr.Switchboard, info cep.Message, dst string) *connmgr.Conn {
	w.t.Helper()
	c, err := m.Call(w.t.Context(), connmgr.Call{Info: info, Dst: dst, QoS: qos.Raw})
	if err != nil {
		w.t.Fatal(err)
	}
	c.HandOver(flow.Funcs{})
	return c
}

var (
	dataInfo    = cep.Message{Component: irm.DataTransfer, Address: 7}
	controlInfo = cep.Message{Component: spanningTree, Protocol: "stp", Version: 1, Syntax: cep.SyntaxFixed, Address: 7}
)

func TestControlConnectionsWithoutDataAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		evil := connmgr.New(w.Env("evil"), connmgr.Options{})
		defer evil.Close()
		info := controlInfo
		for i := range 3 * strayMost {
			info.Address = dt.Addr(100 + i/2) // each one twice
			stranger(w, evil, info, "a")
		}
		synctest.Wait()
		if n := a.tree()["strays"].(int); n > strayMost {
			t.Errorf("%d are kept", n)
		}
		rest(strayTime + time.Second)
		if n := a.tree()["strays"].(int); n != 0 {
			t.Errorf("%d are kept for good", n)
		}
		for _, address := range []dt.Addr{0, dt.Addr(a.inner.own)} {
			info.Address = address
			stranger(w, evil, info, "a")
		}
		synctest.Wait()
		if n := a.tree()["strays"].(int); n != 0 {
			t.Errorf("%d are kept of members that cannot be", n)
		}
	})
}

// A member that dials again has lost its connection: the new one takes the
// place of one that has no control connection yet, and of no other.
func TestADialAgainTakesThePlaceOfTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		evil := connmgr.New(w.Env("evil"), connmgr.Options{})
		defer evil.Close()
		for range 10 {
			stranger(w, evil, dataInfo, "a")
		}
		synctest.Wait()
		if n := len(a.neighbours()); n != 1 {
			t.Errorf("%d neighbours", n)
		}
		stranger(w, evil, controlInfo, "a")
		synctest.Wait()
		stranger(w, evil, controlInfo, "a") // a second one is refused
		stranger(w, evil, dataInfo, "a")    // and so is this
		synctest.Wait()
		if n := len(a.neighbours()); n != 1 {
			t.Errorf("%d neighbours", n)
		}
		// It says no more: the connection is given up.
		rest(10 * time.Second)
		if n := len(a.neighbours()); n != 0 {
			t.Errorf("%d neighbours that are silent", n)
		}
	})
}

// Whatever comes on the two connections of a neighbour, the member lives, keeps
// its other neighbours, and comes to rest.
func FuzzNeighbour(f *testing.F) {
	state := make([]byte, wire.Size)
	wire.Message{Kind: wire.State, Flags: wire.Attached, Serial: 1, Sender: 7, Root: 3, Seq: 7, Hops: 2}.Put(state)
	f.Add(append([]byte{0, 48}, state...))
	wire.Message{Kind: wire.State, Flags: wire.Attached | wire.Parent, Serial: 2, Sender: 7, Root: 1 << 50, Joined: 1}.Put(state)
	f.Add(append([]byte{0, 48}, state...))
	wire.Message{Kind: wire.Request, Hops: 9, Sender: 7, Root: 7, Seq: 1}.Put(state)
	f.Add(append([]byte{0, 48}, state...))
	wire.Message{Kind: wire.Gone, Sender: 7}.Put(state)
	f.Add(append([]byte{0, 48}, state...))
	f.Add([]byte{1, 5, 'h', 'e', 'l', 'l', 'o', 1, 0, 3, 100, 2, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.member("a"), w.member("b")
			w.connect("a", "b")
			synctest.Wait()
			x, y := a.join(), b.join()
			evil := connmgr.New(w.Env("evil"), connmgr.Options{})
			defer evil.Close()
			data := stranger(w, evil, dataInfo, "a")
			control := stranger(w, evil, controlInfo, "a")
			synctest.Wait()
			for len(script) >= 2 {
				kind, n := script[0], int(script[1])
				script = script[2:]
				n = min(n, len(script))
				p := packet.From(script[:n])
				script = script[n:]
				switch kind % 4 {
				case 0:
					flow.SendOrDrop(control.Flow(), []*packet.Buffer{p})
				case 1:
					flow.SendOrDrop(data.Flow(), []*packet.Buffer{p})
				case 2:
					p.Release()
					time.Sleep(time.Duration(n) * 10 * time.Millisecond)
				case 3:
					p.Release()
					data.Flow().(interface{ SetDown(bool) }).SetDown(n%2 == 0)
				}
			}
			data.Close()
			control.Close()
			rest(20 * time.Second)
			once(t, "after it has gone", x, y)
		})
	})
}
