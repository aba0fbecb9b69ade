package packet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/link/outq"
)

// ErrClosed is what Serve gives on a link that was closed before.
var ErrClosed = fmt.Errorf("the link is closed: %w", os.ErrClosed)

// Config says how a Link is opened.
type Config struct {
	// Device is the name of a network interface with Ethernet frames: a card,
	// a VLAN on one, one end of a veth pair, a bridge, lo. It is looked up in
	// the network namespace of the calling thread.
	Device string

	// Filter is the protocol that is received.
	Filter Filter

	// Ring is the size of the receive ring in bytes, 0 for 32 MiB: what comes
	// while the reader waits for a processor, some 40 ms at 500,000 frames a
	// second. With little memory it becomes smaller: see Stats.
	Ring int

	// Log hears what could not be had; nil for nobody.
	Log *slog.Logger

	// Go runs the short-lived goroutines that wait for room to send; nil for
	// goroutines that Close waits for.
	Go func(f func())
}

// Link is a packet socket on one device. All methods may be called from any
// goroutine.
type Link struct {
	fd, bell int // the socket; an eventfd that Close rings
	device   string
	index    int
	mtu      int
	filter   Filter
	log      *slog.Logger

	mac  atomic.Pointer[[6]byte]
	ring *ring

	door    door
	serving atomic.Bool
	noSpin  bool      // sleep at once, to measure what spinning is worth
	senders sync.Pool // of *sender

	sendBuffer int
	goFunc     func(func())
	waitMu     sync.Mutex     // no waiter begins after the door is shut
	waiters    sync.WaitGroup // those that Close waits for
	awaiting   atomic.Bool    // somebody waits for room
	writable   atomic.Pointer[func()]

	waiting outq.Meter
	count   counters
}

// Open opens a device. errno.NoEntry when there is none of that name,
// errno.Perm without CAP_NET_RAW, errno.NotSup when it does not carry Ethernet
// frames.
func Open(cfg Config) (*Link, error) {
	l := &Link{bell: -1, device: cfg.Device, filter: cfg.Filter, log: cfg.Log, goFunc: cfg.Go}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.goFunc == nil {
		l.goFunc = l.waiters.Go
	}
	l.senders.New = newSender
	// Protocol 0 receives nothing: what comes before there is a filter is not
	// seen.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, refusal(cfg.Device, err)
	}
	l.fd = fd
	if err := l.set(cfg); err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

// set makes a new socket what the configuration wants.
func (l *Link) set(cfg Config) (err error) {
	dev, err := net.InterfaceByName(cfg.Device)
	if err != nil {
		return errno.New(errno.NoEntry, "cannot open %s: there is no network interface of that name", cfg.Device).
			Next("see which there are: ip link")
	}
	l.index, l.mtu = dev.Index, dev.MTU
	var mac [6]byte
	copy(mac[:], dev.HardwareAddr)
	if err := l.filter.attach(l.fd, mac); err != nil {
		return l.failed(err)
	}
	l.mac.Store(&mac)
	// The filter does the same; with the option the kernel need not ask it.
	_ = unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	l.sendBuffer = setSendBuffer(l.fd)
	size := cfg.Ring
	if size == 0 {
		size = defaultRing
	}
	if l.ring, err = newRing(l.fd, size, ethernetHeader+vlanTag+min(l.mtu, maxFrame)); err != nil {
		return l.failed(err)
	}
	if got := l.ring.slots / l.ring.perBlock * l.ring.block; got < size/2 {
		l.log.Info("there is little memory for the receive ring, bursts may be lost", "device", l.device, "wanted", size, "granted", got)
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return l.failed(fmt.Errorf("make an eventfd: %w", err))
	}
	if err := unix.Bind(l.fd, &unix.SockaddrLinklayer{Protocol: swap(l.filter.protocol), Ifindex: l.index}); err != nil {
		return l.failed(fmt.Errorf("bind: %w", err))
	}
	return l.ethernet()
}

// maxFrame is the longest frame that the ring is made for, in bytes of
// payload: the length field of our protocols ends there.
const maxFrame = 1<<16 + 4

// ethernet checks that the device carries Ethernet frames.
func (l *Link) ethernet() error {
	sa, err := unix.Getsockname(l.fd)
	if err != nil {
		return l.failed(fmt.Errorf("ask what it is: %w", err))
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); ok && ll.Hatype != unix.ARPHRD_ETHER && ll.Hatype != unix.ARPHRD_LOOPBACK {
		return errno.New(errno.NotSup, "cannot open %s: it does not carry Ethernet frames (hardware type %d)", l.device, ll.Hatype).
			Next("choose an Ethernet interface, see: ip link")
	}
	return nil
}

func (l *Link) failed(err error) error {
	return fmt.Errorf("cannot open %s: %w", l.device, err)
}

// refusal explains why there is no socket.
func refusal(device string, err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("cannot open %s: make a packet socket: %w", device, err)
	}
	exe, e := os.Executable()
	if e != nil {
		exe = "/path/to/irmd"
	}
	return errno.New(errno.Perm, "cannot open %s: this process may not send and receive Ethernet frames, it lacks CAP_NET_RAW", device).
		Next("grant it with: setcap cap_net_raw+ep %s, or in a systemd unit: AmbientCapabilities=CAP_NET_RAW; then start it again", exe)
}

// swap puts a 16-bit number into network byte order.
func swap(n uint16) uint16 { return n<<8 | n>>8 }

// sendBuffer is how much may be on its way through the queues of the host, in
// bytes as the kernel counts them: some 450 long frames, which is less than
// the queue of a device holds. So who sends too fast is told, and nothing is
// lost.
const sendBuffer = 512 << 10

func setSendBuffer(fd int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	return n
}

// Index is the number of the device, MTU was its MTU when it was opened: the
// ring takes no longer frames.
func (l *Link) Index() int { return l.index }
func (l *Link) MTU() int   { return l.mtu }

// QueueLen estimates how many frames the link has taken that have not left the
// host.
func (l *Link) QueueLen() int {
	if !l.door.enter() {
		return 0
	}
	n := l.waiting.Packets(l.fd)
	l.leave()
	return n
}

// MAC is the address for which frames are received.
func (l *Link) MAC() [6]byte { return *l.mac.Load() }

// SetMAC receives for another address from now on: that of the device was
// changed.
func (l *Link) SetMAC(mac [6]byte) error {
	if !l.door.enter() {
		return ErrClosed
	}
	defer l.leave()
	if err := l.filter.attach(l.fd, mac); err != nil {
		return fmt.Errorf("%s: %w", l.device, err)
	}
	l.mac.Store(&mac)
	return nil
}

// Close ends Serve and everything that waits, and closes the socket when the
// last call has left it. It does not wait for Serve; it does for a running
// call of OnWritable's function unless Config.Go runs those, so that function
// must not call it then. Send drops all from then on. Closing twice is no
// error.
func (l *Link) Close() error {
	if l.door.enter() {
		if l.door.shut() {
			var one = [8]byte{1}
			unix.Write(l.bell, one[:])
		}
		l.leave()
	}
	l.waitMu.Lock() // who passed the look at the door has begun
	l.waitMu.Unlock()
	l.waiters.Wait()
	return nil
}

// leave goes out of the door; who is last cleans up.
func (l *Link) leave() {
	if l.door.leave() {
		l.free()
	}
}

func (l *Link) free() {
	if l.ring != nil {
		l.ring.unmap()
	}
	unix.Close(l.fd)
	if l.bell >= 0 {
		unix.Close(l.bell)
	}
}
