package session

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/pb"
	"ouroboros/internal/ring"
	"ouroboros/internal/rundir"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// far is the daemon's end of a socket: what a daemon could say, well or badly.
type far struct {
	t testing.TB
	c *net.UnixConn
}

// connect gives a Conn and the other end of its socket.
func connect(t testing.TB) (*Conn, *far) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, rundir.FlowSocket), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := &far{t: t}
	var wg sync.WaitGroup
	wg.Go(func() {
		if f.c, err = l.AcceptUnix(); err == nil {
			f.read()
			f.send(&pb.ToProcess{Request: 1, Body: &pb.ToProcess_Welcome{Welcome: &pb.Welcome{Version: Version}}})
		}
	})
	c, derr := Dial(dir)
	wg.Wait()
	if err := errors.Join(err, derr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.c.Close()
		c.Close()
	})
	return c, f
}

func (f *far) read() *pb.ToDaemon {
	var m pb.ToDaemon
	f.c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, _, err := ReadRecord(f.c, make([]byte, MaxToDaemon), nil, &m); err != nil {
		f.t.Errorf("the daemon reads: %v", err)
	}
	return &m
}

func (f *far) send(m *pb.ToProcess, fds ...int) {
	b, err := proto.Marshal(m)
	if err != nil {
		f.t.Error(err)
		return
	}
	f.record(b, fds...)
}

func (f *far) record(b []byte, fds ...int) {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	f.c.WriteMsgUnix(b, oob, nil)
}

// parcel makes the descriptors of a flow.
func parcel(t testing.TB) (fds []int) {
	t.Helper()
	seg, err := ring.NewSegment(ring.SegmentOptions{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ring.NewLink(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		seg.Close()
		l.Close()
	})
	mem, b0, b1 := l.FDs()
	return []int{seg.FD(), mem, b0, b1}
}

func grantOf(request uint64) *pb.ToProcess {
	return &pb.ToProcess{Request: request, Body: &pb.ToProcess_Grant{Grant: &pb.Grant{
		Flow: 7, Name: "n", Qos: pb.QoSOf(qos.Voice), Link: 1, HasLink: true, Mtu: 100,
	}}}
}

func alloc(c *Conn) (<-chan *Grant, <-chan error) {
	grants, errs := make(chan *Grant, 1), make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		g, err := c.Alloc(ctx, "n", qos.Voice)
		grants <- g
		errs <- err
	}()
	return grants, errs
}

func TestAGrantBecomesAFlow(t *testing.T) {
	c, f := connect(t)
	grants, errs := alloc(c)
	m := f.read()
	if m.GetAlloc().GetDst() != "n" || m.GetAlloc().GetQos().Spec() != qos.Voice {
		t.Errorf("asked for %v", m)
	}
	f.send(grantOf(m.Request), parcel(t)...)
	g, err := <-grants, <-errs
	if err != nil {
		t.Fatal(err)
	}
	if g.ID != 7 || g.QoS != qos.Voice || g.MTU != 100 {
		t.Errorf("granted %+v", g)
	}
	got := make(chan flow.Event, 1)
	g.OnEvent(func(e flow.Event) { got <- e })
	f.send(&pb.ToProcess{Body: &pb.ToProcess_Events{Events: &pb.Events{Event: []*pb.Event{
		{Flow: 8, Event: uint32(flow.EventUp)}, {Flow: 7, Event: 1 << 20}, {Flow: 7, Event: uint32(flow.EventDealloc)},
	}}}})
	if e := <-got; e != flow.EventDealloc {
		t.Errorf("event %v", e)
	}
	g.End.Close()
	c.Dealloc(g.ID)
	if m := f.read(); m.GetDealloc().GetFlow() != 7 || m.GetDealloc().GetLinkLost() {
		t.Errorf("said %v", m)
	}
	f.send(&pb.ToProcess{Body: &pb.ToProcess_Unlink{Unlink: &pb.Unlink{Link: 1}}})
}

