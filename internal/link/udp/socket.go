package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/link/outq"
	"ouroboros/internal/packet"
)

// MaxDatagram is the longest datagram in bytes of payload.
const MaxDatagram = 65507

// Config says how a Socket is opened.
type Config struct {
	// Local is the address to bind. Its family is that of the socket; an
	// IPv6 socket carries no IPv4. Port 0 lets the kernel choose.
	Local netip.AddrPort

	// Log hears once about each thing that the kernel refused; nil for nobody.
	Log *slog.Logger

	// RecvBuffer and SendBuffer are the bytes to ask for, 0 for 16 MiB. The
	// kernel may grant less: see Stats.
	RecvBuffer, SendBuffer int

	// NoOffload sends and receives without trains.
	NoOffload bool

	// Go runs the short-lived goroutines that wait for room in the send
	// buffer; nil for goroutines that Close waits for.
	Go func(f func())
}

// Handler receives what arrives at a Socket.
type Handler interface {
	// Receive is called on the goroutine of Serve with up to 64 datagrams of
	// one source, in the order in which they arrived. The buffers belong to
	// the handler, the slice does not. An empty datagram is a datagram. It
	// must not block.
	Receive(from netip.AddrPort, batch []*packet.Buffer)
}

// Socket is a bound UDP socket. All methods may be called from any goroutine.
type Socket struct {
	fd    int
	v6    bool
	local netip.AddrPort
	log   *slog.Logger

	recvBuffer, sendBuffer int
	gso, gro               bool

	door    door
	zones   zones
	serving atomic.Bool
	noSpin  bool      // sleep at once, to measure what spinning is worth
	senders sync.Pool // of *sender
	refused refusals

	goFunc   func(func())
	waitMu   sync.Mutex     // no waiter begins after the door is shut
	waiters  sync.WaitGroup // those that Close waits for
	awaiting atomic.Bool    // somebody waits for room
	writable atomic.Pointer[func()]

	waiting outq.Meter
	count   counters
	said    atomic.Bool // the log line about refused trains
}

// Open binds a socket.
func Open(cfg Config) (*Socket, error) {
	if !cfg.Local.IsValid() {
		return nil, errno.New(errno.Invalid, "cannot open a UDP socket: no local address").
			Next("give an IPv4 or IPv6 address of this host and a port")
	}
	cfg.Local = netip.AddrPortFrom(cfg.Local.Addr().Unmap(), cfg.Local.Port())
	s := &Socket{v6: cfg.Local.Addr().Is6(), log: cfg.Log, goFunc: cfg.Go}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.senders.New = func() any { return newSender(s) }
	if s.goFunc == nil {
		s.goFunc = s.waiters.Go
	}
	family := unix.AF_INET
	if s.v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		d := errno.New(sentinel(err), "cannot open a UDP socket: %v", err)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, d.Next("this kernel has no IPv%d", map[bool]int{false: 4, true: 6}[s.v6])
		}
		return nil, d
	}
	s.fd, s.zones.fd = fd, fd
	if err := s.set(cfg); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.log.Debug("UDP socket", "local", s.local, "recvBuffer", s.recvBuffer, "sendBuffer", s.sendBuffer,
		"gso", s.gso, "gro", s.gro)
	return s, nil
}

// set makes a new socket what the configuration wants.
func (s *Socket) set(cfg Config) error {
	if s.v6 {
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fmt.Errorf("keep IPv4 off an IPv6 socket: %w", err)
		}
	}
	if err := fragment(s.fd, s.v6); err != nil {
		return fmt.Errorf("turn path MTU discovery off: %w", err)
	}
	s.recvBuffer = setBuffer(s.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, orDefault(cfg.RecvBuffer, defaultRecvBuffer))
	s.sendBuffer = setBuffer(s.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, orDefault(cfg.SendBuffer, defaultSendBuffer))
	if !cfg.NoOffload {
		s.gso, s.gro = canSegment(s.fd), coalesce(s.fd)
	}
	if err := s.bind(cfg.Local); err != nil {
		return err
	}
	if want := orDefault(cfg.RecvBuffer, defaultRecvBuffer); s.recvBuffer < want {
		s.log.Info("the kernel grants a small receive buffer, bursts may be lost; raise net.core.rmem_max or grant CAP_NET_ADMIN",
			"wanted", want, "granted", s.recvBuffer)
	}
	return nil
}

func (s *Socket) bind(local netip.AddrPort) error {
	var sa unix.Sockaddr
	if s.v6 {
		index, ok := s.zones.index(local.Addr().Zone())
		if !ok {
			return errno.New(errno.NoEntry, "cannot bind %v: there is no interface %q", local, local.Addr().Zone()).
				Next("see: ip -6 address")
		}
		sa = &unix.SockaddrInet6{Addr: local.Addr().As16(), Port: int(local.Port()), ZoneId: index}
	} else {
		sa = &unix.SockaddrInet4{Addr: local.Addr().As4(), Port: int(local.Port())}
	}
	if err := unix.Bind(s.fd, sa); err != nil {
		d := errno.New(sentinel(err), "cannot bind %v: %v", local, err)
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			return d.Next("another program or IPCP has that port; choose another one, or see who: ss -lunp sport = %d", local.Port())
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return d.Next("it is no address of this host; see: ip address")
		case errors.Is(err, unix.EINVAL) && local.Addr().IsLinkLocalUnicast() && local.Addr().Zone() == "":
			return d.Next("a link-local address needs its interface: %v%%eth0", local.Addr())
		case errors.Is(err, unix.EACCES):
			return d.Next("choose a port above 1023, or grant CAP_NET_BIND_SERVICE")
		}
		return d
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return fmt.Errorf("ask for the local address: %w", err)
	}
	s.local = local
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		s.local = netip.AddrPortFrom(local.Addr(), uint16(a.Port))
	case *unix.SockaddrInet6:
		s.local = netip.AddrPortFrom(local.Addr(), uint16(a.Port))
	}
	return nil
}

// LocalAddr is the address that is bound, with the port that the kernel chose
// if it was to choose.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// QueueLen estimates how many datagrams the socket has taken that have not left
// the host.
func (s *Socket) QueueLen() int {
	if !s.door.enter() {
		return 0
	}
	n := s.waiting.Packets(s.fd)
	s.leave()
	return n
}

// Close ends Serve and everything that waits, and closes the socket when the
// last call has left it. It does not wait for Serve; it does for a running
// call of OnWritable's function unless Config.Go runs those, so that function
// must not call it then. Send drops all from then on. Closing twice is no
// error.
func (s *Socket) Close() error {
	if s.door.enter() {
		if s.door.shut() {
			// Of a socket without a connection this wakes who sleeps, though it
			// gives an error.
			unix.Shutdown(s.fd, unix.SHUT_RDWR)
		}
		s.leave()
	}
	s.waitMu.Lock()
	s.waitMu.Unlock() //lint:ignore SA2001 whoever saw the door open has begun
	s.waiters.Wait()
	return nil
}

// leave ends a use of the descriptor.
func (s *Socket) leave() {
	if s.door.leave() {
		unix.Close(s.fd)
	}
}

func orDefault(n, or int) int {
	if n > 0 {
		return n
	}
	return or
}

// sentinel is the error of package errno for one of the kernel.
func sentinel(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return errno.Of(int(e))
	}
	return errno.Invalid
}
