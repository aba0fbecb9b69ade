package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of the kernel: a message, and how many bytes of it
// were received or sent.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// recvmmsg receives up to len(msgs) messages and gives their number, 0 with an
// error.
func recvmmsg(fd int, msgs []mmsghdr, flags int) (int, unix.Errno) {
	n, _, err := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(msgs))), uintptr(len(msgs)), uintptr(flags), 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

// sendmmsg sends messages and gives the number of those that the kernel took,
// 0 with the error of the first. What was wrong with the one after the taken
// ones is learned by sending it again.
func sendmmsg(fd int, msgs []mmsghdr) (int, unix.Errno) {
	n, _, err := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(msgs))), uintptr(len(msgs)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}
