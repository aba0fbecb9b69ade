package packet

import (
	"time"

	"golang.org/x/sys/unix"
)

// queueWait is how long the queue of a device gets to drain: nothing tells
// when it has.
const queueWait = 100 * time.Microsecond

// OnWritable sets who is called, on a goroutine of its own, when there is room
// again after a Send that took fewer than all; nil for nobody. The call may
// come before that Send has returned. It may use the link.
func (l *Link) OnWritable(f func()) {
	if f == nil {
		l.writable.Store(nil)
		return
	}
	l.writable.Store(&f)
}

// awaitRoom has OnWritable's function called when there is room. The caller is
// inside the door.
func (l *Link) awaitRoom(queue bool) {
	if !l.awaiting.CompareAndSwap(false, true) {
		return
	}
	l.waitMu.Lock()
	defer l.waitMu.Unlock()
	if l.door.isShut() {
		return
	}
	if queue {
		l.goFunc(l.waitQueue)
	} else {
		l.goFunc(l.waitBuffer)
	}
}

// waitBuffer sleeps until the send buffer of the socket has room, or the link
// is closed.
func (l *Link) waitBuffer() {
	if !l.door.enter() {
		return
	}
	defer l.leave()
	for !l.door.isShut() {
		fds := [2]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLOUT}, {Fd: int32(l.bell), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds[:], -1); n > 0 {
			break
		}
	}
	l.tellRoom()
}

// waitQueue gives the queue of the device its time.
func (l *Link) waitQueue() {
	time.Sleep(queueWait)
	l.tellRoom()
}

func (l *Link) tellRoom() {
	// A Send that falls short from here on has somebody wait again.
	l.awaiting.Store(false)
	if f := l.writable.Load(); f != nil && !l.door.isShut() {
		(*f)()
	}
}
