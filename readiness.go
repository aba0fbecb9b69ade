package ouroboros

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// readiness is a file descriptor that is readable while something is pending,
// for event loops that wait on descriptors. Its owner guards it.
type readiness struct {
	fd int // eventfd; -1 = nobody asked for one
	on bool
}

// FD gives a file descriptor for poll, epoll and event loops of other
// languages. It is level-triggered: readable as long as flows of the set are
// to be looked at, so that Pending gives events. Now and then it finds none, as
// after Remove. The descriptor belongs to the set: wait on it, but do not read,
// write or close it. It is gone after Close.
func (s *FlowSet) FD() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return -1, ErrNotAlloc
	}
	if s.fd.fd < 0 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return -1, fmt.Errorf("cannot make a descriptor for a flow set: %w", err)
		}
		s.fd.fd = fd
		if s.first != nil {
			s.fd.set()
		}
	}
	return s.fd.fd, nil
}

func (r *readiness) set() {
	if r.fd >= 0 && !r.on {
		r.on = true
		unix.Write(r.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (r *readiness) clear() {
	if r.fd >= 0 && r.on {
		r.on = false
		var b [8]byte
		unix.Read(r.fd, b[:])
	}
}

func (r *readiness) close() {
	if r.fd >= 0 {
		unix.Close(r.fd)
		r.fd = -1
	}
}
