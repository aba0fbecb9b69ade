package session

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls for records are made without telling the scheduler: they
// do not block, and are no longer than the scheduler's part in them. A thread
// that is put aside in the middle of one, because it woke the receiver, would
// otherwise lose its processor to another thread of this program, which is
// woken for it and has nothing to do.

// Send sends one record, with descriptors in the form of unix.UnixRights, over
// a socket. It does not wait: EAGAIN when there is no room.
func Send(fd uintptr, record, rights []byte) error {
	var h unix.Msghdr
	var v unix.Iovec
	h.Iov = &v
	h.SetIovlen(1)
	if len(record) > 0 {
		v.Base = &record[0]
		v.SetLen(len(record))
	}
	if len(rights) > 0 {
		h.Control = &rights[0]
		h.SetControllen(len(rights))
	}
	_, err := message(unix.SYS_SENDMSG, fd, &h, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return err
}

// receive waits for one record. buf must not be empty.
func receive(c *net.UnixConn, buf, oob []byte) (n, oobn, flags int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, 0, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		var h unix.Msghdr
		var v unix.Iovec
		h.Iov = &v
		h.SetIovlen(1)
		v.Base = &buf[0]
		v.SetLen(len(buf))
		if len(oob) > 0 {
			h.Control = &oob[0]
			h.SetControllen(len(oob))
		}
		n, failed = message(unix.SYS_RECVMSG, fd, &h, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if failed == unix.EAGAIN {
			return false
		}
		oobn, flags = int(h.Controllen), int(h.Flags)
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, 0, 0, err
	}
	return n, oobn, flags, nil
}

// message makes one of the two calls; the flags keep it from waiting.
func message(call, fd uintptr, h *unix.Msghdr, flags uintptr) (int, error) {
	for {
		n, _, e := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(h)), flags)
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}
