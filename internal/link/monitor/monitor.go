// Package monitor watches one network device: whether it is there, up and with
// a carrier, its MTU and its address. The kernel tells (rtnetlink); nothing is
// polled.
//
//	kernel ── RTM_NEWLINK, RTM_DELLINK ──► Watch ── only what changed ──► f
//	   ▲                                     │
//	   └── RTM_GETLINK: at first, and after ◄┘
//	       messages were lost
//
// The kernel tells of a lost carrier at once, but when it has told of one on
// any device within the last second it waits until that second is over. (For
// devices that have another one below or opposite it does not.)
//
// A device is known by its name. One that is removed, or gets another name, is
// gone; one that appears under the name is the device again, with another
// index.
package monitor

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// State is what a device is like. The zero value is one that is not there.
type State struct {
	Present bool
	Index   int
	Up      bool // switched on, with a carrier
	MTU     int  // bytes
	MAC     [6]byte
}

// Monitor watches a device.
type Monitor struct {
	device string
	file   *os.File // the socket, in the poller of the runtime
	state  atomic.Pointer[State]
	lost   atomic.Uint64
	stale  bool // messages were lost: ask, once the others are read
	closed atomic.Bool
}

// receiveBuffer holds the messages of a storm of changes, in bytes.
const receiveBuffer = 1 << 20

// Open begins to watch a device of the network namespace of the calling
// thread. Its present state is known when Open returns.
func Open(device string) (*Monitor, error) {
	if len(device) == 0 || len(device) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("no device is called %q", device)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch %s: make a netlink socket: %w", device, err)
	}
	m := &Monitor{device: device, file: os.NewFile(uintptr(fd), "netlink")}
	m.state.Store(&State{})
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	if err := m.begin(fd); err != nil {
		m.file.Close()
		return nil, fmt.Errorf("watch %s: %w", device, err)
	}
	return m, nil
}

// begin subscribes, and reads the first state.
func (m *Monitor) begin(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return fmt.Errorf("subscribe to changes: %w", err)
	}
	if err := m.ask(fd); err != nil {
		return err
	}
	answered := false
	for !answered {
		err := m.receive(func(msgs []message) {
			for _, msg := range msgs {
				answered = answered || msg.answer
				m.take(msg, nil)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Device is the name, State the state as it was reported last.
func (m *Monitor) Device() string { return m.device }
func (m *Monitor) State() State   { return *m.state.Load() }

// Lost counts how often the kernel could not keep up with telling, and the
// state was read anew.
func (m *Monitor) Lost() uint64 { return m.lost.Load() }

// Watch calls f with each change, in order, on the calling goroutine, until
// Close, and gives nil then. What changed between Open and Watch is reported
// as well.
func (m *Monitor) Watch(f func(State)) error {
	for {
		err := m.receive(func(msgs []message) {
			for _, msg := range msgs {
				m.take(msg, f)
			}
		})
		switch {
		case err == nil:
		case errors.Is(err, os.ErrClosed):
			return nil
		default:
			return fmt.Errorf("watch %s: %w", m.device, err)
		}
	}
}

// take updates the state with a message about a device, and tells f of a
// change.
func (m *Monitor) take(msg message, f func(State)) {
	now := m.State()
	switch {
	case msg.name == m.device && !msg.gone:
		now = msg.state
	case msg.name == m.device && msg.gone, msg.state.Index == now.Index && now.Present:
		// Removed, or called something else from now on.
		now = State{}
	default:
		return
	}
	if now == m.State() {
		return
	}
	m.state.Store(&now)
	if f != nil {
		f(now)
	}
}

// receive reads what the kernel has to say and hands it to take. Of messages
// that were lost it hears from the kernel, and asks for the state.
func (m *Monitor) receive(take func([]message)) error {
	conn, err := m.file.SyscallConn()
	if err != nil {
		return os.ErrClosed
	}
	buf := make([]byte, 1<<16)
	var n int
	var from unix.Sockaddr
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		for {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			switch {
			case failed == unix.EINTR:
			case failed == unix.ENOBUFS:
				// What is left in the socket comes first: the answer needs
				// the room.
				m.lost.Add(1)
				m.stale = true
			case failed == unix.EAGAIN && m.stale:
				m.stale = false
				if failed = m.ask(int(fd)); failed != nil {
					return true
				}
			default:
				return failed != unix.EAGAIN
			}
		}
	})
	if m.closed.Load() {
		return os.ErrClosed
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	if k, ok := from.(*unix.SockaddrNetlink); ok && k.Pid == 0 && n > 0 {
		take(parse(buf[:n], m.device))
	}
	return nil
}

// Close ends Watch.
func (m *Monitor) Close() error {
	m.closed.Store(true)
	return m.file.Close()
}
