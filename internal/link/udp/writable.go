package udp

import "golang.org/x/sys/unix"

// OnWritable sets who is called, on a goroutine of its own, when there is room
// in the send buffer again after a Send that took fewer than all; nil for
// nobody. The call may come before that Send has returned. It may use the
// socket.
func (s *Socket) OnWritable(f func()) {
	if f == nil {
		s.writable.Store(nil)
		return
	}
	s.writable.Store(&f)
}

// awaitRoom has OnWritable's function called when there is room. The caller
// is inside the door.
func (s *Socket) awaitRoom() {
	if !s.awaiting.CompareAndSwap(false, true) {
		return
	}
	s.waitMu.Lock()
	defer s.waitMu.Unlock()
	if !s.door.isShut() {
		s.goFunc(s.waitRoom)
	}
}

// waitRoom sleeps until the socket is writable or closed. It is the goroutine
// of awaitRoom.
func (s *Socket) waitRoom() {
	if !s.door.enter() {
		return
	}
	defer s.leave()
	for !s.door.isShut() {
		fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
		// Room is half of the buffer to the kernel; a socket that was shut
		// down wakes at once.
		if n, _ := unix.Poll(fds[:], -1); n > 0 {
			break
		}
	}
	// A Send that falls short from here on has somebody wait again.
	s.awaiting.Store(false)
	if f := s.writable.Load(); f != nil && !s.door.isShut() {
		(*f)()
	}
}
