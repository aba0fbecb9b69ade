package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"ouroboros/internal/errno"
	"ouroboros/internal/pb"
	"ouroboros/internal/rundir"
	"ouroboros/internal/session"
	"ouroboros/qos"
)

// rawDial connects to the flow socket without saying anything.
func rawDial(dir string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = whole(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, rundir.FlowSocket)}) })
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func rawSend(fd int, m *pb.ToDaemon) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return whole(func() error { return unix.Send(fd, b, unix.MSG_NOSIGNAL) })
}

// whole makes a system call again that a signal of the Go runtime interrupts.
func whole(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// rawHello opens a session on the socket.
func rawHello(fd int) error {
	if err := rawSend(fd, &pb.ToDaemon{Request: 1, Body: &pb.ToDaemon_Hello{Hello: &pb.Hello{Version: session.Version}}}); err != nil {
		return err
	}
	m, err := rawRecv(fd)
	if err == nil && m.GetWelcome() == nil {
		err = fmt.Errorf("no welcome: %v", m)
	}
	return err
}

// rawRecv gives the next record, or an error at the end of the connection.
func rawRecv(fd int) (*pb.ToProcess, error) {
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	buf := make([]byte, session.MaxToProcess)
	n := 0
	err := whole(func() (err error) { n, err = unix.Read(fd, buf); return err })
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("closed")
	}
	var m pb.ToProcess
	return &m, proto.Unmarshal(buf[:n], &m)
}

