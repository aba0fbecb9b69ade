// Package tun is a TUN device of Linux: a network interface whose other side
// is this program. Packets come and go as they are, without a header of their
// own, several with one system call where the kernel has it.
package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"ouroboros/internal/errno"
)

// node is the file through which TUN devices are opened.
const node = "/dev/net/tun"

// HeadRoom is what must be free before each packet that is written.
const HeadRoom = 16

// MaxPacket is the longest packet that a device reads or writes, in bytes.
const MaxPacket = 1 << 16

// Device is one TUN device. One goroutine reads and one writes.
type Device struct {
	tun  tun.Device
	name string

	bufs  [][]byte // for reading
	sizes []int
	read  [][]byte
}

// Open opens the device of a name, which may have been made beforehand for
// this user, and makes it if there is none. With no name the kernel chooses.
func Open(name string) (*Device, error) {
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, errno.New(errno.Perm, "this user may not open %s", node).
				Next("run it as root, or let users in, who need a device made for them all the same: sudo chmod 666 %s", node)
		}
		return nil, openFailed(name, err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, errno.New(errno.Invalid, "%q cannot be the name of a device", name).Next("take one of at most %d letters", unix.IFNAMSIZ-1)
	}
	// With the header of virtio the kernel passes several segments of one
	// stream at a time.
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, openFailed(name, err)
	}
	t, real, err := tun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot use the device %q: %w", name, err)
	}
	d := &Device{tun: t, name: real}
	d.bufs = make([][]byte, t.BatchSize())
	d.sizes = make([]int, t.BatchSize())
	for i := range d.bufs {
		d.bufs[i] = make([]byte, MaxPacket)
	}
	return d, nil
}

func openFailed(name string, err error) error {
	if name == "" {
		name = "ovpn0"
	}
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV):
		return errno.New(errno.NotSup, "this system has no %s", node).Next("load the module: modprobe tun")
	case errors.Is(err, os.ErrPermission):
		return errno.New(errno.Perm, "this user may not make the device %q", name).
			Next("run it as root, or make a device for this user:\n"+
				"    sudo ip tuntap add dev %s mode tun user %d\n"+
				"    sudo ip address add ADDRESS/BITS dev %s\n"+
				"    sudo ip link set %s mtu 1400 up\n"+
				"and give it with: --device %s", name, os.Getuid(), name, name, name)
	case errors.Is(err, unix.EBUSY):
		return errno.New(errno.Exist, "another program uses the device %q", name).Next("end that one, or choose another name")
	case errors.Is(err, unix.EINVAL):
		return errno.New(errno.Invalid, "%q is not a TUN device", name).Next("choose a name that is free, or: ip tuntap add dev NAME mode tun")
	}
	return fmt.Errorf("cannot open the device %q: %w", name, err)
}

// Name is that of the interface.
func (d *Device) Name() string { return d.name }

// MTU is the longest packet that the interface sends, in bytes.
func (d *Device) MTU() int {
	l, err := netlink.LinkByName(d.name)
	if err != nil {
		return 0
	}
	return l.Attrs().MTU
}

// SetMTU needs CAP_NET_ADMIN.
func (d *Device) SetMTU(n int) error {
	l, err := netlink.LinkByName(d.name)
	if err == nil {
		err = netlink.LinkSetMTU(l, n)
	}
	if err != nil {
		return fmt.Errorf("cannot set the MTU of %s to %d: %w", d.name, n, err)
	}
	return nil
}

// Up gives the interface an address and brings it up. It needs CAP_NET_ADMIN.
func (d *Device) Up(addr netip.Prefix) error {
	l, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("cannot find %s: %w", d.name, err)
	}
	a, err := netlink.ParseAddr(addr.String())
	if err != nil {
		return fmt.Errorf("cannot give %s the address %v: %w", d.name, addr, err)
	}
	if addr.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // nobody else is on it
	}
	err = netlink.AddrReplace(l, a)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if errors.Is(err, os.ErrPermission) {
		return errno.New(errno.Perm, "this user may not give %s the address %v", d.name, addr).
			Next("let root do it: ip address add %v dev %s; ip link set %s up", addr, d.name, d.name)
	}
	if err != nil {
		return fmt.Errorf("cannot give %s the address %v: %w", d.name, addr, err)
	}
	return nil
}

// Batch is how many packets are read or written at a time, at the most.
func (d *Device) Batch() int { return len(d.bufs) }

// Read gives the packets that are there, at least one, valid until the next
// call. It waits for them, and fails with os.ErrClosed after Close.
func (d *Device) Read() ([][]byte, error) {
	for {
		n, err := d.tun.Read(d.bufs, d.sizes, 0)
		if n == 0 {
			if err == nil || errors.Is(err, tun.ErrTooManySegments) {
				continue // that one is lost, the next is not
			}
			return nil, err
		}
		d.read = d.read[:0]
		for i := range n {
			d.read = append(d.read, d.bufs[i][:d.sizes[i]])
		}
		return d.read, nil
	}
}

// Write passes packets to the system, which begin after HeadRoom bytes of each
// slice. It may use the head room, and the capacity of the slices behind the
// packets.
func (d *Device) Write(packets [][]byte) error {
	_, err := d.tun.Write(packets, HeadRoom)
	return err
}

// Interrupt makes Read fail with os.ErrDeadlineExceeded from now on, until
// Resume.
func (d *Device) Interrupt() { d.tun.File().SetReadDeadline(time.Unix(1, 0)) }

// Resume undoes Interrupt.
func (d *Device) Resume() { d.tun.File().SetReadDeadline(time.Time{}) }

// Gone reports whether a failure to write means that there is no device any
// more. Others concern one packet, or a device that is not up.
func (d *Device) Gone(err error) bool {
	return errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADFD) || errors.Is(err, unix.EBADF)
}

// Close closes the device. One that Open made is gone then.
func (d *Device) Close() error { return d.tun.Close() }
