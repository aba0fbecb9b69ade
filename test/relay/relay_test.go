package relay

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func socket(t *testing.T, s *netns.Space) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := s.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: s.IPv4.Addr().AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// only impairs the datagrams of the tests, and leaves ARP alone.
func only(frame []byte) bool { return len(frame) == 14+20+8+100 }

// pass sends n numbered datagrams and gives the numbers that arrive, in order,
// and how many of them were not as sent. The end is a datagram of another
// length, which the impairments leave alone.
func pass(t *testing.T, from, to *net.UDPConn, n int, settle time.Duration) (seen []int, damaged int) {
	t.Helper()
	buf := make([]byte, 100)
	for i := range n {
		binary.BigEndian.PutUint32(buf, uint32(i))
		if _, err := from.WriteTo(buf, to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(settle) // what is held back comes within it
	from.WriteTo([]byte("end"), to.LocalAddr())
	to.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, 200)
	for {
		k, _, err := to.ReadFrom(got)
		if err != nil {
			t.Fatal(err)
		}
		if k == 3 {
			return seen, damaged
		}
		seen = append(seen, int(binary.BigEndian.Uint32(got)))
		if !bytes.Equal(got[4:k], make([]byte, 96)) {
			damaged++
		}
	}
}

// acquaint lets a know b, so that its first datagrams do not wait for an answer
// and later ones do not pass them.
func acquaint(t *testing.T, a, b *netns.Space) {
	t.Helper()
	mac, err := b.MAC(b.Dev)
	if err == nil {
		err = a.IP("neigh", "replace", b.IPv4.Addr().String(), "lladdr", mac.String(), "dev", a.Dev, "nud", "permanent")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFaultlessCableCarriesEverythingInOrder(t *testing.T) {
	a, b, r := Pair(t, 1)
	acquaint(t, a, b)
	seen, _ := pass(t, socket(t, a), socket(t, b), 2000, 0)
	for i, v := range seen {
		if i != v {
			t.Fatalf("datagram %d came at place %d", v, i)
		}
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 came; %+v", len(seen), r.Stats(AtoB))
	}
}

func TestASeedDecidesWhatIsLost(t *testing.T) {
	var first []int
	for range 2 {
		a, b, r := Pair(t, 42)
		acquaint(t, a, b)
		r.Impair(Impairment{Loss: 0.3, Burst: 3, Only: only})
		seen, _ := pass(t, socket(t, a), socket(t, b), 3000, 0)
		if share := float64(len(seen)) / 3000; math.Abs(share-0.7) > 0.05 {
			t.Errorf("%.3f came of 0.7", share)
		}
		if first == nil {
			first = seen
			continue
		}
		if len(first) != len(seen) {
			t.Fatalf("%d came, and %d the second time", len(first), len(seen))
		}
		for i := range first {
			if first[i] != seen[i] {
				t.Fatalf("at place %d came %d, and %d the second time", i, first[i], seen[i])
			}
		}
	}
	gaps := map[int]int{}
	for i := 1; i < len(first); i++ {
		if g := first[i] - first[i-1] - 1; g > 0 {
			gaps[g]++
		}
	}
	for g := range gaps {
		if g%3 != 0 {
			t.Errorf("%d lost in a row, with bursts of 3", g)
		}
	}
}

func TestDuplicatesAndReorderedFramesComeAndDamagedOnesFailTheirChecksum(t *testing.T) {
	a, b, r := Pair(t, 3)
	from, to := socket(t, a), socket(t, b)

	r.Impair(Impairment{Duplicate: 0.2, Only: only})
	if seen, _ := pass(t, from, to, 1000, 0); len(seen) < 1150 || len(seen) > 1250 {
		t.Errorf("%d came of 1000 with 20 %% doubled", len(seen))
	}

	r.Impair(Impairment{Reorder: 0.2, HoldBack: 2 * time.Millisecond, Only: only})
	seen, _ := pass(t, from, to, 1000, 20*time.Millisecond)
	late := 0
	for i := 1; i < len(seen); i++ {
		if seen[i] < seen[i-1] {
			late++
		}
	}
	if len(seen) != 1000 || late == 0 {
		t.Errorf("%d came of 1000, %d out of order", len(seen), late)
	}

	r.Impair(Impairment{Damage: 0.5, Only: only})
	seen, damaged := pass(t, from, to, 1000, 0)
	if lost := 1000 - len(seen); lost < 400 || lost > 600 || damaged != 0 {
		t.Errorf("%d lost to a wrong checksum, %d came wrong; %+v", lost, damaged, r.Stats(AtoB))
	}
}

func TestDelayAndRate(t *testing.T) {
	a, b, r := Pair(t, 4)
	from, to := socket(t, a), socket(t, b)
	r.Impair(Impairment{Delay: 10 * time.Millisecond})
	rtt := func() time.Duration {
		start := time.Now()
		from.WriteTo([]byte("ping"), to.LocalAddr())
		buf := make([]byte, 10)
		to.SetReadDeadline(start.Add(patience))
		if _, _, err := to.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
		to.WriteTo(buf[:4], from.LocalAddr())
		from.SetReadDeadline(start.Add(patience))
		if _, _, err := from.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	rtt() // with ARP
	best := time.Hour
	for range 10 {
		best = min(best, rtt())
	}
	if best < 20*time.Millisecond || best > 200*time.Millisecond {
		t.Errorf("round trip %v with 10 ms each way", best)
	}

	r.Impair(Impairment{Rate: 1_000_000, Queue: 2000, Only: only})
	start := time.Now()
	buf := make([]byte, 100)
	for range 500 {
		from.WriteTo(buf, to.LocalAddr())
	}
	for range 500 {
		to.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := to.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
	}
	want := time.Duration(500*(142+24)*8) * time.Microsecond
	if took := time.Since(start); took < want*95/100 {
		t.Errorf("500 frames in %v at 1 Mbit/s, at least %v are needed", took, want)
	}
}

func TestAWatcherSeesFramesAndAnInjectedOneArrives(t *testing.T) {
	a, b, r := Pair(t, 5)
	from, to := socket(t, a), socket(t, b)
	pass(t, from, to, 1, 0) // ARP is done
	var last atomic.Pointer[[]byte]
	r.Watch(AtoB, func(frame []byte) {
		if only(frame) {
			c := bytes.Clone(frame)
			last.Store(&c)
		}
	})
	pass(t, from, to, 1, 0)
	r.Watch(AtoB, nil)
	frame := last.Load()
	if frame == nil {
		t.Fatal("the watcher saw nothing")
	}
	if err := r.Inject(AtoB, *frame); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(patience))
	if n, _, err := to.ReadFrom(make([]byte, 200)); n != 100 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestACableThatIsPutBackCarriesAgain(t *testing.T) {
	a, b, r := Pair(t, 7)
	from, to := socket(t, a), socket(t, b)
	pass(t, from, to, 1, 0)
	for range 3 {
		if err := r.Unplug(); err != nil {
			t.Fatal(err)
		}
		carrier := func() string {
			var text []byte
			a.Do(func() (err error) {
				i, err := net.InterfaceByName(netns.Dev)
				if err == nil {
					text = []byte(i.Flags.String())
				}
				return err
			})
			return string(text)
		}
		for strings.Contains(carrier(), "running") {
			time.Sleep(time.Millisecond)
		}
		if err := r.Plug(); err != nil {
			t.Fatal(err)
		}
		for !strings.Contains(carrier(), "running") {
			time.Sleep(time.Millisecond)
		}
		if seen, _ := pass(t, from, to, 10, 0); len(seen) != 10 {
			t.Errorf("%d of 10 came; %+v", len(seen), r.Stats(AtoB))
		}
	}
}

// What the relay has to carry so that it is not what a transfer waits for.
func TestTCPThroughTwentyMillisecondsIsNotHeldUpByTheRelay(t *testing.T) {
	if testing.Short() {
		t.Skip("a transfer of 50 MB")
	}
	a, b, r := Pair(t, 6)
	r.Impair(Impairment{Delay: 10 * time.Millisecond})
	var l net.Listener
	if err := b.Do(func() (err error) { l, err = net.Listen("tcp4", b.IPv4.Addr().String()+":0"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var c net.Conn
	if err := a.Do(func() (err error) { c, err = net.Dial("tcp4", l.Addr().String()); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const size = 50 << 20
	start := time.Now()
	go func() {
		c.Write(make([]byte, size))
		c.(*net.TCPConn).CloseWrite()
	}()
	n, err := io.Copy(io.Discard, s)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	took := time.Since(start)
	t.Logf("%.0f Mbit/s; %+v", size*8/took.Seconds()/1e6, r.Stats(AtoB))
	if rate := size * 8 / took.Seconds() / 1e6; rate < 50 {
		t.Errorf("%.0f Mbit/s", rate)
	}
}
