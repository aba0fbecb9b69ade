package udp

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Serve reads and delivers to h until Close, on the calling goroutine, and
// gives nil then, also on a socket that was closed before. One goroutine serves
// at a time.
func (s *Socket) Serve(h Handler) error {
	if !s.serving.CompareAndSwap(false, true) {
		return fmt.Errorf("udp: the socket %v is served already", s.local)
	}
	defer s.serving.Store(false)
	if !s.door.enter() {
		return nil
	}
	defer s.leave()
	r := newReceiver(s, h)
	defer r.release()
	errors := 0
	for !s.door.isShut() {
		err := r.once()
		if err == 0 {
			errors = 0
			continue
		}
		if err == unix.EINTR || err == unix.EAGAIN || err == unix.ESHUTDOWN {
			continue
		}
		// What the kernel reports here belongs to packets that were sent, or
		// to a shortage of memory: the next ones may come all the same.
		s.count.receiveErrors.Add(1)
		if errors++; errors > 100 {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// once receives what is there, and waits for it if nothing is.
func (r *receiver) once() unix.Errno {
	if got, err := r.spin.until(r.look); got || err != 0 {
		return err
	}
	_, err := r.receive(true)
	return err
}
