package packet

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/packet"
)

// maxDeliver is the most frames in a batch.
const maxDeliver = 64

// Handler receives what arrives at a Link.
type Handler interface {
	// Receive is called on the goroutine of Serve with up to 64 whole frames,
	// the Ethernet header included, in the order in which they arrived. The
	// buffers belong to the handler, the slice does not. It must not block.
	Receive(frames []*packet.Buffer)
}

// Serve reads and delivers to h until Close, on the calling goroutine, and
// gives nil then. One goroutine serves at a time.
func (l *Link) Serve(h Handler) error {
	if !l.serving.CompareAndSwap(false, true) {
		return fmt.Errorf("the link on %s is served already", l.device)
	}
	defer l.serving.Store(false)
	if !l.door.enter() {
		return ErrClosed
	}
	defer l.leave()
	var spin spinner
	spin.off = l.noSpin
	batch := make([]*packet.Buffer, 0, maxDeliver)
	for !l.door.isShut() {
		frames, bytes, cut := l.ring.read(batch[:0])
		if cut > 0 {
			l.count.truncated.Add(uint64(cut))
		}
		if len(frames) > 0 {
			l.count.received.Add(uint64(len(frames)))
			l.count.receivedBytes.Add(uint64(bytes))
			h.Receive(frames)
			continue
		}
		if cut > 0 || spin.until(l.ring.word()) {
			continue
		}
		begun := time.Now()
		if l.sleep() {
			spin.slept(time.Since(begun))
		}
	}
	return nil
}

// sleep waits until a frame is there, and says whether one is, or until the
// link is closed. The descriptors are polled here and not by the runtime: it
// would hear of every frame, also while nobody sleeps, and wake a thread each
// time.
func (l *Link) sleep() bool {
	fds := [2]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.bell), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds[:], -1); n <= 0 || err != nil {
		return false // a signal
	}
	if fds[0].Revents&unix.POLLERR != 0 {
		// The device went down or away. Reading the error lets the next sleep
		// last; when the device is up again, frames come again.
		unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		l.count.deviceErrors.Add(1)
	}
	return fds[0].Revents&unix.POLLIN != 0
}
