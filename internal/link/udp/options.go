package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The buffers that are asked for when Config does not say. Received datagrams
// wait while this process does not run; with 16 MiB that may be 10 ms at
// 10 Gbit/s. What is sent waits in the queue of the device, which holds some
// 1000 packets and drops what is more, silently: so the send buffer, which the
// kernel doubles, is full before that, and the sender is told to wait.
const (
	defaultRecvBuffer = 16 << 20
	defaultSendBuffer = 512 << 10
)

// setBuffer asks for a buffer of n bytes beyond the limit of the machine,
// which takes CAP_NET_ADMIN, and else for what everybody may have. It gives
// what came out, in bytes as the kernel counts.
func setBuffer(fd, force, plain, n int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, n)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, plain)
	if err != nil {
		return 0
	}
	return got
}

// fragment turns path MTU discovery off: longer datagrams are fragmented. With
// IPv4, where routers fragment too, reports of a smaller path MTU are ignored
// besides (they can be forged); with IPv6 they are needed.
func fragment(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
	}
	if unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
}

// canSegment asks the kernel for UDP_SEGMENT; the sizes themselves go with
// each message.
func canSegment(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil
}

func coalesce(fd int) bool {
	return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
}

// overflows is the kernel's count of datagrams that found the receive buffer
// full.
func overflows(fd int) uint32 {
	const drops = 8 // SK_MEMINFO_DROPS
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, err := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if err != 0 || size < 4*(drops+1) {
		return 0
	}
	return info[drops]
}
