package netns

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is switched, in the order in which it can be switched on: the later
// ones need the checksums.
var offloads = []struct {
	name string
	set  uint32
}{
	{"transmit checksums", unix.ETHTOOL_STXCSUM},
	{"scatter and gather", unix.ETHTOOL_SSG},
	{"TCP segmentation", unix.ETHTOOL_STSO},
	{"segmentation", unix.ETHTOOL_SGSO},
	{"receive aggregation", unix.ETHTOOL_SGRO},
}

// Offloads switches what the interface spares the kernel on or off: checksums
// and segmentation. With them off every frame on a veth is one that a cable
// could carry, which a packet socket in the middle needs.
func (s *Space) Offloads(dev string, on bool) error {
	return s.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		defer unix.Close(fd)
		var errs []error
		for _, o := range offloads {
			value := struct{ cmd, data uint32 }{cmd: o.set}
			if on {
				value.data = 1
			}
			var ifr struct {
				name [unix.IFNAMSIZ]byte
				data unsafe.Pointer
				_    [16]byte
			}
			copy(ifr.name[:unix.IFNAMSIZ-1], dev)
			ifr.data = unsafe.Pointer(&value)
			_, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
			if no != 0 {
				errs = append(errs, fmt.Errorf("switch %s of %s: %w", o.name, dev, no))
			}
		}
		return errors.Join(errs...)
	})
}