func TestAGrantThatIsNotWhatItSaysFails(t *testing.T) {
	fds := parcel(t)
	for what, fds := range map[string][]int{
		"no descriptors":           nil,
		"one too few":              fds[:3],
		"not memory":               {0, 1, 2, 0},
		"a link that is a segment": {fds[0], fds[0], fds[2], fds[3]},
		"a segment that is a link": {fds[1], fds[1], fds[2], fds[3]},
	} {
		t.Run(what, func(t *testing.T) {
			c, f := connect(t)
			_, errs := alloc(c)
			f.send(grantOf(f.read().Request), fds...)
			if err := <-errs; err == nil {
				t.Error("granted")
			}
			if m := f.read(); m.GetDealloc().GetFlow() != 7 {
				t.Errorf("said %v", m)
			}
		})
	}
}

func TestAGrantForNobodyIsDeallocated(t *testing.T) {
	c, f := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, err := c.Alloc(ctx, "x", qos.Raw)
		errs <- err
	}()
	m := f.read()
	cancel()
	if b := f.read(); b.GetCancel() == nil || b.Request != m.Request {
		t.Errorf("said %v", b)
	}
	f.send(grantOf(m.Request), parcel(t)...)
	if b := f.read(); b.GetDealloc().GetFlow() != 7 {
		t.Errorf("said %v", b)
	}
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// And one that nobody ever asked for.
	f.send(grantOf(99), parcel(t)...)
	if b := f.read(); b.GetDealloc().GetFlow() != 7 {
		t.Errorf("said %v", b)
	}
}

// The client of an accepted flow has it already: the flow is not thrown away.
func TestAFlowThatIsAcceptedAtTheLastMomentIsKept(t *testing.T) {
	c, f := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan *Grant, 1)
	go func() {
		g, err := c.Accept(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- g
	}()
	m := f.read()
	cancel()
	if b := f.read(); b.GetCancel() == nil || b.Request != m.Request {
		t.Errorf("said %v", b)
	}
	f.send(grantOf(m.Request), parcel(t)...)
	if g := <-got; g != nil {
		g.End.Close()
		c.Dealloc(g.ID)
	}
}

func TestADaemonThatDoesNotAnswerACancelIsNotWaitedFor(t *testing.T) {
	c, _ := connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.Accept(ctx); !errors.Is(err, errno.TimedOut) {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*cancelWait {
		t.Errorf("after %v", took)
	}
}

func TestNamesThatCannotBeSentAreRefused(t *testing.T) {
	c, _ := connect(t)
	for _, name := range []string{"\xff", string(make([]byte, MaxToDaemon))} {
		if _, err := c.Alloc(t.Context(), name, qos.Raw); !errors.Is(err, errno.Invalid) {
			t.Error(err)
		}
	}
}

func TestCloseEndsPendingCalls(t *testing.T) {
	c, f := connect(t)
	_, errs := alloc(c)
	f.read()
	c.Close()
	if err := <-errs; !errors.Is(err, errno.NotAlloc) {
		t.Error(err)
	}
	if _, err := c.Accept(t.Context()); !errors.Is(err, errno.NotAlloc) {
		t.Error(err)
	}
	c.Close()
}

// FuzzConn lets a daemon say arbitrary records, cut at zero bytes, with
// descriptors.
func FuzzConn(f *testing.F) {
	add := func(m *pb.ToProcess) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(true, b)
		f.Add(false, b)
	}
	add(grantOf(2))
	add(&pb.ToProcess{Request: 2, Body: &pb.ToProcess_Failure{Failure: &pb.Failure{}}})
	add(&pb.ToProcess{Request: 2, Body: &pb.ToProcess_Done{Done: &pb.Done{}}})
	add(&pb.ToProcess{Body: &pb.ToProcess_Unlink{Unlink: &pb.Unlink{Link: 1, Side: 9}}})
	f.Fuzz(func(t *testing.T, passed bool, data []byte) {
		c, far := connect(t)
		grants, errs := alloc(c)
		far.read()
		var fds []int
		if passed {
			fds = parcel(t)
		}
		for r := range bytes.SplitSeq(data, []byte{0}) {
			far.record(r, fds...)
		}
		far.c.CloseWrite()
		c.reader.Wait()
		if g := <-grants; g != nil {
			g.End.Close()
			c.Dealloc(g.ID)
		}
		<-errs
	})
}
