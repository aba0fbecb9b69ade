package fabric

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/registry"
	"ouroboros/internal/ring"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

func noPort(*ring.End, flow.Flow, qos.Spec, func()) (Port, error) {
	return nil, errors.New("no ports")
}

func direct(t *testing.T, f *Fabric, a, b registry.Owner) (*End, *End) {
	t.Helper()
	ea, eb, err := f.Direct(a, b, qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return ea.(*End), eb.(*End)
}

// remote is a process in another program, as far as the fabric can see.
type remote struct {
	*Owner
	mu      sync.Mutex
	unlinks []uint64
}

func newRemote(f *Fabric, name string) *remote {
	r := &remote{}
	r.Owner = f.NewRemote(name, func(link uint64, side int) {
		r.mu.Lock()
		r.unlinks = append(r.unlinks, link)
		r.mu.Unlock()
	})
	return r
}

// pass takes a parcel and says how many descriptors it had.
func pass(t *testing.T, e *End) (p Parcel, fds int) {
	t.Helper()
	if err := e.Pass(func(got Parcel) error {
		p, fds = got, len(got.FDs)
		for _, fd := range got.FDs {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
				t.Errorf("descriptor %d: %v", fd, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return p, fds
}

func openFiles(t *testing.T) int {
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

func TestALinkIsPassedOnceToEachSide(t *testing.T) {
	f := New(noPort)
	a, b := newRemote(f, "a"), newRemote(f, "b")
	before := openFiles(t)
	var ends []*End
	for i := range ring.LinkSegments + 2 {
		ea, eb := direct(t, f, a.Owner, b.Owner)
		pa, na := pass(t, ea)
		pb, nb := pass(t, eb)
		// The first brings the link, and those that do not live in it a segment.
		want := 0
		if i == 0 {
			want += 3
		}
		if i >= ring.LinkSegments {
			want++
		}
		if na != want || nb != want {
			t.Errorf("flow %d: %d and %d descriptors, want %d", i, na, nb, want)
		}
		if pa.Link != pb.Link || pa.Slot != pb.Slot || pa.Side != 0 || pb.Side != 1 || pa.Slot != i {
			t.Errorf("parcels %+v, %+v", pa, pb)
		}
		ends = append(ends, ea, eb)
	}
	if n := openFiles(t); n != before {
		t.Errorf("%d descriptors are left here", n-before)
	}
	for _, e := range ends {
		e.Close()
	}
	if len(a.unlinks)+len(b.unlinks) != 0 {
		t.Error("a link was taken back though both live")
	}
	a.Leave()
	if len(a.unlinks) != 0 || len(b.unlinks) != 1 {
		t.Errorf("told %v and %v", a.unlinks, b.unlinks)
	}
	if _, _, err := f.Direct(b.Owner, a.Owner, qos.Raw); !errors.Is(err, errno.Pipe) {
		t.Errorf("a flow to one who left: %v", err)
	}
	b.Leave()
}

func TestALinkGoesWithItsLastFlow(t *testing.T) {
	f := New(noPort)
	a, b := newRemote(f, "a"), newRemote(f, "b")
	ea, eb := direct(t, f, a.Owner, b.Owner)
	pass(t, ea)
	pass(t, eb)
	ea.Close()
	a.Leave()
	if len(b.unlinks) != 0 {
		t.Error("taken back under a flow")
	}
	eb.Close()
	if len(b.unlinks) != 1 {
		t.Error("not taken back")
	}
	if len(f.links) != 0 || len(b.links) != 0 {
		t.Error("the fabric keeps it")
	}
}

func TestALostLinkIsReplaced(t *testing.T) {
	f := New(noPort)
	a, b := newRemote(f, "a"), newRemote(f, "b")
	e1, s1 := direct(t, f, a.Owner, b.Owner)
	p1, _ := pass(t, e1)
	pass(t, s1)
	e1.LinkLost()
	e1.Close()
	e2, s2 := direct(t, f, a.Owner, b.Owner)
	p2, n := pass(t, e2)
	if p2.Link == p1.Link || n != 3 {
		t.Errorf("parcel %+v with %d descriptors", p2, n)
	}
	s1.Close()
	if len(a.unlinks) != 0 || len(b.unlinks) != 1 || b.unlinks[0] != p1.Link {
		t.Errorf("told %v and %v", a.unlinks, b.unlinks)
	}
	e2.Close()
	s2.Close()
}

func TestIdleLinksAreBounded(t *testing.T) {
	f := New(noPort)
	before := openFiles(t)
	server := newRemote(f, "server")
	var clients []*remote
	for i := range 3 * maxIdle {
		c := newRemote(f, fmt.Sprint("client ", i))
		ea, eb := direct(t, f, c.Owner, server.Owner)
		pass(t, ea)
		pass(t, eb)
		ea.Close()
		eb.Close()
		clients = append(clients, c)
	}
	if n := len(server.links); n > maxIdle {
		t.Errorf("%d idle links", n)
	}
	for _, c := range clients {
		c.Leave()
	}
	if n := openFiles(t); n != before || len(server.links) != 0 || server.idle != 0 {
		t.Errorf("%d descriptors, %d links, %d idle", n-before, len(server.links), server.idle)
	}
}

func TestAParcelThatWasNotSentIsSentAgain(t *testing.T) {
	f := New(noPort)
	a, b := newRemote(f, "a"), newRemote(f, "b")
	ea, eb := direct(t, f, a.Owner, b.Owner)
	full := errors.New("full")
	for range 2 {
		if err := ea.Pass(func(p Parcel) error {
			if len(p.FDs) != 3 {
				t.Errorf("%d descriptors", len(p.FDs))
			}
			return full
		}); err != full {
			t.Error(err)
		}
	}
	pass(t, ea)
	eb.Close()
	if err := eb.Pass(func(Parcel) error { t.Error("sent"); return nil }); !errors.Is(err, errno.NotAlloc) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := eb.Ring(); !errors.Is(err, errno.NotAlloc) {
		t.Errorf("after Close: %v", err)
	}
	ea.Close()
}

func TestEventsBeforeTheHandlerAreKept(t *testing.T) {
	f := New(noPort)
	a, b := f.NewLocal("a"), f.NewLocal("b")
	ea, eb := direct(t, f, a, b)
	ea.Event(flow.EventDown)
	var got []flow.Event
	ea.OnEvent(func(e flow.Event) { got = append(got, e) })
	ea.Event(flow.EventDealloc)
	ea.Close()
	ea.Event(flow.EventUp)
	if fmt.Sprint(got) != "[down dealloc]" {
		t.Errorf("got %v", got)
	}
	eb.Close()
}

func TestTwoProcessesOfOneProgramTalk(t *testing.T) {
	f := New(noPort)
	a, b := f.NewLocal("a"), f.NewLocal("b")
	for range 3 {
		ea, eb := direct(t, f, a, b)
		ra, err := ea.Ring()
		if err != nil {
			t.Fatal(err)
		}
		rb, err := eb.Ring()
		if err != nil {
			t.Fatal(err)
		}
		if err := ra.Write([]byte("hi"), ring.WriteOptions{Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 8)
		if n, err := rb.Read(buf, ring.ReadOptions{Timeout: time.Minute}); err != nil || string(buf[:n]) != "hi" {
			t.Errorf("%q, %v", buf[:n], err)
		}
		ra.Close()
		rb.Close()
		ea.Close()
		eb.Close()
	}
	a.Leave()
	b.Leave()
}

func TestSlotsAreTheLowestFree(t *testing.T) {
	var s slots
	for want := range 200 {
		if got, ok := s.take(); !ok || got != want {
			t.Fatalf("%d, %v", got, ok)
		}
	}
	for _, slot := range []int{150, 3, 64} {
		s.give(slot)
	}
	for _, want := range []int{3, 64, 150, 200} {
		if got, ok := s.take(); !ok || got != want {
			t.Errorf("%d, not %d", got, want)
		}
	}
	for i := 201; i < ring.MaxSlots; i++ {
		s.take()
	}
	if _, ok := s.take(); ok {
		t.Error("more slots than a link has")
	}
}

// ipcpOwner wants flows and not rings.
type ipcpOwner struct{ registry.FlowOwner }

func (ipcpOwner) OwnerName() string { return "ipcp" }

func TestTwoIPCPsGetAPipe(t *testing.T) {
	f := New(noPort)
	a, b, err := f.Direct(ipcpOwner{}, ipcpOwner{}, qos.Voice)
	if err != nil {
		t.Fatal(err)
	}
	fa, fb := a.(registry.FlowEnd).Flow(), b.(registry.FlowEnd).Flow()
	if fa.QoS() != qos.Voice || fb.QoS() != qos.Voice {
		t.Error("wrong QoS")
	}
	a.Close()
	b.Close()
}

func TestAFailedPortLeavesNothing(t *testing.T) {
	f := New(noPort)
	p := newRemote(f, "p")
	before := openFiles(t)
	if _, _, err := f.Direct(p.Owner, ipcpOwner{}, qos.Raw); err == nil {
		t.Fatal("no error")
	}
	if _, err := f.Attach(ipcpOwner{}, nil, qos.Raw); !errors.Is(err, errno.NotSup) {
		t.Errorf("attach: %v", err)
	}
	p.Leave()
	f.Close()
	if n := openFiles(t); n != before {
		t.Errorf("%d descriptors are left", n-before)
	}
}
