package packet

import (
	"bytes"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
)

const patience = 30 * time.Second

// keeper passes on what arrives.
type keeper chan []byte

func (k keeper) Receive(frames []*packet.Buffer) {
	for _, b := range frames {
		k <- bytes.Clone(b.Bytes())
		b.Release()
	}
}

// next waits for a frame that begins with an address and a type and ends with
// text, and fails when another one comes.
func (k keeper) next(t *testing.T, text string) []byte {
	t.Helper()
	select {
	case f := <-k:
		if !strings.HasSuffix(string(f), text) {
			t.Fatalf("received %q, want %q", f, text)
		}
		return f
	case <-time.After(patience):
		t.Fatalf("%q did not arrive", text)
		return nil
	}
}

// has reports whether a frame that ends with text comes soon.
func (k keeper) has(text string) bool {
	soon := time.After(20 * time.Millisecond)
	for {
		select {
		case f := <-k:
			if strings.HasSuffix(string(f), text) {
				return true
			}
		case <-soon:
			return false
		}
	}
}

// open opens a link in a space, for the time of the test.
func open(t testing.TB, s *netns.Space, cfg Config) *Link {
	t.Helper()
	if cfg.Device == "" {
		cfg.Device = s.Dev
	}
	var l *Link
	err := s.Do(func() (err error) {
		l, err = Open(cfg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve has a link served until the end of the test.
func serve(t testing.TB, l *Link, h Handler) {
	done := make(chan error, 1)
	go func() { done <- l.Serve(h) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-done; err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

func mac(t testing.TB, s *netns.Space, dev string) net.HardwareAddr {
	t.Helper()
	m, err := s.MAC(dev)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// raw makes a frame of the bytes that are given.
func raw(parts ...[]byte) []*packet.Buffer {
	return []*packet.Buffer{packet.From(bytes.Join(parts, nil))}
}

func sendAll(t testing.TB, l *Link, frames []*packet.Buffer) {
	t.Helper()
	for len(frames) > 0 {
		frames = frames[l.Send(frames):]
	}
}

var (
	toAll    = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	ourType  = []byte{0xa0, 0x00}
	mcast    = []byte{0x01, 0x00, 0x5e, 0, 0, 1}
	stranger = []byte{0x02, 0xaa, 0xbb, 0, 0, 1}
)

func TestFramesArriveWhole(t *testing.T) {
	for name, c := range map[string]struct {
		options []netns.Option
		size    int
	}{
		"plain": {nil, 1500},
		"jumbo": {[]netns.Option{netns.MTU(9000)}, 9000},
		"long":  {[]netns.Option{netns.MTU(65535)}, 65535},
		"vlan":  {[]netns.Option{netns.VLAN(5)}, 1500},
	} {
		t.Run(name, func(t *testing.T) {
			a, z := netns.Pair(t, c.options...)
			la, lz := open(t, a, Config{Filter: Ethertype(testType)}), open(t, z, Config{Filter: Ethertype(testType)})
			at, zt := make(keeper, 100), make(keeper, 100)
			serve(t, la, at)
			serve(t, lz, zt)
			long := frame(la, mac(t, z, z.Dev), c.size)
			copy(long.Bytes()[14:], bytes.Repeat([]byte("abcdefg"), c.size/7))
			want := bytes.Clone(long.Bytes())
			sendAll(t, la, []*packet.Buffer{long})
			if got := zt.next(t, ""); !bytes.Equal(got, want) {
				t.Errorf("%d bytes arrived, want %d", len(got), len(want))
			}
			ma, mz := mac(t, a, a.Dev), mac(t, z, z.Dev)
			sendAll(t, lz, raw(ma, mz, ourType, []byte("short")))
			at.next(t, "short")
			sendAll(t, lz, raw(toAll, mz, ourType))
			at.next(t, "\xa0\x00")
			if s := lz.Stats(); s.Sent != 2 || s.Received != 1 || s.SendErrors != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

func TestOnlyOurFramesAreReceived(t *testing.T) {
	a, z := netns.Pair(t)
	// Of a kernel without VLANs no frame of one is received either.
	_ = z.IP("link", "add", "link", netns.Dev, "name", "veth0.5", "type", "vlan", "id", "5")
	ma, mz := mac(t, a, netns.Dev), mac(t, z, netns.Dev)
	from := open(t, a, Config{Device: netns.Dev, Filter: Ethertype(testType)})
	llc := func(dsap, ssap, control byte) []byte { return []byte{0, 20, dsap, ssap, control} }
	for _, c := range []struct {
		name     string
		filter   Filter
		own      []byte
		not, yes [][]byte // headers
	}{
		{"ethertype", Ethertype(testType), ourType,
			[][]byte{
				bytes.Join([][]byte{stranger, ma, ourType}, nil),
				bytes.Join([][]byte{mcast, ma, ourType}, nil),
				bytes.Join([][]byte{mz, ma, {0xa0, 0x01}}, nil),
				bytes.Join([][]byte{mz, ma, {0x81, 0x00, 0, 6}, ourType}, nil), // of a VLAN without a device
				bytes.Join([][]byte{mz, ma, {0x81, 0x00, 0, 5}, ourType}, nil), // of a VLAN with one
				bytes.Join([][]byte{mz, ma, llc(0x80, 0x80, 3)}, nil),
			}, [][]byte{
				bytes.Join([][]byte{mz, ma, ourType}, nil),
				bytes.Join([][]byte{toAll, ma, ourType}, nil),
				bytes.Join([][]byte{mz, ma, {0x81, 0x00, 0xe0, 0}, ourType}, nil), // a priority and no VLAN
			}},
		{"802.2", LLC(), []byte{0, 20, 0x80, 0x80, 3},
			[][]byte{
				bytes.Join([][]byte{stranger, ma, llc(0x80, 0x80, 3)}, nil),
				bytes.Join([][]byte{mcast, ma, llc(0x80, 0x80, 3)}, nil),
				bytes.Join([][]byte{mz, ma, llc(0x42, 0x42, 3)}, nil),    // spanning tree
				bytes.Join([][]byte{mz, ma, llc(0xaa, 0xaa, 3)}, nil),    // SNAP
				bytes.Join([][]byte{mz, ma, llc(0x80, 0x80, 0x3f)}, nil), // XID
				bytes.Join([][]byte{mz, ma, llc(0, 0x80, 3)}, nil),
				bytes.Join([][]byte{mz, ma, llc(0x02, 0x80, 3)}, nil), // SAP 64 is of peers
				bytes.Join([][]byte{mz, ma, ourType}, nil),
			}, [][]byte{
				bytes.Join([][]byte{mz, ma, llc(0x80, 0x80, 3)}, nil),
				bytes.Join([][]byte{toAll, ma, llc(0x80, 0x80, 3)}, nil),
				bytes.Join([][]byte{mz, ma, llc(0xfc, 0x82, 3)}, nil),
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, z, Config{Device: netns.Dev, Filter: c.filter})
			other := open(t, z, Config{Device: netns.Dev, Filter: c.filter})
			got := make(keeper, 100)
			serve(t, l, got)
			for _, h := range c.not {
				sendAll(t, from, raw(h, []byte("ignored            ")))
			}
			// What this host sends itself is not for it.
			sendAll(t, other, raw(mz, mz, c.own, []byte("own output")))
			sendAll(t, other, raw(toAll, mz, c.own, []byte("own output")))
			for _, h := range c.yes {
				sendAll(t, from, raw(h, []byte("taken")))
				got.next(t, "taken")
			}
		})
	}
}

func TestAnotherAddressIsReceivedFor(t *testing.T) {
	a, z := netns.Pair(t)
	la, lz := open(t, a, Config{Filter: Ethertype(testType)}), open(t, z, Config{Filter: Ethertype(testType)})
	got := make(keeper, 100)
	serve(t, lz, got)
	ma, mz := mac(t, a, a.Dev), mac(t, z, z.Dev)
	if err := z.IP("link", "set", "dev", z.Dev, "address", net.HardwareAddr(stranger).String()); err != nil {
		t.Fatal(err)
	}
	if err := lz.SetMAC([6]byte(stranger)); err != nil {
		t.Fatal(err)
	}
	sendAll(t, la, raw(mz, ma, ourType, []byte("old")))
	sendAll(t, la, raw(stranger, ma, ourType, []byte("new")))
	got.next(t, "new")
	sendAll(t, la, raw(toAll, ma, ourType, []byte("all")))
	got.next(t, "all")
}

func TestALinkGoesOnAfterItsDeviceWasDown(t *testing.T) {
	a, z := netns.Pair(t)
	la, lz := open(t, a, Config{Filter: Ethertype(testType)}), open(t, z, Config{Filter: Ethertype(testType)})
	got := make(keeper, 100)
	serve(t, lz, got)
	ma, mz := mac(t, a, a.Dev), mac(t, z, z.Dev)
	for round := range 5 {
		// The kernel takes a while to use the other end again, and loses what
		// is sent meanwhile.
		text := "round " + string(rune('0'+round))
		for limit := time.Now().Add(patience); ; {
			sendAll(t, la, raw(mz, ma, ourType, []byte(text)))
			if got.has(text) {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("nothing arrives in %s", text)
			}
		}
		if err := z.Down(z.Dev); err != nil {
			t.Fatal(err)
		}
		sendAll(t, lz, raw(ma, mz, ourType, []byte("lost")))
		if err := z.Up(z.Dev); err != nil {
			t.Fatal(err)
		}
	}
	if s := lz.Stats(); s.SendErrors != 5 || !errors.Is(s.LastError, unix.ENETDOWN) {
		t.Errorf("counted %+v", s)
	}
}

func TestALinkOfARemovedDeviceIsQuiet(t *testing.T) {
	a, z := netns.Pair(t)
	la := open(t, a, Config{Filter: Ethertype(testType)})
	serve(t, la, make(keeper, 100))
	ma, mz := mac(t, a, a.Dev), mac(t, z, z.Dev)
	if err := a.DeleteLink(a.Dev); err != nil {
		t.Fatal(err)
	}
	sendAll(t, la, raw(mz, ma, ourType, []byte("lost")))
	if s := la.Stats(); s.SendErrors != 1 {
		t.Errorf("counted %+v", s)
	}
	// The reader heard of it and sleeps: it does not hear of it again and
	// again.
	limit := time.Now().Add(patience)
	for la.Stats().DeviceErrors == 0 && time.Now().Before(limit) {
		runtime.Gosched()
	}
	if n := la.Stats().DeviceErrors; n == 0 || n > 2 {
		t.Errorf("%d errors of the device", n)
	}
}

func TestAFullQueueMakesTheSenderWait(t *testing.T) {
	a, z := netns.Pair(t)
	if out, err := a.Command(t.Context(), "tc", "qdisc", "add", "dev", a.Dev, "root", "tbf", "rate", "50mbit", "burst", "20kb", "limit", "10mb").CombinedOutput(); err != nil {
		t.Skipf("the kernel cannot slow a device down (tc of iproute2, sch_tbf): %v %s", err, out)
	}
	la, lz := open(t, a, Config{Filter: Ethertype(testType)}), open(t, z, Config{Filter: Ethertype(testType)})
	count := &tally{}
	serve(t, lz, count)
	to := mac(t, z, z.Dev)
	room := make(chan struct{}, 1)
	la.OnWritable(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	const total = 2000
	waits := 0
	for sent := 0; sent < total; {
		batch := make([]*packet.Buffer, 50)
		for i := range batch {
			batch[i] = frame(la, to, 1400)
		}
		for len(batch) > 0 {
			n := la.Send(batch)
			batch = batch[n:]
			if sent += n; len(batch) > 0 {
				waits++
				select {
				case <-room:
				case <-time.After(patience):
					t.Fatal("nobody said that there is room")
				}
			}
		}
	}
	if waits == 0 {
		t.Error("the sender never waited")
	}
	for limit := time.Now().Add(patience); count.n.Load() < total && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	if n := count.n.Load(); n != total {
		t.Errorf("%d of %d arrived", n, total)
	}
}

func TestFramesLongerThanTheMTUAreDroppedAndOthersNot(t *testing.T) {
	a, z := netns.Pair(t)
	la, lz := open(t, a, Config{Filter: Ethertype(testType)}), open(t, z, Config{Filter: Ethertype(testType)})
	got := make(keeper, 100)
	serve(t, lz, got)
	ma, mz := mac(t, a, a.Dev), mac(t, z, z.Dev)
	frames := raw(mz, ma, ourType, []byte("first"))
	frames = append(frames, raw(mz, ma, ourType, make([]byte, 1600))...)
	frames = append(frames, raw([]byte("runt"))...)
	frames = append(frames, raw(mz, ma, ourType, []byte("last"))...)
	sendAll(t, la, frames)
	got.next(t, "first")
	got.next(t, "last")
	if s := la.Stats(); s.Sent != 2 || s.SendErrors != 2 {
		t.Errorf("counted %+v", s)
	}
}

func TestCloseEndsServeAndEverythingAfterIsDropped(t *testing.T) {
	a, _ := netns.Pair(t)
	l := open(t, a, Config{Filter: Ethertype(testType)})
	done := make(chan error, 1)
	go func() { done <- l.Serve(make(keeper)) }()
	for !l.serving.Load() {
		runtime.Gosched()
	}
	if err := l.Serve(make(keeper)); err == nil {
		t.Error("two serve at once")
	}
	l.Close()
	l.Close()
	if err := <-done; err != nil && !errors.Is(err, ErrClosed) {
		t.Errorf("serve: %v", err)
	}
	if n := l.Send(raw(toAll, toAll, ourType)); n != 1 {
		t.Errorf("took %d of 1", n)
	}
	if err := l.Serve(make(keeper)); !errors.Is(err, ErrClosed) {
		t.Errorf("serve after close: %v", err)
	}
	if err := l.SetMAC([6]byte{2}); !errors.Is(err, ErrClosed) {
		t.Errorf("another address after close: %v", err)
	}
	l.Stats()
}

func TestOpeningSaysWhatIsMissing(t *testing.T) {
	s := netns.Empty(t)
	opening := func(dev string) (err error) {
		s.Do(func() error {
			var l *Link
			if l, err = Open(Config{Device: dev, Filter: LLC()}); err == nil {
				l.Close()
			}
			return nil
		})
		return err
	}
	if err := opening("nic0"); !errors.Is(err, errno.NoEntry) || !strings.Contains(err.Error(), "ip link") {
		t.Errorf("no device: %v", err)
	}
	if err := opening("lo"); err != nil {
		t.Errorf("loopback: %v", err)
	}
	if err := s.IP("tuntap", "add", "mode", "tun", "name", "tun0"); err == nil {
		if err := opening("tun0"); !errors.Is(err, errno.NotSup) {
			t.Errorf("a device without Ethernet: %v", err)
		}
	}
}

func TestWithoutTheCapabilityTheErrorSaysHowToGrantIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to give a capability up")
	}
	// The thread that has given it up ends with this goroutine.
	errs := make(chan error)
	go func() {
		runtime.LockOSThread()
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capset(&head, &caps[0]); err != nil {
			errs <- err
			return
		}
		_, err := Open(Config{Device: "lo", Filter: LLC()})
		errs <- err
	}()
	err := <-errs
	if !errors.Is(err, errno.Perm) || !strings.Contains(err.Error(), "setcap cap_net_raw") || !strings.Contains(err.Error(), "AmbientCapabilities") {
		t.Errorf("got %v", err)
	}
}
