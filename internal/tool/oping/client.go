package oping

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/latency"
	"ouroboros/internal/tool/serve"
)

// Why a test ended, as JSON says it.
const (
	endCount    = "count"
	endDuration = "duration"
	endSignal   = "signal"
	endTimeout  = "timeout"
	endFlow     = "flow down"
	endSend     = "send failed"
)

// client is one test. The fields of the tally belong to the goroutine that
// reads replies, except for sent.
type client struct {
	*Options
	env   console.Env
	out   *console.Output
	flow  *ouroboros.Flow
	clock clock.Clock
	start time.Duration
	tally tally
}

// runClient allocates the flow and makes the test. The code is 1 when there
// was none, else 0 however much was lost.
func runClient(ctx context.Context, o *Options, env console.Env, out *console.Output, node *ouroboros.Client) int {
	flow, err := node.Alloc(ctx, o.Name, &o.QoS)
	if err != nil {
		env.Fail(fmt.Sprintf("Failed to allocate flow: %d.", -ouroboros.Errno(err)), err)
		return 1
	}
	defer flow.Close()

	c := &client{Options: o, env: env, out: out, flow: flow, clock: clock.New()}
	c.tally.rtt = latency.New()
	c.start = c.clock.Now()
	c.head()
	// Reads and writes that wait end with the test.
	release := context.AfterFunc(ctx, func() { flow.SetDeadline(serve.Past) })
	defer release()
	if o.Flood || o.FloodBusy {
		c.flood(ctx)
	} else {
		c.paced(ctx)
	}
	c.tally.elapsed = c.clock.Now() - c.start
	if ctx.Err() != nil {
		c.tally.end = endSignal
	}
	out.Flush()
	if o.JSON {
		out.JSON(c.tally.result(o, flow.ID()))
	} else {
		out.Printf("%s", c.tally.text(o.Name, o.Histogram))
	}
	return 0
}

// head is the first line.
func (c *client) head() {
	if c.Quiet || c.JSON {
		return
	}
	amount := fmt.Sprintf("%d packets", c.Count)
	if c.Timed {
		amount = fmt.Sprintf("for %d ms", c.Duration.Milliseconds())
	}
	if c.FloodBusy {
		amount += ", busy-poll"
	}
	c.out.Printf("Pinging %s with %d bytes of data (%s):\n\n", c.Name, c.Size, amount)
}

// accept takes a message that was read at the time now, n bytes of it in b.
// It gives the id of a reply that was not seen before.
func (c *client) accept(b []byte, sent int64, now time.Duration) (id int64, ok bool) {
	p, ok := Decode(b)
	// A reply has the length of its request, and was on its way for no longer
	// than the test runs.
	if !ok || p.Type != Reply || len(b) != c.Size || p.Sent < c.start || p.Sent > now {
		c.reject("Invalid message on fd %d.", console.FirstFD)
		return 0, false
	}
	id = int64(p.ID)
	if id >= sent {
		c.reject("Invalid id.")
		return 0, false
	}
	rtt := now - p.Sent
	v := c.tally.seq.see(id)
	switch v {
	case duplicate:
		c.tally.duplicates++
	case outOfOrder:
		c.tally.outOfOrder++
		fallthrough
	default:
		c.tally.received++
		c.tally.rtt.Record(rtt)
	}
	if !c.Quiet && !c.JSON {
		c.line(id, rtt, v)
	}
	return id, v != duplicate
}

// reject counts a message that is no answer to us, and says so.
func (c *client) reject(format string, a ...any) {
	c.tally.invalid++
	if !c.Quiet {
		c.complain(format, a...)
	}
}

// complain tells what went wrong: between the lines of text, or apart from
// JSON.
func (c *client) complain(format string, a ...any) {
	if c.JSON {
		fmt.Fprintf(c.env.Stderr, format+"\n", a...)
		return
	}
	c.out.Printf(format+"\n", a...)
}

// line prints a reply.
func (c *client) line(id int64, rtt time.Duration, v verdict) {
	b := c.out.Begin()
	if c.TimeOfDay {
		now := time.Now()
		b = append(b, '[')
		b = strconv.AppendInt(b, now.Unix(), 10)
		b = append(b, '.')
		b = appendMicros(b, now)
		b = append(b, "] "...)
	}
	b = strconv.AppendInt(b, int64(c.Size), 10)
	b = append(b, " bytes from "...)
	b = append(b, c.Name...)
	b = append(b, ": seq="...)
	b = strconv.AppendInt(b, id, 10)
	b = append(b, " time="...)
	u := latency.UnitFor(float64(rtt))
	b = u.Append(b, float64(rtt))
	b = append(b, ' ')
	b = append(b, u.Name...)
	switch v {
	case outOfOrder:
		b = append(b, " [out-of-order]"...)
	case duplicate:
		b = append(b, " [duplicate]"...)
	}
	c.out.End(append(b, '\n'))
}

// appendMicros adds the microseconds of t as six digits.
func appendMicros(b []byte, t time.Time) []byte {
	µs := t.Nanosecond() / 1000
	for div := 100000; div > 0; div /= 10 {
		b = append(b, byte('0'+µs/div%10))
	}
	return b
}
