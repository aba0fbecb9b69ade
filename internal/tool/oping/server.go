package oping

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/serve"
)

const (
	// idleTime is how long a flow may be without a request.
	idleTime = 10 * time.Second
	// checkTime is how often that is looked at.
	checkTime = time.Second
)

// server answers requests. It implements serve.Handler.
type server struct {
	*Options
	env console.Env
	out *console.Output

	flows    atomic.Int64
	requests atomic.Int64
	replies  atomic.Int64
	dropped  atomic.Int64 // replies for which the client's queue had no room
	failed   atomic.Int64 // replies that could not be written
	invalid  atomic.Int64 // messages that were no request
}

// session is what the server keeps for a flow.
type session struct {
	last     time.Duration // of the last request
	timedOut bool

	requests, replies, dropped, failed, invalid int64
}

type servedFlow = serve.Flow[session]

// event is a line of the server's JSON.
type event struct {
	Event    string `json:"event"` // "started", "flow", "end", "stopped"
	FD       int    `json:"fd,omitempty"`
	Flow     *int   `json:"flow,omitempty"`
	QoS      string `json:"qos,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Flows    *int64 `json:"flows,omitempty"`
	*figures        // with "end" and "stopped"
}

type figures struct {
	Requests int64 `json:"requests"`
	Replies  int64 `json:"replies"`
	Dropped  int64 `json:"dropped"`
	Failed   int64 `json:"failed"`
	Invalid  int64 `json:"invalid"`
}

// runServer serves until ctx ends, or the daemon does.
func runServer(ctx context.Context, o *Options, env console.Env, out *console.Output, node *ouroboros.Client) int {
	s := &server{Options: o, env: env, out: out}
	started := "Ouroboros ping server started."
	if o.Busy {
		started += " [busy-poll]"
	}
	s.tell(event{Event: "started"}, "%s\n", started)
	var err error
	if o.Busy {
		err = s.busy(ctx, node)
	} else {
		err = (&serve.Server[session]{
			Node: node, Handler: s, Clock: clock.New(),
			Buffer: MaxSize, Tick: checkTime, Poll: o.Poll,
		}).Run(ctx)
	}
	s.total()
	if err != nil {
		return env.Ended(err)
	}
	return 0
}

// tell prints a line of text, or an event.
func (s *server) tell(e event, format string, a ...any) {
	if s.JSON {
		s.out.JSON(e)
		return
	}
	s.out.Printf(format, a...)
}

func (s *server) Open(f *servedFlow, now time.Duration) {
	f.State.last = now
	s.flows.Add(1)
	id := f.ID()
	s.tell(event{Event: "flow", FD: f.FD, Flow: &id, QoS: f.QoS().String()}, "New flow %d.\n", f.FD)
}

func (s *server) Message(f *servedFlow, p []byte, now time.Duration) bool {
	if !isRequest(p) {
		return s.TooLong(f, now)
	}
	f.State.last = now
	f.State.requests++
	if !s.Quiet && !s.JSON {
		b := append(s.out.Begin(), "Received "...)
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(b, " bytes on fd "...)
		b = strconv.AppendInt(b, int64(f.FD), 10)
		s.out.End(append(b, ".\n"...))
	}
	makeReply(p)
	switch _, err := f.Write(p); {
	case err == nil:
		f.State.replies++
	case wouldBlock(err):
		// The client does not read: its loss, and not that of the others.
		f.State.dropped++
	default:
		f.State.failed++
		if !s.Quiet && !s.JSON {
			s.out.Printf("Error writing to flow (fd %d).\n", f.FD)
		}
	}
	return true
}

// TooLong takes any message that is no request.
func (s *server) TooLong(f *servedFlow, _ time.Duration) bool {
	f.State.invalid++
	if !s.Quiet && !s.JSON {
		b := append(s.out.Begin(), "Invalid message on fd "...)
		b = strconv.AppendInt(b, int64(f.FD), 10)
		s.out.End(append(b, ".\n"...))
	}
	return true
}

func (s *server) Tick(f *servedFlow, now time.Duration) bool {
	f.State.timedOut = now-f.State.last > idleTime
	return !f.State.timedOut
}

func (s *server) Close(f *servedFlow, why serve.Reason, _ time.Duration) {
	st := &f.State
	s.requests.Add(st.requests)
	s.replies.Add(st.replies)
	s.dropped.Add(st.dropped)
	s.failed.Add(st.failed)
	s.invalid.Add(st.invalid)
	if st.timedOut {
		why = "timed out"
	}
	if s.JSON {
		id := f.ID()
		s.out.JSON(event{Event: "end", FD: f.FD, Flow: &id, Reason: string(why),
			figures: &figures{st.requests, st.replies, st.dropped, st.failed, st.invalid}})
		return
	}
	if st.timedOut || !s.Quiet && why != serve.Stopped {
		s.out.Printf("Flow %d %s.\n", f.FD, why)
	}
}

func (s *server) Idle() { s.out.Flush() }

func (s *server) AcceptFailed(err error) {
	if s.JSON {
		s.env.Fail("Failed to accept flow.", err)
		return
	}
	// The blank belongs to the line.
	s.out.Printf("Failed to accept flow: %d \n", -ouroboros.Errno(err))
	fmt.Fprintf(s.env.Stderr, "  %v\n", err)
}

// total prints the sum of all flows.
func (s *server) total() {
	flows := s.flows.Load()
	f := figures{s.requests.Load(), s.replies.Load(), s.dropped.Load(), s.failed.Load(), s.invalid.Load()}
	s.tell(event{Event: "stopped", Flows: &flows, figures: &f},
		"\n--- ping server statistics ---\n%d flows, %d requests, %d replies, %d dropped, %d failed, %d invalid\n",
		flows, f.Requests, f.Replies, f.Dropped, f.Failed, f.Invalid)
}
