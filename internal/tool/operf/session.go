package operf

import (
	"context"
	"errors"
	"strconv"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/serve"
)

const (
	// idleTime is how long a flow may be silent. It is more than the second
	// that a client of the C implementation pauses after its configuration.
	idleTime = 3 * time.Second
	// writeTime is how long the server of a bi test waits for room. Only the
	// flow that has none waits.
	writeTime = time.Second
	// firstBuffer is the buffer of a flow until a message needs more.
	firstBuffer = 16 << 10
)

// session is a flow at the server.
type session struct {
	*server
	flow  *ouroboros.Flow
	fd    int
	test  Test
	start time.Duration // of the first data; 0 = none yet
	meter meter
	buf   []byte

	// Of the goroutine that reports, and at the end of the flow's own:
	reported   reading
	reportedAt time.Duration
}

// serve runs a flow until it ends, and gives the reason.
func (s *session) serve(ctx context.Context) (why string) {
	s.flow.SetReadTimeout(idleTime)
	s.flow.SetWriteTimeout(writeTime)
	s.buf = make([]byte, firstBuffer)
	test, why := s.configure(ctx)
	if why != "" {
		return why
	}
	s.test = test
	s.say(event{Event: "test", Test: test.String()}, "%s", test.doing())
	defer s.end(s)
	for {
		message, why := s.read(ctx)
		if why != "" {
			return why
		}
		if s.start == 0 {
			s.begin(s)
		}
		id, ok := idOf(message)
		if !ok {
			continue
		}
		s.meter.add(id, len(message))
		if test == Bi {
			if _, err := serve.Write(ctx, s.flow, message); err != nil {
				if ctx.Err() != nil {
					return stopped
				}
				s.say(event{}, "Error writing to flow (fd %d).\n", s.fd)
				return "write failed"
			}
		} else if s.Verbose {
			s.line(id)
		}
	}
}

// configure reads the first message.
func (s *session) configure(ctx context.Context) (t Test, why string) {
	message, why := s.read(ctx)
	if why != "" {
		return 0, why
	}
	t, ok := decodeConfig(message)
	if !ok {
		s.say(event{}, "Invalid config message.\n")
		return 0, "invalid configuration"
	}
	return t, ""
}

// The reasons for which a flow ends by itself.
const (
	stopped  = "stopped"
	timedOut = "timed out"
	down     = "down"
)

// read gives the next message, whatever its length, or why there is none. The
// buffer grows to what the flow's messages need.
func (s *session) read(ctx context.Context) (message []byte, why string) {
	n, err := serve.Read(ctx, s.flow, s.buf)
	for err == nil && n == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
		var more int
		more, err = s.flow.Read(s.buf[n:])
		n += more
		if more == 0 {
			break
		}
	}
	switch {
	case err == nil:
		return s.buf[:n], ""
	case ctx.Err() != nil:
		return nil, stopped
	case errors.Is(err, ouroboros.ErrTimeout):
		return nil, timedOut
	case errors.Is(err, ouroboros.ErrFlowPeer):
		return nil, "peer timeout"
	}
	return nil, down
}

// line prints a message of a uni test.
func (s *session) line(id uint32) {
	if s.JSON {
		return
	}
	now := time.Now()
	b := append(s.out.Begin(), "Seqno "...)
	b = strconv.AppendUint(b, uint64(id), 10)
	b = append(b, " from fd "...)
	b = strconv.AppendInt(b, int64(s.fd), 10)
	b = append(b, ": "...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, '.')
	for µs, div := now.Nanosecond()/1000, 100000; div > 0; div /= 10 {
		b = append(b, byte('0'+µs/div%10))
	}
	s.out.End(append(b, '\n'))
}

// say prints a line of text, or an event of this flow; one without a name is
// not for JSON.
func (s *session) say(e event, format string, a ...any) {
	if s.JSON && e.Event == "" {
		return
	}
	id := s.flow.ID()
	e.FD, e.Flow = s.fd, &id
	s.tell(e, format, a...)
}
