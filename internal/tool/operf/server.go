package operf

import (
	"context"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/serve"
)

// reportTime is the time between two reports of a flow.
const reportTime = time.Second

// server serves each flow on a goroutine of its own, so that a slow client
// slows down nobody else.
type server struct {
	*Options
	env   console.Env
	out   *console.Output
	clock clock.Clock

	mu       sync.Mutex
	sessions map[*session]struct{} // that have got data
	flows    int64                 // accepted
	packets  int64                 // of the tests that ended
	bytes    int64
}

// event is a line of the server's JSON.
type event struct {
	Event  string `json:"event"` // "started", "flow", "test", "report", "end", "stopped"
	FD     int    `json:"fd,omitempty"`
	Flow   *int   `json:"flow,omitempty"`
	Test   string `json:"test,omitempty"`
	Reason string `json:"reason,omitempty"`
	Flows  *int64 `json:"flows,omitempty"` // served in all
	*figures
}

func runServer(ctx context.Context, o *Options, env console.Env, out *console.Output, node *ouroboros.Client) int {
	s := &server{Options: o, env: env, out: out, clock: clock.New(), sessions: make(map[*session]struct{})}
	s.tell(event{Event: "started"}, "Ouroboros perf server started.\n")
	reporting, stop := context.WithCancel(ctx)
	var reporter sync.WaitGroup
	reporter.Go(func() { s.report(reporting) })
	err := serve.Each(ctx, node, func(err error) { env.Fail("Failed to accept flow.", err) }, s.serve)
	stop()
	reporter.Wait()
	s.tell(event{Event: "stopped", Flows: &s.flows, figures: &figures{Packets: s.packets, Bytes: s.bytes}},
		"\n--- perf server statistics ---\n%d flows, %d packets, %d bytes\n", s.flows, s.packets, s.bytes)
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

// serve runs a flow.
func (s *server) serve(ctx context.Context, flow *ouroboros.Flow, fd int) {
	s.mu.Lock()
	s.flows++
	s.mu.Unlock()
	c := &session{server: s, flow: flow, fd: fd}
	c.say(event{Event: "flow"}, "New flow %d.\n", fd)
	why := c.serve(ctx)
	// The silence before a time-out is no part of the test.
	span := s.clock.Now() - c.start
	if why == timedOut {
		span -= idleTime
	}
	if c.start == 0 {
		span = 0
	}
	total := c.meter.read()
	if s.JSON {
		c.say(event{Event: "end", Test: c.test.String(), Reason: why, figures: total.figures(span)}, "")
		return
	}
	if why == timedOut {
		s.out.Printf("Flow %d timed out.\n", fd)
	}
	s.out.Printf("Flow %d in all: %s\n", fd, total.line(span))
}

// begin and end bracket the test of a session.
func (s *server) begin(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.start = s.clock.Now()
	c.reportedAt = c.start
	s.sessions[c] = struct{}{}
}

func (s *server) end(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	total := c.meter.read()
	s.packets += total.packets
	s.bytes += total.bytes
}

// report prints a line for each flow and second with data.
func (s *server) report(ctx context.Context) {
	t := time.NewTicker(reportTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.out.Flush() // what verbose lines wait
		if s.Verbose && !s.JSON {
			continue
		}
		s.mu.Lock()
		for c := range s.sessions {
			now, read := s.clock.Now(), c.meter.read()
			if d := read.since(c.reported); d.packets > 0 {
				span := now - c.reportedAt
				c.say(event{Event: "report", Test: c.test.String(), figures: d.figures(span)},
					"Flow %d: %s\n", c.fd, d.line(span))
			}
			c.reported, c.reportedAt = read, now
		}
		s.mu.Unlock()
	}
}
