package ouroboros

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ring"
)

// streamChunk is the longest message that a stream makes: small enough that
// the reader works on one while the next is written.
const streamChunk = 32 << 10

// Stream gives the byte-stream view of a reliable flow: writes are split into
// messages that fit, reads join them, and io.EOF follows the last byte after
// the peer deallocated. It fails with ErrNotSup on a flow that may lose
// messages; one between two processes of a node never does. The flow and its
// stream must not be read both.
func (f *Flow) Stream() (net.Conn, error) {
	if f.remote && !f.qos.Reliable() {
		return nil, errno.New(errno.NotSup, "cannot make a stream of flow %d: it may lose messages", f.id).
			Next("allocate it with the QoS \"data\"")
	}
	return &stream{Flow: f}, nil
}

// stream is a net.Conn. What is not about bytes is the flow's.
type stream struct {
	*Flow
	writing sync.Mutex // keeps the parts of one write together
}

// Read fills p with what is there, one byte at least.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.end.Read(p, ring.ReadOptions{Mode: ring.Bytes, Timeout: s.ReadTimeout()})
	if err != nil {
		if errors.Is(err, errno.FlowDown) && s.end.Ended() {
			return 0, io.EOF
		}
		return 0, s.fail("read", err)
	}
	return n, nil
}

// Write sends all of p, or says how much it sent before the error.
func (s *stream) Write(p []byte) (n int, err error) {
	if s.Flags()&AccessMode == ReadOnly {
		return 0, s.fail("write", ErrPerm)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		part := p[n:min(len(p), n+min(streamChunk, s.MTU()))]
		err := s.end.Write(part, ring.WriteOptions{Timeout: s.WriteTimeout()})
		if err == errno.MsgSize && len(part) > s.MTU() {
			continue // it has just shrunk
		}
		if err != nil {
			return n, s.fail("write", err)
		}
		if n += len(part); n == len(p) {
			return n, nil
		}
	}
}

func (s *stream) Close() error {
	if err := s.Dealloc(); err != nil {
		return s.fail("close", err)
	}
	return nil
}

func (s *stream) SetDeadline(t time.Time) error     { return s.fail("set", s.Flow.SetDeadline(t)) }
func (s *stream) SetReadDeadline(t time.Time) error { return s.fail("set", s.Flow.SetReadDeadline(t)) }
func (s *stream) SetWriteDeadline(t time.Time) error {
	return s.fail("set", s.Flow.SetWriteDeadline(t))
}

// fail dresses an error as users of net.Conn know it.
func (s *stream) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errno.NotAlloc) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "ouroboros", Source: s.here, Addr: s.there, Err: err}
}
