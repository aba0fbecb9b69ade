package session

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// Version of the protocol on the flow socket. A daemon answers another
// version with a Failure.
const Version = 1

// Longest records in bytes. A longer one is a breach of the protocol.
const (
	MaxToDaemon  = 4 << 10
	MaxToProcess = 32 << 10
)

// GrantFDs is the most descriptors that travel with a record: the segment, and
// the memory and two doorbells of a link.
const GrantFDs = 1 + linkFDs

const linkFDs = 3

// ErrRecord says that the other side sent what is no record of the protocol.
var ErrRecord = errors.New("malformed record")

// ReadRecord reads one record of at most len(buf) bytes into m. Descriptors
// that came with it are in fds, opened close-on-exec, and the caller's to
// close also when err is set; with oob nil the kernel throws them away. lost
// says that some could not be opened here. io.EOF is the end of the connection.
func ReadRecord(c *net.UnixConn, buf, oob []byte, m proto.Message) (fds []int, lost bool, err error) {
	n, oobn, flags, err := receive(c, buf, oob)
	if oobn > 0 {
		fds, err = rights(oob[:oobn], err)
	}
	if err != nil {
		return fds, false, err
	}
	if n == 0 {
		return fds, false, io.EOF
	}
	if flags&unix.MSG_TRUNC != 0 {
		return fds, false, fmt.Errorf("%w: longer than %d bytes", ErrRecord, len(buf))
	}
	if err := proto.Unmarshal(buf[:n], m); err != nil {
		return fds, false, fmt.Errorf("%w: %v", ErrRecord, err)
	}
	return fds, flags&unix.MSG_CTRUNC != 0 && oob != nil, nil
}

// rights collects the descriptors of control messages; err is passed through.
func rights(oob []byte, err error) ([]int, error) {
	msgs, perr := syscall.ParseSocketControlMessage(oob)
	if perr != nil {
		return nil, errors.Join(err, perr)
	}
	var fds []int
	for i := range msgs {
		if got, perr := syscall.ParseUnixRights(&msgs[i]); perr == nil {
			fds = append(fds, got...)
		}
	}
	return fds, err
}

// CloseAll closes descriptors that nobody wants.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
