package ocbr

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/latency"
	"ouroboros/internal/tool/serve"
)

// checkTime is how often it is looked whether reports are due.
const checkTime = 50 * time.Millisecond

// server counts messages. It implements serve.Handler.
type server struct {
	*Options
	env   console.Env
	out   *console.Output
	clock clock.Clock

	mu    sync.Mutex
	flows int64
	total count // of the flows that ended; its span is not used
}

// session is what the server keeps for a flow.
type session struct {
	opened   time.Duration
	last     time.Duration // of the last message
	since    time.Duration // of the present interval
	interval count
	total    count
	timedOut bool
	gaps     *latency.Recorder // nil without a histogram
	message  time.Duration     // of the last message, to the nanosecond, with gaps
}

type servedFlow = serve.Flow[session]

func runServer(ctx context.Context, o *Options, env console.Env, out *console.Output, node *ouroboros.Client) int {
	s := &server{Options: o, env: env, out: out, clock: clock.New()}
	s.tell(event{Event: "started"}, "Server started, interval is %g s, timeout is %g s.\n",
		o.Interval.Seconds(), o.Timeout.Seconds())
	err := (&serve.Server[session]{
		Node: node, Handler: s, Clock: s.clock,
		Buffer: ouroboros.MaxMessage, Tick: checkTime,
	}).Run(ctx)
	t := s.total
	s.tell(event{Event: "stopped", Flows: &s.flows, figures: &figures{Packets: t.packets, Bytes: t.bytes}},
		"\n%d flows, %d packets, %d bytes\n", s.flows, t.packets, t.bytes)
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
	st := &f.State
	st.opened, st.last, st.since = now, now, now
	if s.Histogram {
		st.gaps = latency.New()
	}
	id := f.ID()
	s.tell(event{Event: "flow", FD: f.FD, Flow: &id}, "New flow.\n")
}

func (s *server) Message(f *servedFlow, p []byte, now time.Duration) bool {
	st := &f.State
	st.last = now
	st.interval.packets++
	st.interval.bytes += int64(len(p))
	if st.gaps != nil {
		now = s.clock.Now()
		if st.message != 0 {
			st.gaps.Record(now - st.message)
		}
		st.message = now
	}
	return true
}

// TooLong cannot be: no flow carries a message longer than the buffer.
func (s *server) TooLong(f *servedFlow, now time.Duration) bool {
	f.State.last = now
	return true
}

func (s *server) Tick(f *servedFlow, now time.Duration) bool {
	st := &f.State
	if now-st.last > s.Timeout {
		st.timedOut = true
		return false
	}
	if now-st.since >= s.Interval {
		s.report(f, now)
		// From the nominal end on, so that the reports do not drift.
		st.since += s.Interval
		if now-st.since >= s.Interval {
			st.since = now
		}
	}
	return true
}

// report prints what came since the last report.
func (s *server) report(f *servedFlow, now time.Duration) {
	c := &f.State.interval
	c.span = now - f.State.since
	id := f.ID()
	fig := c.figures()
	s.tell(event{Event: "report", FD: f.FD, Flow: &id, figures: &fig}, "%s", c.flowLine(f.FD))
	f.State.total.packets += c.packets
	f.State.total.bytes += c.bytes
	*c = count{}
}

func (s *server) Close(f *servedFlow, why serve.Reason, now time.Duration) {
	st := &f.State
	if st.timedOut {
		why = "timed out"
	}
	if !s.JSON {
		words := "ended: " + string(why)
		if st.timedOut {
			words = string(why)
		}
		s.out.Printf("Test on flow %d %s\n", f.FD, words)
	}
	s.report(f, now)
	s.mu.Lock()
	s.flows++
	s.total.packets += st.total.packets
	s.total.bytes += st.total.bytes
	s.mu.Unlock()

	if s.JSON {
		// The silence before a time-out is no part of the test.
		st.total.span = st.last - st.opened
		fig := st.total.figures()
		e := event{Event: "end", FD: f.FD, Reason: string(why), figures: &fig}
		id := f.ID()
		e.Flow = &id
		if st.gaps != nil {
			e.Gaps = st.gaps.Summary(true)
		}
		s.out.JSON(e)
		return
	}
	if st.gaps != nil {
		var b strings.Builder
		st.gaps.WriteHistogram(&b, fmt.Sprintf("Flow %d: gap", f.FD))
		s.out.Printf("%s", b.String())
	}
}

func (s *server) Idle() {}

func (s *server) AcceptFailed(err error) { s.env.Fail("Failed to accept flow.", err) }
