package relay

import (
	"container/heap"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch  = 64
	maxMTU = 9000
	// The largest frame, with room for a VLAN tag.
	maxFrame = maxMTU + 18
	// What the kernel keeps while the relay's thread does not run.
	receiveBuffer = 64 << 20
)

// open makes a packet socket for all frames that an interface receives.
func open(dev string) (fd int, err error) {
	iface, err := net.InterfaceByName(dev)
	if err != nil {
		return -1, err
	}
	// Protocol 0: nothing comes in before it is bound to its interface.
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(iface.Index), Type: unix.PACKET_MR_PROMISC}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: iface.Index}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("packet socket on %s: %w", dev, err)
	}
	return fd, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// mmsghdr is what recvmmsg and sendmmsg take an array of.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// vector is room for one batch of frames.
type vector struct {
	iov  [batch]unix.Iovec
	msgs [batch]mmsghdr
}

func newVector() *vector {
	v := &vector{}
	for i := range v.msgs {
		v.msgs[i].hdr.Iov = &v.iov[i]
		v.msgs[i].hdr.SetIovlen(1)
	}
	return v
}

func (v *vector) set(i int, b []byte) {
	v.iov[i].Base = &b[0]
	v.iov[i].SetLen(len(b))
}

// call does recvmmsg or sendmmsg with the messages from first to before end.
func (v *vector) call(trap uintptr, fd, first, end int) (int, error) {
	done, _, no := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&v.msgs[first])),
		uintptr(end-first), unix.MSG_DONTWAIT, 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(done), nil
}

// run is the thread of one direction.
func (w *way) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in, out := newVector(), newVector()
	var room [batch][]byte
	for i := range room {
		room[i] = make([]byte, maxFrame)
		in.set(i, room[i])
	}
	polled := []unix.PollFd{{Fd: int32(w.in), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
	for !w.stop.Load() {
		var timeout *unix.Timespec
		if len(w.queue.entries) > 0 {
			ts := unix.NsecToTimespec(max(0, time.Until(w.queue.entries[0].due).Nanoseconds()))
			timeout = &ts
		}
		if _, err := unix.Ppoll(polled, timeout, nil); err != nil && err != unix.EINTR {
			return // never on descriptors that are open
		}
		w.receive(in, &room)
		w.send(out)
	}
}

func (w *way) receive(in *vector, room *[batch][]byte) {
	n, err := in.call(unix.SYS_RECVMMSG, w.in, 0, batch)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, e := unix.GetsockoptTpacketStats(w.in, unix.SOL_PACKET, unix.PACKET_STATISTICS); e == nil {
		w.stats.Missed += uint64(s.Drops) // the kernel's count starts again
	}
	if err != nil {
		return // nothing there, or the interface went down: the next poll tells
	}
	watch := w.watch.Load()
	for i := range n {
		frame := room[i][:in.msgs[i].n]
		if watch != nil {
			(*watch)(frame)
		}
		w.take(frame, now)
	}
}

// send sends what is due.
func (w *way) send(out *vector) {
	var frames [batch][]byte
	for {
		now, n := time.Now(), 0
		for n < batch && len(w.queue.entries) > 0 && !w.queue.entries[0].due.After(now) {
			e := heap.Pop(&w.queue).(entry)
			if e.paced {
				w.queued--
			}
			frames[n] = e.frame
			out.set(n, e.frame)
			n++
		}
		if n == 0 {
			return
		}
		for sent := 0; sent < n; {
			k, err := out.call(unix.SYS_SENDMMSG, w.out, sent, n)
			w.mu.Lock()
			if err != nil {
				w.stats.Unsent++
				k = 1
			} else {
				w.stats.Sent += uint64(k)
			}
			w.mu.Unlock()
			sent += k
		}
		for i := range n {
			w.queue.release(frames[i])
			frames[i] = nil
		}
	}
}
