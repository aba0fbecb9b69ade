package packet

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/packet"
)

// maxSend is the most frames in one system call.
const maxSend = 64

// mmsghdr is struct mmsghdr of the kernel: a message, and how many bytes of it
// were sent.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// sender is the scratch memory of one call of Send.
type sender struct {
	msgs [maxSend]mmsghdr
	iovs [maxSend]unix.Iovec
	turn int // calls of Send, for the Meter
}

func newSender() any {
	s := new(sender)
	for i := range s.msgs {
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
	return s
}

// load points the messages at the frames, clear drops the pointers again.
func (s *sender) load(batch []*packet.Buffer) {
	for i, b := range batch {
		p := b.Bytes()
		s.iovs[i].Base = unsafe.SliceData(p)
		s.iovs[i].SetLen(len(p))
	}
}

func (s *sender) clear(n int) { clear(s.iovs[:n]) }

// Send sends whole frames, the Ethernet header included, in order, and says
// how many it took. The rest is the caller's: there was no room, and
// OnWritable's function is called when there is. It does not block. What the
// kernel refuses for another reason (the device is down or gone, a frame is
// longer than its MTU) is taken, dropped and counted.
func (l *Link) Send(batch []*packet.Buffer) (taken int) {
	if !l.door.enter() {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	defer l.leave()
	s := l.senders.Get().(*sender)
	s.turn++
	sample, before := l.waiting.Begin(l.fd, s.turn), l.count.sent.Load()
	frames, bytes := 0, 0
	defer func() {
		l.waiting.End(l.fd, sample, frames, bytes, false, l.count.sent.Load()-before == uint64(frames))
	}()
	for taken < len(batch) {
		part := batch[taken:min(len(batch), taken+maxSend)]
		s.load(part)
		n, err := sendmmsg(l.fd, s.msgs[:len(part)])
		s.clear(len(part))
		if n > 0 {
			bytes += l.sent(part[:n])
			frames += n
			taken += n
			continue
		}
		switch err {
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			// ENOBUFS: the queue of the device, or of the other end of a
			// pair, was full. The kernel dropped that frame, but it is still
			// here and can be sent again.
			l.senders.Put(s)
			l.count.shortTakes.Add(1)
			l.awaitRoom(err != unix.EAGAIN)
			return taken
		case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
			l.refused(batch[taken:], err)
			taken = len(batch)
		default:
			l.refused(part[:1], err)
			taken++
		}
	}
	l.senders.Put(s)
	return taken
}

// sent releases frames that the kernel took, and gives their bytes.
func (l *Link) sent(frames []*packet.Buffer) (bytes int) {
	for _, b := range frames {
		bytes += b.Len()
		b.Release()
	}
	l.count.sent.Add(uint64(len(frames)))
	l.count.sentBytes.Add(uint64(bytes))
	return bytes
}

func (l *Link) refused(frames []*packet.Buffer, err unix.Errno) {
	l.count.sendErrors.Add(uint64(len(frames)))
	l.count.lastSendErrno.Store(uint64(err))
	packet.ReleaseAll(frames)
}

// sendmmsg sends messages and gives the number of those that the kernel took,
// 0 with the error of the first.
func sendmmsg(fd int, msgs []mmsghdr) (int, unix.Errno) {
	n, _, err := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(msgs))), uintptr(len(msgs)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}
