// Package errno maps the errors of the system to the numbers that the C
// interface and the protocols carry, and back.
//
//	number  name         meaning
//	1000    ENOTALLOC    flow is not allocated
//	1001    EIPCPTYPE    unknown IPCP type
//	1002    EIRMD        cannot talk to the IRM daemon
//	1003    EIPCP        no IPCP, or the IPCP failed
//	1004    EIPCPSTATE   IPCP in the wrong state
//	1005    EFLOWDOWN    flow is down
//	1006    EFLOWPEER    flow is down, the peer timed out
//	1007    ENAME        unknown name
//	1008    ECRYPT       encryption failed
//	1009    EAUTH        authentication failed
//
// All other numbers are those of Linux. On the wire and in the C interface
// they are negative.
package errno

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Error is a sentinel: compare with errors.Is.
type Error struct {
	number int
	name   string
	text   string
}

func (e *Error) Error() string { return e.text }

// Errno gives the positive number of the error.
func (e *Error) Errno() int { return e.number }

// Name gives the symbolic name, such as "ENAME".
func (e *Error) Name() string { return e.name }

// Timeout and Temporary make it a net.Error. Servers that meet a temporary
// error of a listener, such as that of a limit, try again after a while.
func (e *Error) Timeout() bool { return e == TimedOut }
func (e *Error) Temporary() bool {
	switch e {
	case TimedOut, Again, NoBufs, NoFiles, NoMemory:
		return true
	}
	return false
}

// Is lets a sentinel match what the standard library calls the same thing.
func (e *Error) Is(target error) bool {
	switch e {
	case TimedOut:
		return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded || target == syscall.ETIMEDOUT
	case Perm:
		return target == os.ErrPermission || target == syscall.EPERM
	case NoEntry:
		return target == os.ErrNotExist || target == syscall.ENOENT
	case Exist:
		return target == os.ErrExist || target == syscall.EEXIST
	case NotAlloc:
		return target == os.ErrClosed
	}
	if e.number < 1000 {
		return target == syscall.Errno(e.number)
	}
	return false
}

// The sentinels.
var (
	Perm       = &Error{1, "EPERM", "operation not permitted"}
	NoEntry    = &Error{2, "ENOENT", "no such file or program"}
	BadFlow    = &Error{9, "EBADF", "bad flow descriptor"}
	Again      = &Error{11, "EAGAIN", "would block"}
	NoMemory   = &Error{12, "ENOMEM", "out of memory"}
	Exist      = &Error{17, "EEXIST", "exists already"}
	Invalid    = &Error{22, "EINVAL", "invalid argument"}
	NoFiles    = &Error{24, "EMFILE", "out of file descriptors"}
	Pipe       = &Error{32, "EPIPE", "the process is gone"}
	MsgSize    = &Error{90, "EMSGSIZE", "message too long"}
	NotSup     = &Error{95, "ENOTSUP", "not supported"}
	NoBufs     = &Error{105, "ENOBUFS", "a limit is reached"}
	ConnReset  = &Error{104, "ECONNRESET", "the peer's window stays closed"}
	TimedOut   = &Error{110, "ETIMEDOUT", "timed out"}
	NotAlloc   = &Error{1000, "ENOTALLOC", "flow is not allocated"}
	IPCPType   = &Error{1001, "EIPCPTYPE", "unknown IPCP type"}
	IRMd       = &Error{1002, "EIRMD", "cannot talk to the IRM daemon"}
	IPCP       = &Error{1003, "EIPCP", "no IPCP for the destination, or the IPCP failed"}
	IPCPState  = &Error{1004, "EIPCPSTATE", "IPCP in the wrong state"}
	FlowDown   = &Error{1005, "EFLOWDOWN", "flow is down"}
	FlowPeer   = &Error{1006, "EFLOWPEER", "flow is down: the peer timed out"}
	NameError  = &Error{1007, "ENAME", "unknown name"}
	Crypt      = &Error{1008, "ECRYPT", "encryption failed"}
	AuthFailed = &Error{1009, "EAUTH", "authentication failed"}
)

var all = []*Error{Perm, NoEntry, BadFlow, Again, NoMemory, Exist, Invalid, NoFiles, Pipe, MsgSize,
	NotSup, NoBufs, ConnReset, TimedOut, NotAlloc, IPCPType, IRMd, IPCP, IPCPState, FlowDown, FlowPeer,
	NameError, Crypt, AuthFailed}

// Number gives the positive number of err: 0 for nil, 1 (EPERM, which is also
// the C implementation's "just failed") when nothing better is known.
func Number(err error) int {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.number
	}
	var se syscall.Errno
	switch {
	case errors.As(err, &se):
		return int(se)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut.number
	}
	return Perm.number
}

// Of gives the sentinel of a number, positive or negative; nil for 0.
func Of(number int) error {
	if number < 0 {
		number = -number
	}
	if number == 0 {
		return nil
	}
	for _, e := range all {
		if e.number == number {
			return e
		}
	}
	return syscall.Errno(number)
}

// Detail is an error for people: what could not be done and why, and what to
// do next. It wraps a sentinel.
type Detail struct {
	Err   error  // the sentinel
	Cause string // "cannot allocate a flow to \"oping\": no layer knows that name"
	Hint  string // "register it with: irm name register oping layer LAYER"; may be empty
}

// New makes a Detail without a hint.
func New(sentinel error, format string, args ...any) *Detail {
	return &Detail{Err: sentinel, Cause: fmt.Sprintf(format, args...)}
}

// Next adds the next step.
func (d *Detail) Next(format string, args ...any) *Detail {
	d.Hint = fmt.Sprintf(format, args...)
	return d
}

func (d *Detail) Error() string {
	if d.Hint == "" {
		return d.Cause
	}
	return d.Cause + "; " + d.Hint
}

func (d *Detail) Unwrap() error { return d.Err }

// Timeout and Temporary let a Detail pass as the net.Error that its sentinel is.
func (d *Detail) Timeout() bool { return errors.Is(d.Err, TimedOut) }
func (d *Detail) Temporary() bool {
	var e *Error
	return errors.As(d.Err, &e) && e.Temporary()
}