func (d *daemon) raw() int {
	d.t.Helper()
	fd, err := rawDial(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// works proves that others are served.
func (d *daemon) works() {
	d.t.Helper()
	name := fmt.Sprintf("works-%d", time.Now().UnixNano())
	server, err := session.Dial(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer server.Close()
	client, err := session.Dial(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer client.Close()
	if err := server.Bind(soon(d.t), name); err != nil {
		d.t.Fatal(err)
	}
	a, b := pair(d.t, client, server, name)
	talk(d.t, a, b)
	hangUp(client, a)
	hangUp(server, b)
}

func TestASilentClientHurtsNobodyAndIsCutOff(t *testing.T) {
	d := start(t, Config{Limits: Limits{Hello: 2 * time.Second}}) // time enough for those who speak
	fds := make([]int, 20)
	for i := range fds {
		fds[i] = d.raw()
	}
	d.works()
	for _, fd := range fds {
		if m, err := rawRecv(fd); err != nil || m.GetFailure() == nil {
			t.Fatalf("got %v, %v", m, err)
		}
	}
	if n := d.s.count.silent.Load(); n != uint64(len(fds)) {
		t.Errorf("counted %d silent clients", n)
	}
}

func TestGarbageEndsItsOwnSessionOnly(t *testing.T) {
	hello := func(m *pb.ToDaemon) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	records := map[string][]byte{
		"not a message":    {0xff, 0xff, 0xff},
		"empty":            {},
		"too long":         make([]byte, session.MaxToDaemon+1),
		"no body":          hello(&pb.ToDaemon{Request: 7}),
		"request 0":        hello(&pb.ToDaemon{Body: &pb.ToDaemon_Accept{Accept: &pb.Accept{}}}),
		"a second hello":   hello(&pb.ToDaemon{Request: 2, Body: &pb.ToDaemon_Hello{Hello: &pb.Hello{Version: 1}}}),
		"an unknown field": {0xfa, 0x3f, 0x01, 0x00},
	}
	d := start(t, Config{})
	for name, record := range records {
		t.Run(name, func(t *testing.T) {
			for _, first := range []bool{true, false} {
				fd := d.raw()
				if !first {
					if err := rawHello(fd); err != nil {
						t.Fatal(err)
					}
				}
				unix.Send(fd, record, unix.MSG_NOSIGNAL)
				for {
					if m, err := rawRecv(fd); err != nil {
						break
					} else if m.GetWelcome() != nil && name != "a second hello" {
						t.Errorf("answered %v", m)
					} else if m.GetWelcome() != nil {
						break
					}
				}
				unix.Close(fd)
			}
		})
	}
	d.works()
	eventually(t, "no process is left", func() bool {
		procs, _ := d.node.ListProcesses(t.Context())
		return len(procs) == 0
	})
}

func TestRequestNumbersAreUsedOnce(t *testing.T) {
	d := start(t, Config{})
	fd := d.raw()
	if err := rawHello(fd); err != nil {
		t.Fatal(err)
	}
	accept := &pb.ToDaemon{Request: 9, Body: &pb.ToDaemon_Accept{Accept: &pb.Accept{}}}
	rawSend(fd, accept)
	rawSend(fd, accept)
	if m, err := rawRecv(fd); err == nil {
		t.Errorf("answered %v", m)
	}
}

func TestFlowsOfOthersCannotBeDeallocated(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("mine"), d.dial()
	a, b := pair(t, client, server, "mine")
	fd := d.raw()
	if err := rawHello(fd); err != nil {
		t.Fatal(err)
	}
	for id := range int32(100) {
		for _, lost := range []bool{false, true} {
			rawSend(fd, &pb.ToDaemon{Body: &pb.ToDaemon_Dealloc{Dealloc: &pb.Dealloc{Flow: id - 10, LinkLost: lost}}})
		}
	}
	eventually(t, "all were counted", func() bool { return d.s.count.foreign.Load() == 200 })
	talk(t, a, b)
}

// A client that asks and does not read is cut off when its time is up; until
// then, and after, others are served.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	d := start(t, Config{Limits: Limits{Stall: 100 * time.Millisecond}})
	fd := d.raw()
	if err := rawHello(fd); err != nil {
		t.Fatal(err)
	}
	alloc := &pb.Alloc{Dst: "no-such-name"}
	for i := uint64(2); ; i++ {
		if rawSend(fd, &pb.ToDaemon{Request: i, Body: &pb.ToDaemon_Alloc{Alloc: alloc}}) != nil {
			break
		}
		if i == 1000 {
			d.works()
		}
		if i > 1e6 {
			t.Fatal("never cut off")
		}
	}
	if n := d.s.count.stalled.Load(); n != 1 {
		t.Errorf("counted %d", n)
	}
	d.works()
}

func TestPendingRequestsAreBounded(t *testing.T) {
	d := start(t, Config{Limits: Limits{Pending: 10}})
	fd := d.raw()
	if err := rawHello(fd); err != nil {
		t.Fatal(err)
	}
	for i := uint64(2); i < 13; i++ {
		rawSend(fd, &pb.ToDaemon{Request: i, Body: &pb.ToDaemon_Accept{Accept: &pb.Accept{}}})
	}
	m, err := rawRecv(fd)
	if err != nil || m.Request != 12 || !errors.Is(m.GetFailure().Err(), errno.NoBufs) {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	d := start(t, Config{Limits: Limits{Clients: 8}})
	var held []*session.Conn
	for range 8 {
		held = append(held, d.dial())
	}
	if _, err := session.Dial(d.dir); !errors.Is(err, errno.NoBufs) {
		t.Errorf("the ninth: %v", err)
	}
	held[0].Close()
	eventually(t, "the place is free again", func() bool {
		c, err := session.Dial(d.dir)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// Descriptors that a client sends along are thrown away.
func TestForeignDescriptorsAreNotKept(t *testing.T) {
	d := start(t, Config{})
	fd := d.raw()
	if err := rawHello(fd); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	b, _ := proto.Marshal(&pb.ToDaemon{Body: &pb.ToDaemon_Dealloc{Dealloc: &pb.Dealloc{Flow: 1}}})
	for range 100 {
		if err := unix.Sendmsg(fd, b, unix.UnixRights(0, 1, 2), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all were handled", func() bool { return d.s.count.foreign.Load() == 100 })
	if after := openFiles(t); after > before {
		t.Errorf("%d files were open, now %d", before, after)
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

func TestFlowsLeaveNoDescriptors(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("fds"), d.dial()
	a, b := pair(t, client, server, "fds")
	before := openFiles(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				g, err := server.Accept(soon(t))
				if err != nil {
					t.Error(err)
					return
				}
				hangUp(server, g)
			}
		})
		wg.Go(func() {
			for range 50 {
				g, err := client.Alloc(soon(t), "fds", qos.Raw)
				if err != nil {
					t.Error(err)
					return
				}
				hangUp(client, g)
			}
		})
	}
	wg.Wait()
	eventually(t, "all descriptors are back", func() bool { return openFiles(t) <= before })
	talk(t, a, b)
}
