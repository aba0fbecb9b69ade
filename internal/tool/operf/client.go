package operf

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/latency"
	"ouroboros/internal/tool/pace"
	"ouroboros/internal/tool/serve"
)

const (
	// settle is the pause after the configuration. A server of the C
	// implementation needs one, and drops a flow that is silent for 1 s.
	settle = 300 * time.Millisecond
	// lastReply is how long a client waits for the next message to come back.
	lastReply = 2 * time.Second
)

// client is one test.
type client struct {
	*Options
	env   console.Env
	out   *console.Output
	flow  *ouroboros.Flow
	clock clock.Clock
	tally tally

	pending  *pending     // bi only
	received atomic.Int64 // as in the tally, for the sender
	finished atomic.Bool  // the sender has sent all
}

// runClient makes the test. The code is 1 when it could not begin.
func runClient(ctx context.Context, o *Options, env console.Env, out *console.Output, node *ouroboros.Client) int {
	flow, err := node.Alloc(ctx, o.Name, &o.QoS)
	if err != nil {
		env.Fail("Failed to allocate flow.", err)
		return 1
	}
	defer flow.Close()
	release := context.AfterFunc(ctx, func() { flow.SetDeadline(serve.Past) })
	defer release()
	c := &client{Options: o, env: env, out: out, flow: flow, clock: clock.New()}
	c.tally.rtt = latency.New()
	c.say("%s", o.Test.doing())
	if _, err := flow.Write(encodeConfig(o.Test)); err != nil {
		env.Fail("Failed to send configuration.", err)
		return 1
	}
	waiter := pace.Waiter{Clock: c.clock}
	waiter.Until(ctx, c.clock.Now()+settle)
	if o.Test == Bi {
		c.bi(ctx)
	} else {
		c.tally.end = c.send(ctx)
	}
	if ctx.Err() != nil {
		c.tally.end = endSignal
	}
	if o.JSON {
		out.JSON(c.tally.result(o, flow.ID()))
	} else {
		out.Printf("%s", c.tally.text(o))
	}
	return 0
}

// say prints what is not for JSON.
func (c *client) say(format string, a ...any) {
	if !c.JSON {
		c.out.Printf(format, a...)
	}
}

// complain tells what went wrong: between the lines of text, or apart from
// JSON.
func (c *client) complain(format string, a ...any) {
	if c.JSON {
		fmt.Fprintf(c.env.Stderr, format, a...)
		return
	}
	c.out.Printf(format, a...)
}

// send sends until the time is over, ctx ends or it fails, and says which.
func (c *client) send(ctx context.Context) (end string) {
	if c.Flood {
		c.say("Flooding %s with %d byte packets for %g seconds.\n\n", c.Name, c.Size, c.Duration.Seconds())
	} else {
		c.say("Sending %d byte packets for %g s to %s at %.3f Mb/s.\n\n",
			c.Size, c.Duration.Seconds(), c.Name, float64(c.Rate)/1e6)
	}
	// A write that waits ends with the test.
	sending, cancel := context.WithTimeout(ctx, c.Duration)
	defer cancel()
	release := context.AfterFunc(sending, func() { c.flow.SetWriteDeadline(serve.Past) })
	defer release()

	message := make([]byte, c.Size)
	pacer := pace.New(c.Size, c.Rate)
	waiter := pace.Waiter{Clock: c.clock, Spin: !c.Sleep}
	start := c.clock.Now()
	var now time.Duration
	for {
		now = c.clock.Now() - start
		if now >= c.Duration || sending.Err() != nil {
			end = endDuration
			break
		}
		if due := pacer.Due(); !c.Flood && due > now {
			waiter.Until(sending, start+min(due, c.Duration))
			continue
		}
		putID(message, uint32(c.tally.sent))
		if c.pending != nil {
			c.pending.send(start + now)
		}
		if _, err := serve.Write(sending, c.flow, message); err != nil {
			if c.pending != nil {
				c.pending.unsend()
			}
			now = c.clock.Now() - start
			if end = endDuration; sending.Err() == nil && !errors.Is(err, ouroboros.ErrTimeout) {
				end = endSend
				c.complain("Failed to send packet.\n  %v\n", err)
			}
			break
		}
		c.tally.sent++
		pacer.Sent(now)
	}
	c.tally.elapsed = now
	c.say("Test finished.\n")
	return end
}
