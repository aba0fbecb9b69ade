package monitor

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// watch watches a device for the time of the test.
func watch(t *testing.T, s *netns.Space, device string) (*Monitor, chan State) {
	t.Helper()
	var m *Monitor
	err := s.Do(func() (err error) {
		m, err = Open(device)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan State, 1000)
	done := make(chan error, 1)
	go func() { done <- m.Watch(func(s State) { changes <- s }) }()
	t.Cleanup(func() {
		m.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m, changes
}

// until waits for a change to what is wanted; all before must not be final.
func until(t *testing.T, changes chan State, what string, ok func(State) bool) State {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case s := <-changes:
			if ok(s) {
				return s
			}
		case <-late:
			t.Fatalf("no change to: %s", what)
		}
	}
}

// pair is netns.Pair, but the two devices have different numbers. Else the
// kernel does not see that they are joined, and takes up to a second to tell of
// a lost carrier.
func pair(t *testing.T) (a, z *netns.Space) {
	t.Helper()
	a, z = netns.Empty(t), netns.Empty(t)
	must(t, netns.Join(a, "pad0", a, "pad1"))
	must(t, netns.Connect(a, z, netns.Bare()))
	return a, z
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func up(s State) bool   { return s.Up }
func down(s State) bool { return !s.Up }

func TestTheFirstStateIsKnownAtOnce(t *testing.T) {
	a, _ := netns.Pair(t, netns.MTU(9000))
	m, _ := watch(t, a, netns.Dev)
	mac, err := a.MAC(netns.Dev)
	must(t, err)
	s := m.State()
	if !s.Present || s.Index == 0 || s.MTU != 9000 || net.HardwareAddr(s.MAC[:]).String() != mac.String() {
		t.Errorf("state %+v", s)
	}
	if m, _ := watch(t, a, "nic7"); m.State() != (State{}) {
		t.Errorf("a device that does not exist: %+v", m.State())
	}
	if m, _ := watch(t, a, "lo"); !m.State().Up {
		t.Errorf("loopback: %+v", m.State())
	}
	for _, name := range []string{"", "a-name-that-is-too-long"} {
		if _, err := Open(name); err == nil {
			t.Errorf("%q is watched", name)
		}
	}
}

func TestChangesAreToldOnceEach(t *testing.T) {
	a, z := pair(t)
	_, changes := watch(t, a, netns.Dev)
	for range 100 {
		must(t, z.Down(netns.Dev)) // the carrier
		if s := until(t, changes, "no carrier", down); !s.Present {
			t.Fatalf("gone: %+v", s)
		}
		must(t, z.Up(netns.Dev))
		until(t, changes, "a carrier", up)
	}
	must(t, a.Down(netns.Dev))
	until(t, changes, "switched off", down)
	must(t, a.Up(netns.Dev))
	until(t, changes, "switched on", up)
	must(t, a.SetMTU(netns.Dev, 1400))
	until(t, changes, "an MTU of 1400", func(s State) bool { return s.MTU == 1400 })
	must(t, a.IP("link", "set", "dev", netns.Dev, "address", "02:00:00:00:00:77"))
	until(t, changes, "another address", func(s State) bool { return s.MAC == [6]byte{2, 0, 0, 0, 0, 0x77} })
	// What changes nothing that we look at is not told.
	must(t, a.IP("link", "set", "dev", netns.Dev, "alias", "cable 7"))
	must(t, a.IP("link", "set", "dev", "lo", "mtu", "1234"))
	must(t, a.SetMTU(netns.Dev, 1401))
	if s := <-changes; s.MTU != 1401 {
		t.Errorf("told %+v", s)
	}
}

func TestEachEdgeOfTheCarrierIsToldQuickly(t *testing.T) {
	a, z := pair(t)
	_, changes := watch(t, a, netns.Dev)
	quick := 0
	for i := range 20 {
		ok := up
		if i%2 == 0 {
			ok = down
			must(t, z.Down(netns.Dev))
		} else {
			must(t, z.Up(netns.Dev))
		}
		begun := time.Now() // the kernel has done it by now
		until(t, changes, "an edge", ok)
		if time.Since(begun) < 50*time.Millisecond {
			quick++
		}
	}
	t.Logf("%d of 20 edges were told within 50 ms", quick)
	if quick < 3 { // who polls is never so quick; a machine may be busy
		t.Error("the news of edges come late")
	}
}

func TestADeviceThatIsRemovedAndMadeAgainIsTheSame(t *testing.T) {
	a, z := netns.Pair(t)
	m, changes := watch(t, a, netns.Dev)
	first := m.State()
	for range 5 {
		must(t, a.DeleteLink(netns.Dev))
		until(t, changes, "gone", func(s State) bool { return s == State{} })
		must(t, netns.Connect(a, z, netns.Bare()))
		if s := until(t, changes, "back, and up", up); s.Index == first.Index {
			t.Errorf("the same index: %+v", s)
		}
	}
}

func TestADeviceWithAnotherNameIsGone(t *testing.T) {
	a, _ := netns.Pair(t)
	_, changes := watch(t, a, netns.Dev)
	must(t, a.Down(netns.Dev))
	must(t, a.IP("link", "set", "dev", netns.Dev, "name", "other0"))
	until(t, changes, "gone", func(s State) bool { return !s.Present })
	must(t, a.IP("link", "set", "dev", "other0", "name", netns.Dev))
	must(t, a.Up(netns.Dev))
	until(t, changes, "back", up)
}

func TestAPortThatLeavesABridgeIsStillThere(t *testing.T) {
	a, _ := netns.Pair(t)
	if err := a.IP("link", "add", "br0", "type", "bridge"); err != nil {
		t.Skipf("the kernel has no bridges: %v", err)
	}
	_, changes := watch(t, a, netns.Dev)
	must(t, a.IP("link", "set", "dev", netns.Dev, "master", "br0"))
	must(t, a.IP("link", "set", "dev", netns.Dev, "nomaster"))
	must(t, a.SetMTU(netns.Dev, 1300))
	until(t, changes, "an MTU of 1300", func(s State) bool {
		if !s.Present {
			t.Error("gone")
		}
		return s.MTU == 1300
	})
}

func TestAfterLostMessagesTheStateIsReadAnew(t *testing.T) {
	a, z := pair(t)
	var m *Monitor
	must(t, a.Do(func() (err error) {
		m, err = Open(netns.Dev)
		return err
	}))
	defer m.Close()
	conn, err := m.file.SyscallConn()
	must(t, err)
	conn.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	for range 20 { // nobody reads meanwhile
		must(t, z.Down(netns.Dev))
		must(t, z.Up(netns.Dev))
	}
	must(t, a.SetMTU(netns.Dev, 1234))
	changes := make(chan State, 1000)
	done := make(chan error, 1)
	go func() { done <- m.Watch(func(s State) { changes <- s }) }()
	until(t, changes, "the last state", func(s State) bool { return s.MTU == 1234 && s.Up })
	if m.Lost() == 0 {
		t.Error("nothing was lost")
	}
	m.Close()
	must(t, <-done)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{16, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	link := make([]byte, 48)
	copy(link, []byte{48, 0, 0, 0, 16, 0, 0, 0, 1})
	copy(link[36:], []byte{12, 0, 3, 0, 'e', 't', 'h', '0'})
	f.Add(link)
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, msg := range parse(p, "eth0") {
			if msg.name == "" || len(msg.name) > len(p)+4 {
				t.Fatalf("%+v", msg)
			}
		}
	})
}
